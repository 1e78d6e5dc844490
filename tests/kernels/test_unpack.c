/* Quantised weights dequantised for products, at every level: a product with what quant_unpack gives has the bits of one with
 * the dequantised weight packed by gemm_pack, both ways, for every type of blocks. */
#include "blocks.h"
#include "guarded.h"
#include "each_level.h"

#include "base/quantise.h"
#include "formats/weights.h"

static const pfm_dtype formats[] = {PFM_DTYPE_Q8_0, PFM_DTYPE_Q4_0, PFM_DTYPE_Q4_1, PFM_DTYPE_Q4_K, PFM_DTYPE_NF4};
enum { FORMATS = sizeof formats / sizeof formats[0] };

typedef struct unpack_case {
    pfm_dtype format;
    size_t m, n, k; /* of the weight [n, k] */
    bool transposed;
    pfm_act_type act;
} unpack_case;

/* The weight [n, k] as the reader of files dequantises whole rows of blocks. */
static float *expand(pfm_dtype format, const void *blocks, size_t n, size_t k)
{
    pfm_error err = PFM_ERROR_INIT;
    const size_t padded = pfm_quantised_blocks(format, k) * pfm_dtype_get_info(format)->block_values;
    const pfm_weight weight = {.name = "w", .dtype = format, .rank = 2, .shape = {(int64_t)n, (int64_t)padded}, .data = blocks};
    float *wide = guarded(n * padded * sizeof *wide), *out = guarded(n * k * sizeof *out);
    assert_ok(pfm_weight_expand(&weight, wide, &err));
    for (size_t j = 0; j < n; j++)
        memcpy(out + j * k, wide + j * padded, k * sizeof *out);
    return out;
}

/* a [m, product's k] times a packed operand. */
static float *multiply(const pfm_kernels *table, const unpack_case *x, const void *packed)
{
    const size_t n = x->transposed ? x->k : x->n, k = x->transposed ? x->n : x->k;
    float *c = guarded(x->m * n * sizeof *c);
    void *scratch = guarded(table->gemm_scratch + 64);
    const pfm_gemm gemm = {x->m, n, k, guarded_random(x->act, x->m * k, 1), k, packed, 1, NULL, NULL, 0, c, n, PFM_ACT_F32};
    table->gemm_tile[x->act](&gemm, 0, x->m, 0, n, (void *)(((uintptr_t)scratch + 63) / 64 * 64));
    return c;
}

static void check_case(int level, const unpack_case *x)
{
    const pfm_kernels *table = &test_tables[level];
    const size_t n = x->transposed ? x->k : x->n, k = x->transposed ? x->n : x->k, columns = table->gemm_columns;
    const void *blocks = blocks_of(x->format, guarded_random(PFM_ACT_F32, x->n * x->k, 2), x->n, x->k);
    const float *weight = expand(x->format, blocks, x->n, x->k);
    const pfm_quant_panels panels = {x->format, blocks_pack(table, x->format, blocks, x->n, x->k, columns), x->n, x->k};
    char *wanted = guarded(table->gemm_pack_size[x->act](n, k)), *got = guarded(table->gemm_pack_size[x->act](n, k));
    table->gemm_pack[x->act](weight, PFM_ACT_F32, x->transposed ? x->k : 1, x->transposed ? 1 : x->k, n, k, 0, n, wanted);
    for (size_t j = 0; j < n; j += columns)
        table->quant_unpack[x->act](&panels, x->transposed, j, j + columns < n ? j + columns : n,
                                    got + table->gemm_pack_size[x->act](j, k));
    const float *a = multiply(table, x, wanted), *b = multiply(table, x, got);
    if (memcmp(a, b, x->m * n * sizeof *a) != 0)
        fail_msg("%s at %s, %s, %zu x %zu%s: other bits than with the dequantised weight", pfm_dtype_get_info(x->format)->name,
                 test_level_names[level], x->act == PFM_ACT_F32 ? "f32" : "bf16", x->n, x->k,
                 x->transposed ? ", transposed" : "");
    guarded_release();
}

static void products_have_the_bits_of_dequantised_weights(void **state)
{
    (void)state;
    static const size_t sizes[][3] = {{1, 1, 1},   {3, 33, 32},  {2, 64, 40},  {5, 31, 64},   {7, 16, 100}, {2, 70, 256},
                                      {4, 9, 300}, {13, 96, 65}, {3, 200, 96}, {2, 45, 1600}, {5, 130, 7}};
    for (int level = 0; level < TEST_LEVELS; level++)
        for (size_t i = 0; test_has_level[level] && i < sizeof sizes / sizeof sizes[0]; i++)
            for (int f = 0; f < FORMATS; f++)
                for (int act = 0; act < PFM_ACT_COUNT; act++)
                    for (int transposed = 0; transposed < 2; transposed++) {
                        const unpack_case x = {formats[f],  sizes[i][0],     sizes[i][1],
                                               sizes[i][2], transposed != 0, (pfm_act_type)act};
                        check_case(level, &x);
                    }
}

/* Every number that a block can hold, with scales large and tiny. */
static void every_number_arrives(void **state)
{
    (void)state;
    enum { N = 40, K = 512 };
    for (int level = 0; level < TEST_LEVELS; level++)
        for (int f = 0; test_has_level[level] && f < FORMATS; f++) {
            const size_t bytes = pfm_dtype_get_info(formats[f])->block_bytes,
                         count = N * pfm_quantised_blocks(formats[f], K) * bytes;
            uint8_t *blocks = guarded(count);
            for (size_t i = 0; i < count; i++)
                blocks[i] = (uint8_t)(i * 2654435761u >> 13);
            for (size_t at = 0; at < count; at += bytes)
                for (int i = 0; i < 4; i++) /* no scale is infinite or NaN */
                    blocks[at + (size_t)i] =
                        (uint8_t)(i % 2 == 1 ? (at / bytes * 37 + (size_t)i) % 120 : blocks[at + (size_t)i]);
            const float *weight = expand(formats[f], blocks, N, K);
            const pfm_kernels *table = &test_tables[level];
            const pfm_quant_panels panels = {formats[f], blocks_pack(table, formats[f], blocks, N, K, 2 * table->gemm_columns),
                                             N, K};
            const size_t size = table->gemm_pack_size[PFM_ACT_F32](N, K);
            char *wanted = guarded(size), *got = guarded(size);
            table->gemm_pack[PFM_ACT_F32](weight, PFM_ACT_F32, 1, K, N, K, 0, N, wanted);
            table->quant_unpack[PFM_ACT_F32](&panels, false, 0, N, got);
            const float *a = (const float *)(void *)wanted, *b = (const float *)(void *)got;
            for (size_t i = 0; i < size / sizeof *a; i++)
                if (a[i] != b[i])
                    fail_msg("%s at %s: %g in place of %g", pfm_dtype_get_info(formats[f])->name, test_level_names[level],
                             (double)b[i], (double)a[i]);
            guarded_release();
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(products_have_the_bits_of_dequantised_weights),
                                       cmocka_unit_test(every_number_arrives)};
    return cmocka_run_group_tests(tests, test_set_up_levels, NULL);
}
