/* A parameter's rows as a value, so that operators read them as they read tokens: y = P.
 * operand[0] P [N,K] with its f32 values; out[0] y act [N,K], its rows fixed. dP += dy. */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_operand *p = &call->operand[0];
    call->out[0] = (pfm_tensor){.dim = PFM_DIM_FIXED, .rows = p->n, .columns = p->k, .storage = PFM_STORAGE_ACT};
    return pfm_op_require(call->in[0].columns == 0, "parameter", "it reads no value", err);
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const size_t count = (size_t)((end - begin) * call->operand[0].k);
    const float *from = call->operand[0].values + begin * call->operand[0].k;
    void *to = pfm_tensor_row(&call->out[0], begin, call->env->act);
    if (call->env->act == PFM_ACT_F32)
        memcpy(to, from, count * sizeof *from);
    else
        call->env->kernels->bf16_from_f32(from, to, count);
}

static void forward(const pfm_op_call *call) { pfm_op_for_rows(call, call->out[0].rows, forward_rows); }

static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const pfm_act_type act = call->env->act;
    call->env->kernels->add_products[act](pfm_tensor_row(&call->dout[0], begin, act), NULL,
                                          call->operand[0].gradient + begin * call->operand[0].k,
                                          (size_t)((end - begin) * call->operand[0].k));
}

static void backward(const pfm_op_call *call)
{
    if (call->operand[0].gradient != NULL)
        pfm_op_for_rows(call, call->dout[0].rows, backward_rows);
}

static double operations(const pfm_op_call *call)
{
    (void)call;
    return 0;
}

static const pfm_op_case cases[] = {
    {"odd", {{0}}, {{17, 13}}, {0}},
    {"one row", {{0}}, {{1, 96}}, {0}},
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
