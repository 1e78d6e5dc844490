/* Products at every level of this machine: against ref, over ragged shapes, strides and outputs, and the same bits however
 * the grid is cut. */
#include "guarded.h"
#include "each_level.h"

typedef struct gemm_case {
    size_t m, n, k;
    bool bias, addend, transposed;
    pfm_act_type c_type, source_type;
} gemm_case;

/* c of one level, the grid cut at multiples of (rows, columns) of the table's own steps. */
static void *product(const pfm_kernels *table, pfm_act_type type, const gemm_case *x, size_t rows, size_t columns)
{
    const size_t lda = x->k + 3, ldc = x->n + 1;
    void *a = guarded_random(type, x->m == 0 ? 0 : (x->m - 1) * lda + x->k, 1);
    void *source = guarded_random(x->source_type, x->n * x->k, 2), *c = guarded_random(x->c_type, x->m * ldc, 3);
    void *packed = guarded(table->gemm_pack_size[type](x->n, x->k));
    for (size_t j = 0; j < x->n; j += columns)
        table->gemm_pack[type](source, x->source_type, x->transposed ? x->n : 1, x->transposed ? 1 : x->k, x->n, x->k, j,
                               j + columns < x->n ? j + columns : x->n, packed);
    pfm_gemm gemm = {x->m,
                     x->n,
                     x->k,
                     a,
                     lda,
                     packed,
                     0.75f,
                     x->bias ? guarded_random(PFM_ACT_F32, x->n, 4) : NULL,
                     x->addend ? c : NULL,
                     ldc,
                     c,
                     ldc,
                     x->c_type};
    void *scratch = NULL;
    assert_int_equal(posix_memalign(&scratch, 64, table->gemm_scratch), 0);
    for (size_t i = 0; i < x->m; i += rows)
        for (size_t j = 0; j < x->n; j += columns)
            table->gemm_tile[type](&gemm, i, i + rows < x->m ? i + rows : x->m, j, j + columns < x->n ? j + columns : x->n,
                                   scratch);
    free(scratch);
    return c;
}

static void check_case(int level, pfm_act_type type, const gemm_case *x)
{
    const pfm_kernels *table = &test_tables[level];
    char what[160];
    (void)snprintf(what, sizeof what, "gemm %s %s m %zu n %zu k %zu", test_level_names[level],
                   type == PFM_ACT_F32 ? "f32" : "bf16", x->m, x->n, x->k);
    size_t count = x->m * (x->n + 1);
    void *wanted = product(&test_tables[0], type, x, test_tables[0].gemm_rows, test_tables[0].gemm_columns);
    void *got = product(table, type, x, table->gemm_rows, table->gemm_columns);
    assert_close(what, x->c_type, got, wanted, count, 1e-6 + (x->c_type == PFM_ACT_BF16 ? 1.0 / 256 : 0));
    /* What is behind the columns of c stays, and one tile over all gives the same bits. */
    void *whole = product(table, type, x, 7, 4 * table->gemm_columns);
    assert_memory_equal(got, whole, count * pfm_act_size(x->c_type));
    guarded_release();
}

static void test_shapes(void **state)
{
    (void)state;
    static const size_t sizes[][3] = {{1, 1, 1},    {1, 33, 2},   {2, 64, 3},   {3, 31, 17},   {5, 65, 64},
                                      {11, 16, 5},  {12, 100, 7}, {13, 32, 65}, {25, 129, 48}, {97, 70, 130},
                                      {4, 48, 576}, {9, 8, 4200}, {6, 5, 0},    {100, 1, 31},  {5, 40, 1700}};
    for (int level = 1; level < TEST_LEVELS; level++)
        for (size_t i = 0; test_has_level[level] && i < sizeof sizes / sizeof sizes[0]; i++)
            for (int type = 0; type < PFM_ACT_COUNT; type++) {
                gemm_case x = {sizes[i][0], sizes[i][1], sizes[i][2], i % 2, i % 3 == 0, i % 4 < 2, (i + 1) % 2, (i / 2) % 2};
                check_case(level, (pfm_act_type)type, &x);
                x.c_type = (pfm_act_type)(i % 2);
                x.transposed = !x.transposed;
                x.source_type = (pfm_act_type)((i / 2 + 1) % 2);
                check_case(level, (pfm_act_type)type, &x);
            }
}

/* A row gives the same bits alone and among others, and so does a column. */
static void test_bits_depend_on_k_alone(void **state)
{
    (void)state;
    enum { M = 40, COLUMNS = 70, K = 333 };
    for (int level = 0; level < TEST_LEVELS; level++)
        for (int type = 0; test_has_level[level] && type < PFM_ACT_COUNT; type++) {
            gemm_case all = {M, COLUMNS, K, false, false, false, PFM_ACT_F32, PFM_ACT_F32}, one = all;
            one.m = 1;
            one.n = 5;
            const float *whole = product(&test_tables[level], (pfm_act_type)type, &all, 64, 1024);
            const float *row = product(&test_tables[level], (pfm_act_type)type, &one, 64, 1024);
            assert_memory_equal(whole, row, 5 * sizeof(float));
            guarded_release();
        }
}

/* Infinity and NaN reach exactly the rows and columns that hold them; the padding of a panel brings none. */
static void test_infinity(void **state)
{
    (void)state;
    enum { COLUMNS = 3, K = 4 };
    for (int level = 0; level < TEST_LEVELS; level++) {
        if (!test_has_level[level])
            continue;
        const pfm_kernels *table = &test_tables[level];
        float a[2 * K] = {1, 1, 1, 1, INFINITY, 1, 1, 1}, b[COLUMNS * K] = {1, 1, 1, 1, 2, 2, 2, 2, 1, NAN, 1, 1},
                    c[2 * COLUMNS];
        void *packed = guarded(table->gemm_pack_size[PFM_ACT_F32](COLUMNS, K));
        void *scratch = NULL;
        assert_int_equal(posix_memalign(&scratch, 64, table->gemm_scratch), 0);
        table->gemm_pack[PFM_ACT_F32](b, PFM_ACT_F32, 1, K, COLUMNS, K, 0, COLUMNS, packed);
        pfm_gemm gemm = {2, COLUMNS, K, a, K, packed, 1, NULL, NULL, 0, c, COLUMNS, PFM_ACT_F32};
        table->gemm_tile[PFM_ACT_F32](&gemm, 0, 2, 0, COLUMNS, scratch);
        assert_true(c[0] == 4 && c[1] == 8 && isnan(c[2]) && isinf(c[3]) && isinf(c[4]) && isnan(c[5]));
        free(scratch);
        guarded_release();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_bits_depend_on_k_alone),
                                       cmocka_unit_test(test_infinity)};
    return cmocka_run_group_tests(tests, test_set_up_levels, NULL);
}
