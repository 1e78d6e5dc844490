/* Every slot of the list at every level of this machine, against ref, over odd lengths, within the bound that the list states.
 * A slot without a case here does not compile. */
#include "guarded.h"
#include "each_level.h"

/* What a case wrote, to be compared between levels. */
typedef struct outputs {
    int count;
    struct {
        pfm_act_type type;
        const void *data;
        size_t n;
    } arrays[4];
} outputs;

static void *output(outputs *out, pfm_act_type type, size_t n, void *data)
{
    out->arrays[out->count].type = type;
    out->arrays[out->count].data = data;
    out->arrays[out->count++].n = n;
    return data;
}

static void *new_output(outputs *out, pfm_act_type type, size_t n)
{
    return output(out, type, n, guarded(n * pfm_act_size(type)));
}

/* An output that is added to. */
static void *old_output(outputs *out, pfm_act_type type, size_t n, uint64_t stream)
{
    return output(out, type, n, guarded_random(type, n, stream));
}

#define F32 PFM_ACT_F32
typedef void (*slot_case)(const pfm_kernels *k, pfm_act_type type, size_t n, outputs *out);
#define CASE(slot) static void case_##slot(const pfm_kernels *k, pfm_act_type type, size_t n, outputs *out)

/* Numbers whose rounding is delicate, then random ones. */
static const uint32_t delicate[] = {0x7f800000, 0xff800000, 0x7f800001, 0xffffffff, 0x00000001, 0x80007fff,
                                    0x00008000, 0x3f808000, 0x3f818000, 0x3f808001, 0x7f7fffff, 0x00000000,
                                    0x80000000, 0x0000ffff, 0x7fc00000, 0x3f7fffff};

CASE(bf16_from_f32)
{
    (void)type;
    uint32_t *x = guarded_random(F32, n, 1);
    for (size_t i = 0; i < n && i < 16; i++)
        x[i] = delicate[i];
    k->bf16_from_f32((const float *)x, new_output(out, PFM_ACT_BF16, n), n);
}

CASE(bf16_to_f32)
{
    (void)type;
    k->bf16_to_f32(guarded_random(PFM_ACT_BF16, n, 1), new_output(out, F32, n), n);
}

CASE(axpy)
{
    (void)type;
    k->axpy(0.37f, guarded_random(F32, n, 1), old_output(out, F32, n, 2), n);
}

CASE(sum_squares)
{
    (void)type;
    float *sum = new_output(out, F32, 1);
    *sum = (float)k->sum_squares(guarded_random(F32, n, 1), n);
}

CASE(logsumexp)
{
    (void)type;
    float *x = guarded_random(F32, n + 1, 1), *results = new_output(out, F32, 2);
    size_t argmax = n + 5;
    x[n / 2] = x[n] = 3; /* twice the largest, or beside it */
    results[0] = k->logsumexp(x, n + 1, &argmax);
    results[1] = (float)argmax;
}

CASE(adamw)
{
    (void)type;
    const pfm_adamw settings = {1e-3f, 0.9f, 0.999f, 1e-8f, 0.05f, 0.271f, 2.997e-3f, 0.25f};
    float *v = old_output(out, F32, n, 3);
    for (size_t i = 0; i < n; i++)
        v[i] *= v[i];
    k->adamw(old_output(out, F32, n, 4), guarded_random(F32, n, 1), old_output(out, F32, n, 2), v, n, &settings);
}

CASE(rmsnorm)
{
    k->rmsnorm[type](guarded_random(F32, n, 1), guarded_random(F32, n, 2), 1e-5f, new_output(out, type, n),
                     new_output(out, F32, 1), n);
}

CASE(rmsnorm_backward)
{
    const float *x = guarded_random(F32, n, 1), *w = guarded_random(F32, n, 2);
    const void *dy = guarded_random(type, n, 3);
    k->rmsnorm_backward[type](x, w, 0.8f, dy, old_output(out, F32, n, 4), old_output(out, F32, n, 5), n);
    k->rmsnorm_backward[type](x, w, 0.8f, dy, old_output(out, F32, n, 4), NULL, n);
}

CASE(layernorm)
{
    const float *x = guarded_random(F32, n, 1), *w = guarded_random(F32, n, 2), *b = guarded_random(F32, n, 3);
    k->layernorm[type](x, w, b, 1e-5f, new_output(out, type, n), new_output(out, F32, 2), n);
    k->layernorm[type](x, NULL, NULL, 1e-5f, new_output(out, type, n), guarded(2 * sizeof(float)), n);
}

CASE(layernorm_backward)
{
    const float *x = guarded_random(F32, n, 1), *w = guarded_random(F32, n, 2), statistics[] = {0.1f, 0.8f};
    const void *dy = guarded_random(type, n, 3);
    k->layernorm_backward[type](x, w, statistics, dy, old_output(out, F32, n, 4), old_output(out, F32, n, 5),
                                old_output(out, F32, n, 6), n);
    k->layernorm_backward[type](x, NULL, statistics, dy, old_output(out, F32, n, 4), NULL, NULL, n);
}

CASE(scaled_add)
{
    float *a = old_output(out, F32, n, 1);
    k->scaled_add[type](a, guarded_random(F32, n, 2), guarded_random(type, n, 3), a, n);
    k->scaled_add[type](a, NULL, guarded_random(type, n, 3), new_output(out, F32, n), n);
}

CASE(scaled_add_backward)
{
    const float *dy = guarded_random(F32, n, 1), *w = guarded_random(F32, n, 2);
    const void *b = guarded_random(type, n, 3);
    k->scaled_add_backward[type](dy, w, b, new_output(out, type, n), old_output(out, F32, n, 4), n);
    k->scaled_add_backward[type](dy, NULL, b, new_output(out, type, n), NULL, n);
}

CASE(rope)
{
    size_t half = n % 40, heads = 3;
    float *cosine = guarded_random(F32, half, 1), *sine = guarded_random(F32, half, 2);
    k->rope[type](guarded_random(type, heads * 2 * half, 3), cosine, sine, 1, new_output(out, type, heads * 2 * half), heads,
                  2 * half);
    void *same = old_output(out, type, heads * 2 * half, 4);
    k->rope[type](same, cosine, sine, -1, same, heads, 2 * half);
}

CASE(scale_columns)
{
    const float *scale = guarded_random(F32, n, 1), *shift = guarded_random(F32, n, 2),
                *other_scale = guarded_random(F32, n, 3);
    const void *addend = guarded_random(type, n, 4), *other = guarded_random(type, n, 5);
    void *x = old_output(out, type, n, 6);
    k->scale_columns[type](x, scale, other, other_scale, shift, addend, new_output(out, type, n), n);
    k->scale_columns[type](x, scale, NULL, NULL, NULL, x, x, n);
    k->scale_columns[type](x, scale, NULL, NULL, shift, NULL, new_output(out, type, n), n);
}

CASE(add_products)
{
    const void *a = guarded_random(type, n, 1), *b = guarded_random(type, n, 2);
    k->add_products[type](a, b, old_output(out, F32, n, 3), n);
    k->add_products[type](a, NULL, old_output(out, F32, n, 4), n);
}

CASE(multiply) { k->multiply[type](guarded_random(type, n, 1), guarded_random(type, n, 2), new_output(out, type, n), n); }

/* Sixteen times the numbers: into the tails of the sigmoid. */
static void *wide(pfm_act_type type, size_t n)
{
    void *x = guarded_random(type, n, 7);
    for (size_t i = 0; i < n; i++)
        if (type == F32)
            ((float *)x)[i] *= 16;
        else
            ((pfm_bf16 *)x)[i] = pfm_bf16_from_f32(16 * pfm_bf16_to_f32(((pfm_bf16 *)x)[i]));
    return x;
}

CASE(silu_mul) { k->silu_mul[type](wide(type, n), guarded_random(type, n, 2), new_output(out, type, n), n); }

CASE(silu_mul_backward)
{
    void *dgate = new_output(out, type, n), *dup = new_output(out, type, n);
    k->silu_mul_backward[type](wide(type, n), guarded_random(type, n, 2), guarded_random(type, n, 3), dgate, dup, n);
}

/* Near zero and into the tails, every kind in turn. */
CASE(activate)
{
    pfm_activation kind = (pfm_activation)(n % PFM_ACTIVATION_COUNT);
    k->activate[type](kind, guarded_random(type, n, 1), new_output(out, type, n), n);
    k->activate[type](kind, wide(type, n), new_output(out, type, n), n);
}

CASE(activate_backward)
{
    pfm_activation kind = (pfm_activation)(n % PFM_ACTIVATION_COUNT);
    k->activate_backward[type](kind, guarded_random(type, n, 1), guarded_random(type, n, 2), new_output(out, type, n), n);
    k->activate_backward[type](kind, wide(type, n), guarded_random(type, n, 2), new_output(out, type, n), n);
}

CASE(dropout)
{
    pfm_dropout dropout = {0xfedcba9876543210u, 0x123456789abu, 77, 16384, 4.0f / 3};
    k->dropout[type](guarded_random(type, n, 1), new_output(out, type, n), n, &dropout, false);
    k->dropout[type](guarded_random(type, n, 1), old_output(out, type, n, 2), n, &dropout, true);
    dropout.token = n;
    void *same = old_output(out, type, n, 3);
    k->dropout[type](same, same, n, &dropout, false);
    dropout.threshold = 65536;
    dropout.scale = INFINITY;
    k->dropout[type](guarded_random(type, n, 1), new_output(out, type, n), n, &dropout, false);
}

CASE(cross_entropy)
{
    const float *x = guarded_random(F32, n + 1, 1);
    float *losses = new_output(out, F32, 2);
    losses[0] = k->cross_entropy[type](x, n + 1, n / 3, 0.3f, new_output(out, type, n + 1));
    losses[1] = k->cross_entropy[type](x, n + 1, n, 0.3f, NULL);
}

CASE(attention)
{
    const size_t rows = n % 100 + 3, dim = 24;
    pfm_attention_span span = {(int32_t)rows / 2, (int32_t)rows, (int32_t)rows / 2, 0, 1, {0}, {(int32_t)rows / 3}, 0};
    void *scratch = NULL;
    size_t bytes = (k->attention_scratch(dim, rows) * sizeof(float) + 63) / 64 * 64;
    assert_int_equal(posix_memalign(&scratch, 64, bytes), 0);
    pfm_attention_head head = {guarded_random(type, rows * dim, 1),
                               guarded_random(type, rows * dim, 2),
                               guarded_random(type, rows * dim, 3),
                               dim,
                               dim,
                               dim,
                               dim,
                               0.3f,
                               old_output(out, type, rows * dim, 4),
                               dim,
                               old_output(out, F32, rows, 5),
                               1,
                               NULL,
                               NULL,
                               NULL,
                               NULL,
                               0,
                               scratch};
    k->attention[type](&head, &span);
    free(scratch);
}
#define case_attention_scratch NULL
#define case_attention_backward NULL /* in test_attention.c */

CASE(transpose)
{
    size_t rows = n % 67, columns = (n * 7) % 45, x_stride = columns + 2, y_stride = rows + 3;
    k->transpose[type](guarded_random(type, rows * x_stride, 1), x_stride, rows, columns,
                       old_output(out, type, columns * y_stride, 2), y_stride);
}

CASE(gemm_tile)
{
    const size_t m = n % 30 + 1, columns = n % 50 + 1;
    void *b = guarded(k->gemm_pack_size[type](columns, n)), *scratch = guarded(k->gemm_scratch);
    k->gemm_pack[type](guarded_random(type, columns * n, 1), type, 1, n, columns, n, 0, columns, b);
    pfm_gemm gemm = {m,    columns, n, guarded_random(type, m * n, 2),    n,       b,  1,
                     NULL, NULL,    0, new_output(out, F32, m * columns), columns, F32};
    k->gemm_tile[type](&gemm, 0, m, 0, columns, scratch);
}
#define case_gemm_pack NULL /* with gemm_tile; more in test_gemm.c */
#define case_gemm_pack_size NULL

/* Compared as bits: two act numbers of bf16 hold any four bytes. */
CASE(quant_row)
{
    size_t bytes = pfm_quant_row_bytes(n);
    k->quant_row[type](guarded_random(type, n, 1), n, new_output(out, PFM_ACT_BF16, bytes / 2));
}
#define case_quant_pack NULL /* in test_quant.c */
#define case_quant_pack_size NULL
#define case_quant_tile NULL
#define case_quant_unpack NULL /* in test_unpack.c */

static const struct {
    const char *name;
    slot_case run;
    int types;
    double bound;
} slots[] = {
#define SLOT_ENTRY(name, type, arguments, bound) {#name, case_##name, 1, bound},
#define ACT_SLOT_ENTRY(name, type, arguments, bound) {#name, case_##name, PFM_ACT_COUNT, bound},
    PFM_KERNEL_LIST(SLOT_ENTRY, ACT_SLOT_ENTRY)};

static void compare(size_t slot, int level, pfm_act_type type, size_t n)
{
    outputs wanted = {0}, got = {0};
    slots[slot].run(&test_tables[0], type, n, &wanted);
    slots[slot].run(&test_tables[level], type, n, &got);
    for (int i = 0; i < wanted.count; i++) {
        char what[128];
        pfm_act_type stored = wanted.arrays[i].type;
        (void)snprintf(what, sizeof what, "%s %s %s n %zu output %d", slots[slot].name, test_level_names[level],
                       type == F32 ? "f32" : "bf16", n, i);
        double bound = slots[slot].bound + (stored == F32 || slots[slot].bound == 0 ? 0 : 1.0 / 256);
        assert_close(what, stored, got.arrays[i].data, wanted.arrays[i].data, wanted.arrays[i].n, bound);
        if (bound == 0 && memcmp(got.arrays[i].data, wanted.arrays[i].data, wanted.arrays[i].n * pfm_act_size(stored)) != 0)
            fail_msg("%s: other bits", what);
    }
    guarded_release();
}

static void test_every_slot(void **state)
{
    (void)state;
    static const size_t lengths[] = {0,  1,  2,  3,  7,   8,   9,   15,  16,  17,  31,  32,
                                     33, 63, 64, 65, 100, 127, 128, 129, 257, 576, 1031};
    for (int level = 1; level < TEST_LEVELS; level++)
        for (size_t slot = 0; test_has_level[level] && slot < sizeof slots / sizeof slots[0]; slot++)
            for (int type = 0; slots[slot].run != NULL && type < slots[slot].types; type++)
                for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
                    compare(slot, level, (pfm_act_type)type, lengths[i]);
}

/* The dropped elements are those that the documented bits drop, for every type and level. */
static void test_dropout_bits(void **state)
{
    (void)state;
    enum { N = 1000 };
    for (int level = 1; level < TEST_LEVELS; level++)
        for (int type = 0; test_has_level[level] && type < PFM_ACT_COUNT; type++) {
            pfm_dropout dropout = {1, 0xffffffffffu, 3, 3277, 1};
            outputs out = {0};
            void *y = new_output(&out, (pfm_act_type)type, N), *wanted = new_output(&out, (pfm_act_type)type, N);
            const void *x = guarded_random((pfm_act_type)type, N, 1);
            test_tables[0].dropout[type](x, wanted, N, &dropout, false);
            test_tables[level].dropout[type](x, y, N, &dropout, false);
            assert_memory_equal(y, wanted, N * pfm_act_size((pfm_act_type)type));
            guarded_release();
        }
}

/* What is infinite or no number, and exponents out of range. */
static void test_extremes(void **state)
{
    (void)state;
    const float x[] = {INFINITY, -INFINITY, NAN, 0, -0.0f, 88, 89, -87, -88, -104, 1e30f, -1e30f, 1e-40f, 20, -20, 1};
    enum { N = sizeof x / sizeof x[0] };
    for (int level = 1; level < TEST_LEVELS; level++) {
        if (!test_has_level[level])
            continue;
        const pfm_kernels *k = &test_tables[level];
        float up[N], wanted[N], got[N], argument[] = {-INFINITY, 2, -INFINITY, 2}, with_nan[] = {1, 2, NAN};
        for (int i = 0; i < N; i++)
            up[i] = 1;
        test_tables[0].silu_mul[F32](x, up, wanted, N);
        k->silu_mul[F32](x, up, got, N);
        assert_close("silu of extremes", F32, got, wanted, N, 1e-5);
        size_t argmax = 9;
        assert_true(fabsf(k->logsumexp(argument, 4, &argmax) - 2.6931472f) < 1e-6f && argmax == 1);
        assert_true(k->logsumexp(argument, 1, &argmax) == -INFINITY && argmax == 0);
        assert_true(isnan(k->logsumexp(x + 2, N - 2, &argmax)) && argmax < N);
        assert_true(isnan(k->logsumexp(with_nan, 3, &argmax)) && argmax < 3);
        assert_true(isinf(k->logsumexp(x, 2, &argmax)) && argmax == 0);
        assert_true(isnan(k->cross_entropy[F32](x + 2, N - 2, 1, 1, got)) && isnan(got[5]));
        assert_true(k->cross_entropy[F32](argument, 4, 3, 1, got) > 0.69f && got[0] == 0 && got[1] == 0.5f && got[3] == -0.5f);
    }
}

/* Their own exponential, seen through x / (1 + exp(-x)), is good to a few roundings everywhere. */
static void test_exponential(void **state)
{
    (void)state;
    enum { N = 4000 };
    float x[N], one[N], y[N];
    for (int i = 0; i < N; i++) {
        x[i] = 0.02f * (float)(i - N / 2) + 0.01f;
        one[i] = 1;
    }
    for (int level = 1; level < TEST_LEVELS; level++) {
        if (!test_has_level[level])
            continue;
        test_tables[level].silu_mul[F32](x, one, y, N);
        for (int i = 0; i < N; i++) {
            double wanted = x[i] / (1 + exp(-(double)x[i]));
            if (!(fabs(y[i] - wanted) <= 4e-7 * fabs(wanted)))
                fail_msg("%s: %.9g gives %.9g, wanted %.9g", test_level_names[level], x[i], y[i], wanted);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_slot), cmocka_unit_test(test_dropout_bits),
                                       cmocka_unit_test(test_extremes), cmocka_unit_test(test_exponential)};
    return cmocka_run_group_tests(tests, test_set_up_levels, NULL);
}
