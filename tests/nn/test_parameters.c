#include "test.h"

#include "base/expand_blocks.h"
#include "base/quantise.h"
#include "base/random.h"
#include "nn/parameters.h"

#include <math.h>

static pfm_context *context;

static int set_up(void **state)
{
    (void)state;
    const pfm_context_options options = {.threads = 2, .home = "/nonexistent"};
    return pfm_context_create(&options, &context, NULL) == PFM_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    pfm_context_free(context);
    return 0;
}

static int declare(pfm_parameters *parameters, pfm_parameter declaration)
{
    pfm_error err = PFM_ERROR_INIT;
    int id = -1;
    assert_ok(pfm_parameters_declare(parameters, &declaration, &id, &err));
    return id;
}

static pfm_parameters *create(pfm_act_type act, bool training)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_parameters *out = NULL;
    assert_ok(pfm_parameters_create(context, act, training, &out, &err));
    return out;
}

static pfm_parameter uniform(const char *name)
{
    return (pfm_parameter){.name = (char *)(uintptr_t)name,
                           .n = 50,
                           .k = 40,
                           .uses = PFM_USE_FORWARD | PFM_USE_BACKWARD,
                           .trainable = true,
                           .initial = PFM_INITIAL_UNIFORM,
                           .initial_scale = 0.25};
}

static void a_name_and_a_seed_make_the_values(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_parameters *one = create(PFM_ACT_F32, true), *two = create(PFM_ACT_F32, true), *three = create(PFM_ACT_F32, true);
    int a1 = declare(one, uniform("a")), b1 = declare(one, uniform("b"));
    int b2 = declare(two, uniform("b")), a2 = declare(two, uniform("a")), a3 = declare(three, uniform("a"));
    assert_ok(pfm_parameters_allocate(one, &err));
    assert_ok(pfm_parameters_allocate(two, &err));
    assert_ok(pfm_parameters_allocate(three, &err));
    assert_ok(pfm_parameters_initialise(one, 3, true, &err));
    assert_ok(pfm_parameters_initialise(two, 3, true, &err));
    assert_ok(pfm_parameters_initialise(three, 4, true, &err));
    const size_t bytes = 2000 * sizeof(float);
    const float *values = pfm_parameters_get(one, a1)->values;
    assert_memory_equal(values, pfm_parameters_get(two, a2)->values, bytes);
    assert_memory_equal(pfm_parameters_get(one, b1)->values, pfm_parameters_get(two, b2)->values, bytes);
    assert_memory_not_equal(values, pfm_parameters_get(one, b1)->values, bytes);
    assert_memory_not_equal(values, pfm_parameters_get(three, a3)->values, bytes);
    double most = 0, sum = 0, squares = 0;
    for (int i = 0; i < 2000; i++) {
        most = fmax(most, fabs((double)values[i]));
        sum += values[i];
        squares += (double)values[i] * values[i];
    }
    assert_true(most <= 0.25 && most > 0.245 && fabs(sum / 2000) < 0.01);
    assert_true(fabs(sqrt(squares / 2000) - 0.25 / sqrt(3)) < 0.01);
    pfm_parameters_free(one);
    pfm_parameters_free(two);
    pfm_parameters_free(three);
}

static void normal_and_zero_are_what_they_say(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_parameters *parameters = create(PFM_ACT_F32, false);
    pfm_parameter normal = uniform("normal"), zero = uniform("zero");
    normal.initial = PFM_INITIAL_NORMAL;
    zero.initial = PFM_INITIAL_ZERO;
    int n = declare(parameters, normal), z = declare(parameters, zero);
    assert_ok(pfm_parameters_allocate(parameters, &err));
    assert_ok(pfm_parameters_initialise(parameters, 1, true, &err));
    double squares = 0;
    int outside = 0;
    for (int i = 0; i < 2000; i++) {
        float value = pfm_parameters_get(parameters, n)->values[i];
        squares += (double)value * value;
        outside += fabsf(value) > 0.5f; /* two deviations: one in 22 */
        assert_true(pfm_parameters_get(parameters, z)->values[i] == 0);
    }
    assert_true(fabs(sqrt(squares / 2000) - 0.25) < 0.01);
    assert_in_range(outside, 60, 125);
    pfm_parameters_free(parameters);
}

static void declarations_are_counted_and_checked(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_parameters *parameters = create(PFM_ACT_F32, true);
    int id = declare(parameters, uniform("a")), other;
    pfm_parameter frozen = {.name = (char *)(uintptr_t) "frozen", .n = 7, .k = 1, .uses = PFM_USE_VALUES};
    (void)declare(parameters, frozen);
    assert_int_equal(pfm_parameters_count(parameters), 2);
    assert_int_equal(pfm_parameters_find(parameters, "a"), id);
    assert_int_equal(pfm_parameters_find(parameters, "b"), -1);
    assert_int_equal(pfm_parameters_trainable(parameters), 2000);
    assert_int_equal(pfm_parameters_total(parameters), 2007);
    assert_error(pfm_parameters_declare(parameters, &frozen, &other, &err), PFM_ERROR_MISMATCH, "frozen is declared twice");
    pfm_parameter bad = uniform("bad");
    bad.n = 0;
    assert_error(pfm_parameters_declare(parameters, &bad, &other, &err), PFM_ERROR_MISMATCH,
                 "bad cannot have the shape 0 x 40");
    bad.n = INT64_MAX / 4;
    assert_error(pfm_parameters_declare(parameters, &bad, &other, &err), PFM_ERROR_MISMATCH, "bad cannot have the shape");
    pfm_parameters_free(parameters);
}

/* Rows as they are kept: in f32, rounded to bf16, or to blocks, whether these are made here or come from a file. */
static void lengths_are_of_rows_as_they_are_kept(void **state)
{
    (void)state;
    static const struct {
        pfm_act_type act;
        pfm_dtype blocks;
    } cases[] = {{PFM_ACT_F32, PFM_DTYPE_F32},  {PFM_ACT_BF16, PFM_DTYPE_F32}, {PFM_ACT_F32, PFM_DTYPE_Q4_0},
                 {PFM_ACT_BF16, PFM_DTYPE_NF4}, {PFM_ACT_F32, PFM_DTYPE_Q4_K}, {PFM_ACT_F32, PFM_DTYPE_Q8_0}};
    enum { ROWS = 40, COLUMNS = 512 };
    static float values[ROWS * COLUMNS], kept[COLUMNS];
    static unsigned char blocks[ROWS * COLUMNS * 2];
    pfm_random random = pfm_random_start(4, 4);
    for (int i = 0; i < ROWS * COLUMNS; i++)
        values[i] = (float)pfm_random_normal(&random);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        pfm_error err = PFM_ERROR_INIT;
        const bool quantised = pfm_dtype_quantises(cases[c].blocks);
        pfm_parameters *parameters = create(cases[c].act, true);
        const pfm_parameter frozen = {.name = (char *)(uintptr_t) "frozen",
                                      .n = ROWS,
                                      .k = COLUMNS,
                                      .uses = PFM_USE_FORWARD | PFM_USE_BACKWARD | PFM_USE_NORMS,
                                      .blocks = cases[c].blocks},
                            lengths = {.name = (char *)(uintptr_t) "lengths",
                                       .n = ROWS,
                                       .k = 1,
                                       .uses = PFM_USE_VALUES,
                                       .trainable = true,
                                       .initial = PFM_INITIAL_NORMS};
        const int id = declare(parameters, frozen), learned = declare(parameters, lengths);
        assert_ok(pfm_parameters_allocate(parameters, &err));
        pfm_parameters_set(parameters, id, values);
        assert_ok(pfm_parameters_initialise(parameters, 1, true, &err));
        const pfm_parameter *p = pfm_parameters_get(parameters, id), *q = pfm_parameters_get(parameters, learned);
        for (int row = 0; row < ROWS; row++) {
            double squares = 0;
            memcpy(kept, values + row * COLUMNS, sizeof kept);
            if (quantised)
                pfm_round_to_blocks(cases[c].blocks, kept, COLUMNS, kept);
            for (int i = 0; i < COLUMNS; i++) {
                const float x =
                    !quantised && cases[c].act == PFM_ACT_BF16 ? pfm_bf16_to_f32(pfm_bf16_from_f32(kept[i])) : kept[i];
                squares += (double)x * x;
            }
            assert_true(fabs(p->row_norms[row] - sqrt(squares)) <= 1e-6 * sqrt(squares));
            assert_true(q->values[row] == p->row_norms[row]);
        }
        memcpy(kept, p->row_norms, ROWS * sizeof *kept);
        for (size_t b = 0; quantised && b < ROWS * COLUMNS / pfm_dtype_get_info(cases[c].blocks)->block_values; b++)
            pfm_quantise_block(cases[c].blocks, values + b * pfm_dtype_get_info(cases[c].blocks)->block_values,
                               pfm_dtype_get_info(cases[c].blocks)->block_values,
                               blocks + b * pfm_dtype_get_info(cases[c].blocks)->block_bytes);
        if (quantised) {
            memset(p->row_norms, 0, ROWS * sizeof *p->row_norms);
            pfm_parameters_set_blocks(parameters, id, 0, ROWS, blocks);
            assert_memory_equal(p->row_norms, kept, ROWS * sizeof *kept);
        }
        pfm_parameters_free(parameters);
    }
}

static void only_what_trains_has_gradient_and_moments(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    for (int training = 0; training < 2; training++) {
        pfm_parameters *parameters = create(PFM_ACT_BF16, training != 0);
        pfm_parameter frozen = uniform("frozen");
        frozen.trainable = false;
        const pfm_parameter *p = pfm_parameters_get(parameters, declare(parameters, frozen));
        int id = declare(parameters, uniform("trained"));
        size_t promised = pfm_parameters_bytes(parameters);
        assert_ok(pfm_parameters_allocate(parameters, &err));
        p = pfm_parameters_get(parameters, 0);
        assert_true(p->values == NULL && p->gradient == NULL && p->packed_forward != NULL); /* the kernels' form only */
        assert_int_equal(p->packed_backward != NULL, training);
        p = pfm_parameters_get(parameters, id);
        assert_non_null(p->values);
        assert_int_equal(p->gradient != NULL && p->moment1 != NULL && p->moment2 != NULL, training);
        assert_int_equal(pfm_parameters_bytes(parameters), promised);
        assert_true(promised >= (training ? 4u : 1u) * 2000 * sizeof(float));
        if (training) {
            p->gradient[7] = 1;
            pfm_parameters_zero_gradients(parameters);
            assert_true(p->gradient[7] == 0);
        }
        pfm_parameters_free(parameters);
    }
}

/* After a step the kernels read the new values: repacking gives what setting gives. */
static void repacking_follows_the_values(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    for (int act = 0; act < PFM_ACT_COUNT; act++) {
        pfm_parameters *parameters = create((pfm_act_type)act, true);
        int a = declare(parameters, uniform("a")), b = declare(parameters, uniform("b"));
        pfm_parameters_use(parameters, a, PFM_USE_ROWS);
        pfm_parameters_use(parameters, b, PFM_USE_ROWS);
        assert_ok(pfm_parameters_allocate(parameters, &err));
        assert_ok(pfm_parameters_initialise(parameters, 1, true, &err));
        const pfm_parameter *pa = pfm_parameters_get(parameters, a), *pb = pfm_parameters_get(parameters, b);
        size_t forward = context->kernels->gemm_pack_size[act](50, 40),
               backward = context->kernels->gemm_pack_size[act](40, 50);
        assert_memory_not_equal(pa->packed_forward, pb->packed_forward, forward);
        memcpy(pb->values, pa->values, 2000 * sizeof(float));
        pfm_parameters_repack(parameters);
        assert_memory_equal(pa->packed_forward, pb->packed_forward, forward);
        assert_memory_equal(pa->packed_backward, pb->packed_backward, backward);
        assert_memory_equal(pa->rows, pb->rows, 2000 * pfm_act_size((pfm_act_type)act));
        pfm_parameters_free(parameters);
    }
}

/* A frozen matrix set some rows at a time, in full precision and quantised, with values at the kernels' disposal or without. */
static void rows_in_turn_make_the_whole(void **state)
{
    (void)state;
    enum { N = 2500, K = 40 };
    pfm_error err = PFM_ERROR_INIT;
    static const pfm_weight_format formats[] = {PFM_WEIGHTS_FULL, PFM_WEIGHTS_Q8_0, PFM_WEIGHTS_Q4_1};
    static const pfm_dtype types[] = {PFM_DTYPE_F32, PFM_DTYPE_Q8_0, PFM_DTYPE_Q4_1};
    static float values[N * K];
    for (int i = 0; i < N * K; i++)
        values[i] = (float)((i * 7919) % 2003) / 1000 - 1;
    for (int f = 0; f < 3; f++)
        for (int act = 0; act < PFM_ACT_COUNT; act++) {
            context->weights = formats[f];
            pfm_parameters *parameters = create((pfm_act_type)act, false);
            pfm_parameter frozen = uniform("whole");
            frozen.trainable = false;
            frozen.n = N;
            frozen.uses |= PFM_USE_ROWS | PFM_USE_VALUES;
            int whole = declare(parameters, frozen);
            frozen.name = (char *)(uintptr_t) "rows";
            int rows = declare(parameters, frozen);
            assert_ok(pfm_parameters_allocate(parameters, &err));
            int64_t once = pfm_parameters_rows_at_once(parameters, rows);
            assert_in_range(once, 1, N / 2);
            pfm_parameters_set(parameters, whole, values);
            for (int64_t row = 0; row < N; row += once)
                pfm_parameters_set_rows(parameters, rows, row, N - row < once ? N - row : once, values + row * K);
            const pfm_parameter *a = pfm_parameters_get(parameters, whole), *b = pfm_parameters_get(parameters, rows);
            if (f == 0)
                assert_memory_equal(a->packed_forward, b->packed_forward, context->kernels->gemm_pack_size[act](N, K));
            else
                assert_memory_equal(a->quantised, b->quantised, context->kernels->quant_pack_size(types[f], N, K));
            assert_memory_equal(a->rows, b->rows, N * K * pfm_act_size((pfm_act_type)act));
            assert_memory_equal(b->values, values, sizeof values);
            pfm_parameters_free(parameters);
            context->weights = PFM_WEIGHTS_FULL;
        }
}

/* Where a run follows that brings what trains, only the rest is drawn. */
static void what_a_run_brings_is_not_drawn(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_parameters *parameters = create(PFM_ACT_F32, false);
    pfm_parameter frozen = uniform("frozen");
    frozen.trainable = false;
    frozen.uses |= PFM_USE_VALUES;
    int f = declare(parameters, frozen), t = declare(parameters, uniform("trained"));
    assert_ok(pfm_parameters_allocate(parameters, &err));
    assert_ok(pfm_parameters_initialise(parameters, 1, false, &err));
    int drawn = 0;
    for (int i = 0; i < 2000; i++) {
        drawn += pfm_parameters_get(parameters, f)->values[i] != 0;
        assert_true(pfm_parameters_get(parameters, t)->values[i] == 0);
    }
    assert_true(drawn > 1990);
    pfm_parameters_free(parameters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_and_a_seed_make_the_values),    cmocka_unit_test(normal_and_zero_are_what_they_say),
        cmocka_unit_test(declarations_are_counted_and_checked), cmocka_unit_test(only_what_trains_has_gradient_and_moments),
        cmocka_unit_test(rows_in_turn_make_the_whole),          cmocka_unit_test(what_a_run_brings_is_not_drawn),
        cmocka_unit_test(repacking_follows_the_values),         cmocka_unit_test(lengths_are_of_rows_as_they_are_kept),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
