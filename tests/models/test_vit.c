/* Vision transformers against transformers, open_clip and timm (script/vectors/vit.py): every layer at several sizes, the
 * gradient of the pixels, the same bits for any number of threads, precisions. */
#include "test.h"

#include "models/vision/feature_store.h"
#include "models/vit_fixture.h"

#include <math.h>

typedef struct golden {
    char network[24], label[8];
    int size, rows, columns;
    double norm, projections[8];
} golden;

/* Each projection is a sum over all values with weights of about 0.7; an error of r relative to the norm, spread at random,
 * moves it by about r * norm. */
static void check_against(const golden *g, const float *values)
{
    const size_t count = (size_t)g->rows * (size_t)g->columns;
    double norm = 0, worst = 0;
    for (size_t i = 0; i < count; i++)
        norm += (double)values[i] * (double)values[i];
    for (int k = 0; k < 8; k++) {
        double sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += (double)values[i] * cos(0.7 * (k + 1) * (double)i + k);
        worst = fmax(worst, fabs(sum - g->projections[k]) / g->norm);
    }
    if (!(fabs(sqrt(norm) - g->norm) <= 5e-6 * g->norm && worst <= 2e-5))
        fail_msg("%s at %d, %s: norm %.9g instead of %.9g, projections off by %g", g->network, g->size, g->label, sqrt(norm),
                 g->norm, worst);
}

static void check_features(pfm_context *context, const golden *g, bool class_token)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_vision *vision = NULL;
    const char *path = vit_network(g->network);
    const bool output = strcmp(g->label, "output") == 0;
    const int layer = output ? PFM_VISION_OUTPUT : atoi(g->label);
    assert_ok(vit_load(context, path, g->size, layer, class_token, false, &vision, &err));
    pfm_vision_shape shape = pfm_vision_get_shape(vision);
    assert_int_equal(pfm_vision_shape_tokens(&shape), g->rows);
    assert_int_equal(shape.channels, g->columns);
    float *all = vit_encode(vision, true), *patches;
    check_against(g, all);
    pfm_vision_free(vision);
    assert_ok(vit_load(context, path, g->size, layer, false, false, &vision, &err));
    patches = vit_encode(vision, false);
    assert_memory_equal(patches, all + (class_token ? shape.channels : 0),
                        (size_t)shape.grid * (size_t)shape.grid * (size_t)shape.channels * sizeof *all);
    free(all);
    free(patches);
    pfm_vision_free(vision);
}

static void check_gradient(pfm_context *context, const golden *g, bool class_token)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_vision *vision = NULL;
    assert_ok(vit_load(context, vit_network(g->network), g->size, PFM_VISION_OUTPUT, class_token, true, &vision, &err));
    const pfm_vision_shape shape = pfm_vision_get_shape(vision);
    const size_t values = pfm_vision_shape_values(&shape);
    float *pixels = vit_pixels(g->size), *grad_out = malloc(values * sizeof *grad_out);
    float *features = malloc(values * sizeof *features), *grad_in = malloc((size_t)(3 * g->columns) * sizeof *grad_in);
    assert_true(grad_out != NULL && features != NULL && grad_in != NULL);
    for (int i = 0; i < 3 * g->columns; i++)
        grad_in[i] = 7; /* pixels that fill no patch get zeros all the same */
    for (size_t i = 0; i < values; i++)
        grad_out[i] = (float)(sin(.37 * (double)i) + .5 * cos(.0113 * (double)i * (double)(i % 7 + 1)));
    assert_ok(pfm_vision_gradient(vision, pixels, grad_out, features, grad_in, &err));
    check_against(g, grad_in);
    float *same = vit_encode(vision, false);
    assert_memory_equal(same, features, values * sizeof *same);
    free(same);
    free(pixels);
    free(grad_out);
    free(features);
    free(grad_in);
    pfm_vision_free(vision);
}

static void check_golden(const char *level)
{
    FILE *file = fopen(test_path(vit_golden, "vit.txt"), "r");
    assert_non_null(file);
    pfm_context *context = vit_context(2, level, PFM_PRECISION_F32);
    golden g;
    double *p = g.projections;
    int lines = 0;
    while (fscanf(file, "%23s %d %7s %d %d %lf %lf %lf %lf %lf %lf %lf %lf %lf", g.network, &g.size, g.label, &g.rows,
                  &g.columns, &g.norm, &p[0], &p[1], &p[2], &p[3], &p[4], &p[5], &p[6], &p[7]) == 14) {
        const bool class_token = strcmp(g.network, "siglip") != 0;
        if (strcmp(g.label, "grad") == 0)
            check_gradient(context, &g, class_token);
        else
            check_features(context, &g, class_token);
        lines++;
    }
    fclose(file);
    assert_int_equal(lines, 100);
    pfm_context_free(context);
}

static void as_their_own_implementations(void **state)
{
    (void)state;
    check_golden(NULL);
}

static void in_plain_c(void **state)
{
    (void)state;
    check_golden("ref");
}

/* CLIP has no last norm for all tokens: `normed` is its output, each row with mean 0 and deviation 1. */
static void normed_is_a_norm_without_weights(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = vit_context(2, NULL, PFM_PRECISION_F32);
    pfm_vision *vision = NULL;
    assert_ok(vit_load(context, vit_network("clip"), 28, PFM_VISION_OUTPUT, true, false, &vision, &err));
    const pfm_vision_shape shape = pfm_vision_get_shape(vision);
    float *plain = vit_encode(vision, true), *normed;
    pfm_vision_free(vision);
    assert_ok(vit_load(context, vit_network("clip"), 28, PFM_VISION_NORMED, true, false, &vision, &err));
    normed = vit_encode(vision, true);
    pfm_vision_free(vision);
    for (int row = 0; row < (int)pfm_vision_shape_tokens(&shape); row++) {
        const float *x = plain + row * shape.channels, *y = normed + row * shape.channels;
        double mean = 0, squares = 0;
        for (int c = 0; c < shape.channels; c++)
            mean += (double)x[c] / shape.channels;
        for (int c = 0; c < shape.channels; c++)
            squares += (x[c] - mean) * (x[c] - mean) / shape.channels;
        for (int c = 0; c < shape.channels; c++)
            assert_true(fabs(y[c] - (x[c] - mean) / sqrt(squares + 1e-5)) < 1e-4);
    }
    assert_error(vit_load(context, vit_network("blip2"), 28, PFM_VISION_NORMED, true, false, &vision, &err), PFM_ERROR_USAGE,
                 "normed is for a vision transformer without a last norm");
    assert_error(vit_load(context, vit_network("clip"), 28, 3, true, false, &vision, &err), PFM_ERROR_USAGE, "no layer 3");
    free(plain);
    free(normed);
    pfm_context_free(context);
}

/* features [PICTURES, values] of different pictures by `threads` threads: spread over them, or each by all or by one of them.
 */
static float *encode_pictures(int threads, pfm_precision precision, char how, size_t *values)
{
    enum { PICTURES = 12, SIZE = 56, PICTURE = 3 * SIZE * SIZE };
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = vit_context(threads, NULL, precision);
    pfm_vision *vision = NULL;
    assert_ok(vit_load(context, vit_network("blip2"), SIZE, PFM_VISION_OUTPUT, true, false, &vision, &err));
    const pfm_vision_shape shape = pfm_vision_get_shape(vision);
    *values = pfm_vision_shape_values(&shape);
    float *base = vit_pixels(SIZE), *pixels = malloc(PICTURES * PICTURE * sizeof *pixels);
    float *out = malloc(PICTURES * *values * sizeof *out);
    assert_true(pixels != NULL && out != NULL);
    for (int i = 0; i < PICTURES; i++)
        for (int j = 0; j < PICTURE; j++)
            pixels[i * PICTURE + j] = base[j * (i + 1) % PICTURE];
    if (how == 's')
        assert_ok(pfm_vision_encode(vision, pixels, PICTURES, out, &err));
    for (int i = 0; how != 's' && i < PICTURES; i++) {
        if (how == 'a')
            assert_ok(pfm_vision_encode(vision, pixels + (size_t)i * PICTURE, 1, out + (size_t)i * *values, &err));
        else
            assert_ok(pfm_vision_encode_one(vision, pixels + (size_t)i * PICTURE, out + (size_t)i * *values, &err));
        pfm_vision_rest(vision);
    }
    *values *= PICTURES;
    free(base);
    free(pixels);
    pfm_vision_free(vision);
    pfm_context_free(context);
    return out;
}

static void any_number_of_threads(void **state)
{
    (void)state;
    for (pfm_precision precision = PFM_PRECISION_BF16; precision <= PFM_PRECISION_F32; precision++) {
        size_t values, count;
        float *wanted = encode_pictures(1, precision, 'o', &values);
        assert_memory_not_equal(wanted, wanted + values / 12, values / 12 * sizeof *wanted);
        for (int threads = 1; threads <= 3; threads++) {
            for (const char *how = "sao"; *how != '\0'; how++) {
                float *features = encode_pictures(threads, precision, *how, &count);
                assert_int_equal(count, values);
                assert_memory_equal(features, wanted, values * sizeof *wanted);
                free(features);
            }
        }
        free(wanted);
    }
}

/* bf16 is near f32 and something else; how answers keep their weights changes nothing. */
static void precisions(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    float *features[3];
    char descriptions[3][512];
    pfm_vision_shape shape = {0};
    for (int i = 0; i < 3; i++) {
        pfm_context_options options = {.threads = 1,
                                       .home = test_scratch_folder(),
                                       .precision = i == 0 ? PFM_PRECISION_F32 : PFM_PRECISION_BF16,
                                       .weights = i == 2 ? PFM_WEIGHTS_Q4_0 : PFM_WEIGHTS_FULL};
        pfm_context *context = NULL;
        pfm_vision *vision = NULL;
        assert_ok(pfm_context_create(&options, &context, &err));
        assert_ok(vit_load(context, vit_network("dinov2_registers"), 49, PFM_VISION_OUTPUT, false, false, &vision, &err));
        shape = pfm_vision_get_shape(vision);
        features[i] = vit_encode(vision, true);
        (void)snprintf(descriptions[i], sizeof descriptions[i], "%s", pfm_vision_get_description(vision));
        pfm_vision_free(vision);
        pfm_context_free(context);
    }
    const size_t values = pfm_vision_shape_values(&shape);
    double error = 0, norm = 0;
    for (size_t i = 0; i < values; i++) {
        error += pow((double)features[0][i] - (double)features[1][i], 2);
        norm += pow((double)features[0][i], 2);
    }
    assert_true(sqrt(error / norm) > 1e-5 && sqrt(error / norm) < 2e-2);
    assert_memory_equal(features[1], features[2], values * sizeof **features);
    assert_string_not_equal(descriptions[0], descriptions[1]);
    assert_string_equal(descriptions[1], descriptions[2]);
    assert_non_null(strstr(descriptions[1], "bf16"));
    for (int i = 0; i < 3; i++)
        free(features[i]);
}

/* Features kept at one precision, or of another layer, are not taken for others. */
static void kept_features(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static uint8_t rgb[20 * 30 * 3];
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * 31 % 256);
    pfm_image image = {.width = 20, .height = 30, .rgb = rgb};
    char picture[512];
    (void)snprintf(picture, sizeof picture, "%s/picture.png", test_scratch_folder());
    assert_ok(pfm_image_write_png(&image, picture, &err));
    const char *paths[] = {picture};
    static const struct {
        pfm_precision precision;
        int layer;
        bool class_token, found;
    } steps[] = {{PFM_PRECISION_F32, -1, false, false},  {PFM_PRECISION_F32, -1, false, true},
                 {PFM_PRECISION_BF16, -1, false, false}, {PFM_PRECISION_F32, -1, true, false},
                 {PFM_PRECISION_F32, -2, false, false},  {PFM_PRECISION_BF16, -1, false, true}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        pfm_context *context = vit_context(2, NULL, steps[i].precision);
        pfm_vision *vision = NULL;
        pfm_feature_store *store = NULL;
        size_t pictures, found, kept;
        assert_ok(vit_load(context, vit_network("clip"), 28, steps[i].layer, steps[i].class_token, false, &vision, &err));
        const pfm_vision_shape shape = pfm_vision_get_shape(vision);
        float *stored = malloc(pfm_vision_shape_values(&shape) * sizeof *stored);
        float *fresh = malloc(pfm_vision_shape_values(&shape) * sizeof *fresh);
        assert_true(stored != NULL && fresh != NULL);
        assert_ok(pfm_feature_store_create(vision, &(pfm_image_file){.path = paths[0]}, 1, 1 << 20, &store, &err));
        pfm_feature_store_get_counts(store, &pictures, &found, &kept);
        assert_int_equal(found, steps[i].found);
        assert_int_equal(kept, 1);
        assert_ok(pfm_feature_store_read(store, 0, stored, &err));
        assert_ok(pfm_features_of_image(vision, &image, fresh, &err));
        assert_memory_equal(stored, fresh, pfm_vision_shape_values(&shape) * sizeof *stored);
        free(stored);
        free(fresh);
        pfm_feature_store_free(store);
        pfm_vision_free(vision);
        pfm_context_free(context);
    }
}

/* Two layers and the class token side by side, beside each alone. */
static void layers_side_by_side(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = vit_context(1, NULL, PFM_PRECISION_F32);
    const char *path = vit_network("clip");
    pfm_vision *joined = NULL, *first = NULL, *second = NULL;
    const pfm_vision_options options = {.kind = path,
                                        .path = path,
                                        .image_size = 28,
                                        .layers = {.count = 2, .layer = {-2, PFM_VISION_OUTPUT}, .class_token = true}};
    assert_ok(pfm_vision_load(context, &options, &joined, &err));
    assert_ok(vit_load(context, path, 28, 1, true, false, &first, &err));
    assert_ok(vit_load(context, path, 28, 2, true, false, &second, &err));
    float *both = vit_encode(joined, true), *a = vit_encode(first, true), *b = vit_encode(second, true);
    assert_int_equal(pfm_vision_get_shape(joined).channels, 48);
    for (int t = 0; t < 17; t++) {
        assert_memory_equal(both + t * 48, a + t * 24, 24 * sizeof *a);
        assert_memory_equal(both + t * 48 + 24, b + t * 24, 24 * sizeof *b);
    }
    free(both);
    free(a);
    free(b);
    pfm_vision_free(joined);
    pfm_vision_free(first);
    pfm_vision_free(second);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_their_own_implementations),
                                       cmocka_unit_test(normed_is_a_norm_without_weights),
                                       cmocka_unit_test(in_plain_c),
                                       cmocka_unit_test(any_number_of_threads),
                                       cmocka_unit_test(precisions),
                                       cmocka_unit_test(kept_features),
                                       cmocka_unit_test(layers_side_by_side)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
