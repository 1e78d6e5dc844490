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

/* y = w x */
static void scale_f32(float w, const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = w * x[i];
}

static void scale_bf16(float w, const pfm_bf16 *x, pfm_bf16 *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = pfm_bf16_from_f32(w * pfm_bf16_to_f32(x[i]));
}

static float sum_f32(const float *x, const float *y, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)y[i];
    return (float)sum;
}

static float sum_bf16(const pfm_bf16 *x, const pfm_bf16 *y, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)pfm_bf16_to_f32(x[i]) * (double)pfm_bf16_to_f32(y[i]);
    return (float)sum;
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
        for (size_t g = 0; g < groups; g++) {
            if (gates[g] == 0) /* what no token takes stays out, whatever it is */
                memset((char *)y + g * run * pfm_act_size(act), 0, run * pfm_act_size(act));
            else if (act == PFM_ACT_F32)
                scale_f32(gates[g], (const float *)x + g * run, (float *)y + g * run, run);
            else
                scale_bf16(gates[g], (const pfm_bf16 *)x + g * run, (pfm_bf16 *)y + g * run, run);
        }
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
        for (size_t g = 0; g < groups; g++)
            dgates[g] = act == PFM_ACT_F32 ? sum_f32((const float *)x + g * run, (const float *)dy + g * run, run)
                                           : sum_bf16((const pfm_bf16 *)x + g * run, (const pfm_bf16 *)dy + g * run, run);
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
