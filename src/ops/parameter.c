/* A parameter as a value, so that operators read its rows as they read tokens, and what follows from it is computed once a run
 * and not once a token: y = P. operand[0] P [N,K] with its f32 values; no inputs; out[0] y [N,K], f32 or act by
 * attributes.output, its rows fixed. dP += dy. */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_operand *p = &call->operand[0];
    call->out[0] = (pfm_tensor){.dim = PFM_DIM_FIXED, .rows = p->n, .columns = p->k, .storage = call->attributes.output};
    return pfm_op_require(call->in[0].columns == 0 && p->n > 0, "parameter", "it has an input, or no parameter", err);
}

static pfm_act_type type_of(const pfm_op_call *call)
{
    return call->attributes.output == PFM_STORAGE_F32 ? PFM_ACT_F32 : call->env->act;
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const size_t count = (size_t)((end - begin) * call->operand[0].k);
    const float *from = call->operand[0].values + begin * call->operand[0].k;
    void *to = pfm_tensor_row(&call->out[0], begin, call->env->act);
    if (type_of(call) == PFM_ACT_F32)
        memcpy(to, from, count * sizeof *from);
    else
        call->env->kernels->bf16_from_f32(from, to, count);
}

static void forward(const pfm_op_call *call) { pfm_op_for_rows(call, call->out[0].rows, forward_rows); }

static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const pfm_act_type act = call->env->act;
    call->env->kernels->add_products[type_of(call)](pfm_tensor_row(&call->dout[0], begin, act), NULL,
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
    {"odd", {{0}}, {{17, 13}}, {.output = PFM_STORAGE_ACT}},
    {"one row", {{0}}, {{1, 96}}, {.output = PFM_STORAGE_ACT}},
    {"a table in f32", {{0}}, {{5, 13}}, {0}},
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
