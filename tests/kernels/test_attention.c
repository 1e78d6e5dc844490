/* Attention, forward and backward, at every level of this machine against ref: ancestors, a past, ragged blocks, any head. */
#include "guarded.h"
#include "each_level.h"

enum { ROWS = 380, MOST_DIM = 130 };

typedef struct attention_case {
    pfm_attention_span span;
    size_t dim;
} attention_case;

typedef struct results {
    void *out, *dq;
    float *lse, *dk, *dv;
} results;

static size_t most_keys(const pfm_attention_span *span)
{
    size_t keys = (size_t)(span->own_past + span->q_end - span->q_begin);
    for (int i = 0; i < span->ancestors; i++)
        keys += (size_t)(span->ancestor_end[i] - span->ancestor_begin[i]);
    return keys;
}

/* Small random numbers to add to. */
static float *small(size_t n, uint64_t stream)
{
    float *x = guarded_random(PFM_ACT_F32, n, stream);
    for (size_t i = 0; i < n; i++)
        x[i] /= 64;
    return x;
}

/* The rows of a head stand in a wider tensor; those that the span does not name stay as they are. */
static results run_attention(const pfm_kernels *k, pfm_act_type type, const attention_case *x, results *forward)
{
    const size_t dim = x->dim, stride = dim + 5, n = (ROWS - 1) * stride + dim,
                 floats = k->attention_scratch(dim, most_keys(&x->span));
    results y = {guarded_random(type, n, 5), guarded_random(type, n, 6), guarded_random(PFM_ACT_F32, 3 * ROWS, 7), small(n, 8),
                 small(n, 9)};
    void *scratch = NULL;
    assert_int_equal(posix_memalign(&scratch, 64, (floats + 1) * sizeof(float)), 0);
    ((uint32_t *)scratch)[floats] = 0xdeadbeef;
    pfm_attention_head head = {guarded_random(type, n, 1),
                               guarded_random(type, n, 2),
                               guarded_random(type, n, 3),
                               stride,
                               stride,
                               stride,
                               dim,
                               1 / sqrtf((float)dim),
                               y.out,
                               stride,
                               y.lse,
                               3,
                               guarded_random(type, n, 4),
                               y.dq,
                               y.dk,
                               y.dv,
                               stride,
                               scratch};
    k->attention[type](&head, &x->span);
    if (forward != NULL) { /* the backward of every level starts from the same forward */
        head.out = forward->out;
        head.lse = forward->lse;
    }
    k->attention_backward[type](&head, &x->span);
    assert_int_equal(((uint32_t *)scratch)[floats], 0xdeadbeef);
    free(scratch);
    return y;
}

static void check_case(int level, pfm_act_type type, const attention_case *x)
{
    const size_t n = (ROWS - 1) * (x->dim + 5) + x->dim;
    const double f32 = 1e-5, stored = type == PFM_ACT_F32 ? f32 : 1.0 / 256, rounded = type == PFM_ACT_F32 ? f32 : 1.0 / 128;
    results wanted = run_attention(&test_tables[0], type, x, NULL), got = run_attention(&test_tables[level], type, x, &wanted);
    char what[128];
    (void)snprintf(what, sizeof what, "%s %s dim %zu queries %d", test_level_names[level], type == PFM_ACT_F32 ? "f32" : "bf16",
                   x->dim, x->span.q_end - x->span.q_begin);
    print_message("%s\n", what);
    /* All rows, then those of the span alone, so that the others do not hide an error. */
    assert_close("out", type, got.out, wanted.out, n, stored);
    assert_close("dq", type, got.dq, wanted.dq, n, rounded);
    assert_close("lse", PFM_ACT_F32, got.lse, wanted.lse, 3 * ROWS, f32);
    size_t first = (size_t)x->span.q_begin * (x->dim + 5) * pfm_act_size(type);
    size_t rows = (size_t)(x->span.q_end - x->span.q_begin), count = rows == 0 ? 0 : (rows - 1) * (x->dim + 5) + x->dim;
    assert_close("out", type, (char *)got.out + first, (char *)wanted.out + first, count, stored);
    assert_close("dq", type, (char *)got.dq + first, (char *)wanted.dq + first, count, rounded);
    assert_close("dk", PFM_ACT_F32, got.dk, wanted.dk, n, rounded);
    assert_close("dv", PFM_ACT_F32, got.dv, wanted.dv, n, rounded);
    guarded_release();
}

static const attention_case cases[] = {
    {{0, 1, 0, 3, 0, {0}, {0}, 0}, 64},
    {{5, 5, 5, 0, 1, {0}, {3}, 0}, 64},
    {{7, 9, 3, 4, 1, {0}, {3}, 0}, 64},
    {{300, 301, 290, 10, 2, {0, 100}, {51, 350 - 100}, 0}, 64},
    {{100, 116, 100, 0, 1, {0}, {57}, 0}, 64},
    {{100, 133, 100, 0, 1, {0}, {64}, 0}, 64},
    {{100, 172, 100, 0, 3, {0, 60, 71}, {49, 63, 71}, 0}, 64},
    {{0, 33, 200, 130, 2, {10, 100}, {11, 165}, 0}, 64},
    {{0, 140, 0, 0, 0, {0}, {0}, 0}, 16},
    {{20, 57, 21, 1, 4, {0, 2, 5, 9}, {1, 5, 8, 12}, 0}, 1},
    {{20, 57, 20, 0, 1, {1}, {20}, 0}, 7},
    {{40, 47, 40, 0, 1, {1}, {20}, 0}, 33},
    {{40, 59, 40, 0, 1, {1}, {20}, 0}, 80},
    {{40, 41, 40, 0, 1, {1}, {20}, 0}, 130},
    {{40, 75, 30, 10, 1, {1}, {20}, 0}, 130},
    {{0, 150, 0, 0, 0, {0}, {0}, 0}, 64},
    /* whole: an image, an image behind others, queries without keys of their own */
    {{0, 257, 0, 0, 0, {0}, {0}, 0, true}, 88},
    {{100, 149, 90, 10, 1, {3}, {64}, 0, true}, 64},
    {{10, 42, 0, -32, 1, {50}, {307}, 0, true}, 64},
};

static void test_against_reference(void **state)
{
    (void)state;
    for (int level = 1; level < TEST_LEVELS; level++)
        for (size_t i = 0; test_has_level[level] && i < sizeof cases / sizeof cases[0]; i++)
            for (int type = 0; type < PFM_ACT_COUNT; type++)
                check_case(level, (pfm_act_type)type, &cases[i]);
}

/* Equal scores give the mean of the values that a query sees: of a whole span all of them, for the first query as for the last,
 * whether they are its own rows or an ancestor's. */
static void test_whole(void **state)
{
    (void)state;
    enum { KEYS = 41 };
    const pfm_attention_span spans[] = {
        {.q_end = KEYS, .whole = true},
        {.q_begin = 2, .q_end = 9, .own_past = -7, .ancestors = 1, .ancestor_end = {KEYS}, .whole = true}};
    for (int level = 0; level < TEST_LEVELS; level++) {
        const pfm_kernels *k = &test_tables[level];
        float same[KEYS] = {0}, v[KEYS], out[KEYS], lse[KEYS];
        void *scratch = NULL;
        for (int i = 0; i < KEYS; i++)
            v[i] = (float)i;
        for (size_t s = 0; test_has_level[level] && s < 2; s++) {
            assert_int_equal(posix_memalign(&scratch, 64, k->attention_scratch(1, KEYS) * sizeof(float)), 0);
            pfm_attention_head head = {same, same, v, 1, 1, 1, 1, 1, out, 1, lse, 1, NULL, NULL, NULL, NULL, 0, scratch};
            k->attention[PFM_ACT_F32](&head, &spans[s]);
            for (int32_t q = spans[s].q_begin; q < spans[s].q_end; q++)
                assert_true(fabsf(out[q] - 20) < 1e-4f && fabsf(lse[q] - logf(KEYS)) < 1e-5f);
            free(scratch);
        }
    }
}

/* A large score drowns the others without overflow, and the result is that key's value. */
static void test_large_scores(void **state)
{
    (void)state;
    enum { DIM = 2, KEYS = 40 };
    for (int level = 0; level < TEST_LEVELS; level++) {
        if (!test_has_level[level])
            continue;
        const pfm_kernels *k = &test_tables[level];
        float q[KEYS * DIM], keys[KEYS * DIM], v[KEYS * DIM], out[KEYS * DIM], lse[KEYS];
        void *scratch = NULL;
        assert_int_equal(posix_memalign(&scratch, 64, k->attention_scratch(DIM, KEYS) * sizeof(float)), 0);
        for (int i = 0; i < KEYS * DIM; i++) {
            q[i] = 100;
            keys[i] = i / DIM == 3 ? 100 : -100;
            v[i] = (float)i;
        }
        pfm_attention_head head = {.q = q,
                                   .k = keys,
                                   .v = v,
                                   .q_stride = DIM,
                                   .k_stride = DIM,
                                   .v_stride = DIM,
                                   .head_dim = DIM,
                                   .scale = 1,
                                   .out = out,
                                   .out_stride = DIM,
                                   .lse = lse,
                                   .lse_stride = 1,
                                   .scratch = scratch};
        pfm_attention_span span = {.q_begin = 0, .q_end = KEYS};
        k->attention[PFM_ACT_F32](&head, &span);
        assert_true(out[4 * DIM] == 6 && out[39 * DIM + 1] == 7 && lse[20] == 20000 && out[0] == 0 && lse[0] == -20000);
        free(scratch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_reference), cmocka_unit_test(test_large_scores),
                                       cmocka_unit_test(test_whole)};
    return cmocka_run_group_tests(tests, test_set_up_levels, NULL);
}
