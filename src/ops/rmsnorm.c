/* y = w x / sqrt(mean(x^2) + epsilon), row by row (Zhang and Sennrich, Root Mean Square Layer Normalization, 2019).
 * in[0] x f32 [R,C]; operand[0] w [C]; out[0] y act [R,C]; out[1] the factor 1/sqrt(...) f32 [R,1], kept for the backward. */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *x = &call->in[0];
    pfm_status status = pfm_op_require(x->storage == PFM_STORAGE_F32, "rmsnorm", "the input is not f32", err);
    if (status == PFM_OK)
        status = pfm_op_require(call->operand[0].n == x->columns && call->operand[0].k == 1, "rmsnorm",
                                "the weight is not as long as a row", err);
    call->out[0] = (pfm_tensor){.dim = x->dim, .rows = x->rows, .columns = x->columns, .storage = PFM_STORAGE_ACT};
    call->out[1] = (pfm_tensor){.dim = x->dim, .rows = x->rows, .columns = 1, .storage = PFM_STORAGE_F32};
    return status;
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    pfm_act_type act = call->env->act;
    for (int64_t r = begin; r < end; r++)
        call->env->kernels->rmsnorm[act](pfm_tensor_row(&call->in[0], r, act), call->operand[0].values,
                                         call->attributes.epsilon, pfm_tensor_row(&call->out[0], r, act),
                                         (float *)call->out[1].data + r, (size_t)call->in[0].columns);
}

static void forward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, forward_rows); }

static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    pfm_act_type act = call->env->act;
    size_t columns = (size_t)call->in[0].columns;
    for (int64_t r = begin; r < end; r++) {
        float *dx = pfm_tensor_row(&call->din[0], r, act);
        if (!call->accumulate[0])
            memset(dx, 0, columns * sizeof *dx);
        call->env->kernels->rmsnorm_backward[act](pfm_tensor_row(&call->in[0], r, act), call->operand[0].values,
                                                  ((const float *)call->out[1].data)[r], pfm_tensor_row(&call->dout[0], r, act),
                                                  dx, NULL, columns);
    }
}

/* The weight's gradient is a sum over rows and stays with one thread. Its dx goes to a row of scratch that nobody reads. */
static void weight_gradient(const pfm_op_call *call)
{
    pfm_act_type act = call->env->act;
    for (int64_t r = 0; r < call->in[0].rows; r++)
        call->env->kernels->rmsnorm_backward[act](pfm_tensor_row(&call->in[0], r, act), call->operand[0].values,
                                                  ((const float *)call->out[1].data)[r], pfm_tensor_row(&call->dout[0], r, act),
                                                  call->scratch, call->operand[0].gradient, (size_t)call->in[0].columns);
}

static void backward(const pfm_op_call *call)
{
    if (call->operand[0].gradient != NULL)
        weight_gradient(call);
    if (call->din[0].data != NULL)
        pfm_op_for_rows(call, call->in[0].rows, backward_rows);
}

static double operations(const pfm_op_call *call) { return 4.0 * (double)call->in[0].rows * (double)call->in[0].columns; }

static size_t scratch(const pfm_op_call *call, bool backward_pass)
{
    return backward_pass ? (size_t)call->in[0].columns * sizeof(float) : 0;
}

static const pfm_op_case cases[] = {
    {"odd row", {{19, 33, PFM_STORAGE_F32, 0}}, {{33, 1}}, {.epsilon = 1e-5f}},
    {"hidden 576", {{3, 576, PFM_STORAGE_F32, 0}}, {{576, 1}}, {.epsilon = 1e-6f}},
    {0},
};

const pfm_op pfm_op_rmsnorm = {.name = "rmsnorm",
                               .shape = shape,
                               .forward = forward,
                               .backward = backward,
                               .operations = operations,
                               .scratch = scratch,
                               .backward_inputs = 1u << 0,
                               .backward_outputs = 1u << 1,
                               .gradients = 1u,
                               .operand_gradients = 1u,
                               .accumulates = 1u << 0,
                               .passes = -1,
                               .cases = cases};
