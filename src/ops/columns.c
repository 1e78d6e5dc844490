/* Some columns of each row: of every `stride` columns the `run` that begin at `first`, side by side. It takes queries, keys and
 * values out of a linear layer that makes all three (attributes.first, run and stride; output: act or f32).
 * in[0] x act [R, n * stride]; out[0] y [R, n * run]. */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *x = &call->in[0];
    const pfm_op_attributes *a = &call->attributes;
    pfm_status status =
        pfm_op_require(x->storage == PFM_STORAGE_ACT && (a->output == PFM_STORAGE_ACT || a->output == PFM_STORAGE_F32),
                       "columns", "the input is not act, or the output neither act nor f32", err);
    if (status == PFM_OK)
        status = pfm_op_require(a->run > 0 && a->first >= 0 && a->first <= a->stride - a->run && x->columns % a->stride == 0,
                                "columns", "the row is not whole runs of columns", err);
    if (status == PFM_OK)
        call->out[0] =
            (pfm_tensor){.dim = x->dim, .rows = x->rows, .columns = x->columns / a->stride * a->run, .storage = a->output};
    return status;
}

static bool converts(const pfm_op_call *call)
{
    return call->attributes.output == PFM_STORAGE_F32 && call->env->act == PFM_ACT_BF16;
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const pfm_op_attributes *a = &call->attributes;
    const pfm_act_type act = call->env->act;
    const size_t run = (size_t)a->run, size = pfm_act_size(act), runs = (size_t)(call->in[0].columns / a->stride);
    for (int64_t r = begin; r < end; r++) {
        const char *x = (const char *)pfm_tensor_row(&call->in[0], r, act) + (size_t)a->first * size;
        char *y = pfm_tensor_row(&call->out[0], r, act);
        for (size_t i = 0; i < runs; i++, x += (size_t)a->stride * size) {
            if (converts(call))
                call->env->kernels->bf16_to_f32((const void *)x, (float *)(void *)y + i * run, run);
            else
                memcpy(y + i * run * size, x, run * size);
        }
    }
}

static void forward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, forward_rows); }

/* dx[first + stride i + j] (+)= dy[run i + j]. */
static void add_run(const pfm_op_call *call, const void *dy, size_t at, void *dx)
{
    const size_t run = (size_t)call->attributes.run;
    for (size_t j = 0; j < run; j++) {
        if (call->env->act == PFM_ACT_F32) {
            ((float *)dx)[j] += ((const float *)dy)[at + j];
        } else {
            pfm_bf16 *to = (pfm_bf16 *)dx + j;
            *to = pfm_bf16_from_f32(pfm_bf16_to_f32(*to) + (converts(call) ? ((const float *)dy)[at + j]
                                                                           : pfm_bf16_to_f32(((const pfm_bf16 *)dy)[at + j])));
        }
    }
}

static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const pfm_op_attributes *a = &call->attributes;
    const pfm_act_type act = call->env->act;
    const size_t size = pfm_act_size(act), columns = (size_t)call->in[0].columns, runs = columns / (size_t)a->stride;
    for (int64_t r = begin; r < end; r++) {
        char *dx = pfm_tensor_row(&call->din[0], r, act);
        const void *dy = pfm_tensor_row(&call->dout[0], r, act);
        if (!call->accumulate[0])
            memset(dx, 0, columns * size);
        for (size_t i = 0; i < runs; i++)
            add_run(call, dy, i * (size_t)a->run, dx + (i * (size_t)a->stride + (size_t)a->first) * size);
    }
}

static void backward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, backward_rows); }

static double operations(const pfm_op_call *call)
{
    (void)call;
    return 0;
}

static const pfm_op_case cases[] = {
    {"the middle third",
     {{17, 21, PFM_STORAGE_ACT, 0}},
     {{0}},
     {.first = 7, .run = 7, .stride = 21, .output = PFM_STORAGE_ACT}},
    {"one of three a head",
     {{5, 36, PFM_STORAGE_ACT, 0}},
     {{0}},
     {.first = 3, .run = 3, .stride = 9, .output = PFM_STORAGE_F32}},
    {0},
};

const pfm_op pfm_op_columns = {.name = "columns",
                               .shape = shape,
                               .forward = forward,
                               .backward = backward,
                               .operations = operations,
                               .gradients = 1u,
                               .operand_gradients = 0u,
                               .accumulates = 1u << 0,
                               .passes = -1,
                               .cases = cases};
