/* The loss of answer tokens, with the head's product inside, so that logits exist for a few rows at a time only.
 * in[0] h act [A,D]; in[1] targets i32 [A,1]; operand[0] the head W [vocabulary, D]; operand[1] its
 * bias b [vocabulary], optional; out[0] loss f32 [A,1]: -log softmax(h W^T + b)[target]; out[1] dh f32 [A,D]: its gradient,
 * made at once while training. The scale of the mean over answer tokens (env.loss_scale) is applied to the gradient, not to the
 * losses shown.
 * Where the head trains the backward makes the logits once more: dlogits = dloss (softmax - onehot), dW += dlogits^T h,
 * db += column sums of dlogits. */
#include "ops/op.h"

enum { ROWS_AT_ONCE = 64 };

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *h = &call->in[0], *targets = &call->in[1];
    pfm_status status = pfm_op_require(h->storage == PFM_STORAGE_ACT && h->columns == call->operand[0].k, "cross_entropy",
                                       "the hidden state is not as wide as the head", err);
    if (status == PFM_OK)
        status = pfm_op_require(targets->storage == PFM_STORAGE_I32 && targets->columns == 1 && targets->rows == h->rows,
                                "cross_entropy", "there is not one target a row", err);
    if (status == PFM_OK)
        status = pfm_op_require(call->operand[1].n == 0 || call->operand[1].n == call->operand[0].n, "cross_entropy",
                                "the bias is not as long as the vocabulary", err);
    call->out[0] = (pfm_tensor){.dim = h->dim, .rows = h->rows, .columns = 1, .storage = PFM_STORAGE_F32};
    call->out[1] = (pfm_tensor){.dim = h->dim, .rows = h->rows, .columns = h->columns, .storage = PFM_STORAGE_F32};
    return status;
}

/* Some rows, their logits and what the losses want of these. */
typedef struct chunk {
    const pfm_op_call *call;
    const float *dloss; /* [A]; NULL: ones */
    int64_t begin, rows;
    float *logits;
    void *dlogits; /* NULL: not wanted */
} chunk;

/* Pieces of the scratch, in this order: tiles; both of a chunk; what the head's gradient takes. */
typedef struct layout {
    size_t logits, dlogits, head, end;
} layout;

static layout lay_out(const pfm_op_call *call, bool backward_pass)
{
    const size_t n = (size_t)call->operand[0].n, k = (size_t)call->operand[0].k;
    layout at = {.logits = pfm_op_gemm_scratch(call->env)};
    at.dlogits = at.logits + pfm_op_align(ROWS_AT_ONCE * n * sizeof(float));
    at.head = at.dlogits + pfm_op_align(ROWS_AT_ONCE * n * pfm_act_size(call->env->act));
    at.end = at.head + (backward_pass && call->operand[0].gradient != NULL
                            ? pfm_op_weight_gradient_scratch(call->env, ROWS_AT_ONCE, n, k)
                            : 0);
    return at;
}

static chunk start(const pfm_op_call *call, bool backward_pass)
{
    const layout at = lay_out(call, backward_pass);
    char *scratch = call->scratch;
    return (chunk){.call = call,
                   .dloss = backward_pass ? call->dout[0].data : NULL,
                   .logits = (float *)(scratch + at.logits),
                   .dlogits = backward_pass || call->env->training ? scratch + at.dlogits : NULL};
}

static void run_row(void *user, int item, int thread)
{
    (void)thread;
    const chunk *part = user;
    const pfm_op_call *call = part->call;
    const size_t vocabulary = (size_t)call->operand[0].n;
    const int64_t row = part->begin + item;
    const float scale = call->env->loss_scale * (part->dloss != NULL ? part->dloss[row] : 1);
    void *dlogits =
        part->dlogits != NULL ? (char *)part->dlogits + (size_t)item * vocabulary * pfm_act_size(call->env->act) : NULL;
    const float loss = call->env->kernels->cross_entropy[call->env->act](
        part->logits + (size_t)item * vocabulary, vocabulary, (size_t)((const int32_t *)call->in[1].data)[row], scale, dlogits);
    if (part->dloss == NULL)
        ((float *)call->out[0].data)[row] = loss;
}

/* Logits, losses and what the losses want of the logits. */
static void run_chunk(const pfm_op_call *call, chunk *part)
{
    const pfm_operand *w = &call->operand[0];
    const size_t width = (size_t)w->k, vocabulary = (size_t)w->n;
    const pfm_gemm logits = {.m = (size_t)part->rows,
                             .n = vocabulary,
                             .k = width,
                             .a = pfm_tensor_row(&call->in[0], part->begin, call->env->act),
                             .lda = width,
                             .b = w->packed_forward,
                             .alpha = 1,
                             .bias = call->operand[1].n > 0 ? call->operand[1].values : NULL,
                             .c = part->logits,
                             .ldc = vocabulary,
                             .c_type = PFM_ACT_F32};
    pfm_op_gemm(call->env, &logits, call->scratch);
    pfm_threads_run(call->env->context->threads, (int)part->rows, run_row, part);
}

static void input_gradient(const pfm_op_call *call, const chunk *part)
{
    const pfm_operand *w = &call->operand[0];
    const pfm_gemm dh = {.m = (size_t)part->rows,
                         .n = (size_t)w->k,
                         .k = (size_t)w->n,
                         .a = part->dlogits,
                         .lda = (size_t)w->n,
                         .b = w->packed_backward,
                         .alpha = 1,
                         .c = pfm_tensor_row(&call->out[1], part->begin, call->env->act),
                         .ldc = (size_t)w->k,
                         .c_type = PFM_ACT_F32};
    pfm_op_gemm(call->env, &dh, call->scratch);
}

static bool next(const pfm_op_call *call, chunk *part)
{
    part->begin += part->rows;
    const int64_t left = call->in[0].rows - part->begin;
    part->rows = left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;
    return left > 0;
}

static void forward(const pfm_op_call *call)
{
    chunk part = start(call, false);
    while (next(call, &part)) {
        run_chunk(call, &part);
        if (call->env->training)
            input_gradient(call, &part);
    }
}

static bool head_trains(const pfm_op_call *call)
{
    return call->operand[0].gradient != NULL || call->operand[1].gradient != NULL;
}

static void head_gradient(const pfm_op_call *call)
{
    const pfm_operand *w = &call->operand[0];
    chunk part = start(call, true);
    while (next(call, &part)) {
        const size_t rows = (size_t)part.rows;
        run_chunk(call, &part);
        if (w->gradient != NULL)
            pfm_op_add_weight_gradient(call->env, part.dlogits, pfm_tensor_row(&call->in[0], part.begin, call->env->act), rows,
                                       1, w, (char *)call->scratch + lay_out(call, true).head);
        if (call->operand[1].gradient != NULL)
            pfm_op_add_bias_gradient(call->env, part.dlogits, rows, 1, &call->operand[1]);
    }
}

static size_t scratch(const pfm_op_call *call, bool backward_pass)
{
    return backward_pass && !head_trains(call) ? 0 : lay_out(call, backward_pass).end;
}

static void scale_input_gradient(const pfm_op_call *call)
{
    int64_t columns = call->in[0].columns;
    for (int64_t r = 0; r < call->in[0].rows; r++) {
        const float *dh = (const float *)call->out[1].data + r * columns;
        float dloss = ((const float *)call->dout[0].data)[r];
        for (int64_t j = 0; j < columns; j++) {
            if (call->env->act == PFM_ACT_F32) {
                float *dx = (float *)call->din[0].data + r * columns + j;
                *dx = dloss * dh[j] + (call->accumulate[0] ? *dx : 0);
            } else {
                pfm_bf16 *dx = (pfm_bf16 *)call->din[0].data + r * columns + j;
                *dx = pfm_bf16_from_f32(dloss * dh[j] + (call->accumulate[0] ? pfm_bf16_to_f32(*dx) : 0));
            }
        }
    }
}

static void backward(const pfm_op_call *call)
{
    if (call->din[0].data != NULL)
        scale_input_gradient(call);
    if (head_trains(call))
        head_gradient(call);
}

static double operations(const pfm_op_call *call)
{
    return (call->env->training ? 4.0 : 2.0) * (double)call->in[0].rows * (double)call->operand[0].n *
           (double)call->operand[0].k;
}

/* The gradient of h was made in the forward; what is left is to scale it. */
static double backward_operations(const pfm_op_call *call)
{
    const double product = 2.0 * (double)call->in[0].rows * (double)call->operand[0].n * (double)call->operand[0].k;
    return (call->din[0].data != NULL ? (double)call->in[0].rows * (double)call->in[0].columns : 0) +
           product * (head_trains(call) + (call->operand[0].gradient != NULL));
}

static const pfm_op_case cases[] = {
    {"small vocabulary", {{5, 16, PFM_STORAGE_ACT, 0}, {5, 1, PFM_STORAGE_I32, 40}}, {{40, 16}}, {0}},
    {"with a bias", {{6, 8, PFM_STORAGE_ACT, 0}, {6, 1, PFM_STORAGE_I32, 21}}, {{21, 8}, {21, 1}}, {0}},
    {"two chunks", {{70, 8, PFM_STORAGE_ACT, 0}, {70, 1, PFM_STORAGE_I32, 33}}, {{33, 8}}, {0}},
    {0},
};

const pfm_op pfm_op_cross_entropy = {.name = "cross_entropy",
                                     .shape = shape,
                                     .forward = forward,
                                     .backward = backward,
                                     .operations = operations,
                                     .backward_operations = backward_operations,
                                     .scratch = scratch,
                                     .operand_inputs = 3u,
                                     .backward_outputs = 1u << 1,
                                     .gradients = 1u,
                                     .operand_gradients = 3u,
                                     .accumulates = 1u << 0,
                                     .passes = -1,
                                     .cases = cases};
