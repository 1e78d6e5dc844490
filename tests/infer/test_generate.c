/* Greedy answers against transformers' generate (script/vectors/language.py), against recomputing everything for every token,
 * and in batches of every composition. */
#include "models/tiny.h"

#include "infer/generate.h"

#include <math.h>

static const int32_t images[TINY_QUESTIONS] = {0, 0, 0, 1, 2, 2};
static const char *const questions[TINY_QUESTIONS] = {"Is the lung normal?",         "Is the lung normal, or not?",
                                                      "Where is the lesion?",        "Is the lung normal?",
                                                      "Which organ is abnormal? 12", "What?"};

enum { MOST = 64 };

/* What is asked, which golden question each request is, and the ids that were told. */
typedef struct asked {
    size_t count;
    int golden[MOST];
    pfm_request requests[MOST];
    pfm_ids ids[MOST];
    pfm_answer answers[MOST];
    size_t features_told; /* how often features were asked for */
    size_t fail_at;       /* the call of features that fails; 0: none */
    int32_t fail_token;   /* of request 0 that on_token refuses; 0: none */
} asked;

static pfm_status give_features(void *user, size_t request, size_t image, float *features, pfm_error *err)
{
    asked *a = user;
    assert_int_equal(image, 0);
    if (++a->features_told == a->fail_at)
        return pfm_error_set(err, PFM_ERROR_IO, "no picture for request %zu", request);
    tiny_features(images[a->golden[request]], features);
    return PFM_OK;
}

static pfm_status take_id(void *user, size_t request, int32_t id, pfm_error *err)
{
    asked *a = user;
    if (a->fail_token > 0 && request == 0 && a->ids[0].count + 1 == (size_t)a->fail_token)
        return pfm_error_set(err, PFM_ERROR_IO, "nobody listens");
    return pfm_ids_append(&a->ids[request], id, err);
}

static pfm_status ask(pfm_session *session, asked *a, int at_once, int max_tokens, pfm_error *err)
{
    const pfm_generate_options options = {
        .max_tokens = max_tokens, .images = at_once, .features = give_features, .on_token = take_id, .user = a};
    for (size_t i = 0; i < a->count; i++) {
        a->requests[i].question = (pfm_question){questions[a->golden[i]], 1};
        a->ids[i].count = 0;
    }
    a->features_told = 0;
    return pfm_generate(session, a->requests, a->count, &options, a->answers, err);
}

static void forget(asked *a)
{
    for (size_t i = 0; i < MOST; i++) {
        pfm_ids_free(&a->ids[i]);
        free(a->answers[i].text);
        a->answers[i].text = NULL;
    }
}

static void add(asked *a, int golden, int32_t group)
{
    a->golden[a->count] = golden;
    a->requests[a->count++].group = group;
}

/* All questions, those on an image together. */
static asked all_questions(void)
{
    asked a = {0};
    for (int i = 0; i < TINY_QUESTIONS; i++)
        add(&a, i, images[i]);
    return a;
}

/* A session of the golden system. */
static pfm_session *create(pfm_context *context)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_session *session = tiny_session(context, false, NULL, 0);
    pfm_model_graph graph;
    const int64_t one[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 1, [PFM_DIM_ANSWERS] = 1, [PFM_DIM_VISUAL] = TINY_VISUAL};
    assert_ok(pfm_model_build(session->model, one, false, false, &graph, &err));
    assert_ok(pfm_session_load_weights(session, &err));
    pfm_model_graph_free(&graph);
    tiny_set_weights(session, true);
    return session;
}

/* The first max_tokens of the golden answer, and its probability where that is all. */
static void check_answer(const pfm_session *session, const asked *a, size_t request, size_t max_tokens)
{
    pfm_error err = PFM_ERROR_INIT;
    char name[40];
    size_t count;
    (void)snprintf(name, sizeof name, "answer%d", a->golden[request]);
    int32_t *golden = tiny_golden_ids(name, &count);
    (void)snprintf(name, sizeof name, "answer%d.log_probability", a->golden[request]);
    float *log_probability = tiny_golden("system", name, 1);
    size_t wanted = count < max_tokens ? count : max_tokens;
    assert_int_equal(a->ids[request].count, wanted);
    assert_memory_equal(a->ids[request].data, golden, wanted * sizeof *golden);
    assert_int_equal(a->answers[request].tokens, wanted);
    if (wanted == count && !(fabs(log(a->answers[request].probability) - (double)log_probability[0]) < 1e-3))
        fail_msg("question %d: log-probability %.6f, wanted %.6f", a->golden[request], log(a->answers[request].probability),
                 (double)log_probability[0]);
    pfm_buffer text = {0};
    size_t shown = wanted > 0 && golden[wanted - 1] == 2 ? wanted - 1 : wanted;
    assert_ok(pfm_tokenizer_decode(session->model->tokenizer, golden, shown, true, &text, &err));
    assert_string_equal(a->answers[request].text, text.data != NULL ? text.data : "");
    pfm_buffer_free(&text);
    free(golden);
    free(log_probability);
}

static void check_answers(const pfm_session *session, const asked *a, size_t max_tokens)
{
    for (size_t i = 0; i < a->count; i++)
        check_answer(session, a, i, max_tokens);
}

static void compare_level(const char *level)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(level, 2, PFM_PRECISION_F32);
    pfm_session *session = create(context);
    asked a = all_questions();
    assert_ok(ask(session, &a, 8, TINY_NEW_TOKENS, &err));
    assert_int_equal(a.features_told, 3); /* once an image */
    check_answers(session, &a, TINY_NEW_TOKENS);
    forget(&a);
    pfm_session_free(session);
    pfm_context_free(context);
}

static void answers_are_those_of_transformers(void **state)
{
    (void)state;
    tiny_each_level(compare_level);
}

static void the_company_of_a_question_does_not_change_its_answer(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    pfm_session *session = create(context);
    asked backwards = {0}, apart = {0}, twice = {0};
    for (int i = TINY_QUESTIONS - 1; i >= 0; i--)
        add(&backwards, i, images[i]);
    for (int i = 0; i < TINY_QUESTIONS; i++) /* every one with an image of its own, though some are the same picture */
        add(&apart, i, i);
    for (int i = 0; i < 12; i++)
        add(&twice, i % 6 / 2 * 2, i / 2);
    asked *const cases[] = {&backwards, &apart, &twice};
    for (size_t c = 0; c < 3; c++)
        for (int at_once = 1; at_once <= 8; at_once += at_once == 1 ? 1 : 6) {
            assert_ok(ask(session, cases[c], at_once, TINY_NEW_TOKENS, &err));
            check_answers(session, cases[c], TINY_NEW_TOKENS);
            forget(cases[c]);
        }
    for (int i = 0; i < TINY_QUESTIONS; i++) { /* and alone */
        asked one = {0};
        add(&one, i, 3);
        assert_ok(ask(session, &one, 8, TINY_NEW_TOKENS, &err));
        check_answers(session, &one, TINY_NEW_TOKENS);
        forget(&one);
    }
    pfm_session_free(session);
    pfm_context_free(context);
}

static void more_questions_than_fit_are_answered_in_turns(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    pfm_session *session = create(context);
    asked a = {0};
    for (int i = 0; i < MOST; i++)
        add(&a, i % TINY_QUESTIONS, i); /* 64 prompts of about 45 tokens: more than are read at once */
    assert_ok(ask(session, &a, MOST, 9, &err));
    assert_int_equal(a.features_told, MOST);
    check_answers(session, &a, 9);
    forget(&a);
    pfm_session_free(session);
    pfm_context_free(context);
}

/* First tokens with quantised weights beside the full ones: the same choice, nearly as sure, and not by the same numbers. */
static void quantised_weights_answer_nearly_the_same(void **state)
{
    (void)state;
    static const struct {
        pfm_weight_format format;
        double bound; /* on a log-probability */
    } cases[] = {{PFM_WEIGHTS_FULL, 0}, {PFM_WEIGHTS_Q8_0, 0.1}, {PFM_WEIGHTS_Q4_1, 1}, {PFM_WEIGHTS_Q4_0, 1}};
    double full[TINY_QUESTIONS];
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
        context->weights = cases[c].format;
        pfm_session *session = create(context);
        asked a = all_questions();
        assert_ok(ask(session, &a, 8, 1, &err));
        for (size_t i = 0; i < a.count; i++) {
            double sure = log(a.answers[i].probability);
            if (c == 0)
                full[i] = sure;
            else if (!(fabs(sure - full[i]) <= cases[c].bound) || sure == full[i])
                fail_msg("case %zu, question %zu: log-probability %.4f beside %.4f", c, i, sure, full[i]);
        }
        forget(&a);
        pfm_session_free(session);
        pfm_context_free(context);
    }
}

static void an_answer_is_cut_at_its_most_tokens(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = create(context);
    for (int most = 1; most <= 7; most += 3) { /* one golden answer has 7 tokens with its end */
        asked a = all_questions();
        assert_ok(ask(session, &a, 8, most, &err));
        check_answers(session, &a, (size_t)most);
        forget(&a);
    }
    pfm_session_free(session);
    pfm_context_free(context);
}

/* One more token of a row by reading everything again: the logits of the last token, without a key-value store. */
static int32_t next_token(tiny_system *system, const int32_t *ids, size_t count, int32_t context, double *log_probability)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_pack pack = {0};
    const pfm_sequence row = {.ids = ids, .count = count, .answer = count, .context = context};
    const pfm_pack_options options = {.share = true, .inference = true};
    assert_ok(pfm_pack_rows(&pack, &row, 1, &options, &err));
    assert_ok(pfm_model_bind(system->session->model, &system->graph, system->executor, &pack, TINY_IMAGES * TINY_VISUAL, &err));
    assert_ok(
        pfm_model_bind_images(system->session->model, &system->graph, system->executor, system->visual, &tiny_pictures, &err));
    pfm_executor_forward(system->executor);
    const float *logits = pfm_executor_data(system->executor, system->graph.language.logits);
    int32_t best = 0;
    double sum = 0;
    for (int32_t i = 1; i < TINY_VOCABULARY; i++)
        best = logits[i] > logits[best] ? i : best;
    for (int32_t i = 0; i < TINY_VOCABULARY; i++)
        sum += exp((double)logits[i] - (double)logits[best]);
    *log_probability -= log(sum);
    pfm_pack_free(&pack);
    return best;
}

/* What a method starts with, moved so that it does something. */
static void stir(pfm_parameters *parameters)
{
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        const size_t count = (size_t)(p->n * p->k);
        if (p->part != PFM_PART_PEFT)
            continue;
        float *values = calloc(count, sizeof *values);
        assert_non_null(values);
        tiny_spread((uint32_t)i, count, values);
        for (size_t j = 0; j < count; j++)
            values[j] *= 0.2f;
        pfm_parameters_set(parameters, i, values);
        free(values);
    }
}

/* All questions with their keys stored, those on an image together, beside each question alone, read again for each token. */
static void compare_stored(const char *const *sets, int set_count, bool stirred, int32_t contexts)
{
    pfm_error err = PFM_ERROR_INIT;
    tiny_system system;
    tiny_system_create(tiny_context(NULL, 2, PFM_PRECISION_F32), false, sets, set_count, &system);
    if (stirred)
        stir(system.session->model->parameters);
    asked a = all_questions();
    for (int32_t i = 0; i < TINY_QUESTIONS; i++)
        a.requests[i].context = contexts > 0 ? i % contexts : 0;
    assert_ok(ask(system.session, &a, 8, TINY_NEW_TOKENS, &err));
    for (int i = 0; i < TINY_QUESTIONS; i++) {
        pfm_ids ids = {0};
        double log_probability = 0;
        assert_ok(pfm_model_encode(system.session->model, &(pfm_question){questions[i], 1}, NULL, images[i] * TINY_VISUAL, &ids,
                                   NULL, &err));
        for (size_t t = 0; t < a.ids[i].count; t++) {
            int32_t next = next_token(&system, ids.data, ids.count, a.requests[i].context, &log_probability);
            assert_int_equal(a.ids[i].data[t], next);
            assert_ok(pfm_ids_append(&ids, next, &err));
        }
        assert_true(fabs(log(a.answers[i].probability) - log_probability) < 1e-4);
        pfm_ids_free(&ids);
    }
    forget(&a);
    tiny_system_free(&system);
}

static void stored_keys_give_what_reading_again_gives(void **state)
{
    (void)state;
    static const char *const adapters[] = {"peft.method=moe_adapter", "peft.targets=[]"},
                             *const by_token[] = {"peft.method=moe_lora", "peft.experts=3"},
                             *const by_context[] = {"peft.method=moe_lora", "peft.router=context", "peft.context=task",
                                                    "peft.contexts=[a, b]", "peft.experts=2"};
    compare_stored(NULL, 0, false, 0);
    compare_stored(by_token, 2, true, 0);
    compare_stored(adapters, 2, true, 0);
    compare_stored(by_context, 5, true, 3); /* one unknown, and all three about one image */
}

static const int32_t shown[5][3] = {{0, 1}, {0, 1}, {1, 0}, {2}, {2, 1, 0}};
static const size_t shown_count[5] = {2, 2, 2, 1, 3};

static pfm_status give_several(void *user, size_t request, size_t image, float *features, pfm_error *err)
{
    (void)err;
    ++*(int *)user;
    assert_true(image < shown_count[request]);
    tiny_features(shown[request][image], features);
    return PFM_OK;
}

/* Requests with one to three images, whatever is read at once: each as sure as when everything is read again alone. */
static void several_images_are_read_each_at_its_place(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const asks[5] = {"Is the lung normal?", "Is <image> or <image> normal?", "Is the lung normal?", "Where?",
                                        "What?"};
    static const int32_t groups[5] = {0, 0, 1, 2, 3};
    tiny_system system;
    tiny_system_create(tiny_context(NULL, 2, PFM_PRECISION_F32), false, NULL, 0, &system);
    pfm_request requests[5];
    for (int i = 0; i < 5; i++)
        requests[i] = (pfm_request){{asks[i], shown_count[i]}, groups[i]};
    for (int at_once = 1; at_once <= 9; at_once += 2) {
        int told = 0;
        pfm_answer got[5];
        const pfm_generate_options options = {.max_tokens = 1, .images = at_once, .features = give_several, .user = &told};
        assert_ok(pfm_generate(system.session, requests, 5, &options, got, &err));
        assert_int_equal(told, 2 + 2 + 1 + 3);
        for (int i = 0; i < 5; i++) {
            pfm_ids ids = {0};
            double log_probability = 0;
            assert_ok(pfm_model_encode(system.session->model, &requests[i].question, NULL, 0, &ids, NULL, &err));
            for (size_t t = 0; t < ids.count; t++) {
                int32_t visual = -1 - ids.data[t];
                if (visual >= 0)
                    ids.data[t] = -1 - (shown[i][visual / TINY_VISUAL] * TINY_VISUAL + visual % TINY_VISUAL);
            }
            (void)next_token(&system, ids.data, ids.count, 0, &log_probability);
            assert_true(fabs(log(got[i].probability) - log_probability) < 1e-4);
            pfm_ids_free(&ids);
            free(got[i].text);
        }
    }
    tiny_system_free(&system);
}

typedef struct batches {
    int count, answered[8];
} batches;

static void note_batch(void *user, const pfm_progress *progress)
{
    batches *b = user;
    if (strcmp(progress->task, "answering") == 0 && b->count < 8)
        b->answered[b->count++] = (int)progress->done;
}

static pfm_status give_one(void *user, size_t request, size_t image, float *features, pfm_error *err)
{
    (void)err;
    (void)user;
    assert_true(request == 1 && image == 0);
    tiny_features(2, features);
    return PFM_OK;
}

/* A question without an image counts as one of those that are answered at once; whoever is beside whom, each is as sure as
 * alone. */
static void questions_without_images_take_their_turns(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    batches seen = {0};
    const pfm_context_options with = {
        .threads = 2, .precision = PFM_PRECISION_F32, .home = "/nonexistent", .progress = note_batch, .user = &seen};
    static const pfm_request requests[5] = {
        {{"Is the lung normal?", 0}, 0}, {{"Where?", 1}, 1}, {{"What?", 0}, 2}, {{"Is it?", 0}, 3}, {{"Why?", 0}, 4}};
    static const int wanted[3][5] = {{1, 2, 3, 4, 5}, {2, 4, 5}, {4, 5}};
    double alone[5];
    for (int i = 0; i < 3; i++) {
        pfm_context *context = NULL;
        pfm_answer got[5];
        assert_ok(pfm_context_create(&with, &context, &err));
        pfm_session *session = create(context);
        const pfm_generate_options options = {.max_tokens = 3, .images = 1 << i, .features = give_one};
        seen = (batches){0};
        assert_ok(pfm_generate(session, requests, 5, &options, got, &err));
        assert_memory_equal(seen.answered, wanted[i], (size_t)seen.count * sizeof *seen.answered);
        assert_int_equal(seen.count, i == 0 ? 5 : 4 - i);
        for (int r = 0; r < 5; r++) {
            if (i == 0)
                alone[r] = got[r].probability;
            assert_true(fabs(log(got[r].probability) - log(alone[r])) < 1e-5);
            free(got[r].text);
        }
        pfm_session_free(session);
        pfm_context_free(context);
    }
}

/* bf16 is coarser: its first tokens, which the golden margins leave no doubt about, are the same. */
static void bf16_answers_too(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_BF16);
    pfm_session *session = create(context);
    asked together = all_questions(), apart = {0};
    for (int i = 0; i < TINY_QUESTIONS; i++)
        add(&apart, i, i);
    assert_ok(ask(session, &together, 8, 4, &err));
    assert_ok(ask(session, &apart, 1, 4, &err));
    int same = 0;
    for (int i = 0; i < TINY_QUESTIONS; i++) {
        char name[32];
        size_t count;
        (void)snprintf(name, sizeof name, "answer%d", i);
        int32_t *golden = tiny_golden_ids(name, &count);
        same += together.ids[i].data[0] == golden[0];
        same += apart.ids[i].data[0] == golden[0];
        assert_true(together.answers[i].probability > 0 && together.answers[i].probability < 1);
        free(golden);
    }
    assert_true(same >= 2 * TINY_QUESTIONS - 2);
    forget(&together);
    forget(&apart);
    pfm_session_free(session);
    pfm_context_free(context);
}

static void what_goes_wrong_leaves_nothing_behind(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    volatile int interrupt = 1;
    const pfm_context_options options = {
        .threads = 1, .precision = PFM_PRECISION_F32, .home = "/nonexistent", .interrupt = &interrupt};
    pfm_context *context = NULL;
    assert_ok(pfm_context_create(&options, &context, &err));
    pfm_session *session = create(context);
    asked a = all_questions();
    a.fail_at = 3;
    assert_error(ask(session, &a, 1, 4, &err), PFM_ERROR_INTERRUPTED, "stopped after 3 of 6 questions");
    for (size_t i = 0; i < a.count; i++)
        assert_null(a.answers[i].text);
    interrupt = 0;
    assert_error(ask(session, &a, 1, 4, &err), PFM_ERROR_IO, "no picture for request 4");
    for (size_t i = 0; i < a.count; i++)
        assert_null(a.answers[i].text);
    a.fail_at = 0;
    a.fail_token = 3;
    assert_error(ask(session, &a, 8, 4, &err), PFM_ERROR_IO, "nobody listens");
    a.fail_token = 0;
    assert_error(ask(session, &a, 8, 500, &err), PFM_ERROR_MISMATCH, "\"Is the lung normal?\"");
    assert_ok(ask(session, &a, 8, 4, &err)); /* and it still works */
    check_answers(session, &a, 4);
    forget(&a);
    pfm_session_free(session);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_of_transformers),
        cmocka_unit_test(the_company_of_a_question_does_not_change_its_answer),
        cmocka_unit_test(more_questions_than_fit_are_answered_in_turns),
        cmocka_unit_test(quantised_weights_answer_nearly_the_same),
        cmocka_unit_test(an_answer_is_cut_at_its_most_tokens),
        cmocka_unit_test(stored_keys_give_what_reading_again_gives),
        cmocka_unit_test(several_images_are_read_each_at_its_place),
        cmocka_unit_test(questions_without_images_take_their_turns),
        cmocka_unit_test(bf16_answers_too),
        cmocka_unit_test(what_goes_wrong_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
