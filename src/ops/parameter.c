/* A parameter as a value, so that what follows from it is computed once a run and not once a token.
 * operand[0] p [n,k]; no inputs; out[0] y f32 [n,k], rows that are part of the graph. dp += dy. */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_operand *p = &call->operand[0];
    call->out[0] = (pfm_tensor){.dim = PFM_DIM_FIXED, .rows = p->n, .columns = p->k, .storage = PFM_STORAGE_F32};
    return pfm_op_require(call->in[0].columns == 0 && p->n > 0, "parameter", "it has an input, or no parameter", err);
}

static void forward(const pfm_op_call *call)
{
    const pfm_operand *p = &call->operand[0];
    memcpy(call->out[0].data, p->values, (size_t)(p->n * p->k) * sizeof *p->values);
}

static void backward(const pfm_op_call *call)
{
    const pfm_operand *p = &call->operand[0];
    call->env->kernels->axpy(1, call->dout[0].data, p->gradient, (size_t)(p->n * p->k));
}

static double operations(const pfm_op_call *call)
{
    (void)call;
    return 0;
}

static const pfm_op_case cases[] = {
    {"a table", {{0}}, {{5, 13}}, {0}},
    {"a vector", {{0}}, {{7, 1}}, {0}},
    {0},
};

const pfm_op pfm_op_parameter = {.name = "parameter",
                                 .shape = shape,
                                 .forward = forward,
                                 .backward = backward,
                                 .operations = operations,
                                 .operand_gradients = 1u,
                                 .passes = -1,
                                 .cases = cases};
