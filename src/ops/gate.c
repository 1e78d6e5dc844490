/* y = a + tanh(g) b, g one trained number: what is added starts at nothing and grows (Alayrac et al., Flamingo, 2022).
 * in[0] a f32 [R,C]; in[1] b f32 or act [R,C]; operand[0] g [1]; out[0] y f32 [R,C]. a's gradient is dy itself (passes);
 * db = tanh(g) dy; dg += (1 - tanh(g)^2) sum dy b. */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *a = &call->in[0], *b = &call->in[1];
    pfm_status status =
        pfm_op_require(a->storage == PFM_STORAGE_F32 && (b->storage == PFM_STORAGE_F32 || b->storage == PFM_STORAGE_ACT) &&
                           a->columns == b->columns && a->rows == b->rows && a->dim == b->dim,
                       "gate", "the terms differ in shape", err);
    if (status == PFM_OK)
        status = pfm_op_require(call->operand[0].n == 1 && call->operand[0].k == 1, "gate", "the gate is not one number", err);
    call->out[0] = *a;
    return status;
}

static pfm_act_type type_of(const pfm_op_call *call)
{
    return call->in[1].storage == PFM_STORAGE_F32 ? PFM_ACT_F32 : call->env->act;
}

/* The scratch holds tanh(g) for every column, then a row of what nobody reads, then the sums of dy b by columns. */
static float *factors(const pfm_op_call *call)
{
    float *w = call->scratch;
    for (int64_t j = 0; j < call->in[0].columns; j++)
        w[j] = tanhf(call->operand[0].values[0]);
    return w;
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const pfm_act_type act = call->env->act;
    for (int64_t r = begin; r < end; r++)
        call->env->kernels->scaled_add[type_of(call)](pfm_tensor_row(&call->in[0], r, act), call->scratch,
                                                      pfm_tensor_row(&call->in[1], r, act),
                                                      pfm_tensor_row(&call->out[0], r, act), (size_t)call->in[0].columns);
}

static void forward(const pfm_op_call *call)
{
    (void)factors(call);
    pfm_op_for_rows(call, call->in[0].rows, forward_rows);
}

static void backward_row(const pfm_op_call *call, int64_t r, void *db, float *dw)
{
    const pfm_act_type act = call->env->act;
    call->env->kernels->scaled_add_backward[type_of(call)](pfm_tensor_row(&call->dout[0], r, act), call->scratch,
                                                           pfm_tensor_row(&call->in[1], r, act), db, dw,
                                                           (size_t)call->in[0].columns);
}

static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    for (int64_t r = begin; r < end; r++)
        backward_row(call, r, pfm_tensor_row(&call->din[1], r, call->env->act), NULL);
}

static void backward(const pfm_op_call *call)
{
    const size_t columns = (size_t)call->in[0].columns;
    float *w = factors(call), *unread = w + columns, *sums = unread + columns;
    if (call->operand[0].gradient != NULL) {
        const double factor = 1 - (double)w[0] * w[0];
        double sum = 0;
        memset(sums, 0, columns * sizeof *sums);
        for (int64_t r = 0; r < call->in[0].rows; r++) /* stays with one thread, as every sum over rows */
            backward_row(call, r, unread, sums);
        for (size_t j = 0; j < columns; j++)
            sum += sums[j];
        call->operand[0].gradient[0] += (float)(factor * sum);
    }
    if (call->din[1].data != NULL)
        pfm_op_for_rows(call, call->in[0].rows, backward_rows);
}

static double operations(const pfm_op_call *call) { return 2.0 * (double)call->in[0].rows * (double)call->in[0].columns; }

static size_t scratch(const pfm_op_call *call, bool backward_pass)
{
    return (backward_pass ? 3 : 1) * (size_t)call->in[0].columns * sizeof(float);
}

static const pfm_op_case cases[] = {
    {"act", {{17, 13, PFM_STORAGE_F32, 0}, {17, 13, PFM_STORAGE_ACT, 0}}, {{1, 1}}, {0}},
    {"f32", {{19, 33, PFM_STORAGE_F32, 0}, {19, 33, PFM_STORAGE_F32, 0}}, {{1, 1}}, {0}},
    {0},
};

const pfm_op pfm_op_gate = {.name = "gate",
                            .shape = shape,
                            .forward = forward,
                            .backward = backward,
                            .operations = operations,
                            .scratch = scratch,
                            .operand_inputs = 1u << 1,
                            .gradients = 2u,
                            .operand_gradients = 1u,
                            .accumulates = 0,
                            .passes = 0,
                            .cases = cases};
