/* Products with quantised weights at every level: against sums over blocks quantised here by ggml's definitions, against the
 * exact product within what the format can hold, and the same bits however the grid is cut. */
#include "blocks.h"
#include "guarded.h"
#include "each_level.h"

#include "kernels/levels.h"

static const pfm_dtype formats[] = {PFM_DTYPE_Q8_0, PFM_DTYPE_Q4_0, PFM_DTYPE_Q4_1};
enum { FORMATS = sizeof formats / sizeof formats[0] };

typedef struct quant_case {
    size_t m, n, k;
    bool bias, addend;
    pfm_act_type a_type, c_type;
} quant_case;

static const float *weights_of(const quant_case *x) { return guarded_random(PFM_ACT_F32, x->n * x->k, 2); }

static float through_f16(double x) { return pfm_f16_to_f32(pfm_f16_from_f32((float)x)); }

/* w [count] as ggml's format would hold it. */
static void quantise(pfm_dtype format, const float *w, size_t count, double *out)
{
    float largest = 0, low = w[0], high = w[0];
    for (size_t i = 0; i < count; i++) {
        largest = fabsf(w[i]) > fabsf(largest) ? w[i] : largest;
        low = w[i] < low ? w[i] : low;
        high = w[i] > high ? w[i] : high;
    }
    float d = format == PFM_DTYPE_Q8_0 ? fabsf(largest) / 127 : format == PFM_DTYPE_Q4_0 ? largest / -8 : (high - low) / 15;
    float inverse = d != 0 ? 1 / d : 0;
    for (size_t i = 0; i < count; i++) {
        double q = format == PFM_DTYPE_Q8_0   ? round((double)(w[i] * inverse))
                   : format == PFM_DTYPE_Q4_0 ? fmin(15, floor((double)(w[i] * inverse + 8.5f))) - 8
                                              : fmin(15, floor((double)((w[i] - low) * inverse + 0.5f)));
        out[i] = (double)through_f16(d) * q + (format == PFM_DTYPE_Q4_1 ? (double)through_f16(low) : 0);
    }
}

/* The double sum of a row of int8 blocks and a column of quantised weights. */
static double expected(pfm_dtype format, const quant_case *x, const char *row, const float *w)
{
    const size_t blocks = pfm_quant_blocks(x->k);
    double total = 0;
    for (size_t b = 0; b < blocks; b++) {
        double values[PFM_QUANT_BLOCK], sum = 0;
        size_t left = x->k - b * PFM_QUANT_BLOCK, count = left < PFM_QUANT_BLOCK ? left : PFM_QUANT_BLOCK;
        float scale;
        memcpy(&scale, row + blocks * PFM_QUANT_BLOCK + b * 2 * sizeof scale, sizeof scale);
        quantise(format, w + b * PFM_QUANT_BLOCK, count, values);
        for (size_t i = 0; i < count; i++)
            sum += values[i] * ((const int8_t *)row)[b * PFM_QUANT_BLOCK + i];
        total += (double)scale * sum;
    }
    return total;
}

/* Rows quantised by the table itself. */
static char *rows_of(const pfm_kernels *table, const quant_case *x)
{
    const size_t bytes = pfm_quant_row_bytes(x->k);
    char *a = guarded(x->m * bytes);
    const char *source = guarded_random(x->a_type, x->m * x->k, 1);
    for (size_t i = 0; i < x->m; i++)
        table->quant_row[x->a_type](source + i * x->k * pfm_act_size(x->a_type), x->k, a + i * bytes);
    return a;
}

static void *multiply(const pfm_kernels *table, pfm_dtype format, const quant_case *x, size_t rows, size_t columns)
{
    const size_t ldc = x->n + 3;
    const void *blocks = blocks_of(format, weights_of(x), x->n, x->k),
               *packed = blocks_pack(table, format, blocks, x->n, x->k, columns);
    void *c = guarded_random(x->c_type, x->m * ldc, 3);
    pfm_gemm gemm = {x->m,
                     x->n,
                     x->k,
                     rows_of(table, x),
                     pfm_quant_row_bytes(x->k),
                     packed,
                     0.75f,
                     x->bias ? guarded_random(PFM_ACT_F32, x->n, 4) : NULL,
                     x->addend ? c : NULL,
                     ldc,
                     c,
                     ldc,
                     x->c_type};
    for (size_t i = 0; i < x->m; i += rows)
        for (size_t j = 0; j < x->n; j += columns)
            table->quant_tile(format, &gemm, i, i + rows < x->m ? i + rows : x->m, j, j + columns < x->n ? j + columns : x->n);
    return c;
}

static void check_case(int level, pfm_dtype format, const quant_case *x)
{
    const pfm_kernels *table = &test_tables[level];
    const size_t ldc = x->n + 3, count = x->m * ldc;
    char what[160];
    (void)snprintf(what, sizeof what, "quantised product %s %s m %zu n %zu k %zu", test_level_names[level],
                   pfm_dtype_get_info(format)->name, x->m, x->n, x->k);
    void *got = multiply(table, format, x, table->gemm_rows, table->gemm_columns);
    float *wanted = guarded_random(x->c_type, count, 3), *first = x->c_type == PFM_ACT_F32 ? wanted : NULL;
    const char *a = rows_of(table, x);
    const float *w = weights_of(x), *bias = guarded_random(PFM_ACT_F32, x->n, 4);
    for (size_t i = 0; i < x->m; i++)
        for (size_t j = 0; j < x->n; j++) {
            double value = 0.75 * expected(format, x, a + i * pfm_quant_row_bytes(x->k), w + j * x->k);
            value += x->bias ? (double)bias[j] : 0;
            pfm_bf16 *half = (pfm_bf16 *)wanted + i * ldc + j;
            if (x->addend)
                value += first != NULL ? (double)first[i * ldc + j] : (double)pfm_bf16_to_f32(*half);
            if (first != NULL)
                first[i * ldc + j] = (float)value;
            else
                *half = pfm_bf16_from_f32((float)value);
        }
    assert_close(what, x->c_type, got, wanted, count, 2e-6 + (x->c_type == PFM_ACT_BF16 ? 1.0 / 256 : 0));
    void *cut = multiply(table, format, x, 5, 3 * table->gemm_columns);
    assert_memory_equal(got, cut, count * pfm_act_size(x->c_type));
    guarded_release();
}

static void test_shapes(void **state)
{
    (void)state;
    static const size_t sizes[][3] = {{1, 1, 1},   {1, 33, 32},  {2, 64, 33},  {3, 31, 64},  {5, 65, 96},  {7, 16, 100},
                                      {12, 70, 7}, {13, 32, 65}, {25, 96, 48}, {4, 48, 576}, {2, 9, 1536}, {100, 1, 31}};
    for (int level = 0; level < TEST_LEVELS; level++)
        for (size_t i = 0; test_has_level[level] && i < sizeof sizes / sizeof sizes[0]; i++)
            for (int f = 0; f < FORMATS; f++) {
                quant_case x = {
                    sizes[i][0], sizes[i][1], sizes[i][2], i % 2, i % 3 == 0, (pfm_act_type)(i % 2), (pfm_act_type)(i / 2 % 2)};
                check_case(level, formats[f], &x);
            }
}

/* What rounding to so few bits may cost, beside the product of the numbers themselves. */
static void test_what_is_lost(void **state)
{
    (void)state;
    enum { M = 9, N = 40, K = 576 };
    static const double bounds[FORMATS] = {0.01, 0.12, 0.1};
    const quant_case x = {M, N, K, false, false, PFM_ACT_F32, PFM_ACT_F32};
    for (int level = 0; level < TEST_LEVELS; level++)
        for (int f = 0; test_has_level[level] && f < FORMATS; f++) {
            const float *got = multiply(&test_tables[level], formats[f], &x, M, N), *a = guarded_random(PFM_ACT_F32, M * K, 1),
                        *w = weights_of(&x);
            double error = 0, size = 0;
            for (size_t i = 0; i < M; i++)
                for (size_t j = 0; j < N; j++) {
                    double sum = 0;
                    for (size_t p = 0; p < K; p++)
                        sum += (double)a[i * K + p] * w[j * K + p];
                    error += pow(got[i * (N + 3) + j] - 0.75 * sum, 2);
                    size += pow(0.75 * sum, 2);
                }
            if (!(sqrt(error / size) < bounds[f]) || error == 0)
                fail_msg("%s at %s: relative distance %.3g, allowed %.3g", pfm_dtype_get_info(formats[f])->name,
                         test_level_names[level], sqrt(error / size), bounds[f]);
            guarded_release();
        }
}

/* Rows of zeros and of numbers next to nothing give zero; an infinity or a NaN is not hidden. */
static void test_extremes(void **state)
{
    (void)state;
    enum { K = 40 };
    for (int level = 0; level < TEST_LEVELS; level++) {
        if (!test_has_level[level])
            continue;
        const pfm_kernels *table = &test_tables[level];
        float rows[4][K] = {{0}, {1e-38f, -1e-40f}, {1, INFINITY}, {1, [K - 1] = NAN}}, w[2][K] = {{0}, {0}}, c[4][2];
        for (size_t i = 0; i < K; i++)
            w[1][i] = (float)i - 20;
        char a[4][5 * 64];
        const void *packed =
            blocks_pack(table, PFM_DTYPE_Q8_0, blocks_of(PFM_DTYPE_Q8_0, w[0], 2, K), 2, K, table->gemm_columns);
        assert_true(pfm_quant_row_bytes(K) <= sizeof a[0]);
        for (int i = 0; i < 4; i++)
            table->quant_row[PFM_ACT_F32](rows[i], K, a[i]);
        pfm_gemm gemm = {4, 2, K, a, sizeof a[0], packed, 1, NULL, NULL, 0, c, 2, PFM_ACT_F32};
        table->quant_tile(PFM_DTYPE_Q8_0, &gemm, 0, 4, 0, 2);
        assert_true(c[0][0] == 0 && c[0][1] == 0 && c[1][0] == 0 && c[1][1] == 0);
        assert_true(isnan(c[2][0]) && isnan(c[2][1]) && isnan(c[3][0]) && isnan(c[3][1]));
        guarded_release();
    }
}

/* With and without the instructions for bytes: the same integers, so the same bits. */
static void test_with_and_without_vnni(void **state)
{
    (void)state;
    const int level = TEST_LEVELS - 1;
    if (!test_has_level[level])
        skip();
    pfm_kernels plain = test_tables[level];
    plain.quant_tile = pfm_avx512_quant_tile;
    const quant_case x = {13, 50, 130, true, false, PFM_ACT_F32, PFM_ACT_F32};
    for (int f = 0; f < FORMATS; f++) {
        void *a = multiply(&test_tables[level], formats[f], &x, 13, 50), *b = multiply(&plain, formats[f], &x, 13, 50);
        assert_memory_equal(a, b, x.m * (x.n + 3) * sizeof(float));
        guarded_release();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_what_is_lost),
                                       cmocka_unit_test(test_extremes), cmocka_unit_test(test_with_and_without_vnni)};
    return cmocka_run_group_tests(tests, test_set_up_levels, NULL);
}
