/* Gated cross-attention: one block against torch (script/vectors/aligners.py); in a system, where it starts as the bare
 * language model, learns packed as apart, comes back from its file, and answers as it would without a store of keys. */
#include "infer/generate.h"
#include "tiny.h"
#include "train/run.h"

#include <math.h>

enum { IMAGES = 2, GRID = 4, CHANNELS = 12, HIDDEN = 10, TOKENS = 9, ROWS = GRID * GRID };

static const pfm_aligner_shape small = {.grid = GRID,
                                        .channels = CHANNELS,
                                        .merge_rows = 1,
                                        .merge_columns = 1,
                                        .hidden = HIDDEN,
                                        .gated = {.every = 1, .heads = 2, .head_dim = 4}};

static bool ends(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

/* The script's values. */
static void set_values(pfm_parameters *parameters)
{
    static const struct {
        const char *name;
        uint32_t seed;
    } all[] = {{"proj.weight", 500},
               {"proj.bias", 501},
               {"blocks.0.attn.norm.weight", 800},
               {"blocks.0.attn.norm.bias", 801},
               {"blocks.0.attn.norm_visual.weight", 802},
               {"blocks.0.attn.norm_visual.bias", 803},
               {"blocks.0.attn.to_q.weight", 804},
               {"blocks.0.attn.to_k.weight", 805},
               {"blocks.0.attn.to_v.weight", 806},
               {"blocks.0.attn.to_out.weight", 807},
               {"blocks.0.attn_gate", 808},
               {"blocks.0.ff.norm.weight", 809},
               {"blocks.0.ff.norm.bias", 810},
               {"blocks.0.ff.linear_1.weight", 811},
               {"blocks.0.ff.linear_2.weight", 812},
               {"blocks.0.ff_gate", 813}};
    assert_int_equal(pfm_parameters_count(parameters), sizeof all / sizeof *all);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char full[64];
        float values[4 * HIDDEN * HIDDEN];
        (void)snprintf(full, sizeof full, "aligner.%s", all[i].name);
        const int id = pfm_parameters_find(parameters, full);
        const pfm_parameter *p = pfm_parameters_get(parameters, id);
        const float base = ends(full, "gate") ? 0.5f : p->k == 1 && ends(full, "weight") ? 1 : 0;
        tiny_spread(all[i].seed, (size_t)(p->n * p->k), values);
        for (int64_t j = 0; j < p->n * p->k; j++)
            values[j] = base + 0.25f * values[j];
        pfm_parameters_set(parameters, id, values);
    }
}

static void compare(const char *name, const float *values, size_t count)
{
    float *golden = tiny_golden("aligners", name, count);
    assert_near(name, values, golden, count, 1e-4);
    free(golden);
}

static void compare_block(const char *level)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(level, 2, PFM_PRECISION_F32);
    static float features[IMAGES * ROWS * CHANNELS], hidden[TOKENS * HIDDEN];
    const int64_t capacity[PFM_DIM_COUNT] = {
        [PFM_DIM_TOKENS] = TOKENS, [PFM_DIM_VISUAL] = IMAGES * ROWS, [PFM_DIM_FEATURES] = IMAGES * ROWS};
    pfm_parameters *parameters;
    pfm_graph *graph;
    pfm_executor *executor;
    pfm_aligner_inputs inputs;
    pfm_aligner_blocks blocks;
    pfm_value in, h, visual, y;
    assert_ok(pfm_parameters_create(context, PFM_ACT_F32, true, &parameters, &err));
    assert_ok(pfm_graph_create(parameters, capacity, &graph, &err));
    assert_ok(pfm_graph_input(graph, PFM_DIM_FEATURES, 0, CHANNELS, PFM_STORAGE_ACT, true, &in, &err));
    assert_ok(pfm_graph_input(graph, PFM_DIM_TOKENS, 0, HIDDEN, PFM_STORAGE_F32, true, &h, &err));
    pfm_builder builder = {.graph = graph, .token_keys = PFM_NO_VALUE};
    assert_ok(pfm_aligner_build(&pfm_aligner_gated_cross_attention, &builder, &small, in, &inputs, &visual, &err));
    pfm_aligner_blocks_start(&blocks, &pfm_aligner_gated_cross_attention, &small, visual);
    builder.aligner = &blocks.hook;
    y = h;
    assert_ok(pfm_build_block(&builder, "model.layers.0", 0, &y, &err));
    assert_int_equal(blocks.count, 1);
    pfm_graph_keep(graph, y);
    assert_ok(pfm_parameters_allocate(parameters, &err));
    set_values(parameters);
    const pfm_op_environment env = {.context = context, .kernels = context->kernels};
    assert_ok(pfm_executor_create(graph, &env, y, &executor, &err));
    for (int i = 0; i < IMAGES; i++)
        tiny_spread(600 + (uint32_t)i, ROWS * CHANNELS, features + i * ROWS * CHANNELS);
    tiny_spread(701, TOKENS * HIDDEN, hidden);
    /* five tokens see the first image, three the second, one none */
    const pfm_attention_span spans[] = {pfm_pack_image_span(0, 5, 0, ROWS), pfm_pack_image_span(5, 8, ROWS, 2 * ROWS),
                                        pfm_pack_image_span(8, 9, 0, 0)};
    const int32_t roots[] = {0, 1, 2, 3};
    pfm_executor_environment(executor)->attention[PFM_ATTENTION_IMAGES] =
        (pfm_attention_set){.spans = spans, .span_count = 3, .roots = roots, .root_count = 3};
    pfm_executor_bind(executor, in, features);
    pfm_executor_bind(executor, h, hidden);
    pfm_executor_forward(executor);
    tiny_spread(700, TOKENS * HIDDEN, pfm_executor_gradient(executor, y));
    pfm_executor_backward(executor);
    compare("gated.hidden", pfm_executor_data(executor, y), TOKENS * HIDDEN);
    compare("gated.grad_hidden", pfm_executor_gradient(executor, h), TOKENS * HIDDEN);
    compare("gated.grad_in", pfm_executor_gradient(executor, in), IMAGES * ROWS * CHANNELS);
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        const char *name = pfm_aligner_name_of(p), *block = "blocks.0.";
        char full[96];
        (void)snprintf(full, sizeof full, "gated.%s.grad",
                       strncmp(name, block, strlen(block)) == 0 ? name + strlen(block) : name);
        compare(full, p->gradient, (size_t)(p->n * p->k));
    }
    pfm_executor_free(executor);
    pfm_graph_free(graph);
    pfm_aligner_inputs_free(&inputs);
    pfm_parameters_free(parameters);
    pfm_context_free(context);
}

static void a_block_is_that_of_torch(void **state)
{
    (void)state;
    tiny_each_level(compare_block);
}

/* ---- in a system ---- */

static const char *const sets[] = {"model.aligner=gated-cross-attention", "model.merge=2", "gated.every=2", "gated.heads=2",
                                   "gated.head_dim=8"};
enum { SETS = sizeof sets / sizeof *sets, ROW_COUNT = 4, PROMPT = 256 };

static const char *const questions[ROW_COUNT] = {"Is the lung normal?", "Is the lung normal, or not?",
                                                 "Which organ is abnormal? 12", "Where is the lesion?"};

/* Three rows of one image and one of another, none of whose tokens is an image's. */
static void make_rows(const pfm_model *model, pfm_ids ids[ROW_COUNT], pfm_sequence rows[ROW_COUNT])
{
    pfm_error err = PFM_ERROR_INIT;
    for (int i = 0; i < ROW_COUNT; i++) {
        size_t begin = 0;
        const int32_t image = i == 3, visual = (int32_t)model->visual_tokens;
        ids[i] = (pfm_ids){0};
        const pfm_question question = {questions[i], 1};
        assert_ok(pfm_model_encode(model, &question, "left lung", image * visual, &ids[i], &begin, &err));
        for (size_t t = 0; t < ids[i].count; t++)
            assert_true(ids[i].data[t] >= 0);
        rows[i] = (pfm_sequence){.ids = ids[i].data,
                                 .count = ids[i].count,
                                 .answer = begin,
                                 .group = image,
                                 .number = i,
                                 .visual_begin = image * visual,
                                 .visual_end = (image + 1) * visual};
    }
}

static void free_rows(pfm_ids ids[ROW_COUNT])
{
    for (int i = 0; i < ROW_COUNT; i++)
        pfm_ids_free(&ids[i]);
}

static void open_gates(pfm_parameters *parameters, float value)
{
    int gates = 0;
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        if (!ends(pfm_parameters_get(parameters, i)->name, "_gate"))
            continue;
        pfm_parameters_set(parameters, i, &value);
        gates++;
    }
    assert_int_equal(gates, 2); /* of two blocks one has them */
}

/* Closed gates leave the language model what it was; what an image shows matters behind open ones alone. */
static void it_starts_as_the_bare_language_model(void **state)
{
    (void)state;
    const pfm_pack_options apart = {.share = false};
    tiny_system system;
    pfm_ids ids[ROW_COUNT];
    pfm_sequence rows[ROW_COUNT], other;
    tiny_system_create(tiny_context(NULL, 1, PFM_PRECISION_F32), true, sets, SETS, &system);
    make_rows(system.session->model, ids, rows);
    other = rows[0];
    other.visual_begin = other.visual_end = 0; /* no image */
    double closed = tiny_run(&system, rows, 1, &apart, 1);
    assert_true(closed == tiny_run(&system, &other, 1, &apart, 1));
    open_gates(system.session->model->parameters, 0.8f);
    double open = tiny_run(&system, rows, 1, &apart, 1), without = tiny_run(&system, &other, 1, &apart, 1);
    other.visual_begin = rows[3].visual_begin;
    other.visual_end = rows[3].visual_end;
    double another = tiny_run(&system, &other, 1, &apart, 1);
    assert_true(open != closed && open != without && open != another);
    free_rows(ids);
    tiny_system_free(&system);
}

static void a_packed_group_equals_its_rows(void **state)
{
    (void)state;
    const pfm_pack_options together = {.share = true}, apart = {.share = false};
    tiny_system system;
    pfm_ids ids[ROW_COUNT];
    pfm_sequence rows[ROW_COUNT];
    tiny_system_create(tiny_context(NULL, 2, PFM_PRECISION_F32), true, sets, SETS, &system);
    pfm_parameters *parameters = system.session->model->parameters;
    make_rows(system.session->model, ids, rows);
    open_gates(parameters, 0.8f);
    pfm_parameters_zero_gradients(parameters);
    double sum = tiny_run(&system, rows, ROW_COUNT, &together, 1), alone = 0;
    float *packed = tiny_copy_gradients(parameters);
    pfm_parameters_zero_gradients(parameters);
    assert_true(fabs(sum - tiny_run(&system, rows, ROW_COUNT, &apart, 1)) < 1e-5 * sum);
    assert_gradients_near(parameters, packed, 1e-4);
    pfm_parameters_zero_gradients(parameters);
    for (int i = 0; i < ROW_COUNT; i++)
        alone += tiny_run(&system, rows + i, 1, &apart, 1);
    assert_true(fabs(sum - alone) < 1e-5 * sum);
    assert_gradients_near(parameters, packed, 1e-4);
    free(packed);
    free_rows(ids);
    tiny_system_free(&system);
}

static void a_saved_one_comes_back_to_the_bit(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char folder[256];
    tiny_system saved, loaded;
    (void)snprintf(folder, sizeof folder, "%s/gated", test_scratch_folder());
    tiny_system_create(tiny_context(NULL, 1, PFM_PRECISION_F32), true, sets, SETS, &saved);
    open_gates(saved.session->model->parameters, 0.3f);
    assert_ok(pfm_run_save(folder, "base", saved.session->model, saved.session->peft, &err));
    tiny_system_create(tiny_context(NULL, 1, PFM_PRECISION_F32), true, sets, SETS, &loaded);
    assert_ok(pfm_run_load(folder, NULL, loaded.session->model, loaded.session->peft, &err));
    const pfm_parameters *from = saved.session->model->parameters, *to = loaded.session->model->parameters;
    for (int i = 0; i < pfm_parameters_count(to); i++) {
        const pfm_parameter *a = pfm_parameters_get(from, i), *b = pfm_parameters_get(to, i);
        if (a->trainable)
            assert_memory_equal(a->values, b->values, (size_t)(a->n * a->k) * sizeof *a->values);
    }
    tiny_system_free(&saved);
    tiny_system_free(&loaded);
}

/* The likeliest next token of a text about `images` pictures, read anew from its beginning; *log_probability (NULL allowed)
 * gains that of the token `given`. */
static int32_t read_on(tiny_system *system, const int32_t *ids, size_t count, int first, int images, int32_t given,
                       double *log_probability)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_pack pack = {0};
    const pfm_model *model = system->session->model;
    const int32_t visual = (int32_t)model->visual_tokens;
    const pfm_pack_options options = {.inference = true};
    const pfm_sequence row = {
        .ids = ids, .count = count, .answer = count, .visual_begin = first * visual, .visual_end = (first + images) * visual};
    assert_ok(pfm_pack_rows(&pack, &row, 1, &options, &err));
    assert_ok(pfm_model_bind(model, &system->graph, system->executor, &pack, TINY_IMAGES * model->visual_tokens, &err));
    assert_ok(pfm_model_bind_images(model, &system->graph, system->executor, system->visual, &tiny_pictures, &err));
    pfm_executor_forward(system->executor);
    const float *logits = pfm_executor_data(system->executor, system->graph.language.logits);
    int32_t best = 0;
    for (int32_t i = 1; i < TINY_VOCABULARY; i++)
        best = logits[i] > logits[best] ? i : best;
    double total = 0;
    for (int32_t i = 0; i < TINY_VOCABULARY; i++)
        total += exp((double)logits[i] - (double)logits[best]);
    if (log_probability != NULL)
        *log_probability += (double)logits[given] - (double)logits[best] - log(total);
    pfm_pack_free(&pack);
    return best;
}

static int32_t next_token(tiny_system *system, const int32_t *ids, size_t count, int first, int images)
{
    return read_on(system, ids, count, first, images, 0, NULL);
}

enum { REQUESTS = 4, LONGEST = 12 };

typedef struct heard {
    int32_t ids[REQUESTS][LONGEST];
    size_t counts[REQUESTS];
} heard;

static pfm_status give_features(void *user, size_t request, size_t image, float *features, pfm_error *err)
{
    (void)user;
    (void)err;
    tiny_features(request == 3 ? 1 + (int)image : 0, features);
    return PFM_OK;
}

static pfm_status hear(void *user, size_t request, int32_t id, pfm_error *err)
{
    heard *h = user;
    (void)err;
    h->ids[request][h->counts[request]++] = id;
    return PFM_OK;
}

static void answers_are_those_without_a_store(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_request requests[REQUESTS];
    pfm_answer answers[REQUESTS];
    heard h = {0};
    tiny_system system;
    for (int i = 0; i < REQUESTS; i++) /* the last one is about two pictures */
        requests[i] = (pfm_request){.question = {questions[i], i == 3 ? 2 : 1}, .group = i == 3};
    tiny_system_create(tiny_context(NULL, 2, PFM_PRECISION_F32), false, sets, SETS, &system);
    open_gates(system.session->model->parameters, 0.8f);
    const pfm_generate_options options = {
        .max_tokens = LONGEST, .images = 3, .features = give_features, .on_token = hear, .user = &h};
    assert_ok(pfm_generate(system.session, requests, REQUESTS, &options, answers, &err));
    for (int i = 0; i < REQUESTS; i++) {
        pfm_ids ids = {0};
        assert_ok(pfm_model_encode(system.session->model, &requests[i].question, NULL, 0, &ids, NULL, &err));
        assert_true(h.counts[i] > 0);
        for (size_t t = 0; t < h.counts[i]; t++) {
            assert_int_equal(h.ids[i][t], next_token(&system, ids.data, ids.count, i == 3, i == 3 ? 2 : 1));
            assert_ok(pfm_ids_append(&ids, h.ids[i][t], &err));
        }
        pfm_ids_free(&ids);
        free(answers[i].text);
    }
    tiny_system_free(&system);
}

/* The log-probability of an answer to the golden question i, read anew for each token. */
static double read_answer(tiny_system *system, const pfm_request *request, int i, const int32_t *answer, size_t count)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_ids ids = {0};
    double log_probability = 0;
    assert_ok(pfm_model_encode(system->session->model, &request->question, NULL, 0, &ids, NULL, &err));
    for (size_t t = 0; t < count; t++) {
        (void)read_on(system, ids.data, ids.count, i == 3, i == 3 ? 2 : 1, answer[t], &log_probability);
        assert_ok(pfm_ids_append(&ids, answer[t], &err));
    }
    pfm_ids_free(&ids);
    return log_probability;
}

static void beams_and_given_answers_look_at_their_own_pictures(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const texts[] = {"yes", "the left lung"};
    const pfm_choices choices = {texts, 2};
    pfm_request requests[REQUESTS];
    pfm_answer answers[REQUESTS];
    heard h = {0};
    tiny_system system;
    pfm_decoding how = pfm_decoding_greedy;
    how.beams = 3;
    for (int i = 0; i < REQUESTS; i++)
        requests[i] = (pfm_request){.question = {questions[i], i == 3 ? 2 : 1}, .group = i == 3};
    tiny_system_create(tiny_context(NULL, 2, PFM_PRECISION_F32), false, sets, SETS, &system);
    open_gates(system.session->model->parameters, 0.8f);
    pfm_generate_options options = {.max_tokens = LONGEST,
                                    .decoding = &how,
                                    .list_choices = true,
                                    .images = 3,
                                    .features = give_features,
                                    .on_token = hear,
                                    .user = &h};
    assert_ok(pfm_generate(system.session, requests, REQUESTS, &options, answers, &err));
    for (int i = 0; i < REQUESTS; i++) {
        const double wanted = read_answer(&system, &requests[i], i, h.ids[i], h.counts[i]);
        assert_true(fabs(log(answers[i].probability) - wanted) < 1e-4 * (1 + fabs(wanted)));
        pfm_answer_free(&answers[i]);
        requests[i].choices = &choices;
    }
    options.decoding = NULL;
    assert_ok(pfm_generate(system.session, requests, REQUESTS, &options, answers, &err));
    for (int i = 0; i < REQUESTS; i++) {
        for (size_t c = 0; c < choices.count; c++) {
            pfm_ids ids = {0};
            assert_ok(pfm_model_encode_answer(system.session->model, texts[c], &ids, &err));
            const double wanted = read_answer(&system, &requests[i], i, ids.data, ids.count);
            assert_true(fabs(answers[i].choices[c].log_likelihood - wanted) < 1e-4 * (1 + fabs(wanted)));
            pfm_ids_free(&ids);
        }
        pfm_answer_free(&answers[i]);
    }
    tiny_system_free(&system);
}

static void without_a_block_to_act_before_it_is_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const far[] = {"model.aligner=gated-cross-attention", "gated.every=3"};
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = tiny_session(context, false, far, 2);
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 8, [PFM_DIM_ANSWERS] = 8, [PFM_DIM_VISUAL] = 16};
    pfm_model_graph graph;
    assert_error(pfm_model_build(session->model, capacity, false, false, &graph, &err), PFM_ERROR_USAGE,
                 "gated.every is 3, the language model has 2");
    pfm_session_free(session);
    pfm_context_free(context);
}

/* A block is no layer that a PEFT method could change. */
static void a_method_passes_blocks_by(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const targets[] = {"peft.targets=[q_proj,1]"}; /* the name of a block ends in its number */
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = tiny_session(context, false, targets, 1);
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 8, [PFM_DIM_ANSWERS] = 8, [PFM_DIM_VISUAL] = TINY_VISUAL};
    pfm_model_graph graph;
    assert_ok(pfm_model_build(session->model, capacity, false, false, &graph, &err));
    assert_error(pfm_session_load_weights(session, &err), PFM_ERROR_USAGE, "'1' matches no layer");
    pfm_model_graph_free(&graph);
    pfm_session_free(session);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_block_is_that_of_torch),
                                       cmocka_unit_test(it_starts_as_the_bare_language_model),
                                       cmocka_unit_test(a_packed_group_equals_its_rows),
                                       cmocka_unit_test(a_saved_one_comes_back_to_the_bit),
                                       cmocka_unit_test(answers_are_those_without_a_store),
                                       cmocka_unit_test(without_a_block_to_act_before_it_is_refused),
                                       cmocka_unit_test(a_method_passes_blocks_by),
                                       cmocka_unit_test(beams_and_given_answers_look_at_their_own_pictures)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
