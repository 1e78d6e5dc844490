/* Chosen rows, m of them side by side: y[a] = (x[index[a,0]] | x[index[a,1]] | ...). in[0] x f32 [T,C]; in[1] index i32 [A,m];
 * out[0] y f32 [A, m C]. A row may be chosen twice. */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *x = &call->in[0], *index = &call->in[1];
    call->out[0] = (pfm_tensor){
        .dim = index->dim, .rows = index->rows, .columns = index->columns * x->columns, .storage = PFM_STORAGE_F32};
    return pfm_op_require(x->storage == PFM_STORAGE_F32 && index->storage == PFM_STORAGE_I32 && index->columns > 0, "gather",
                          "the input is not f32 or the index not i32", err);
}

static void forward(const pfm_op_call *call)
{
    size_t columns = (size_t)call->in[0].columns;
    const int32_t *index = call->in[1].data;
    for (int64_t a = 0; a < call->in[1].rows * call->in[1].columns; a++)
        memcpy((float *)call->out[0].data + (size_t)a * columns, (const float *)call->in[0].data + (size_t)index[a] * columns,
               columns * sizeof(float));
}

static void backward(const pfm_op_call *call)
{
    size_t columns = (size_t)call->in[0].columns;
    const int32_t *index = call->in[1].data;
    if (!call->accumulate[0])
        memset(call->din[0].data, 0, (size_t)call->in[0].rows * columns * sizeof(float));
    for (int64_t a = 0; a < call->in[1].rows * call->in[1].columns; a++)
        call->env->kernels->axpy(1, (const float *)call->dout[0].data + (size_t)a * columns,
                                 (float *)call->din[0].data + (size_t)index[a] * columns, columns);
}

static double operations(const pfm_op_call *call)
{
    (void)call;
    return 0;
}

static const pfm_op_case cases[] = {
    {"some", {{11, 6, PFM_STORAGE_F32, 0}, {5, 1, PFM_STORAGE_I32, 11}}, {{0}}, {0}},
    {"three side by side", {{11, 6, PFM_STORAGE_F32, 0}, {7, 3, PFM_STORAGE_I32, 11}}, {{0}}, {0}},
    {0},
};

const pfm_op pfm_op_gather = {.name = "gather",
                              .shape = shape,
                              .forward = forward,
                              .backward = backward,
                              .operations = operations,
                              .backward_inputs = 1u << 1,
                              .gradients = 1u,
                              .operand_gradients = 0u,
                              .accumulates = 1u << 0,
                              .passes = -1,
                              .cases = cases};
