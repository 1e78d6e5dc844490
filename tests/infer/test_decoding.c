/* Answers by every way of decoding, against transformers' generate() (script/vectors/decoding.py): the best answer's tokens are
 * the same, of beam search the texts, lengths and scores of all that it keeps. Where transformers draws, its torch.multinomial
 * was replaced by the inverse of the distribution function (f64) at the uniform numbers that this program draws; "the same
 * tokens" then means that both have the same distribution wherever a number falls. */
#include "models/tiny.h"

#include "decoding_golden.h"
#include "infer/consensus.h"

#include <math.h>

enum { MOST = 12 };

typedef struct said {
    size_t count;
    pfm_request requests[MOST];
    int number[MOST]; /* of the golden question */
    pfm_ids ids[MOST];
    pfm_answer answers[MOST];
} said;

static void prepare(pfm_session *session, int64_t visual)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_model_graph graph;
    const int64_t one[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 1, [PFM_DIM_ANSWERS] = 1, [PFM_DIM_VISUAL] = visual};
    assert_ok(pfm_model_build(session->model, one, false, false, &graph, &err));
    assert_ok(pfm_session_load_weights(session, &err));
    pfm_model_graph_free(&graph);
}

/* The golden language model without images; its adapter does nothing yet. */
static pfm_session *create_blind(pfm_context *context)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    pfm_session *session = NULL;
    char text[1024];
    int length = snprintf(text, sizeof text,
                          "model: {vision: none, language: '%s'}\n"
                          "peft: {method: lora, rank: 4, alpha: 6, dropout: 0, targets: [q_proj]}\ndata: {dataset: phantom}\n",
                          tiny_path("llama"));
    assert_in_range(length, 1, sizeof text - 1);
    assert_ok(pfm_recipe_parse(text, (size_t)length, "blind.yaml", NULL, 0, &recipe, &err));
    assert_ok(pfm_session_create(context, recipe, false, &session, &err));
    prepare(session, 1);
    return session;
}

static pfm_session *create_system(pfm_context *context)
{
    pfm_session *session = tiny_session(context, false, NULL, 0);
    prepare(session, TINY_VISUAL);
    tiny_set_weights(session, true);
    return session;
}

static pfm_status take_id(void *user, size_t request, int32_t id, pfm_error *err)
{
    return pfm_ids_append(&((said *)user)->ids[request], id, err);
}

static const int32_t images[TINY_QUESTIONS] = {0, 0, 0, 1, 2, 2};

static pfm_status give_features(void *user, size_t request, size_t image, float *features, pfm_error *err)
{
    (void)image;
    (void)err;
    tiny_features(images[((said *)user)->number[request]], features);
    return PFM_OK;
}

static void answer(pfm_session *session, said *s, const pfm_decoding *how, int max_tokens, int at_once)
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_generate_options options = {.max_tokens = max_tokens,
                                          .decoding = how,
                                          .returned = how->beams,
                                          .images = at_once,
                                          .features = give_features,
                                          .on_token = take_id,
                                          .user = s};
    assert_ok(pfm_generate(session, s->requests, s->count, &options, s->answers, &err));
}

static void forget(said *s)
{
    for (size_t i = 0; i < s->count; i++) {
        pfm_ids_free(&s->ids[i]);
        pfm_answer_free(&s->answers[i]);
    }
}

/* The golden text of a list of ids. */
static void decode(const pfm_session *session, const json_t *ids, pfm_buffer *out)
{
    pfm_error err = PFM_ERROR_INIT;
    int32_t list[64];
    size_t count = json_array_size(ids);
    assert_true(count <= 64);
    for (size_t i = 0; i < count; i++)
        list[i] = (int32_t)json_integer_value(json_array_get(ids, i));
    count -= count > 0 && list[count - 1] == 2;
    assert_ok(pfm_tokenizer_decode(session->model->tokenizer, list, count, true, out, &err));
}

static void check_one(const pfm_session *session, const json_t *ids, const json_t *score, const pfm_answer *got)
{
    pfm_buffer text = {0};
    decode(session, ids, &text);
    assert_int_equal(got->tokens, json_array_size(ids));
    assert_string_equal(got->text, text.data != NULL ? text.data : "");
    assert_true(got->probability > 0 && got->probability < 1);
    if (score != NULL && !(fabs(got->score - json_number_value(score)) < 2e-5 + 2e-6 * fabs(got->score)))
        fail_msg("score %.6f, wanted %.6f", got->score, json_number_value(score));
    pfm_buffer_free(&text);
}

static void check_answers(const pfm_session *session, const said *s, const json_t *one)
{
    for (size_t i = 0; i < s->count; i++) {
        const json_t *list = json_array_get(json_object_get(one, "answers"), (size_t)s->number[i]),
                     *scores = json_array_get(json_object_get(one, "scores"), (size_t)s->number[i]),
                     *best = json_array_get(list, 0);
        if (s->ids[i].count != json_array_size(best)) {
            char *options = json_dumps(json_object_get(one, "options"), JSON_COMPACT);
            fail_msg("%s, question %d: %zu tokens, wanted %zu", options, s->number[i], s->ids[i].count, json_array_size(best));
        }
        for (size_t t = 0; t < s->ids[i].count; t++)
            assert_int_equal(s->ids[i].data[t], json_integer_value(json_array_get(best, t)));
        assert_int_equal(s->answers[i].other_count + 1, json_array_size(list));
        for (size_t k = 0; k < json_array_size(list); k++)
            check_one(session, json_array_get(list, k), json_array_get(scores, k),
                      k == 0 ? &s->answers[i] : &s->answers[i].others[k - 1]);
    }
}

/* All golden questions, or all of them backwards. */
static said ask_all(const json_t *questions, bool backwards)
{
    said s = {.count = json_array_size(questions)};
    for (size_t i = 0; i < s.count; i++) {
        const size_t k = backwards ? s.count - 1 - i : i;
        s.number[i] = (int)k;
        s.requests[i] = (pfm_request){
            .question = {json_string_value(json_array_get(questions, k)), 0}, .group = (int32_t)i, .draws = 1000 + k};
    }
    return s;
}

/* In every company, order and number of threads: what is said depends on none of them. */
static void every_way_says_what_transformers_says(void **state)
{
    (void)state;
    json_t *golden = decoding_golden_load("generate.json");
    const json_t *cases = json_object_get(golden, "cases"), *questions = json_object_get(golden, "questions");
    assert_true(json_array_size(cases) > 40);
    for (int threads = 1; threads <= 2; threads++) {
        pfm_context *context = tiny_context(NULL, threads, PFM_PRECISION_F32);
        pfm_session *session = create_blind(context);
        for (size_t i = 0; i < json_array_size(cases); i++) {
            const json_t *one = json_array_get(cases, i), *options = json_object_get(one, "options");
            const pfm_decoding how = decoding_golden_options(options);
            said s = ask_all(questions, threads == 2);
            answer(session, &s, &how, (int)decoding_golden_number(options, "max_tokens", 0), threads == 2 ? 8 : 1 + (int)i % 3);
            check_answers(session, &s, one);
            forget(&s);
        }
        pfm_session_free(session);
        pfm_context_free(context);
    }
    json_decref(golden);
}

static const char *const system_questions[TINY_QUESTIONS] = {"Is the lung normal?",         "Is the lung normal, or not?",
                                                             "Where is the lesion?",        "Is the lung normal?",
                                                             "Which organ is abnormal? 12", "What?"};

/* Beams of questions that share an image and go through an adapter. */
static void beams_share_images_and_prompts(void **state)
{
    (void)state;
    json_t *golden = decoding_golden_load("generate.json");
    const json_t *cases = json_object_get(golden, "system");
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    pfm_session *session = create_system(context);
    assert_int_equal(json_array_size(cases), 3);
    for (size_t i = 0; i < json_array_size(cases); i++)
        for (int at_once = 1; at_once <= 8; at_once += 7) {
            const json_t *one = json_array_get(cases, i), *options = json_object_get(one, "options");
            const pfm_decoding how = decoding_golden_options(options);
            said s = {.count = TINY_QUESTIONS};
            for (int k = 0; k < TINY_QUESTIONS; k++) {
                s.number[k] = k;
                s.requests[k] = (pfm_request){.question = {system_questions[k], 1}, .group = images[k]};
            }
            answer(session, &s, &how, (int)decoding_golden_number(options, "max_tokens", 0), at_once);
            check_answers(session, &s, one);
            forget(&s);
        }
    pfm_session_free(session);
    pfm_context_free(context);
    json_decref(golden);
}

/* Two bytes out of the middle of a text, where that has any that are characters; they may begin and end within tokens. */
static bool choose_stop(const char *text, char stop[4])
{
    const size_t length = strlen(text);
    for (size_t i = length / 3; i + 4 < length; i++) {
        if (text[i] > ' ' && text[i + 1] > ' ') {
            (void)snprintf(stop, 4, "%.2s", text + i);
            return true;
        }
    }
    return false;
}

/* The answer is cut before the first text that ends it and its row leaves; other rows go on. */
static void a_text_ends_the_answer_before_it(void **state)
{
    (void)state;
    json_t *golden = decoding_golden_load("generate.json");
    const json_t *questions = json_object_get(golden, "questions");
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    pfm_session *session = create_blind(context);
    pfm_decoding how = pfm_decoding_greedy;
    said whole = ask_all(questions, false);
    answer(session, &whole, &how, 20, 8);
    int used = 0;
    for (size_t q = 0; q < whole.count; q++) {
        char stop[4], never[] = "@@@";
        if (!choose_stop(whole.answers[q].text, stop))
            continue;
        used++;
        char *const stops[] = {never, stop};
        how.stop = stops;
        how.stop_count = 2;
        said s = ask_all(questions, false);
        answer(session, &s, &how, 20, 8);
        for (size_t i = 0; i < s.count; i++) {
            const char *at = strstr(whole.answers[i].text, stop);
            const size_t kept = at != NULL ? (size_t)(at - whole.answers[i].text) : strlen(whole.answers[i].text);
            assert_int_equal(strlen(s.answers[i].text), kept);
            assert_memory_equal(s.answers[i].text, whole.answers[i].text, kept);
            if (at == NULL)
                assert_int_equal(s.answers[i].tokens, whole.answers[i].tokens);
            if (i == q)
                assert_true(s.answers[i].tokens < whole.answers[i].tokens && at != NULL);
        }
        forget(&s);
    }
    assert_true(used >= 3);
    forget(&whole);
    pfm_session_free(session);
    pfm_context_free(context);
    json_decref(golden);
}

static void a_text_ends_a_beam(void **state)
{
    (void)state;
    json_t *golden = decoding_golden_load("generate.json");
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    pfm_session *session = create_blind(context);
    pfm_decoding how = pfm_decoding_greedy;
    how.beams = 4;
    said whole = ask_all(json_object_get(golden, "questions"), false), s = whole;
    answer(session, &whole, &how, 14, 8);
    char stop[4] = "";
    memcpy(stop, whole.answers[0].text + 1, 2);
    char *const stops[] = {stop};
    how.stop = stops;
    how.stop_count = 1;
    answer(session, &s, &how, 14, 8);
    for (size_t i = 0; i < s.count; i++)
        for (size_t k = 0; k <= s.answers[i].other_count; k++) {
            const pfm_answer *one = k == 0 ? &s.answers[i] : &s.answers[i].others[k - 1];
            assert_null(strstr(one->text, stop));
        }
    assert_true(strcmp(s.answers[0].text, whole.answers[0].text) != 0);
    forget(&whole);
    forget(&s);
    pfm_session_free(session);
    pfm_context_free(context);
    json_decref(golden);
}

/* A choice among given answers by the same draws, which are free. */
static void check_draws_choose(pfm_session *session, const pfm_decoding *how, const char *const *texts, size_t draws,
                               const pfm_request *request, int number)
{
    pfm_error err = PFM_ERROR_INIT;
    const char *const given[] = {"never", texts[1], texts[2]};
    const pfm_choices choices = {given, 3};
    double likenesses[3];
    size_t best = 0;
    said s = {.count = 1, .requests = {*request}, .number = {number}};
    s.requests[0].choices = &choices;
    answer(session, &s, how, 9, 1);
    assert_ok(pfm_consensus_choose(given, 3, texts, draws, likenesses, &best, &err));
    assert_string_equal(s.answers[0].text, given[best]);
    assert_true(fabs(s.answers[0].score - likenesses[best]) < 1e-12);
    assert_true(isnan(s.answers[0].probability));
    assert_in_range(s.answers[0].tokens, draws, draws * 9);
    forget(&s);
}

/* Of several draws the one most like the others is the answer; each is what is drawn alone under its own number. */
static void the_answer_is_the_draws_consensus(void **state)
{
    (void)state;
    enum { DRAWS = 7 };
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    pfm_session *session = create_system(context);
    pfm_decoding how = pfm_decoding_greedy;
    how.temperature = 0.3;
    said all[DRAWS] = {{0}};
    size_t later = 0;
    for (int k = 0; k < DRAWS; k++) {
        all[k].count = TINY_QUESTIONS;
        for (int q = 0; q < TINY_QUESTIONS; q++) {
            all[k].number[q] = q;
            all[k].requests[q] = (pfm_request){
                .question = {system_questions[q], 1}, .group = images[q], .draws = 100 * (uint64_t)q + (uint64_t)k};
        }
        answer(session, &all[k], &how, 9, 8);
    }
    for (int at_once = 1; at_once <= 8; at_once += 7) {
        said s = {.count = TINY_QUESTIONS};
        memcpy(s.requests, all[0].requests, sizeof s.requests);
        memcpy(s.number, all[0].number, sizeof s.number);
        how.draws = DRAWS;
        answer(session, &s, &how, 9, at_once);
        for (size_t q = 0; q < s.count; q++) {
            pfm_error err = PFM_ERROR_INIT;
            const char *texts[DRAWS];
            size_t best = 0;
            double likeness = 0;
            for (size_t k = 0; k < DRAWS; k++)
                texts[k] = all[k].answers[q].text;
            assert_ok(pfm_consensus_find(texts, DRAWS, &best, &likeness, &err));
            later += best > 0;
            assert_string_equal(s.answers[q].text, texts[best]);
            assert_int_equal(s.answers[q].tokens, all[best].answers[q].tokens);
            assert_true(fabs(s.answers[q].probability / all[best].answers[q].probability - 1) < 1e-4);
            assert_true(fabs(s.answers[q].score - likeness) < 1e-12);
            check_draws_choose(session, &how, texts, DRAWS, &s.requests[q], s.number[q]);
            assert_int_equal(s.ids[q].count, 0); /* nobody is told tokens of what may not be the answer */
        }
        forget(&s);
    }
    assert_true(later > 2);
    for (size_t k = 0; k < DRAWS; k++)
        forget(&all[k]);
    pfm_session_free(session);
    pfm_context_free(context);
}

static void check_choices(const json_t *wanted, const pfm_answer *got, const pfm_choices *choices, pfm_choice_score by,
                          const pfm_session *session, int question)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_ids prompt = {0};
    size_t best = 0;
    double share = 0;
    assert_ok(pfm_model_encode(session->model, &(pfm_question){system_questions[question], 1}, NULL, 0, &prompt, NULL, &err));
    for (size_t c = 0; c < choices->count; c++) {
        const pfm_choice *choice = &got->choices[c];
        const double golden = json_number_value(json_array_get(wanted, c));
        const double over = by == PFM_CHOICE_TOTAL  ? 1
                            : by == PFM_CHOICE_MEAN ? choice->tokens
                                                    : (double)prompt.count + choice->tokens - 1;
        if (!(fabs(choice->log_likelihood - golden) < 1e-4 + 1e-5 * fabs(golden)))
            fail_msg("question %d, choice %zu: %.6f, wanted %.6f", question, c, choice->log_likelihood, golden);
        assert_true(fabs(choice->score - choice->log_likelihood / over) < 1e-12);
        best = choice->score > got->choices[best].score ? c : best;
        share += choice->probability;
    }
    assert_true(fabs(share - 1) < 1e-12);
    assert_string_equal(got->text, choices->texts[best]);
    assert_true(got->probability == got->choices[best].probability && got->score == got->choices[best].score);
    pfm_ids_free(&prompt);
}

/* Whoever is asked beside whom: the likelihoods are transformers'. */
static void choices_are_as_likely_as_transformers_says(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    json_t *golden = decoding_golden_load("generate.json");
    const json_t *list = json_object_get(golden, "choices"), *likelihoods = json_object_get(golden, "likelihoods");
    const char *texts[8];
    const pfm_choices choices = {texts, json_array_size(list)}, few = {texts + 1, 2};
    assert_int_equal(choices.count, 7);
    for (size_t c = 0; c < choices.count; c++)
        texts[c] = json_string_value(json_array_get(list, c));
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    pfm_session *session = create_system(context);
    for (int by = PFM_CHOICE_TOTAL; by <= PFM_CHOICE_SEQUENCE; by++)
        for (int at_once = 1; at_once <= 8; at_once += 7) {
            said s = {.count = TINY_QUESTIONS};
            for (int k = 0; k < TINY_QUESTIONS; k++) {
                s.number[k] = k;
                s.requests[k] = (pfm_request){
                    .question = {system_questions[k], 1}, .group = images[k], .choices = k == 1 ? &few : &choices};
            }
            const pfm_generate_options options = {.max_tokens = 1,
                                                  .images = at_once,
                                                  .choice_score = (pfm_choice_score)by,
                                                  .list_choices = true,
                                                  .features = give_features,
                                                  .user = &s};
            assert_ok(pfm_generate(session, s.requests, s.count, &options, s.answers, &err));
            for (int k = 0; k < TINY_QUESTIONS; k++) {
                if (k != 1)
                    check_choices(json_array_get(likelihoods, (size_t)k), &s.answers[k], &choices, (pfm_choice_score)by,
                                  session, k);
                else
                    assert_true(fabs(s.answers[1].choices[1].log_likelihood -
                                     json_number_value(json_array_get(json_array_get(likelihoods, 1), 2))) < 1e-3);
            }
            forget(&s);
        }
    pfm_session_free(session);
    pfm_context_free(context);
    json_decref(golden);
}

/* More choices than one pass holds; of equal ones the first is the answer. */
static void many_choices_take_passes_and_ties_go_to_the_first(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    enum { MANY = 200 };
    static char names[MANY][64];
    const char *texts[MANY], *alone[1];
    for (int c = 0; c < MANY; c++) {
        (void)snprintf(names[c], sizeof names[c], "%s %d lungs of %d livers", c < 100 ? "The" : "the", c % 100, c % 100 * 7);
        texts[c] = names[c];
    }
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    pfm_session *session = create_system(context);
    const pfm_choices choices = {texts, MANY};
    said s = {.count = 1, .requests = {{.question = {system_questions[0], 1}, .choices = &choices}}};
    const pfm_generate_options options = {
        .max_tokens = 1, .images = 1, .list_choices = true, .features = give_features, .user = &s};
    assert_ok(pfm_generate(session, s.requests, 1, &options, s.answers, &err));
    size_t best = 0;
    for (size_t c = 0; c < MANY; c++) {
        assert_true(s.answers[0].choices[c].log_likelihood == s.answers[0].choices[c % 100].log_likelihood);
        best = s.answers[0].choices[c].score > s.answers[0].choices[best].score ? c : best;
        if (c % 37 != 0)
            continue;
        const pfm_choices one = {alone, 1};
        said lone = {.count = 1, .requests = {{.question = {system_questions[0], 1}, .choices = &one}}};
        alone[0] = texts[c];
        const pfm_generate_options again = {
            .max_tokens = 1, .images = 1, .list_choices = true, .features = give_features, .user = &lone};
        assert_ok(pfm_generate(session, lone.requests, 1, &again, lone.answers, &err));
        assert_true(lone.answers[0].choices[0].log_likelihood == s.answers[0].choices[c].log_likelihood);
        forget(&lone);
    }
    assert_true(best < 100);
    assert_string_equal(s.answers[0].text, texts[best]);
    forget(&s);
    pfm_session_free(session);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_says_what_transformers_says),
        cmocka_unit_test(beams_share_images_and_prompts),
        cmocka_unit_test(a_text_ends_the_answer_before_it),
        cmocka_unit_test(the_answer_is_the_draws_consensus),
        cmocka_unit_test(a_text_ends_a_beam),
        cmocka_unit_test(choices_are_as_likely_as_transformers_says),
        cmocka_unit_test(many_choices_take_passes_and_ties_go_to_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
