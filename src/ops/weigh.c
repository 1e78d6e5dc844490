/* Experts side by side, each times its gate: y[t, n g + j] = gates[t, g] x[t, n g + j], n columns an expert. What follows is
 * one product with the experts' weights side by side, so that a mixture costs two products and gathers nothing. in[0] x act [T,
 * G n]; in[1] gates f32 [T,G]; out[0] y act [T, G n]. dx = gates dy; dgates = the sum of dy x over an expert's columns. */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *x = &call->in[0], *gates = &call->in[1];
    call->out[0] = *x;
    return pfm_op_require(x->storage == PFM_STORAGE_ACT && gates->storage == PFM_STORAGE_F32 && x->rows == gates->rows &&
                              x->dim == gates->dim && gates->columns > 0 && x->columns % gates->columns == 0,
                          "weigh", "there is not one gate for each run of columns", err);
}

static float get(const void *row, size_t i, pfm_act_type act)
{
    return act == PFM_ACT_F32 ? ((const float *)row)[i] : pfm_bf16_to_f32(((const pfm_bf16 *)row)[i]);
}

static void put(void *row, size_t i, pfm_act_type act, float value)
{
    if (act == PFM_ACT_F32)
        ((float *)row)[i] = value;
    else
        ((pfm_bf16 *)row)[i] = pfm_bf16_from_f32(value);
}

/* to = from times the gates. */
static void scale_rows(const pfm_op_call *call, const pfm_tensor *from, const pfm_tensor *to, int64_t begin, int64_t end)
{
    const pfm_act_type act = call->env->act;
    const size_t groups = (size_t)call->in[1].columns, run = (size_t)from->columns / groups;
    for (int64_t t = begin; t < end; t++) {
        const float *gates = pfm_tensor_row(&call->in[1], t, act);
        const void *x = pfm_tensor_row(from, t, act);
        void *y = pfm_tensor_row(to, t, act);
        for (size_t g = 0; g < groups; g++)
            for (size_t i = g * run; i < (g + 1) * run; i++)
                put(y, i, act, gates[g] * get(x, i, act));
    }
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    scale_rows(call, &call->in[0], &call->out[0], begin, end);
}

static void forward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, forward_rows); }

static void gate_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const pfm_act_type act = call->env->act;
    const size_t groups = (size_t)call->in[1].columns, run = (size_t)call->in[0].columns / groups;
    for (int64_t t = begin; t < end; t++) {
        const void *x = pfm_tensor_row(&call->in[0], t, act), *dy = pfm_tensor_row(&call->dout[0], t, act);
        float *dgates = pfm_tensor_row(&call->din[1], t, act);
        for (size_t g = 0; g < groups; g++) {
            double sum = 0;
            for (size_t i = g * run; i < (g + 1) * run; i++)
                sum += (double)get(dy, i, act) * (double)get(x, i, act);
            dgates[g] = (float)sum;
        }
    }
}

static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    if (call->din[0].data != NULL)
        scale_rows(call, &call->dout[0], &call->din[0], begin, end);
    if (call->din[1].data != NULL)
        gate_rows(call, begin, end);
}

static void backward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, backward_rows); }

static double operations(const pfm_op_call *call) { return (double)call->in[0].rows * (double)call->in[0].columns; }

static const pfm_op_case cases[] = {
    {"three of five columns", {{17, 15, PFM_STORAGE_ACT, 0}, {17, 3, PFM_STORAGE_F32, 0}}, {{0}}, {0}},
    {"one row", {{1, 64, PFM_STORAGE_ACT, 0}, {1, 8, PFM_STORAGE_F32, 0}}, {{0}}, {0}},
    {0},
};

const pfm_op pfm_op_weigh = {.name = "weigh",
                             .shape = shape,
                             .forward = forward,
                             .backward = backward,
                             .operations = operations,
                             .backward_inputs = 3u,
                             .gradients = 3u,
                             .operand_gradients = 0u,
                             .accumulates = 0,
                             .passes = -1,
                             .cases = cases};
