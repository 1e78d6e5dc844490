/* Rows side by side: y = (a | b). in[0] a f32 [R,A]; in[1] b f32 [R,B]; out[0] y f32 [R,A+B]. */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *a = &call->in[0], *b = &call->in[1];
    call->out[0] = (pfm_tensor){.dim = a->dim, .rows = a->rows, .columns = a->columns + b->columns, .storage = PFM_STORAGE_F32};
    return pfm_op_require(a->storage == PFM_STORAGE_F32 && b->storage == PFM_STORAGE_F32 && a->rows == b->rows &&
                              a->dim == b->dim && a->columns > 0 && b->columns > 0,
                          "join", "the parts are not f32, or differ in rows", err);
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const pfm_tensor *a = &call->in[0], *b = &call->in[1];
    const pfm_act_type act = call->env->act;
    for (int64_t r = begin; r < end; r++) {
        float *y = pfm_tensor_row(&call->out[0], r, act);
        memcpy(y, pfm_tensor_row(a, r, act), (size_t)a->columns * sizeof *y);
        memcpy(y + a->columns, pfm_tensor_row(b, r, act), (size_t)b->columns * sizeof *y);
    }
}

static void forward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, forward_rows); }

static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const pfm_act_type act = call->env->act;
    for (int64_t r = begin; r < end; r++) {
        const float *dy = pfm_tensor_row(&call->dout[0], r, act);
        for (int i = 0; i < 2; dy += call->in[i++].columns) {
            float *dx = call->din[i].data != NULL ? pfm_tensor_row(&call->din[i], r, act) : NULL;
            for (int64_t j = 0; dx != NULL && j < call->in[i].columns; j++)
                dx[j] = dy[j] + (call->accumulate[i] ? dx[j] : 0);
        }
    }
}

static void backward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, backward_rows); }

static double operations(const pfm_op_call *call)
{
    (void)call;
    return 0;
}

static const pfm_op_case cases[] = {
    {"narrow and wide", {{19, 5, PFM_STORAGE_F32, 0}, {19, 34, PFM_STORAGE_F32, 0}}, {{0}}, {0}},
    {0},
};

const pfm_op pfm_op_join = {.name = "join",
                            .shape = shape,
                            .forward = forward,
                            .backward = backward,
                            .operations = operations,
                            .gradients = 3u,
                            .operand_gradients = 0u,
                            .accumulates = 3u,
                            .passes = -1,
                            .cases = cases};
