/* Several adapters beside one base: in a batch of mixed rows each has the bits that it has with its adapter alone, with the
 * session's aligner or with its own. */
#include "models/tiny.h"

#include "base/file.h"
#include "formats/safetensors.h"
#include "infer/generate.h"
#include "pefomed/infer.h"
#include "train/run.h"

enum { OTHERS = 7, MORE = 2, ADAPTERS = OTHERS + MORE + 2, QUESTIONS = 4, TOKENS = 8, WIDTH = 5120 };

/* Adapters 1 .. OTHERS; MORE of them replace where the session's own adds. */
static const struct {
    double factor; /* of the golden adapter, ... */
    int rank;      /* made one of this rank; 0: as it is */
    bool brings_aligner;
    const char *sets[2]; /* or in its place a recipe's, with values of its own */
} others[OTHERS + MORE] = {{-1.5, 0, false, {0}},
                           {2.5, 2, true, {0}},
                           {0.7, 0, true, {0}},
                           {0, 0, true, {"peft.method=prompt_tuning", "peft.virtual_tokens=3"}},
                           {0, 0, true, {"peft.method=prefix_tuning", "peft.virtual_tokens=2"}},
                           {0, 0, true, {"peft.method=prefix_tuning", "peft.virtual_tokens=4"}},
                           {0, 0, true, {"peft.method=vera", "peft.rank=3"}},
                           {0, 0, true, {"peft.method=dora", "peft.rank=3"}},
                           {0, 0, true, {"peft.method=ia3", "peft.feedforward=[down_proj]"}}};
static char folders[OTHERS + MORE][300];

static const char *const questions[QUESTIONS] = {"Is the lung normal?", "Is the lung normal, or not?", "Where is the lesion?",
                                                 "Which organ is abnormal? 12"};
static const int images[QUESTIONS] = {0, 0, 1, 2};

/* An aligner's file unlike the script's. */
static void write_aligner(const char *folder, uint32_t seed)
{
    pfm_error err = PFM_ERROR_INIT;
    static float weight[TINY_HIDDEN * WIDTH], bias[TINY_HIDDEN], mean[WIDTH], std[WIDTH];
    tiny_spread(seed, TINY_HIDDEN * WIDTH, weight);
    for (size_t i = 0; i < TINY_HIDDEN * WIDTH; i++)
        weight[i] *= 0.015f;
    tiny_spread(seed + 1, TINY_HIDDEN, bias);
    tiny_spread(seed + 2, WIDTH, mean);
    tiny_spread(seed + 3, WIDTH, std);
    for (size_t i = 0; i < WIDTH; i++)
        std[i] = std[i] * 0.25f + 0.75f;
    const pfm_weight tensors[] = {
        {.name = "proj.weight", .dtype = PFM_DTYPE_F32, .rank = 2, .shape = {TINY_HIDDEN, WIDTH}, .data = weight},
        {.name = "proj.bias", .dtype = PFM_DTYPE_F32, .rank = 1, .shape = {TINY_HIDDEN}, .data = bias},
        {.name = "norm.mean", .dtype = PFM_DTYPE_F32, .rank = 1, .shape = {WIDTH}, .data = mean},
        {.name = "norm.std", .dtype = PFM_DTYPE_F32, .rank = 1, .shape = {WIDTH}, .data = std}};
    assert_ok(pfm_safetensors_write(test_path(folder, "aligner.safetensors"), tensors, 4, NULL, 0, &err));
}

/* Of "peft.method=NAME": whether it leaves nothing out while training. */
static bool draws_nothing(const char *method) { return strstr(method, "tuning") != NULL || strstr(method, "ia3") != NULL; }

/* What another method learned: random values, saved as a run. */
static void write_learned(pfm_context *context, const char *const sets[2], const char *folder, uint32_t seed)
{
    pfm_error err = PFM_ERROR_INIT;
    const char *const all[] = {sets[0], sets[1], draws_nothing(sets[0]) ? "train.batch=1" : "peft.dropout=0"};
    pfm_session *session = tiny_session(context, false, all, 3);
    pfm_model_graph graph;
    const int64_t one[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 1, [PFM_DIM_ANSWERS] = 1, [PFM_DIM_VISUAL] = TINY_VISUAL};
    assert_ok(pfm_model_build(session->model, one, false, false, &graph, &err));
    assert_ok(pfm_session_load_weights(session, &err));
    for (int i = 0; i < pfm_parameters_count(session->model->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(session->model->parameters, i);
        float *values = calloc((size_t)(p->n * p->k), sizeof *values);
        assert_non_null(values);
        tiny_spread(seed + (uint32_t)i, (size_t)(p->n * p->k), values);
        for (int64_t j = 0; j < p->n * p->k; j++)
            values[j] = values[j] * 0.4f + (p->k == 1 ? 1.f : 0.f);
        if (p->part == PFM_PART_PEFT)
            pfm_parameters_set(session->model->parameters, i, values);
        free(values);
    }
    assert_ok(pfm_run_save(folder, "tiny", session->model, session->peft, &err));
    pfm_model_graph_free(&graph);
    pfm_session_free(session);
}

static void write_adapters(pfm_context *context)
{
    const char *const golden[] = {tiny_path("llama/adapter")};
    for (int i = 0; i < OTHERS + MORE; i++) {
        pfm_error err = PFM_ERROR_INIT;
        char *json = NULL;
        (void)snprintf(folders[i], sizeof folders[i], "%s/adapter%d", test_scratch_folder(), i);
        const pfm_combine_options options = {.out = folders[i],
                                             .adapters = golden,
                                             .factors = &others[i].factor,
                                             .count = 1,
                                             .by = others[i].rank > 0 ? "svd" : "cat",
                                             .rank = others[i].rank};
        if (others[i].sets[0] != NULL)
            write_learned(context, others[i].sets, folders[i], 9000 * (uint32_t)i);
        else
            assert_ok(pfm_combine_adapters(context, &options, &json, &err));
        free(json);
        if (others[i].brings_aligner)
            write_aligner(folders[i], 700 + 10 * (uint32_t)i);
    }
}

/* A session of the golden system that has the adapter of this number alone. */
static pfm_session *create_alone(pfm_context *context, int32_t number)
{
    pfm_error err = PFM_ERROR_INIT;
    const char *const none[] = {"peft.method=none"};
    pfm_session *session = NULL;
    if (number <= 0) {
        session = tiny_session(context, false, none, number < 0);
    } else {
        pfm_session *first = tiny_session(context, false, NULL, 0);
        pfm_recipe *recipe = NULL;
        assert_ok(pfm_recipe_copy(first->whole, SIZE_MAX, &recipe, &err));
        pfm_session_free(first);
        assert_ok(pfm_session_replace_adapter(recipe, folders[number - 1], &err));
        assert_ok(pfm_session_create(context, recipe, false, &session, &err));
        assert_ok(pfm_string_copy(folders[number - 1], &session->adapter, &err));
    }
    return session;
}

/* Weights and statistics: the script's, or the adapter's own aligner. */
static void load_alone(pfm_session *session, int32_t number)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_model_graph graph;
    const int64_t one[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 1, [PFM_DIM_ANSWERS] = 1, [PFM_DIM_VISUAL] = TINY_VISUAL};
    assert_ok(pfm_model_build(session->model, one, false, false, &graph, &err));
    assert_ok(pfm_session_load_weights(session, &err));
    pfm_model_graph_free(&graph);
    if (number <= 0 || !others[number - 1].brings_aligner)
        tiny_set_weights(session, number == 0);
}

static pfm_status give_features(void *user, size_t request, size_t image, float *features, pfm_error *err)
{
    const pfm_request *requests = user;
    (void)image;
    (void)err;
    for (int q = 0; q < QUESTIONS; q++) {
        if (strcmp(questions[q], requests[request].question.text) == 0)
            tiny_features(images[q], features);
    }
    return PFM_OK;
}

/* how NULL: greedy */
static pfm_status generate(pfm_session *session, const pfm_request *requests, size_t count, const pfm_decoding *how,
                           int at_once, pfm_answer *answers, pfm_error *err)
{
    const pfm_generate_options options = {.max_tokens = TOKENS,
                                          .decoding = how,
                                          .images = at_once,
                                          .features = give_features,
                                          .user = (void *)(uintptr_t)requests};
    return pfm_generate(session, requests, count, &options, answers, err);
}

static pfm_request request_of(int question, int32_t adapter)
{
    return (pfm_request){.question = {questions[question], 1}, .group = images[question], .adapter = adapter};
}

/* What each adapter alone says to each question, -1 first. */
static void answer_alone(pfm_context *context, const pfm_decoding *how, pfm_answer out[ADAPTERS][QUESTIONS])
{
    for (int32_t number = -1; number <= OTHERS + MORE; number++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_session *session = create_alone(context, number);
        load_alone(session, number);
        for (int q = 0; q < QUESTIONS; q++) {
            const pfm_request request = request_of(q, 0);
            assert_ok(generate(session, &request, 1, how, 1, &out[number + 1][q], &err));
        }
        pfm_session_free(session);
    }
}

/* The session's own adapter and the others beside it. */
static pfm_session *create_together(pfm_context *context, int32_t count)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_session *session = tiny_session(context, false, NULL, 0);
    pfm_model_graph graph;
    const int64_t one[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 1, [PFM_DIM_ANSWERS] = 1, [PFM_DIM_VISUAL] = TINY_VISUAL};
    for (int32_t i = 0; i < count; i++) {
        int32_t number = 0;
        char name[24];
        (void)snprintf(name, sizeof name, "other%d", (int)i);
        assert_ok(pfm_session_add_adapter(session, name, folders[i], &number, &err));
        assert_int_equal(number, i + 1);
    }
    assert_error(pfm_session_add_adapter(session, "other1", folders[0], NULL, &err), PFM_ERROR_USAGE, "are called other1");
    assert_int_equal(session->model->slot_count, count - 1);
    assert_ok(pfm_model_build(session->model, one, false, false, &graph, &err));
    assert_ok(pfm_session_load_weights(session, &err));
    pfm_model_graph_free(&graph);
    tiny_set_weights(session, true);
    return session;
}

static void compare(const pfm_answer *mixed, const pfm_answer *alone, const pfm_request *request)
{
    if (strcmp(mixed->text, alone->text) != 0 || mixed->probability != alone->probability)
        fail_msg("adapter %d on \"%s\": '%s' %.17g in company, '%s' %.17g alone", (int)request->adapter, request->question.text,
                 mixed->text, mixed->probability, alone->text, alone->probability);
}

static void compare_company(pfm_context *context, const pfm_decoding *how, pfm_answer alone[ADAPTERS][QUESTIONS], int32_t count)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_answer mixed[ADAPTERS * QUESTIONS];
    pfm_request requests[ADAPTERS * QUESTIONS];
    size_t asked = 0;
    for (int q = 0; q < QUESTIONS; q++) {
        for (int32_t a = count; a >= -1; a--)
            requests[asked++] = request_of(q, a);
    }
    pfm_session *session = create_together(context, count);
    for (int at_once = 1; at_once <= 32; at_once *= 32) {
        assert_ok(generate(session, requests, asked, how, at_once, mixed, &err));
        for (size_t i = 0; i < asked; i++) {
            const int q = (int)i / (count + 2);
            compare(&mixed[i], &alone[requests[i].adapter + 1][q], &requests[i]);
            free(mixed[i].text);
        }
    }
    requests[0].adapter = count + 1;
    assert_error(generate(session, requests, 1, how, 1, mixed, &err), PFM_ERROR_USAGE, "goes through adapter");
    pfm_session_free(session);
}

static void compare_precision(pfm_precision precision, const pfm_decoding *how)
{
    pfm_context *context = tiny_context(NULL, 2, precision);
    pfm_answer alone[ADAPTERS][QUESTIONS];
    write_adapters(context);
    answer_alone(context, how, alone);
    compare_company(context, how, alone, OTHERS);
    compare_company(context, how, alone, OTHERS + MORE);
    for (int a = 0; a < ADAPTERS; a++) { /* the adapters matter */
        for (int b = 0; b < a; b++)
            assert_true(alone[a][1].probability != alone[b][1].probability);
    }
    for (int a = 0; a < ADAPTERS; a++)
        for (int q = 0; q < QUESTIONS; q++)
            free(alone[a][q].text);
    pfm_context_free(context);
}

static void rows_of_different_adapters_have_their_own_bits(void **state)
{
    (void)state;
    compare_precision(PFM_PRECISION_F32, NULL);
    compare_precision(PFM_PRECISION_BF16, NULL);
}

static void beams_and_draws_of_different_adapters_have_their_own_bits(void **state)
{
    (void)state;
    pfm_decoding searching = pfm_decoding_greedy, drawing = pfm_decoding_greedy;
    searching.beams = 3;
    drawing.temperature = 1.2;
    compare_precision(PFM_PRECISION_F32, &searching);
    compare_precision(PFM_PRECISION_F32, &drawing);
}

/* Learned queries in place of rows of features: two runs whose Q-Formers differ. */
static void aligners_with_queries_stand_side_by_side(void **state)
{
    (void)state;
    static const char *const sets[] = {"model.aligner=qformer", "qformer.layers=2",  "qformer.heads=2",
                                       "qformer.queries=3",     "qformer.hidden=16", "qformer.intermediate=24",
                                       "model.normalise=false"};
    enum { SETS = sizeof sets / sizeof *sets };
    pfm_error err = PFM_ERROR_INIT;
    pfm_answer alone[2], mixed[2];
    const pfm_request own = request_of(0, 0), requests[2] = {own, request_of(0, 1)};
    char runs[2][300];
    const int64_t one[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 1, [PFM_DIM_ANSWERS] = 1, [PFM_DIM_VISUAL] = 3};
    for (int i = 0; i < 2; i++) { /* drawn from another seed each */
        pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
        pfm_model_graph graph;
        context->seed = 10 + (uint64_t)i;
        pfm_session *session = tiny_session(context, false, sets, SETS);
        assert_ok(pfm_model_build(session->model, one, false, false, &graph, &err));
        assert_ok(pfm_session_load_weights(session, &err));
        (void)snprintf(runs[i], sizeof runs[i], "%s/queries%d", test_scratch_folder(), i);
        assert_ok(pfm_run_save(runs[i], "tiny", session->model, session->peft, &err));
        assert_ok(generate(session, &own, 1, NULL, 1, &alone[i], &err));
        pfm_model_graph_free(&graph);
        pfm_session_free(session);
        pfm_context_free(context);
    }
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    context->seed = 10;
    pfm_session *session = tiny_session(context, false, sets, SETS);
    assert_ok(pfm_string_copy(runs[0], &session->adapter, &err));
    assert_ok(pfm_session_add_adapter(session, "second", runs[1], NULL, &err));
    assert_int_equal(session->model->slot_count, 1);
    assert_ok(generate(session, requests, 2, NULL, 8, mixed, &err));
    for (int i = 0; i < 2; i++) {
        compare(&mixed[i], &alone[i], &requests[i]);
        free(mixed[i].text);
    }
    assert_true(alone[0].probability != alone[1].probability);
    free(alone[0].text);
    free(alone[1].text);
    pfm_session_free(session);
    pfm_context_free(context);
}

/* What is there once cannot be two things. */
static void what_changes_the_base_stands_alone(void **state)
{
    (void)state;
    static const struct {
        const char *set, *part;
    } cases[] = {{"peft.modules_to_save=[lm_head]", "the base's own modules"},
                 {"trainable=[aligner, peft, norms]", "the language model's norms"}};
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_session *session = tiny_session(context, false, &cases[i].set, 1);
        assert_error(pfm_session_choose_adapters(session, &err), PFM_ERROR_UNSUPPORTED, cases[i].part);
        pfm_session_free(session);
    }
    pfm_context_free(context);
}

/* A session that was not asked to choose has its own adapter alone. */
static void without_a_choice_there_is_one(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = create_alone(context, 0);
    pfm_answer answer;
    const pfm_request base = request_of(0, -1);
    load_alone(session, 0);
    assert_error(generate(session, &base, 1, NULL, 1, &answer, &err), PFM_ERROR_USAGE, "goes through adapter -1");
    pfm_session_free(session);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_of_different_adapters_have_their_own_bits),
                                       cmocka_unit_test(beams_and_draws_of_different_adapters_have_their_own_bits),
                                       cmocka_unit_test(aligners_with_queries_stand_side_by_side),
                                       cmocka_unit_test(what_changes_the_base_stands_alone),
                                       cmocka_unit_test(without_a_choice_there_is_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
