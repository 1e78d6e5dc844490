/* A training step and answers of a tiny model where memory runs out: graph, plan, executor, packing, the key-value store; and
 * of an aligner with inputs and a file of its own. */
#include "base/file.h"
#include "base/try.h"
#include "failing.h"
#include "formats/safetensors.h"
#include "infer/generate.h"
#include "models/tiny.h"

enum { MOST_TOKENS = 4, REQUESTS = 2 };

static pfm_session *training, *answering;
static pfm_context *contexts[2];
static pfm_sequence rows[TINY_ROWS];
static double wanted_loss;
enum { WAYS = 3 }; /* greedy; beam search with all that changes scores; one of given answers */
static char wanted_text[WAYS][REQUESTS][64];
static void *visual;

static pfm_status build(pfm_model *model, pfm_model_graph *graph, pfm_executor **executor, pfm_error *err)
{
    const int64_t capacity[PFM_DIM_COUNT] = {
        [PFM_DIM_TOKENS] = 256, [PFM_DIM_ANSWERS] = 64, [PFM_DIM_VISUAL] = TINY_IMAGES * model->visual_tokens};
    pfm_status status = pfm_model_build(model, capacity, true, false, graph, err);
    pfm_op_environment env = {
        .context = model->context, .kernels = model->context->kernels, .act = model->act, .most_keys = 256};
    if (status == PFM_OK)
        status = pfm_executor_create(graph->graph, &env, graph->language.loss, executor, err);
    return status;
}

static pfm_status step(pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_model *model = training->model;
    tiny_system system = {.session = training, .visual = visual};
    pfm_pack pack = {0};
    const pfm_pack_options options = {.share = true};
    PFM_TRY(build(model, &system.graph, &system.executor, err));
    PFM_TRY(pfm_pack_rows(&pack, rows, TINY_ROWS, &options, err));
    PFM_TRY(pfm_model_bind(model, &system.graph, system.executor, &pack, TINY_IMAGES * model->visual_tokens, err));
    PFM_TRY(pfm_model_bind_images(model, &system.graph, system.executor, visual, &tiny_pictures, err));
    pfm_executor_forward(system.executor);
    const float *losses = pfm_executor_data(system.executor, system.graph.language.loss);
    double loss = 0;
    for (size_t a = 0; a < pack.answers; a++)
        loss += losses[a];
    if (wanted_loss == 0)
        wanted_loss = loss;
    assert_true(loss == wanted_loss);
done:
    pfm_pack_free(&pack);
    pfm_executor_free(system.executor);
    pfm_model_graph_free(&system.graph);
    return status;
}

static pfm_status give_features(void *user, size_t request, size_t image, float *features, pfm_error *err)
{
    (void)user;
    (void)err;
    tiny_features((int)(request + image), features);
    return PFM_OK;
}

static pfm_status answers(int way, pfm_error *err)
{
    static const char *const texts[] = {"yes", "no", "left lung"};
    static const pfm_choices choices = {texts, 3};
    char stop[] = "@@@";
    char *const stops[] = {stop};
    const pfm_choices *given = way == 2 ? &choices : NULL;
    pfm_decoding how = pfm_decoding_greedy;
    how.beams = 3;
    how.no_repeat_ngram = 2;
    how.stop = stops;
    how.stop_count = 1;
    const pfm_request requests[REQUESTS] = {{.question = {"Is the lung normal?", 1}, .choices = given},
                                            {.question = {"Where is the lesion?", 2}, .group = 1, .choices = given}};
    const pfm_generate_options options = {
        .max_tokens = MOST_TOKENS, .decoding = way == 1 ? &how : NULL, .returned = 3, .images = 2, .features = give_features};
    pfm_answer got[REQUESTS] = {{0}};
    pfm_status status = pfm_generate(answering, requests, REQUESTS, &options, got, err);
    for (int i = 0; i < REQUESTS; i++) {
        char *wanted = wanted_text[way][i];
        if (status != PFM_OK)
            assert_true(got[i].text == NULL && got[i].others == NULL && got[i].choices == NULL);
        else if (wanted[0] == '\0')
            (void)snprintf(wanted, sizeof wanted_text[way][i], "%s", got[i].text);
        else
            assert_string_equal(got[i].text, wanted);
        pfm_answer_free(&got[i]);
    }
    return status;
}

static pfm_status answer_greedily(pfm_error *err) { return answers(0, err); }
static pfm_status answer_by_beams(pfm_error *err) { return answers(1, err); }
static pfm_status choose_answers(pfm_error *err) { return answers(2, err); }

static const pfm_aligner_shape shape = {
    .grid = 4,
    .channels = 12,
    .merge_rows = 1,
    .merge_columns = 1,
    .inner = 14,
    .hidden = 10,
    .qformer = {.layers = 2, .heads = 2, .queries = 5, .cross_every = 2, .hidden = 16, .intermediate = 24}};
static char aligner_file[256];

static pfm_status build_aligner(const pfm_aligner *aligner, bool pretrained, pfm_error *err)
{
    static const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_VISUAL] = 10, [PFM_DIM_FEATURES] = 32};
    pfm_status status = PFM_OK;
    pfm_parameters *parameters = NULL;
    pfm_graph *graph = NULL;
    pfm_aligner_shape own = shape;
    pfm_aligner_inputs inputs = {0};
    pfm_value in, out;
    own.pretrained = pretrained;
    PFM_TRY(pfm_parameters_create(contexts[0], PFM_ACT_F32, true, &parameters, err));
    PFM_TRY(pfm_graph_create(parameters, capacity, &graph, err));
    PFM_TRY(pfm_graph_input(graph, PFM_DIM_FEATURES, 0, shape.channels, PFM_STORAGE_ACT, false, &in, err));
    const pfm_builder builder = {.graph = graph, .token_keys = PFM_NO_VALUE};
    PFM_TRY(pfm_aligner_build(aligner, &builder, &own, in, &inputs, &out, err));
    PFM_TRY(pfm_parameters_allocate(parameters, err));
    if (pretrained)
        PFM_TRY(pfm_aligner_load(aligner, aligner_file, false, parameters, err));
done:
    pfm_aligner_inputs_free(&inputs);
    pfm_graph_free(graph);
    pfm_parameters_free(parameters);
    return status;
}

static pfm_status build_qformer(pfm_error *err) { return build_aligner(&pfm_aligner_qformer, false, err); }

/* A file of few tensors: jansson 2.14 crashes where it has no memory for the hash table of a longer header. */
static pfm_status load_layers(pfm_error *err) { return build_aligner(&pfm_aligner_double_linear, true, err); }

static void write_aligner(void)
{
    static const float values[14 * 12] = {0};
    static const pfm_weight tensors[] = {{.name = "llama_proj.weight",
                                          .dtype = PFM_DTYPE_F32,
                                          .rank = 2,
                                          .shape = {14, 12},
                                          .data = values,
                                          .bytes = 14 * 12 * sizeof(float)},
                                         {.name = "llama_proj.bias",
                                          .dtype = PFM_DTYPE_F32,
                                          .rank = 1,
                                          .shape = {14},
                                          .data = values,
                                          .bytes = 14 * sizeof(float)},
                                         {.name = "llama_proj2.weight",
                                          .dtype = PFM_DTYPE_F32,
                                          .rank = 2,
                                          .shape = {10, 14},
                                          .data = values,
                                          .bytes = 10 * 14 * sizeof(float)},
                                         {.name = "llama_proj2.bias",
                                          .dtype = PFM_DTYPE_F32,
                                          .rank = 1,
                                          .shape = {10},
                                          .data = values,
                                          .bytes = 10 * sizeof(float)}};
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(pfm_folder_create(test_scratch_folder(), &err));
    (void)snprintf(aligner_file, sizeof aligner_file, "%s/aligner.safetensors", test_scratch_folder());
    assert_ok(pfm_safetensors_write(aligner_file, tensors, sizeof tensors / sizeof *tensors, NULL, 0, &err));
}

static void test_aligners(void **state)
{
    (void)state;
    failing_try_all("qformer", build_qformer);
    failing_try_all("layers", load_layers);
}

static void test_step(void **state)
{
    (void)state;
    failing_try_all("step", step);
}

static void test_answers(void **state)
{
    (void)state;
    failing_try_all("answers", answer_greedily);
    failing_try_all("answers by beam search", answer_by_beams);
    failing_try_all("answers to choose among", choose_answers);
}

static int set_up(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_model_graph graph = {0};
    pfm_executor *executor = NULL;
    contexts[0] = tiny_context("ref", 1, PFM_PRECISION_F32);
    contexts[1] = tiny_context("ref", 1, PFM_PRECISION_F32);
    training = tiny_session(contexts[0], true, NULL, 0);
    answering = tiny_session(contexts[1], false, NULL, 0);
    assert_ok(build(training->model, &graph, &executor, &err)); /* the first graph makes the parameters known */
    pfm_executor_free(executor);
    pfm_model_graph_free(&graph);
    assert_ok(pfm_session_load_weights(training, &err));
    tiny_set_weights(training, true);
    assert_ok(answer_greedily(&err)); /* loads */
    memset(wanted_text, 0, sizeof wanted_text);
    tiny_set_weights(answering, true);
    tiny_rows(rows);
    write_aligner();
    visual = calloc((size_t)(TINY_IMAGES * training->model->visual_tokens * training->model->visual_width), sizeof(float));
    assert_non_null(visual);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(visual);
    tiny_rows_free(rows);
    pfm_session_free(training);
    pfm_session_free(answering);
    pfm_context_free(contexts[0]);
    pfm_context_free(contexts[1]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_step), cmocka_unit_test(test_answers),
                                       cmocka_unit_test(test_aligners)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
