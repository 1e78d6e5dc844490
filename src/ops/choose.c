/* Of two values row by row: y[r] = z[r] where number[r] is attributes.chosen, else x[r]. A row's bits are those of the one that
 * it is. in[0] x, in[1] z: f32 or act [R,C], of one storage; in[2] number i32 [R,1]; out[0] y as they are. */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *x = &call->in[0], *z = &call->in[1], *number = &call->in[2];
    const bool real = x->storage == PFM_STORAGE_F32 || x->storage == PFM_STORAGE_ACT;
    pfm_status status =
        pfm_op_require(real && z->storage == x->storage && z->columns == x->columns && z->rows == x->rows && z->dim == x->dim,
                       "choose", "the two values differ in shape", err);
    if (status == PFM_OK)
        status = pfm_op_require(number->storage == PFM_STORAGE_I32 && number->columns == 1 && number->rows == x->rows &&
                                    number->dim == x->dim,
                                "choose", "there is not one number a row", err);
    call->out[0] = *x;
    return status;
}

static size_t row_bytes(const pfm_op_call *call)
{
    return (size_t)call->in[0].columns * pfm_storage_size(call->in[0].storage, call->env->act);
}

static bool is_chosen(const pfm_op_call *call, int64_t row)
{
    return ((const int32_t *)call->in[2].data)[row] == call->attributes.chosen;
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const pfm_act_type act = call->env->act;
    for (int64_t r = begin; r < end; r++)
        memcpy(pfm_tensor_row(&call->out[0], r, act), pfm_tensor_row(&call->in[is_chosen(call, r)], r, act), row_bytes(call));
}

static void forward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, forward_rows); }

static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const pfm_act_type act = call->env->act;
    for (int i = 0; i < 2; i++) {
        for (int64_t r = begin; call->din[i].data != NULL && r < end; r++) {
            void *to = pfm_tensor_row(&call->din[i], r, act);
            if (is_chosen(call, r) == (i == 1))
                memcpy(to, pfm_tensor_row(&call->dout[0], r, act), row_bytes(call));
            else
                memset(to, 0, row_bytes(call));
        }
    }
}

static void backward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, backward_rows); }

static double operations(const pfm_op_call *call)
{
    (void)call;
    return 0;
}

static const pfm_op_case cases[] = {
    {"f32", {{17, 5, PFM_STORAGE_F32, 0}, {17, 5, PFM_STORAGE_F32, 0}, {17, 1, PFM_STORAGE_I32, 3}}, {{0}}, {.chosen = 2}},
    {"act", {{3, 8, PFM_STORAGE_ACT, 0}, {3, 8, PFM_STORAGE_ACT, 0}, {3, 1, PFM_STORAGE_I32, 2}}, {{0}}, {0}},
    {0},
};

const pfm_op pfm_op_choose = {.name = "choose",
                              .shape = shape,
                              .forward = forward,
                              .backward = backward,
                              .operations = operations,
                              .backward_inputs = 1u << 2,
                              .gradients = 3u,
                              .accumulates = 0,
                              .passes = -1,
                              .cases = cases};
