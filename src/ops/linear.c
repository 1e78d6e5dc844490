/* y = alpha x W^T + bias + addend, or with scales_bias alpha (x W^T + bias) + addend.
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

/* What the products need; the bias, scaled, stands behind it. */
static size_t forward_scratch(const pfm_op_call *call)
{
    const pfm_operand *w = &call->operand[0];
    return w->quantised == NULL ? pfm_op_gemm_scratch(call->env)
           : w->quantises_rows  ? pfm_op_quant_gemm_scratch((size_t)call->in[0].rows, (size_t)w->k)
                                : pfm_op_unpack_gemm_scratch(call->env, (size_t)w->k);
}

/* NULL where there is none. */
static const float *bias_of(const pfm_op_call *call)
{
    const pfm_operand *bias = &call->operand[1];
    if (bias->n == 0 || !call->attributes.scales_bias)
        return bias->n == 0 ? NULL : bias->values;
    float *scaled = (float *)((char *)call->scratch + pfm_op_align(forward_scratch(call)));
    for (int64_t j = 0; j < bias->n; j++)
        scaled[j] = call->attributes.alpha * bias->values[j];
    return scaled;
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
                     .bias = bias_of(call),
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

/* Pieces of the scratch, in this order: tiles; dy as act where it is stored in f32; what the weight's gradient takes. */
typedef struct layout {
    size_t dy, weight, end;
} layout;

static layout lay_out(const pfm_op_call *call)
{
    const size_t rows = (size_t)call->in[0].rows, n = (size_t)call->operand[0].n, k = (size_t)call->operand[0].k;
    const bool convert = call->attributes.output == PFM_STORAGE_F32 && call->env->act != PFM_ACT_F32,
               trains = call->operand[0].gradient != NULL;
    layout at = {.dy = call->operand[0].quantised != NULL ? pfm_op_unpack_gemm_scratch(call->env, n)
                                                          : pfm_op_gemm_scratch(call->env)};
    at.weight = at.dy + (convert ? pfm_op_align(rows * n * pfm_act_size(call->env->act)) : 0);
    at.end = at.weight + (trains ? pfm_op_weight_gradient_scratch(call->env, rows, n, k) : 0);
    return at;
}

static size_t scratch(const pfm_op_call *call, bool backward)
{
    if (backward)
        return lay_out(call).end;
    return pfm_op_align(forward_scratch(call)) +
           (call->attributes.scales_bias ? (size_t)call->operand[0].n * sizeof(float) : 0);
}

static void convert_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    size_t n = (size_t)call->dout[0].columns;
    pfm_bf16 *to = (pfm_bf16 *)((char *)call->scratch + lay_out(call).dy);
    call->env->kernels->bf16_from_f32((const float *)call->dout[0].data + (size_t)begin * n, to + (size_t)begin * n,
                                      (size_t)(end - begin) * n);
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
        pfm_op_add_weight_gradient(call->env, dy, call->in[0].data, (size_t)call->in[0].rows, call->attributes.alpha, w,
                                   (char *)call->scratch + lay_out(call).weight);
    if (bias->n > 0 && bias->gradient != NULL)
        pfm_op_add_bias_gradient(call->env, dy, (size_t)call->in[0].rows,
                                 call->attributes.scales_bias ? call->attributes.alpha : 1, bias);
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
    {"bias scaled",
     {{5, 9, PFM_STORAGE_ACT, 0}},
     {{70, 9}, {70, 1}},
     {.alpha = 0.5f, .scales_bias = true, .output = PFM_STORAGE_ACT}},
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
