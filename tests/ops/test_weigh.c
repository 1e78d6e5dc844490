/* Gates by hand in both precisions: what they weigh, both derivatives, and that a gate of zero leaves out whatever an expert
 * computed. The generic test has the rest. */
#include "ops/op.h"

#include "base/dtype.h"
#include "test.h"

#include <math.h>

enum { RUN = 3, GROUPS = 2, COLUMNS = RUN * GROUPS };

/* A row of activations, in either precision. */
typedef struct row {
    float wide[COLUMNS];
    pfm_bf16 narrow[COLUMNS];
} row;

static void *data_of(row *r, pfm_act_type act) { return act == PFM_ACT_F32 ? (void *)r->wide : (void *)r->narrow; }

static row row_of(const float *values)
{
    row r;
    for (int i = 0; i < COLUMNS; i++) {
        r.wide[i] = values[i];
        r.narrow[i] = pfm_bf16_from_f32(values[i]);
    }
    return r;
}

static void assert_row(const row *r, pfm_act_type act, const float *wanted)
{
    for (int i = 0; i < COLUMNS; i++) {
        const float got = act == PFM_ACT_F32 ? r->wide[i] : pfm_bf16_to_f32(r->narrow[i]);
        if (got != wanted[i])
            fail_msg("column %d is %g, not %g", i, (double)got, (double)wanted[i]);
    }
}

typedef struct fixture {
    pfm_context *context;
    pfm_op_environment env;
    pfm_op_call call;
    row x, y, dx, dy;
    float gates[GROUPS], dgates[GROUPS];
} fixture;

static void set_up(fixture *f, pfm_act_type act, const float *x, const float *dy)
{
    pfm_error err = PFM_ERROR_INIT;
    *f = (fixture){.x = row_of(x), .dy = row_of(dy), .gates = {0, 0.5f}};
    assert_ok(pfm_context_create(&(pfm_context_options){.threads = 1, .seed = 1}, &f->context, &err));
    f->env = (pfm_op_environment){.context = f->context, .kernels = f->context->kernels, .act = act};
    f->call.env = &f->env;
    f->call.in[0] = (pfm_tensor){
        .data = data_of(&f->x, act), .dim = PFM_DIM_TOKENS, .rows = 1, .columns = COLUMNS, .storage = PFM_STORAGE_ACT};
    f->call.in[1] =
        (pfm_tensor){.data = f->gates, .dim = PFM_DIM_TOKENS, .rows = 1, .columns = GROUPS, .storage = PFM_STORAGE_F32};
    assert_ok(pfm_op_weigh.shape(&f->call, &err));
    f->call.out[0].data = data_of(&f->y, act);
    f->call.dout[0] = f->call.din[0] = f->call.in[0];
    f->call.dout[0].data = data_of(&f->dy, act);
    f->call.din[0].data = data_of(&f->dx, act);
    f->call.din[1] = f->call.in[1];
    f->call.din[1].data = f->dgates;
}

static void runs_of_columns_are_weighed(void **state)
{
    (void)state;
    static const float x[COLUMNS] = {1, 2, 3, 4, -6, 8}, dy[COLUMNS] = {2, 0, -1, 4, 1, 0.5f}, y[COLUMNS] = {0, 0, 0, 2, -3, 4},
                       dx[COLUMNS] = {0, 0, 0, 2, 0.5f, 0.25f};
    for (int act = 0; act < PFM_ACT_COUNT; act++) {
        fixture f;
        set_up(&f, (pfm_act_type)act, x, dy);
        pfm_op_weigh.forward(&f.call);
        pfm_op_weigh.backward(&f.call);
        assert_row(&f.y, f.env.act, y);
        assert_row(&f.dx, f.env.act, dx);
        assert_true(f.dgates[0] == -1 && f.dgates[1] == 14);
        pfm_context_free(f.context);
    }
}

static void what_is_not_taken_stays_out(void **state)
{
    (void)state;
    static const float x[COLUMNS] = {INFINITY, NAN, -INFINITY, 1, -2, 3}, y[COLUMNS] = {0, 0, 0, 0.5f, -1, 1.5f};
    for (int act = 0; act < PFM_ACT_COUNT; act++) {
        fixture f;
        set_up(&f, (pfm_act_type)act, x, x);
        pfm_op_weigh.forward(&f.call);
        pfm_op_weigh.backward(&f.call);
        assert_row(&f.y, f.env.act, y);
        assert_row(&f.dx, f.env.act, y);
        pfm_context_free(f.context);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_of_columns_are_weighed),
        cmocka_unit_test(what_is_not_taken_stays_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
