/* Blocks against the implementations that users trust: ggml's types from numbers as gguf makes them, NF4 as bitsandbytes writes
 * and dequantises it, and files whose parts do not fit each other. */
#include "formats/bitsandbytes.h"
#include "formats/safetensors.h"

#include "base/file.h"
#include "base/quantise.h"
#include "support_formats.h"
#include "test.h"

#include <math.h>

enum { ROWS = 3, COLUMNS = 256 };

static pfm_weights *open_golden(void)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    assert_ok(pfm_weights_open(PFM_SOURCE_DIR "/tests/formats/golden/blocks.safetensors", &weights, &err));
    return weights;
}

static const pfm_weight *find(const pfm_weights *weights, const char *name)
{
    const pfm_weight *weight = pfm_weights_find(weights, name);
    if (weight == NULL)
        fail_msg("blocks.safetensors lacks %s", name);
    return weight;
}

static void quantise(pfm_dtype dtype, const float *values, size_t count, uint8_t *out)
{
    const pfm_dtype_info *info = pfm_dtype_get_info(dtype);
    for (size_t i = 0; i < count; i += info->block_values, out += info->block_bytes)
        pfm_quantise_block(dtype, values + i, info->block_values, out);
}

static void blocks_have_the_bytes_of_gguf(void **state)
{
    (void)state;
    static const pfm_dtype types[] = {PFM_DTYPE_Q8_0, PFM_DTYPE_Q4_0, PFM_DTYPE_Q4_1};
    pfm_weights *weights = open_golden();
    const float *w = find(weights, "w")->data;
    for (size_t t = 0; t < 3; t++) {
        const pfm_weight *wanted = find(weights, pfm_dtype_get_info(types[t])->name);
        uint8_t got[ROWS * COLUMNS * 2];
        quantise(types[t], w, ROWS * COLUMNS, got);
        assert_memory_equal(got, wanted->data, wanted->bytes);
    }
    pfm_weights_close(weights);
}

static void nf4_is_that_of_bitsandbytes(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const names[] = {"plain", "double"};
    pfm_weights *weights = open_golden();
    assert_null(pfm_weights_find(weights, "plain.absmax"));
    assert_null(pfm_weights_find(weights, "double.nested_quant_map"));
    for (int i = 0; i < 2; i++) {
        char expected[32];
        (void)snprintf(expected, sizeof expected, "%s.expected", names[i]);
        const pfm_weight *weight = find(weights, names[i]);
        float got[ROWS * COLUMNS];
        assert_int_equal(weight->dtype, PFM_DTYPE_NF4);
        assert_true(weight->rank == 2 && weight->shape[0] == ROWS && weight->shape[1] == COLUMNS);
        assert_ok(pfm_weight_expand(weight, got, &err));
        assert_memory_equal(got, find(weights, expected)->data, sizeof got);
        assert_ok(pfm_weight_expand_rows(weight, 2, 1, got, &err));
        assert_memory_equal(got, (const float *)find(weights, expected)->data + 2 * COLUMNS, COLUMNS * sizeof *got);
    }
    /* our own blocks of the same numbers are theirs */
    uint8_t ours[ROWS * COLUMNS / PFM_NF4_VALUES * PFM_NF4_BYTES], theirs[sizeof ours];
    quantise(PFM_DTYPE_NF4, find(weights, "w")->data, ROWS * COLUMNS, ours);
    pfm_weight_copy_blocks(find(weights, "plain"), 0, ROWS, theirs);
    assert_memory_equal(ours, theirs, sizeof ours);
    pfm_weights_close(weights);
}

/* ||a - b|| / ||b||. */
static double distance(const float *a, const float *b, size_t count)
{
    double error = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        error += pow((double)a[i] - b[i], 2);
        size += pow(b[i], 2);
    }
    return sqrt(error / size);
}

/* q4_k searches its scales, and no two programs search alike: what counts is how near it comes. */
static void q4_k_is_near(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    enum { VALUES = 64 * 256 };
    static float w[VALUES], got[VALUES];
    static uint8_t blocks[2 * VALUES];
    static const struct {
        pfm_dtype dtype;
        double low, high;
    } cases[] = {{PFM_DTYPE_Q8_0, 0, 0.006},
                 {PFM_DTYPE_Q4_0, 0.07, 0.1},
                 {PFM_DTYPE_Q4_1, 0.06, 0.09},
                 {PFM_DTYPE_Q4_K, 0.05, 0.072},
                 {PFM_DTYPE_NF4, 0.07, 0.1}};
    uint32_t seed = 1;
    for (int i = 0; i < VALUES; i++) { /* sums of twelve uniform numbers are near enough to normal */
        w[i] = -6;
        for (int j = 0; j < 12; j++)
            w[i] += (float)((seed = seed * 1664525u + 1013904223u) >> 8) / 16777216.0f;
    }
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const pfm_weight weight = {.name = "w", .dtype = cases[c].dtype, .rank = 2, .shape = {64, 256}, .data = blocks};
        quantise(cases[c].dtype, w, VALUES, blocks);
        assert_ok(pfm_weight_expand(&weight, got, &err));
        const double far = distance(got, w, VALUES);
        if (!(far > cases[c].low && far < cases[c].high))
            fail_msg("%s: relative distance %.4f", pfm_dtype_get_info(cases[c].dtype)->name, far);
    }
    /* every field of a block counts: groups of other sizes and places than their neighbours */
    for (int i = 0; i < VALUES; i++)
        w[i] = w[i] * (float)(1 + i / 32 % 8) - (float)(i / 32 % 5);
    const pfm_weight weight = {.name = "w", .dtype = PFM_DTYPE_Q4_K, .rank = 2, .shape = {64, 256}, .data = blocks};
    quantise(PFM_DTYPE_Q4_K, w, VALUES, blocks);
    assert_ok(pfm_weight_expand(&weight, got, &err));
    assert_true(distance(got, w, VALUES) < 0.07);
}

/* A file of the given state and parts, 2 x 64 values. */
static void expect_refusal(const char *json, size_t halves, size_t scales, pfm_status wanted, const char *part)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    static const uint8_t bytes[256];
    static const float numbers[64];
    const char *path = test_path(test_scratch_folder(), "nf4.safetensors");
    const pfm_weight tensors[] = {
        {.name = "w", .dtype = PFM_DTYPE_U8, .rank = 2, .shape = {(int64_t)halves, 1}, .data = bytes},
        {.name = "w.absmax", .dtype = PFM_DTYPE_F32, .rank = 1, .shape = {(int64_t)scales}, .data = numbers},
        {.name = "w.quant_map", .dtype = PFM_DTYPE_F32, .rank = 1, .shape = {16}, .data = pfm_nf4_levels},
        {.name = "w.quant_state.bitsandbytes__nf4",
         .dtype = PFM_DTYPE_U8,
         .rank = 1,
         .shape = {(int64_t)strlen(json)},
         .data = json}};
    assert_ok(pfm_safetensors_write(path, tensors, 4, NULL, 0, &err));
    if (wanted == PFM_OK) {
        assert_ok(pfm_weights_open(path, &weights, &err));
        assert_int_equal(pfm_weights_count(weights), 1);
        pfm_weights_close(weights);
        return;
    }
    assert_error(pfm_weights_open(path, &weights, &err), wanted, part);
}

static void parts_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const char good[] = "{\"blocksize\":64,\"shape\":[2,64]}";
    expect_refusal(good, 64, 2, PFM_OK, "");
    expect_refusal(good, 63, 2, PFM_ERROR_FORMAT, "w is not 64 values of u8");
    expect_refusal(good, 64, 1, PFM_ERROR_FORMAT, "w.absmax is not 2 values of f32");
    expect_refusal("{\"blocksize\":128,\"shape\":[2,64]}", 64, 2, PFM_ERROR_UNSUPPORTED, "blocks of another size");
    expect_refusal("{\"blocksize\":64,\"shape\":[4,32]}", 64, 2, PFM_ERROR_UNSUPPORTED, "not whole blocks");
    expect_refusal("{\"blocksize\":64,\"shape\":[2]}", 64, 2, PFM_ERROR_FORMAT, "not two sizes");
    expect_refusal("{\"blocksize\":64,\"shape\":[-2,64]}", 64, 2, PFM_ERROR_FORMAT, "not two sizes");
    expect_refusal("{\"blocksize\":64,\"shape\":[1099511627776,1048576]}", 64, 2, PFM_ERROR_FORMAT, "is not");
    expect_refusal("{\"blocksize\":64,\"shape\":[9223372036854775807,9223372036854775807]}", 64, 2, PFM_ERROR_FORMAT,
                   "not two sizes");
    expect_refusal("{\"blocksize\":64,\"shape\":[2,64],\"nested_offset\":1,\"nested_blocksize\":0}", 64, 2, PFM_ERROR_FORMAT,
                   "nested");
    expect_refusal("{\"blocksize\":64,\"shape\":[2,64],\"nested_offset\":1,\"nested_blocksize\":256}", 64, 2, PFM_ERROR_FORMAT,
                   "w.absmax is not 2 values of u8");
    expect_refusal("{\"blocksize\":64,\"shape\":[4,4611686018427387904]}", 0, 0, PFM_ERROR_FORMAT,
                   "not two sizes"); /* wraps to 0 */
    expect_refusal("[1", 64, 2, PFM_ERROR_FORMAT, "no JSON object");
}

static void damaged_files_are_read_within_their_bytes(void **state)
{
    (void)state;
    formats_check_prefixes(formats_data("blocks.safetensors"), 97, 0);
    formats_check_flips(formats_data("blocks.safetensors"), 41);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(blocks_have_the_bytes_of_gguf),
                                       cmocka_unit_test(nf4_is_that_of_bitsandbytes), cmocka_unit_test(q4_k_is_near),
                                       cmocka_unit_test(parts_that_do_not_fit_are_refused),
                                       cmocka_unit_test(damaged_files_are_read_within_their_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
