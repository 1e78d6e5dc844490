/* Routers by hand: which experts a token takes, its gates, what capacity refuses, what is told of the rows, and the gradient of
 * the balance loss, which is that of no output. The generic test has the rest. */
#include "ops/op.h"

#include "base/random.h"
#include "test.h"

#include <math.h>

enum { ROWS = 3, TOKENS = 10, EXPERTS = 4 };

/* Two tokens that two rows share, and two of each row's own; and a row that shares none with them. */
static const pfm_token_row rows[ROWS] = {{0, 2, 2, 4}, {0, 2, 4, 6}, {6, 8, 8, 10}};

typedef struct fixture {
    pfm_context *context;
    pfm_op_environment env;
    pfm_op_call call;
    float logits[TOKENS * EXPERTS], gates[TOKENS * (EXPERTS + 1)], says[EXPERTS + 3], dlogits[TOKENS * EXPERTS],
        dgates[TOKENS * (EXPERTS + 1)];
    char *scratch;
} fixture;

static void set_up(fixture *f, int64_t experts, pfm_op_attributes attributes)
{
    pfm_error err = PFM_ERROR_INIT;
    memset(f, 0, sizeof *f);
    assert_ok(pfm_context_create(&(pfm_context_options){.threads = 2, .seed = 1}, &f->context, &err));
    f->env = (pfm_op_environment){.context = f->context,
                                  .kernels = f->context->kernels,
                                  .training = true,
                                  .rows = {[PFM_ROWS_SEQUENCE] = {.rows = rows, .count = ROWS, .scale = 0.5f}}};
    f->call = (pfm_op_call){.env = &f->env, .attributes = attributes};
    f->call.in[0] =
        (pfm_tensor){.data = f->logits, .dim = PFM_DIM_TOKENS, .rows = TOKENS, .columns = experts, .storage = PFM_STORAGE_F32};
    assert_ok(pfm_op_route.shape(&f->call, &err));
    f->scratch = aligned_alloc(64, pfm_op_align(pfm_op_route.scratch(&f->call, true)));
    assert_non_null(f->scratch);
    f->call.scratch = f->scratch;
    f->call.out[0].data = f->gates;
    f->call.out[1].data = f->says;
    f->call.din[0] = f->call.in[0];
    f->call.din[0].data = f->dlogits;
    f->call.dout[0] = f->call.out[0];
    f->call.dout[0].data = f->dgates;
}

static void tear_down(fixture *f)
{
    free(f->scratch);
    pfm_context_free(f->context);
}

static void assert_floats(const float *got, const float *wanted, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!(fabsf(got[i] - wanted[i]) <= 1e-6f))
            fail_msg("value %zu is %.7g, not %.7g", i, (double)got[i], (double)wanted[i]);
    }
}

static void several_experts_share_one_and_the_first_of_equals_comes_first(void **state)
{
    (void)state;
    fixture f;
    set_up(&f, 4, (pfm_op_attributes){.top_k = 2, .shared = true});
    const float logits[] = {1, 1, 0, 1, /**/ 0, 0, 0, 0, /**/ 0, logf(3), 0, logf(9)};
    memcpy(f.logits, logits, sizeof logits);
    pfm_op_route.forward(&f.call);
    static const float wanted[] = {0.5f, 0.5f, 0, 0, 1, /**/ 0.5f, 0.5f, 0, 0, 1, /**/ 0, 0.25f, 0, 0.75f, 1};
    assert_floats(f.gates, wanted, 15);
    tear_down(&f);
}

static void one_expert_counts_as_much_as_it_is_probable(void **state)
{
    (void)state;
    fixture f;
    set_up(&f, 4, (pfm_op_attributes){.top_k = 1});
    const float logits[] = {logf(2), logf(5), 0, logf(2), /**/ 0, 0, 0, 0};
    memcpy(f.logits, logits, sizeof logits);
    pfm_op_route.forward(&f.call);
    static const float wanted[] = {0, 0.5f, 0, 0, /**/ 0.25f, 0, 0, 0};
    assert_floats(f.gates, wanted, 8);
    tear_down(&f);
}

/* All want the first of two experts, which may take half of what came so far, rounded up: of each row the first and the third
 * token. The shared ones are decided once. */
static void capacity_refuses_who_comes_too_late(void **state)
{
    (void)state;
    fixture f;
    set_up(&f, 2, (pfm_op_attributes){.top_k = 1, .capacity = 1});
    for (int t = 0; t < TOKENS; t++)
        f.logits[2 * t] = logf(3);
    pfm_op_route.forward(&f.call);
    static const float wanted[] = {0.75f, 0, /**/ 0, 0, /**/ 0.75f, 0, /**/ 0, 0, /**/ 0.75f, 0, /**/ 0, 0};
    assert_floats(f.gates, wanted, 12);
    const float entropy = 0.75f * logf(4.0f / 3) + 0.25f * logf(4);
    const float says[] = {ROWS, 0, /* balance: 2 * (1 * .75 + 0 * .25) */ ROWS * 1.5f, ROWS * entropy, ROWS * 0.5f};
    assert_floats(f.says, says, 5);
    f.env.training = false; /* in answering nothing is refused, and nothing told */
    pfm_op_route.forward(&f.call);
    for (int t = 0; t < TOKENS; t++)
        assert_floats(f.gates + 2 * t, wanted, 2);
    assert_floats(f.says, (const float[]){0, 0, 0, 0, 0}, 5);
    tear_down(&f);
}

/* Sum over rows of E sum_e f_e P_e, f as given. */
static double balance_of(const float *logits, const double f[ROWS][EXPERTS])
{
    double sum = 0;
    for (int r = 0; r < ROWS; r++)
        for (int64_t i = 0; i < 4; i++) {
            const float *l = logits + pfm_token_row_at(&rows[r], i) * EXPERTS;
            double total = 0;
            for (int e = 0; e < EXPERTS; e++)
                total += exp((double)l[e]);
            for (int e = 0; e < EXPERTS; e++)
                sum += EXPERTS * f[r][e] * exp((double)l[e]) / total / 4;
        }
    return sum;
}

/* Each row's shares of what its tokens took, two each. */
static void find_shares(const float *logits, double f[ROWS][EXPERTS])
{
    memset(f, 0, ROWS * sizeof *f);
    for (int r = 0; r < ROWS; r++)
        for (int64_t i = 0; i < 4; i++) {
            const float *l = logits + pfm_token_row_at(&rows[r], i) * EXPERTS;
            for (int e = 0; e < EXPERTS; e++) {
                int above = 0;
                for (int other = 0; other < EXPERTS; other++)
                    above += l[other] > l[e];
                f[r][e] += above < 2 ? 1.0 / 8 : 0;
            }
        }
}

static void the_balance_loss_has_its_gradient(void **state)
{
    (void)state;
    fixture f;
    double shares[ROWS][EXPERTS];
    const double alpha = 0.75, step = 1e-3;
    set_up(&f, EXPERTS, (pfm_op_attributes){.alpha = (float)alpha, .top_k = 2});
    pfm_random random = pfm_random_start(3, 0);
    for (int i = 0; i < TOKENS * EXPERTS; i++)
        f.logits[i] = (float)pfm_random_normal(&random);
    find_shares(f.logits, shares);
    pfm_op_route.forward(&f.call);
    pfm_op_route.backward(&f.call); /* no gate's gradient: what comes is the balance loss's alone */
    for (int e = 0; e < EXPERTS; e++)
        assert_true(fabs((double)f.says[e] - shares[0][e] - shares[1][e] - shares[2][e]) < 1e-6);
    assert_true(fabs((double)f.says[EXPERTS] - balance_of(f.logits, shares)) < 1e-6);
    for (int i = 0; i < TOKENS * EXPERTS; i++) {
        float moved[TOKENS * EXPERTS];
        double side[2];
        for (int s = 0; s < 2; s++) {
            memcpy(moved, f.logits, sizeof moved);
            moved[i] += (float)(s == 0 ? step : -step);
            side[s] = balance_of(moved, shares);
        }
        const double slope = alpha * 0.5 * (side[0] - side[1]) / (2 * step);
        if (!(fabs(slope - (double)f.dlogits[i]) < 1e-5))
            fail_msg("logit %d: slope %.6g, gradient %.6g", i, slope, (double)f.dlogits[i]);
    }
    f.env.training = false;
    pfm_op_route.backward(&f.call);
    for (int i = 0; i < TOKENS * EXPERTS; i++)
        assert_true(f.dlogits[i] == 0);
    tear_down(&f);
}

static void wrong_shapes_are_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const pfm_tensor logits = {.dim = PFM_DIM_TOKENS, .rows = 3, .columns = 4, .storage = PFM_STORAGE_F32};
    pfm_op_call call = {.in = {logits}, .attributes = {.top_k = 5}};
    assert_error(pfm_op_route.shape(&call, &err), PFM_ERROR_MISMATCH, "more than there are");
    call.attributes.top_k = 0;
    assert_error(pfm_op_route.shape(&call, &err), PFM_ERROR_MISMATCH, "takes no expert");
    call.attributes.top_k = 1;
    call.in[0].columns = 65;
    assert_error(pfm_op_route.shape(&call, &err), PFM_ERROR_MISMATCH, "more than 64 experts");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_experts_share_one_and_the_first_of_equals_comes_first),
        cmocka_unit_test(one_expert_counts_as_much_as_it_is_probable),
        cmocka_unit_test(capacity_refuses_who_comes_too_late),
        cmocka_unit_test(the_balance_loss_has_its_gradient),
        cmocka_unit_test(wrong_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
