/* y = x in another storage: what stands in f32 in the residual stream becomes the input of a linear layer.
 * in[0] x [R,C], f32 or act; out[0] y [R,C] by attributes.output. dx = dy. */
#include "ops/op.h"

static bool is_real(pfm_storage storage) { return storage == PFM_STORAGE_F32 || storage == PFM_STORAGE_ACT; }

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    call->out[0] = call->in[0];
    call->out[0].storage = call->attributes.output;
    return pfm_op_require(is_real(call->in[0].storage) && is_real(call->attributes.output), "convert",
                          "input and output are neither f32 nor act", err);
}

static void convert(const pfm_op_call *call, const pfm_tensor *from, const pfm_tensor *to, int64_t begin, int64_t end)
{
    const pfm_act_type act = call->env->act;
    const size_t count = (size_t)((end - begin) * from->columns);
    const void *x = pfm_tensor_row(from, begin, act);
    void *y = pfm_tensor_row(to, begin, act);
    if (act == PFM_ACT_F32 || from->storage == to->storage)
        memcpy(y, x, count * pfm_storage_size(to->storage, act));
    else if (to->storage == PFM_STORAGE_ACT)
        call->env->kernels->bf16_from_f32(x, y, count);
    else
        call->env->kernels->bf16_to_f32(x, y, count);
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    convert(call, &call->in[0], &call->out[0], begin, end);
}

static void forward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, forward_rows); }

/* dx += dy */
static void add(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const pfm_act_type act = call->env->act, type = call->dout[0].storage == PFM_STORAGE_F32 ? PFM_ACT_F32 : act;
    const size_t count = (size_t)((end - begin) * call->din[0].columns);
    const void *dy = pfm_tensor_row(&call->dout[0], begin, act);
    void *dx = pfm_tensor_row(&call->din[0], begin, act);
    if (call->din[0].storage == PFM_STORAGE_F32 || act == PFM_ACT_F32) {
        call->env->kernels->scaled_add[type](dx, NULL, dy, dx, count);
        return;
    }
    pfm_bf16 *to = dx;
    for (size_t i = 0; i < count; i++) {
        const float g = type == PFM_ACT_F32 ? ((const float *)dy)[i] : pfm_bf16_to_f32(((const pfm_bf16 *)dy)[i]);
        to[i] = pfm_bf16_from_f32(pfm_bf16_to_f32(to[i]) + g);
    }
}

static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    if (call->accumulate[0])
        add(call, begin, end);
    else
        convert(call, &call->dout[0], &call->din[0], begin, end);
}

static void backward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, backward_rows); }

static double operations(const pfm_op_call *call)
{
    (void)call;
    return 0;
}

static const pfm_op_case cases[] = {
    {"to act", {{17, 13, PFM_STORAGE_F32, 0}}, {{0}}, {.output = PFM_STORAGE_ACT}},
    {"to f32", {{19, 33, PFM_STORAGE_ACT, 0}}, {{0}}, {.output = PFM_STORAGE_F32}},
    {0},
};

const pfm_op pfm_op_convert = {.name = "convert",
                               .shape = shape,
                               .forward = forward,
                               .backward = backward,
                               .operations = operations,
                               .gradients = 1u,
                               .accumulates = 1u << 0,
                               .passes = -1,
                               .cases = cases};
