/* y = alpha x W^T + bias + addend.
 * in[0] x act [R,K]; in[1] addend [R,N] of y's storage, optional; operand[0] W [N,K]; operand[1] bias [N], optional;
 * out[0] y [R,N], f32 or act by attributes.output. W may be quantised: then it is dequantised a tile at a time, both ways.
 * dx = alpha dy W; dW += alpha dy^T x; dbias += column sums of dy; the addend's gradient is dy itself (passes). */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *x = &call->in[0], *addend = &call->in[1];
    const pfm_operand *w = &call->operand[0], *bias = &call->operand[1];
    pfm_status status = pfm_op_require(x->storage == PFM_STORAGE_ACT && x->columns == w->k, "linear",
                                       "the input's columns are not the weight's inputs", err);
    if (status == PFM_OK)
        status = pfm_op_require(call->attributes.output == PFM_STORAGE_F32 || call->attributes.output == PFM_STORAGE_ACT,
                                "linear", "the output is neither f32 nor act", err);
    if (status == PFM_OK)
        status = pfm_op_require(addend->columns == 0 || (addend->columns == w->n && addend->dim == x->dim &&
                                                         addend->rows == x->rows && addend->storage == call->attributes.output),
                                "linear", "the addend's shape is not the output's", err);
    if (status == PFM_OK)
        status = pfm_op_require(bias->n == 0 || bias->n == w->n, "linear", "the bias is not as long as the output", err);
    call->out[0] = (pfm_tensor){.dim = x->dim, .rows = x->rows, .columns = w->n, .storage = call->attributes.output};
    return status;
}

static pfm_quant_panels panels_of(const pfm_operand *w)
{
    return (pfm_quant_panels){.format = w->quant_format, .packed = w->quantised, .n = (size_t)w->n, .k = (size_t)w->k};
}

static void forward(const pfm_op_call *call)
{
    const pfm_tensor *x = &call->in[0], *y = &call->out[0];
    pfm_gemm gemm = {.m = (size_t)x->rows,
                     .n = (size_t)call->operand[0].n,
                     .k = (size_t)call->operand[0].k,
                     .a = x->data,
                     .lda = (size_t)x->columns,
                     .b = call->operand[0].packed_forward,
                     .alpha = call->attributes.alpha,
                     .bias = call->operand[1].n > 0 ? call->operand[1].values : NULL,
                     .addend = call->in[1].columns > 0 ? call->in[1].data : NULL,
                     .ld_addend = (size_t)y->columns,
                     .c = y->data,
                     .ldc = (size_t)y->columns,
                     .c_type = y->storage == PFM_STORAGE_F32 ? PFM_ACT_F32 : call->env->act};
    if (call->operand[0].quantised == NULL) {
        pfm_op_gemm(call->env, &gemm, call->scratch);
    } else if (call->operand[0].quantises_rows) {
        gemm.b = call->operand[0].quantised;
        pfm_op_quant_gemm(call->env, call->operand[0].quant_format, &gemm, call->scratch);
    } else {
        const pfm_quant_panels weight = panels_of(&call->operand[0]);
        pfm_op_unpack_gemm(call->env, &weight, false, &gemm, call->scratch);
    }
}

/* Pieces of the scratch, in this order: tiles; dy as act where it is stored in f32; for the weight's gradient dy^T and packed
 * x. */
typedef struct layout {
    size_t dy, transposed, packed, end;
} layout;

static layout lay_out(const pfm_op_call *call)
{
    const pfm_kernels *kernels = call->env->kernels;
    pfm_act_type act = call->env->act;
    size_t rows = (size_t)call->in[0].rows, n = (size_t)call->operand[0].n, k = (size_t)call->operand[0].k,
           size = pfm_act_size(act);
    layout at = {.dy = call->operand[0].quantised != NULL ? pfm_op_unpack_gemm_scratch(call->env, n)
                                                          : pfm_op_gemm_scratch(call->env)};
    bool convert = call->attributes.output == PFM_STORAGE_F32 && act != PFM_ACT_F32;
    at.transposed = at.dy + (convert ? pfm_op_align(rows * n * size) : 0);
    bool trains = call->operand[0].gradient != NULL;
    at.packed = at.transposed + (trains ? pfm_op_align(rows * n * size) : 0);
    at.end = at.packed + (trains ? kernels->gemm_pack_size[act](k, rows) : 0);
    return at;
}

static size_t scratch(const pfm_op_call *call, bool backward)
{
    if (backward)
        return lay_out(call).end;
    const pfm_operand *w = &call->operand[0];
    return w->quantised == NULL ? pfm_op_gemm_scratch(call->env)
           : w->quantises_rows  ? pfm_op_quant_gemm_scratch((size_t)call->in[0].rows, (size_t)w->k)
                                : pfm_op_unpack_gemm_scratch(call->env, (size_t)w->k);
}

static void convert_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    size_t n = (size_t)call->dout[0].columns;
    pfm_bf16 *to = (pfm_bf16 *)((char *)call->scratch + lay_out(call).dy);
    call->env->kernels->bf16_from_f32((const float *)call->dout[0].data + (size_t)begin * n, to + (size_t)begin * n,
                                      (size_t)(end - begin) * n);
}

typedef struct columns_job {
    const pfm_op_call *call;
    const void *dy;
} columns_job;

enum { COLUMNS_PER_ITEM = 64 };

static void transpose_columns(void *user, int item, int thread)
{
    (void)thread;
    const columns_job *job = user;
    const pfm_op_call *call = job->call;
    size_t n = (size_t)call->operand[0].n, rows = (size_t)call->in[0].rows, begin = (size_t)item * COLUMNS_PER_ITEM;
    size_t count = n - begin < COLUMNS_PER_ITEM ? n - begin : COLUMNS_PER_ITEM, size = pfm_act_size(call->env->act);
    call->env->kernels->transpose[call->env->act]((const char *)job->dy + begin * size, n, rows, count,
                                                  (char *)call->scratch + lay_out(call).transposed + begin * rows * size, rows);
}

static void sum_bias_columns(void *user, int item, int thread)
{
    (void)thread;
    const columns_job *job = user;
    const pfm_op_call *call = job->call;
    int64_t n = call->operand[0].n, begin = (int64_t)item * COLUMNS_PER_ITEM;
    int64_t end = begin + COLUMNS_PER_ITEM < n ? begin + COLUMNS_PER_ITEM : n;
    bool f32 = call->env->act == PFM_ACT_F32;
    for (int64_t j = begin; j < end; j++) {
        double sum = 0;
        for (int64_t i = 0; i < call->in[0].rows; i++)
            sum += f32 ? ((const float *)job->dy)[i * n + j] : pfm_bf16_to_f32(((const pfm_bf16 *)job->dy)[i * n + j]);
        call->operand[1].gradient[j] += (float)sum;
    }
}

static void weight_gradient(const pfm_op_call *call, const void *dy)
{
    const pfm_operand *w = &call->operand[0];
    layout at = lay_out(call);
    columns_job job = {call, dy};
    pfm_threads_run(call->env->context->threads, (int)((w->n + COLUMNS_PER_ITEM - 1) / COLUMNS_PER_ITEM), transpose_columns,
                    &job);
    char *packed = (char *)call->scratch + at.packed;
    size_t rows = (size_t)call->in[0].rows, k = (size_t)w->k;
    pfm_op_pack(call->env, call->in[0].data, call->env->act, k, 1, k, rows, packed);
    pfm_gemm gemm = {.m = (size_t)w->n,
                     .n = k,
                     .k = rows,
                     .a = (char *)call->scratch + at.transposed,
                     .lda = rows,
                     .b = packed,
                     .alpha = call->attributes.alpha,
                     .addend = w->gradient,
                     .ld_addend = k,
                     .c = w->gradient,
                     .ldc = k,
                     .c_type = PFM_ACT_F32};
    pfm_op_gemm(call->env, &gemm, call->scratch);
}

static void backward(const pfm_op_call *call)
{
    const pfm_operand *w = &call->operand[0], *bias = &call->operand[1];
    const void *dy = call->dout[0].data;
    if (call->dout[0].storage == PFM_STORAGE_F32 && call->env->act == PFM_ACT_BF16) {
        pfm_op_for_rows(call, call->dout[0].rows, convert_rows);
        dy = (const char *)call->scratch + lay_out(call).dy;
    }
    if (call->din[0].data != NULL) {
        pfm_gemm gemm = {.m = (size_t)call->in[0].rows,
                         .n = (size_t)w->k,
                         .k = (size_t)w->n,
                         .a = dy,
                         .lda = (size_t)w->n,
                         .b = w->packed_backward,
                         .alpha = call->attributes.alpha,
                         .addend = call->accumulate[0] ? call->din[0].data : NULL,
                         .ld_addend = (size_t)w->k,
                         .c = call->din[0].data,
                         .ldc = (size_t)w->k,
                         .c_type = call->env->act};
        if (w->quantised != NULL) {
            const pfm_quant_panels weight = panels_of(w);
            pfm_op_unpack_gemm(call->env, &weight, true, &gemm, call->scratch);
        } else {
            pfm_op_gemm(call->env, &gemm, call->scratch);
        }
    }
    if (w->gradient != NULL)
        weight_gradient(call, dy);
    if (bias->n > 0 && bias->gradient != NULL) {
        columns_job job = {call, dy};
        pfm_threads_run(call->env->context->threads, (int)((w->n + COLUMNS_PER_ITEM - 1) / COLUMNS_PER_ITEM), sum_bias_columns,
                        &job);
    }
}

static double operations(const pfm_op_call *call)
{
    return 2.0 * (double)call->in[0].rows * (double)call->operand[0].n * (double)call->operand[0].k;
}

static double backward_operations(const pfm_op_call *call)
{
    return operations(call) * ((call->din[0].data != NULL) + (call->operand[0].gradient != NULL));
}

static const pfm_op_case cases[] = {
    {"plain", {{5, 7, PFM_STORAGE_ACT, 0}}, {{3, 7}}, {.alpha = 1, .output = PFM_STORAGE_ACT}},
    {"bias and addend",
     {{33, 20, PFM_STORAGE_ACT, 0}, {33, 65, PFM_STORAGE_F32, 0}},
     {{65, 20}, {65, 1}},
     {.alpha = 0.5f, .output = PFM_STORAGE_F32}},
    {"one row", {{1, 64, PFM_STORAGE_ACT, 0}}, {{130, 64}}, {.alpha = 2, .output = PFM_STORAGE_F32}},
    {0},
};

const pfm_op pfm_op_linear = {.name = "linear",
                              .shape = shape,
                              .forward = forward,
                              .backward = backward,
                              .operations = operations,
                              .scratch = scratch,
                              .backward_operations = backward_operations,
                              .operand_inputs = 1u << 0,
                              .modest_operands = 1u << 1,
                              .gradients = 1u,
                              .operand_gradients = 3u,
                              .accumulates = 1u << 0,
                              .passes = 1,
                              .cases = cases};
