/* y = x f(x) element by element, f as attributes.activation says (kernels/kernels.h). in[0] x, out[0] y: act [R,C]. */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    call->out[0] = call->in[0];
    pfm_status status =
        pfm_op_require(call->in[0].storage == PFM_STORAGE_ACT, "activate", "the input is not an activation", err);
    if (status == PFM_OK)
        status = pfm_op_require(call->attributes.activation < PFM_ACTIVATION_COUNT, "activate", "there is no such kind", err);
    return status;
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    pfm_act_type act = call->env->act;
    call->env->kernels->activate[act](call->attributes.activation, pfm_tensor_row(&call->in[0], begin, act),
                                      pfm_tensor_row(&call->out[0], begin, act), (size_t)((end - begin) * call->in[0].columns));
}

static void forward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, forward_rows); }

static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    pfm_act_type act = call->env->act;
    call->env->kernels->activate_backward[act](
        call->attributes.activation, pfm_tensor_row(&call->in[0], begin, act), pfm_tensor_row(&call->dout[0], begin, act),
        pfm_tensor_row(&call->din[0], begin, act), (size_t)((end - begin) * call->in[0].columns));
}

static void backward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, backward_rows); }

static double operations(const pfm_op_call *call) { return 5.0 * (double)call->in[0].rows * (double)call->in[0].columns; }

static const pfm_op_case cases[] = {
    {"gelu", {{17, 13, PFM_STORAGE_ACT, 0}}, {{0}}, {.activation = PFM_ACTIVATION_GELU}},
    {"gelu_tanh", {{17, 13, PFM_STORAGE_ACT, 0}}, {{0}}, {.activation = PFM_ACTIVATION_GELU_TANH}},
    {"quick_gelu", {{2, 1536, PFM_STORAGE_ACT, 0}}, {{0}}, {.activation = PFM_ACTIVATION_QUICK_GELU}},
    {"silu", {{1, 7, PFM_STORAGE_ACT, 0}}, {{0}}, {.activation = PFM_ACTIVATION_SILU}},
    {0},
};

const pfm_op pfm_op_activate = {.name = "activate",
                                .shape = shape,
                                .forward = forward,
                                .backward = backward,
                                .operations = operations,
                                .backward_inputs = 1u,
                                .gradients = 1u,
                                .operand_gradients = 0u,
                                .accumulates = 0,
                                .passes = -1,
                                .cases = cases};
