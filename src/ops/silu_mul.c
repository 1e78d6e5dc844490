/* y = silu(gate) * up, silu(x) = x / (1 + exp(-x)): the gate of SwiGLU (Shazeer, GLU Variants Improve Transformer, 2020).
 * in[0] gate, in[1] up, out[0] y: act [R,C]. */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *gate = &call->in[0], *up = &call->in[1];
    call->out[0] = *gate;
    return pfm_op_require(gate->storage == PFM_STORAGE_ACT && up->storage == PFM_STORAGE_ACT && gate->columns == up->columns &&
                              gate->rows == up->rows && gate->dim == up->dim,
                          "silu_mul", "gate and up differ in shape", err);
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    pfm_act_type act = call->env->act;
    call->env->kernels->silu_mul[act](pfm_tensor_row(&call->in[0], begin, act), pfm_tensor_row(&call->in[1], begin, act),
                                      pfm_tensor_row(&call->out[0], begin, act), (size_t)((end - begin) * call->in[0].columns));
}

static void forward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, forward_rows); }

static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    pfm_act_type act = call->env->act;
    call->env->kernels->silu_mul_backward[act](
        pfm_tensor_row(&call->in[0], begin, act), pfm_tensor_row(&call->in[1], begin, act),
        pfm_tensor_row(&call->dout[0], begin, act), pfm_tensor_row(&call->din[0], begin, act),
        pfm_tensor_row(&call->din[1], begin, act), (size_t)((end - begin) * call->in[0].columns));
}

static void backward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, backward_rows); }

static double operations(const pfm_op_call *call) { return 5.0 * (double)call->in[0].rows * (double)call->in[0].columns; }

static const pfm_op_case cases[] = {
    {"odd", {{17, 13, PFM_STORAGE_ACT, 0}, {17, 13, PFM_STORAGE_ACT, 0}}, {{0}}, {0}},
    {"wide", {{2, 1536, PFM_STORAGE_ACT, 0}, {2, 1536, PFM_STORAGE_ACT, 0}}, {{0}}, {0}},
    {0},
};

const pfm_op pfm_op_silu_mul = {.name = "silu_mul",
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
