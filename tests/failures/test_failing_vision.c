/* Vision encoders and their features where memory runs out. In plain C: oneDNN's own allocations throw. */
#include "base/file.h"
#include "base/try.h"
#include "failing.h"
#include "models/vision/efficientnet.h"
#include "models/vision/feature_store.h"
#include "models/vision/tower.h"
#include "peft/peft.h"
#include "models/random_lite0.h"

static const pfm_vision_layers two_layers = {.count = 2, .layer = {-7, -1}};

enum { SIZE = 32, VALUES = 4 * 112 + 1280, TINY_VALUES = 4 * 4 * 320 };

static pfm_context *context;
static pfm_vision *vision;
static float wanted[VALUES], tiny_wanted[TINY_VALUES];
static char picture_path[4096];

static pfm_status network(pfm_error *err)
{
    static const pfm_efficientnet_config tiny = {
        .stem = 8, .stages = {{1, 3, 1, 1, 16}, {2, 3, 2, 2, 8}, {2, 5, 2, 3, 16}, {1, 5, 1, 2, 24}}, .head = 320};
    static float pixels[3 * SIZE * SIZE], features[TINY_VALUES];
    float *const values = features;
    const int last = -1;
    pfm_status status = PFM_OK;
    pfm_weights *weights = NULL;
    pfm_efficientnet *net = NULL;
    PFM_TRY(pfm_weights_open(PFM_SOURCE_DIR "/tests/models/golden/efficientnet_tiny.pth", &weights, err));
    PFM_TRY(pfm_efficientnet_create(context, &tiny, weights, SIZE, &net, err));
    PFM_TRY(pfm_efficientnet_encode(net, 0, &last, 1, pixels, &values, err));
    if (tiny_wanted[0] == 0)
        memcpy(tiny_wanted, features, sizeof tiny_wanted);
    assert_memory_equal(features, tiny_wanted, sizeof tiny_wanted);
done:
    pfm_efficientnet_free(net);
    pfm_weights_close(weights);
    return status;
}

static void test_network(void **state)
{
    (void)state;
    failing_try_all("network", network);
}

/* Recognised, loaded, encoded and differentiated. */
static pfm_status transformer(pfm_error *err)
{
    enum { PIXELS = 3 * 12 * 12, VALUES_A_LAYER = 17 * 88 };
    static const char path[] =
        PFM_SOURCE_DIR "/tests/models/golden/vit_eva"; /* no JSON: jansson asserts where memory runs out */
    static float pixels[PIXELS], transformed[VALUES_A_LAYER], gradient[PIXELS], transformed_before[VALUES_A_LAYER];
    const pfm_vision_options options = {
        .kind = path, .path = path, .image_size = 12, .layers = {.class_token = true}, .gradients = true};
    pfm_status status = PFM_OK;
    pfm_vision *vit = NULL;
    PFM_TRY(pfm_vision_load(context, &options, &vit, err));
    PFM_TRY(pfm_vision_encode_one(vit, pixels, transformed, err));
    PFM_TRY(pfm_vision_gradient(vit, pixels, transformed, transformed, gradient, err));
    if (transformed_before[0] == 0)
        memcpy(transformed_before, transformed, sizeof transformed);
    assert_memory_equal(transformed, transformed_before, sizeof transformed);
done:
    pfm_vision_free(vit);
    return status;
}

static void test_transformer(void **state)
{
    (void)state;
    failing_try_all("transformer", transformer);
}

/* A part of an encoder in a graph, with what is learned in it, forward and backward. */
static pfm_status tower(pfm_error *err)
{
    enum { STATE_VALUES = 17 * 88 };
    static const char path[] = PFM_SOURCE_DIR "/tests/models/golden/vit_eva";
    static float state[STATE_VALUES], before;
    char name[] = "lora", target[] = "fc1", *targets[] = {target};
    const pfm_peft_options options = {.method = name, .rank = 2, .alpha = 2, .targets = targets, .target_count = 1};
    pfm_status status = PFM_OK;
    pfm_peft *peft = NULL;
    pfm_tower *end = NULL;
    pfm_parameters *parameters = NULL;
    pfm_graph *graph = NULL;
    pfm_tower_inputs inputs = {0};
    pfm_executor *executor = NULL;
    pfm_value out;
    PFM_TRY(pfm_peft_create(&options, &peft, err));
    const pfm_tower_options of = {.kind = path, .path = path, .image_size = 12, .hook = pfm_peft_hook(peft)};
    PFM_TRY(pfm_tower_create(context, &of, &end, err));
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_PATCHES] = end->tokens};
    PFM_TRY(pfm_parameters_create(context, PFM_ACT_F32, true, &parameters, err));
    PFM_TRY(pfm_graph_create(parameters, capacity, &graph, err));
    PFM_TRY(pfm_tower_build(end, graph, false, &inputs, &out, err));
    pfm_graph_keep(graph, out);
    PFM_TRY(pfm_parameters_allocate(parameters, err));
    PFM_TRY(pfm_tower_load(end, parameters, err));
    PFM_TRY(pfm_parameters_initialise(parameters, 1, true, err));
    const pfm_op_environment env = {.context = context, .kernels = context->kernels, .act = PFM_ACT_F32};
    PFM_TRY(pfm_executor_create(graph, &env, out, &executor, err));
    PFM_TRY(pfm_tower_bind(end, &inputs, executor, state, &(pfm_tower_pictures){.count = 1}, err));
    pfm_executor_forward(executor);
    memset(pfm_executor_gradient(executor, out), 0, sizeof state);
    pfm_executor_backward(executor);
    const float made = *(const float *)pfm_executor_data(executor, out);
    before = before != 0 ? before : made;
    assert_true(made == before);
done:
    pfm_executor_free(executor);
    pfm_graph_free(graph);
    pfm_tower_inputs_free(&inputs);
    pfm_parameters_free(parameters);
    pfm_tower_free(end);
    pfm_peft_free(peft);
    return status;
}

static void test_tower(void **state)
{
    (void)state;
    failing_try_all("tower", tower);
}

/* Nothing is kept at first, then a file that is found. */
static pfm_status features(pfm_error *err)
{
    const pfm_image_file files[] = {{.path = picture_path}};
    pfm_status status = PFM_OK;
    pfm_feature_store *store = NULL;
    float out[VALUES];
    for (int pass = 0; pass < 2; pass++) {
        PFM_TRY(pfm_feature_store_create(vision, files, 1, pass == 0 ? 0 : PFM_FEATURE_QUOTA, &store, err));
        PFM_TRY(pfm_feature_store_read(store, 0, out, err));
        assert_memory_equal(out, wanted, sizeof out);
        pfm_feature_store_free(store);
        store = NULL;
    }
done:
    pfm_feature_store_free(store);
    return status;
}

static void test_features(void **state)
{
    (void)state;
    failing_try_all("features", features);
}

static int set_up(void **state)
{
    (void)state;
    static uint8_t rgb[20 * 30 * 3];
    pfm_error err = PFM_ERROR_INIT;
    pfm_image image = {.width = 20, .height = 30, .rgb = rgb};
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * 31 % 256);
    const char *weights = test_path(test_scratch_folder(), "weights.safetensors");
    pfm_context_options options = {.threads = 1, .cpu_level = "ref", .home = test_scratch_folder()};
    write_random_lite0(weights);
    (void)snprintf(picture_path, sizeof picture_path, "%s/picture.png", test_scratch_folder());
    assert_ok(pfm_image_write_png(&image, picture_path, &err));
    assert_ok(pfm_context_create(&options, &context, &err));
    const pfm_vision_options encoder = {
        .kind = "efficientnet-lite0", .path = weights, .image_size = SIZE, .layers = two_layers};
    assert_ok(pfm_vision_load(context, &encoder, &vision, &err));
    assert_ok(pfm_features_of_image(vision, &image, wanted, &err));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pfm_vision_free(vision);
    pfm_context_free(context);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_network), cmocka_unit_test(test_transformer),
                                       cmocka_unit_test(test_tower), cmocka_unit_test(test_features)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
