/* y = a b, element by element: gates other than SwiGLU's. in[0] a, in[1] b, out[0] y: act [R,C]. */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *a = &call->in[0], *b = &call->in[1];
    call->out[0] = *a;
    return pfm_op_require(a->storage == PFM_STORAGE_ACT && b->storage == PFM_STORAGE_ACT && a->columns == b->columns &&
                              a->rows == b->rows && a->dim == b->dim,
                          "multiply", "the factors differ in shape", err);
}

static void multiply(const pfm_op_call *call, const pfm_tensor *a, const pfm_tensor *b, const pfm_tensor *y, int64_t begin,
                     int64_t end)
{
    const pfm_act_type act = call->env->act;
    call->env->kernels->multiply[act](pfm_tensor_row(a, begin, act), pfm_tensor_row(b, begin, act),
                                      pfm_tensor_row(y, begin, act), (size_t)((end - begin) * a->columns));
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    multiply(call, &call->in[0], &call->in[1], &call->out[0], begin, end);
}

static void forward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, forward_rows); }

static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    for (int i = 0; i < 2; i++) {
        if (call->din[i].data != NULL)
            multiply(call, &call->dout[0], &call->in[1 - i], &call->din[i], begin, end);
    }
}

static void backward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, backward_rows); }

static double operations(const pfm_op_call *call) { return (double)call->in[0].rows * (double)call->in[0].columns; }

static const pfm_op_case cases[] = {
    {"odd", {{17, 13, PFM_STORAGE_ACT, 0}, {17, 13, PFM_STORAGE_ACT, 0}}, {{0}}, {0}},
    {0},
};

const pfm_op pfm_op_multiply = {.name = "multiply",
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
