/* EfficientNet-Lite against torch (script/vectors/vision.py), the same bits for any number of threads, preprocessing, and files
 * that are no such network. */
#include "test.h"

#include "base/memory.h"
#include "models/vision/efficientnet.h"
#include "models/vision/vision.h"
#include "pefomed/weights.h"
#include "models/random_lite0.h"

#include <math.h>
#include <unistd.h>

static const pfm_vision_layers last_layer = {0};

enum { MOST_PROJECTIONS = 8 };

static const char golden_folder[] = PFM_SOURCE_DIR "/tests/models/golden";

static const pfm_efficientnet_config tiny = {
    .stem = 8, .stages = {{1, 3, 1, 1, 16}, {2, 3, 2, 2, 8}, {2, 5, 2, 3, 16}, {1, 5, 1, 2, 24}}, .head = 320};

static pfm_context *make_context(int threads, const char *level)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = NULL;
    pfm_context_options options = {.threads = threads, .seed = 42, .cpu_level = level, .home = test_scratch_folder()};
    assert_ok(pfm_context_create(&options, &context, &err));
    return context;
}

static pfm_status load_lite0(pfm_context *context, const char *path, int size, const pfm_vision_layers *layers,
                             pfm_vision **out, pfm_error *err)
{
    const pfm_vision_options options = {.kind = "efficientnet-lite0", .path = path, .image_size = size, .layers = *layers};
    return pfm_vision_load(context, &options, out, err);
}

static float *formula_pixels(int size)
{
    float *out = malloc(3 * (size_t)size * (size_t)size * sizeof *out), *next = out;
    assert_non_null(out);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < size; y++)
            for (int x = 0; x < size; x++)
                *next++ = (float)(1.5 * sin(0.05 * (c + 1) * x + 0.11 * y) + cos(0.0023 * x * y / (c + 1)));
    return out;
}

typedef struct golden {
    int size, layer, grid, channels;
    double norm, projections[MOST_PROJECTIONS];
} golden;

/* The golden lines of one network; the caller frees. */
static golden *read_golden(const char *network, size_t *count)
{
    FILE *file = fopen(test_path(golden_folder, "efficientnet.txt"), "r");
    assert_non_null(file);
    golden *out = calloc(64, sizeof *out);
    assert_non_null(out);
    char name[16];
    golden g;
    double *p = g.projections;
    *count = 0;
    while (fscanf(file, "%15s %d %d %d %d %lf %lf %lf %lf %lf %lf %lf %lf %lf", name, &g.size, &g.layer, &g.grid, &g.channels,
                  &g.norm, &p[0], &p[1], &p[2], &p[3], &p[4], &p[5], &p[6], &p[7]) == 14)
        if (strcmp(name, network) == 0 && *count < 64)
            out[(*count)++] = g;
    fclose(file);
    assert_true(*count >= 12);
    return out;
}

/* Each projection is a sum over all values with weights of about 0.7; an error of r relative to the norm, spread at random,
 * moves it by about r * norm. */
static void check_against(const golden *g, const float *features)
{
    size_t values = (size_t)g->grid * (size_t)g->grid * (size_t)g->channels;
    double norm = 0, worst = 0;
    for (size_t i = 0; i < values; i++)
        norm += (double)features[i] * (double)features[i];
    for (int k = 0; k < MOST_PROJECTIONS; k++) {
        double sum = 0;
        for (size_t i = 0; i < values; i++)
            sum += (double)features[i] * cos(0.7 * (k + 1) * (double)i + k);
        worst = fmax(worst, fabs(sum - g->projections[k]) / g->norm);
    }
    if (!(fabs(sqrt(norm) - g->norm) <= 1e-6 * g->norm && worst <= 1e-5))
        fail_msg("layer %d at %d: norm %.9g instead of %.9g, projections off by %g", g->layer, g->size, sqrt(norm), g->norm,
                 worst);
}

static pfm_efficientnet *load_tiny(const pfm_context *context, int size)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    pfm_efficientnet *net = NULL;
    assert_ok(pfm_weights_open(test_path(golden_folder, "efficientnet_tiny.pth"), &weights, &err));
    assert_ok(pfm_efficientnet_create(context, &tiny, weights, size, &net, &err));
    pfm_weights_close(weights);
    return net;
}

static pfm_status encode_layer(pfm_efficientnet *net, int slot, int layer, const float *pixels, float *features, pfm_error *err)
{
    return pfm_efficientnet_encode(net, slot, &layer, 1, pixels, &features, err);
}

static void check_tiny(const char *level)
{
    pfm_error err = PFM_ERROR_INIT;
    size_t count;
    golden *lines = read_golden("tiny", &count);
    pfm_context *context = make_context(1, level);
    for (size_t i = 0; i < count; i++) {
        const golden *g = &lines[i];
        pfm_vision_shape shape;
        assert_ok(pfm_efficientnet_shape(&tiny, g->size, g->layer, &shape, NULL, &err));
        assert_int_equal(shape.grid, g->grid);
        assert_int_equal(shape.channels, g->channels);
        float *pixels = formula_pixels(g->size), *features = malloc(pfm_vision_shape_values(&shape) * sizeof *features);
        assert_non_null(features);
        pfm_efficientnet *net = load_tiny(context, g->size);
        assert_ok(encode_layer(net, 0, g->layer, pixels, features, &err));
        check_against(g, features);
        assert_ok(encode_layer(net, 0, g->layer - 8, pixels, features, &err)); /* counted from the end */
        check_against(g, features);
        pfm_efficientnet_free(net);
        free(features);
        free(pixels);
    }
    pfm_context_free(context);
    free(lines);
}

static void small_network_as_torch(void **state)
{
    (void)state;
    check_tiny(NULL);
}

static void small_network_in_plain_c(void **state)
{
    (void)state;
    check_tiny("ref");
}

/* The fetched weights in the user's own folder, or NULL; the caller frees. */
static char *lite0_path(void)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = NULL;
    char *path = NULL;
    pfm_context_options options = {.threads = 1, .cpu_level = "ref"};
    assert_ok(pfm_context_create(&options, &context, &err));
    if (pfm_model_path(context, "efficientnet-lite0", &path, &err) != PFM_OK)
        path = NULL;
    pfm_context_free(context);
    return path;
}

static void lite0_as_torch(void **state)
{
    (void)state;
    char *path = lite0_path();
    if (path == NULL) {
        print_message("skipped: no weights; run: pefomed fetch efficientnet-lite0\n");
        skip();
    }
    pfm_error err = PFM_ERROR_INIT;
    size_t count;
    golden *lines = read_golden("lite0", &count);
    pfm_context *context = make_context(2, NULL);
    pfm_vision *vision = NULL;
    for (size_t i = 0; i < count; i++) {
        const golden *g = &lines[i];
        if (g->size > 224 && strcmp(pfm_context_cpu_level(context), "ref") == 0)
            continue; /* seconds a picture */
        const pfm_vision_layers layer = {.count = 1, .layer = {g->layer}};
        assert_ok(load_lite0(context, path, g->size, &layer, &vision, &err));
        const pfm_vision_shape shape = pfm_vision_get_shape(vision);
        assert_int_equal(shape.grid, g->grid);
        assert_int_equal(shape.channels, g->channels);
        float *pixels = formula_pixels(g->size), *features = malloc(pfm_vision_shape_values(&shape) * sizeof *features);
        assert_non_null(features);
        assert_ok(pfm_vision_encode_one(vision, pixels, features, &err));
        check_against(g, features);
        free(features);
        free(pixels);
        pfm_vision_free(vision);
        vision = NULL;
    }
    pfm_context_free(context);
    free(lines);
    free(path);
}

/* Three pictures of tiny's, on one thread and on three. */
static void any_number_of_threads(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    enum { VALUES = 8 * 8 * 320, PICTURE = 3 * 64 * 64 };
    float *pixels = formula_pixels(64), *features = malloc(3 * VALUES * sizeof *features);
    assert_non_null(features);
    for (int slot = 0; slot < 3; slot++) {
        pfm_context *context = make_context(slot + 1, NULL);
        pfm_efficientnet *net = load_tiny(context, 64);
        assert_ok(encode_layer(net, slot, -1, pixels, features + (size_t)slot * VALUES, &err));
        pfm_efficientnet_rest(net);
        assert_ok(encode_layer(net, 0, -1, pixels, features, &err));
        assert_memory_equal(features, features + (size_t)slot * VALUES, VALUES * sizeof *features);
        pfm_efficientnet_free(net);
        pfm_context_free(context);
    }
    free(features);
    free(pixels);
}

static pfm_vision *load_random(pfm_context *context, int size)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_vision *vision = NULL;
    const char *path = test_path(test_scratch_folder(), "random.safetensors");
    if (access(path, F_OK) != 0)
        write_random_lite0(path);
    assert_ok(load_lite0(context, path, size, &last_layer, &vision, &err));
    return vision;
}

/* Layers with grids of 8, 4 and 2 for 64 pixels, beside each of them alone. */
static void layers_side_by_side(void **state)
{
    (void)state;
    enum { SIZE = 64, GRID = 2, COUNT = 3 };
    const pfm_vision_layers wanted = {.count = COUNT, .layer = {5, -7, -1}};
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = make_context(1, NULL);
    const char *path = test_path(test_scratch_folder(), "random.safetensors");
    pfm_vision *alone = load_random(context, SIZE), *joined = NULL;
    assert_ok(load_lite0(context, path, SIZE, &wanted, &joined, &err));
    assert_string_not_equal(pfm_vision_get_description(alone), pfm_vision_get_description(joined));
    pfm_vision_shape all = pfm_vision_get_shape(joined);
    assert_int_equal(all.grid, GRID);
    assert_int_equal(all.channels, 16 * 40 + 4 * 112 + 1280);
    float *pixels = formula_pixels(SIZE), *features = malloc(pfm_vision_shape_values(&all) * sizeof *features);
    assert_non_null(features);
    assert_ok(pfm_vision_encode(joined, pixels, 1, features, &err));
    for (int i = 0, first = 0; i < COUNT; i++) {
        const pfm_vision_layers one = {.count = 1, .layer = {wanted.layer[i]}};
        pfm_vision_free(alone);
        assert_ok(load_lite0(context, path, SIZE, &one, &alone, &err));
        const pfm_vision_shape shape = pfm_vision_get_shape(alone);
        int side = shape.grid / GRID, channels = shape.channels;
        float *part = malloc(pfm_vision_shape_values(&shape) * sizeof *part);
        assert_non_null(part);
        assert_ok(pfm_vision_encode_one(alone, pixels, part, &err));
        for (int y = 0; y < shape.grid; y++)
            for (int x = 0; x < shape.grid; x++) {
                const float *at = features + ((y / side) * GRID + x / side) * all.channels + first;
                assert_memory_equal(at + (y % side * side + x % side) * channels, part + (y * shape.grid + x) * channels,
                                    (size_t)channels * sizeof *part);
            }
        first += side * side * channels;
        free(part);
    }
    free(features);
    free(pixels);
    pfm_vision_free(alone);
    pfm_vision_free(joined);
    pfm_context_free(context);
}

static void layers_that_cannot_be(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_vision_layers layers;
    pfm_vision_shape shape;
    char *good[] = {"-7", "-1"}, *word[] = {"last"}, *part[] = {"1.5"}, *many[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8"};
    assert_ok(pfm_vision_layers_parse(good, 2, &layers, &err));
    assert_int_equal(layers.count, 2);
    assert_int_equal(layers.layer[0], -7);
    assert_error(pfm_vision_shape_of("efficientnet-lite0", 40, &layers, &shape, NULL, &err), PFM_ERROR_USAGE,
                 "grids of 3 and 2");
    layers.layer[1] = 3;
    assert_error(pfm_vision_shape_of("efficientnet-lite0", 64, &layers, &shape, NULL, &err), PFM_ERROR_USAGE, "in their order");
    layers.layer[1] = 18;
    assert_error(pfm_vision_shape_of("efficientnet-lite0", 64, &layers, &shape, NULL, &err), PFM_ERROR_USAGE, "no layer 18");
    assert_error(pfm_vision_layers_parse(word, 1, &layers, &err), PFM_ERROR_USAGE, "'last'");
    assert_error(pfm_vision_layers_parse(part, 1, &layers, &err), PFM_ERROR_USAGE, "'1.5'");
    assert_error(pfm_vision_layers_parse(many, 9, &layers, &err), PFM_ERROR_USAGE, "at most 8");
}

static void many_pictures_at_once(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    enum { COUNT = 5, SIZE = 40, VALUES = 2 * 2 * 1280, PICTURE = 3 * SIZE * SIZE };
    float *pixels = malloc(COUNT * PICTURE * sizeof *pixels), *together = malloc(COUNT * VALUES * sizeof *together);
    float *alone = malloc(VALUES * sizeof *alone), *base = formula_pixels(SIZE);
    assert_true(pixels != NULL && together != NULL && alone != NULL);
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < PICTURE; j++)
            pixels[i * PICTURE + j] = base[(j * (i + 1)) % PICTURE];
    pfm_context *three = make_context(3, NULL), *one = make_context(1, NULL);
    pfm_vision *by_three = load_random(three, SIZE), *by_one = load_random(one, SIZE);
    assert_int_equal(pfm_vision_get_shape(by_one).grid, 2);
    assert_int_equal(pfm_vision_get_parameters(by_one), 3371008);
    assert_string_equal(pfm_vision_get_description(by_one), pfm_vision_get_description(by_three));
    assert_ok(pfm_vision_encode(by_three, pixels, COUNT, together, &err));
    for (int i = 0; i < COUNT; i++) {
        assert_ok(pfm_vision_encode(by_one, pixels + (ptrdiff_t)i * PICTURE, 1, alone, &err));
        assert_memory_equal(alone, together + (ptrdiff_t)i * VALUES, VALUES * sizeof *alone);
        assert_true(i == 0 || memcmp(alone, together, VALUES * sizeof *alone) != 0);
    }
    pfm_vision_free(by_three);
    pfm_vision_free(by_one);
    pfm_context_free(three);
    pfm_context_free(one);
    free(pixels);
    free(together);
    free(alone);
    free(base);
}

static void preprocessing(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    enum { SIZE = 32, PLANE = SIZE * SIZE };
    static uint8_t rgb[3 * PLANE];
    static float pixels[3 * PLANE];
    pfm_image image = {.width = SIZE, .height = SIZE, .rgb = rgb}, other = {0};
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * 37 % 256);
    pfm_context *context = make_context(1, "ref");
    pfm_vision *vision = load_random(context, SIZE);
    assert_ok(pfm_vision_preprocess(vision, &image, pixels, &err));
    static const float mean[3] = {0.485f, 0.456f, 0.406f}, deviation[3] = {0.229f, 0.224f, 0.225f}; /* ImageNet's */
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < PLANE; i++)
            assert_true(pixels[c * PLANE + i] == ((float)rgb[3 * i + c] / 255.0f - mean[c]) / deviation[c]);
    uint8_t grey[3 * 6];
    memset(grey, 128, sizeof grey);
    other = (pfm_image){.width = 3, .height = 2, .rgb = grey}; /* resized whatever its shape */
    assert_ok(pfm_vision_preprocess(vision, &other, pixels, &err));
    for (int i = 0; i < PLANE; i++)
        assert_true(pixels[i] == (128.0f / 255.0f - mean[0]) / deviation[0]);
    pfm_vision_free(vision);
    pfm_context_free(context);
}

static void shapes_without_weights(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_vision_shape shape;
    uint64_t parameters;
    assert_ok(pfm_vision_shape_of("efficientnet-lite0", 448, &last_layer, &shape, &parameters, &err));
    assert_int_equal(shape.grid, 14);
    assert_int_equal(shape.channels, 1280);
    assert_int_equal(parameters, 3371008); /* torch: the package's parameters less the 1,281,000 of the classifier */
    assert_ok(pfm_vision_shape_of("efficientnet-lite0", 225, &last_layer, &shape, NULL, &err));
    assert_int_equal(shape.grid, 8);
    assert_error(pfm_vision_shape_of("efficientnet-lite0", 8, &last_layer, &shape, NULL, &err), PFM_ERROR_USAGE,
                 "image size of 8");
    assert_error(pfm_vision_shape_of("efficientnet-lite9", 448, &last_layer, &shape, NULL, &err), PFM_ERROR_USAGE,
                 "efficientnet-lite0");
    assert_error(pfm_efficientnet_shape(&tiny, 64, 8, &shape, NULL, &err), PFM_ERROR_USAGE, "no layer 8");
    assert_error(pfm_efficientnet_shape(&tiny, 64, -9, &shape, NULL, &err), PFM_ERROR_USAGE, "no layer -9");
}

/* The package's parameters less the classifier's, and its channels, each times its layer's place from 1. */
static void other_lites(void **state)
{
    (void)state;
    static const struct {
        uint64_t parameters;
        int layers, sum;
    } lites[] = {
        {3371008, 18, 45904}, {4135680, 23, 65768}, {4811072, 23, 68960}, {6916096, 26, 90440}, {11725568, 32, 142864}};
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = make_context(1, NULL);
    for (int number = 0; number < 5; number++) {
        char name[32];
        int sum = 0;
        pfm_vision_shape shape;
        (void)snprintf(name, sizeof name, "efficientnet-lite%d", number);
        for (int layer = 0; layer < lites[number].layers; layer++) {
            const pfm_vision_layers one = {.count = 1, .layer = {layer}};
            uint64_t parameters = 0;
            assert_ok(pfm_vision_shape_of(name, 64, &one, &shape, &parameters, &err));
            assert_int_equal(parameters, lites[number].parameters);
            sum += (layer + 1) * shape.channels;
        }
        assert_int_equal(sum, lites[number].sum);
        const char *path = test_path(test_scratch_folder(), "lite.safetensors");
        write_random_lite(path, number);
        const pfm_vision_options options = {.kind = path, .path = path, .image_size = 40};
        pfm_vision *vision = NULL;
        assert_ok(pfm_vision_load(context, &options, &vision, &err));
        assert_string_equal(pfm_vision_get_kind(vision), name);
        pfm_vision_free(vision);
    }
    pfm_vision_shape shape;
    assert_error(pfm_vision_shape_of("efficientnet-lite5", 64, &last_layer, &shape, NULL, &err), PFM_ERROR_USAGE, "lite4");
    pfm_context_free(context);
}

static void wrong_weights(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = make_context(1, "ref");
    pfm_vision *vision = NULL;
    pfm_weights *weights = NULL;
    pfm_efficientnet *net = NULL;
    const char *path = test_path(golden_folder, "efficientnet_tiny.pth");
    const pfm_vision_options unknown = {.kind = "clip", .path = path, .image_size = 64};
    assert_error(load_lite0(context, path, 64, &last_layer, &vision, &err), PFM_ERROR_MISMATCH, "_blocks.");
    assert_error(load_lite0(context, "/nowhere.pth", 64, &last_layer, &vision, &err), PFM_ERROR_IO, "/nowhere.pth");
    assert_error(load_lite0(context, path, 7, &last_layer, &vision, &err), PFM_ERROR_USAGE, "image size");
    assert_error(pfm_vision_load(context, &unknown, &vision, &err), PFM_ERROR_USAGE, "'clip'");
    assert_null(vision);
    pfm_efficientnet_config other = tiny;
    assert_ok(pfm_weights_open(path, &weights, &err));
    other.stages[1].kernel = 5; /* misshapen */
    assert_error(pfm_efficientnet_create(context, &other, weights, 64, &net, &err), PFM_ERROR_MISMATCH, "_depthwise_conv");
    other = tiny;
    other.stages[2].repeats = 1; /* one block too many */
    assert_error(pfm_efficientnet_create(context, &other, weights, 64, &net, &err), PFM_ERROR_MISMATCH, "_blocks.5");
    other = tiny;
    other.stages[3].repeats = 2; /* one too few */
    assert_error(pfm_efficientnet_create(context, &other, weights, 64, &net, &err), PFM_ERROR_MISMATCH, "_blocks.6");
    assert_null(net);
    pfm_weights_close(weights);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_network_as_torch),
        cmocka_unit_test(small_network_in_plain_c),
        cmocka_unit_test(lite0_as_torch),
        cmocka_unit_test(any_number_of_threads),
        cmocka_unit_test(layers_side_by_side),
        cmocka_unit_test(layers_that_cannot_be),
        cmocka_unit_test(many_pictures_at_once),
        cmocka_unit_test(preprocessing),
        cmocka_unit_test(shapes_without_weights),
        cmocka_unit_test(wrong_weights),
        cmocka_unit_test(other_lites),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
