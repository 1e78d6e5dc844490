/* y = tanh(x) element by element. in[0] x act [R,C]; out[0] y act [R,C]. dx = (1 - y^2) dy. */
#include "ops/op.h"

#include <math.h>

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    call->out[0] = call->in[0];
    return pfm_op_require(call->in[0].storage == PFM_STORAGE_ACT, "tanh", "the input is not an activation", err);
}

static float load(const pfm_op_call *call, const pfm_tensor *x, int64_t i)
{
    return call->env->act == PFM_ACT_F32 ? ((const float *)x->data)[i] : pfm_bf16_to_f32(((const pfm_bf16 *)x->data)[i]);
}

static void store(const pfm_op_call *call, const pfm_tensor *x, int64_t i, float value)
{
    if (call->env->act == PFM_ACT_F32)
        ((float *)x->data)[i] = value;
    else
        ((pfm_bf16 *)x->data)[i] = pfm_bf16_from_f32(value);
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    for (int64_t i = begin * call->in[0].columns; i < end * call->in[0].columns; i++)
        store(call, &call->out[0], i, tanhf(load(call, &call->in[0], i)));
}

static void forward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, forward_rows); }

static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    for (int64_t i = begin * call->in[0].columns; i < end * call->in[0].columns; i++) {
        const float y = load(call, &call->out[0], i);
        store(call, &call->din[0], i, (1 - y * y) * load(call, &call->dout[0], i));
    }
}

static void backward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, backward_rows); }

static double operations(const pfm_op_call *call) { return (double)call->in[0].rows * (double)call->in[0].columns; }

static const pfm_op_case cases[] = {
    {"some rows", {{17, 13, PFM_STORAGE_ACT, 0}}, {{0}}, {0}},
    {"one row", {{1, 64, PFM_STORAGE_ACT, 0}}, {{0}}, {0}},
    {0},
};

const pfm_op pfm_op_tanh = {.name = "tanh",
                            .shape = shape,
                            .forward = forward,
                            .backward = backward,
                            .operations = operations,
                            .backward_outputs = 1u << 0,
                            .gradients = 1u,
                            .passes = -1,
                            .cases = cases};
