/* Grouped-query attention over spans of visible keys (kernels.h, pfm_attention_span): causal within a row, the shared prefix in
 * full. Training, reading a prompt and decoding are this one operator; with a key-value store this step's keys and values are
 * put there first and the spans speak of the store's rows.
 * in[0] q act [T, heads * head_dim]; in[1] k, in[2] v act [T, kv_heads * head_dim]; out[0] act as q; out[1] log-sum-exp f32
 * [T, heads]. softmax(q k^T / sqrt(head_dim)) v (Vaswani et al. 2017; Ainslie et al., GQA, 2023). */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *q = &call->in[0], *k = &call->in[1], *v = &call->in[2];
    const pfm_op_attributes *a = &call->attributes;
    pfm_status status = pfm_op_require(a->head_dim > 0 && a->heads > 0 && a->kv_heads > 0 && a->heads % a->kv_heads == 0,
                                       "attention", "query heads are not a multiple of key heads", err);
    if (status == PFM_OK)
        status = pfm_op_require(q->columns == (int64_t)a->heads * a->head_dim &&
                                    k->columns == (int64_t)a->kv_heads * a->head_dim && v->columns == k->columns,
                                "attention", "a row of q, k or v is not heads x head_dim", err);
    if (status == PFM_OK)
        status = pfm_op_require(q->rows == k->rows && q->rows == v->rows && q->storage == PFM_STORAGE_ACT &&
                                    k->storage == PFM_STORAGE_ACT && v->storage == PFM_STORAGE_ACT,
                                "attention", "q, k and v differ in rows", err);
    call->out[0] = (pfm_tensor){.dim = q->dim, .rows = q->rows, .columns = q->columns, .storage = PFM_STORAGE_ACT};
    call->out[1] = (pfm_tensor){.dim = q->dim, .rows = q->rows, .columns = a->heads, .storage = PFM_STORAGE_F32};
    return status;
}

static size_t thread_scratch(const pfm_op_call *call)
{
    const pfm_op_environment *env = call->env;
    return pfm_op_align(env->kernels->attention_scratch((size_t)call->attributes.head_dim, (size_t)env->most_keys) *
                        sizeof(float));
}

/* The head's view of the tensors; head is a query head. */
static pfm_attention_head head_view(const pfm_op_call *call, int head, int thread)
{
    const pfm_op_attributes *a = &call->attributes;
    const pfm_kv_store *kv = call->env->kv;
    size_t size = pfm_act_size(call->env->act), dim = (size_t)a->head_dim;
    size_t group = (size_t)(head / (a->heads / a->kv_heads)) * dim, kv_columns = (size_t)call->in[1].columns;
    const char *k = call->in[1].data, *v = call->in[2].data;
    if (kv != NULL) {
        k = (const char *)kv->keys + (size_t)a->layer * kv->layer_stride * size;
        v = (const char *)kv->values + (size_t)a->layer * kv->layer_stride * size;
    }
    return (pfm_attention_head){.q = (const char *)call->in[0].data + (size_t)head * dim * size,
                                .k = k + group * size,
                                .v = v + group * size,
                                .q_stride = (size_t)call->in[0].columns,
                                .k_stride = kv_columns,
                                .v_stride = kv_columns,
                                .head_dim = dim,
                                .scale = 1.0f / sqrtf((float)dim),
                                .out = (char *)call->out[0].data + (size_t)head * dim * size,
                                .out_stride = (size_t)call->out[0].columns,
                                .lse = (float *)call->out[1].data + head,
                                .lse_stride = (size_t)a->heads,
                                .scratch = (float *)((char *)call->scratch + (size_t)thread * thread_scratch(call))};
}

static void forward_item(void *user, int item, int thread)
{
    const pfm_op_call *call = user;
    const pfm_op_attributes *a = &call->attributes;
    int per_group = a->heads / a->kv_heads, span = item / a->kv_heads, group = item % a->kv_heads;
    for (int head = group * per_group; head < (group + 1) * per_group; head++) {
        pfm_attention_head view = head_view(call, head, thread);
        call->env->kernels->attention[call->env->act](&view, &call->env->spans[span]);
    }
}

static void store_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const pfm_kv_store *kv = call->env->kv;
    size_t size = pfm_act_size(call->env->act), row = kv->columns * size;
    char *keys = (char *)kv->keys + (size_t)call->attributes.layer * kv->layer_stride * size;
    char *values = (char *)kv->values + (size_t)call->attributes.layer * kv->layer_stride * size;
    for (int64_t t = begin; t < end; t++) {
        memcpy(keys + (size_t)kv->rows[t] * row, (const char *)call->in[1].data + (size_t)t * row, row);
        memcpy(values + (size_t)kv->rows[t] * row, (const char *)call->in[2].data + (size_t)t * row, row);
    }
}

static void forward(const pfm_op_call *call)
{
    if (call->env->kv != NULL)
        pfm_op_for_rows(call, call->in[1].rows, store_rows);
    pfm_threads_run(call->env->context->threads, call->env->span_count * call->attributes.kv_heads, forward_item,
                    (void *)(uintptr_t)call);
}

/* Where the f32 sums of dk and dv stand in the scratch. */
static float *key_gradients(const pfm_op_call *call)
{
    return (float *)((char *)call->scratch + thread_scratch(call) * (size_t)pfm_threads_count(call->env->context->threads));
}

static void write_gradient(const pfm_op_call *call, const float *from, int input, int64_t row, size_t column, size_t count)
{
    const pfm_tensor *to = &call->din[input];
    if (to->data == NULL)
        return;
    size_t at = (size_t)row * (size_t)to->columns + column;
    for (size_t j = 0; j < count; j++) {
        if (call->env->act == PFM_ACT_F32) {
            float *dx = (float *)to->data + at + j;
            *dx = from[j] + (call->accumulate[input] ? *dx : 0);
        } else {
            pfm_bf16 *dx = (pfm_bf16 *)to->data + at + j;
            *dx = pfm_bf16_from_f32(from[j] + (call->accumulate[input] ? pfm_bf16_to_f32(*dx) : 0));
        }
    }
}

/* One tree of spans and one group of keys: nobody else reads or writes these rows of dk and dv, and the order is fixed. */
static void backward_item(void *user, int item, int thread)
{
    const pfm_op_call *call = user;
    const pfm_op_environment *env = call->env;
    const pfm_op_attributes *a = &call->attributes;
    int root = item / a->kv_heads, group = item % a->kv_heads, per_group = a->heads / a->kv_heads;
    const pfm_attention_span *first = &env->spans[env->roots[root]], *last = &env->spans[env->roots[root + 1] - 1];
    size_t columns = (size_t)call->in[1].columns, dim = (size_t)a->head_dim, column = (size_t)group * dim;
    float *dk = key_gradients(call), *dv = dk + (size_t)call->in[1].rows * columns;
    for (int64_t row = first->q_begin; row < last->q_end; row++) {
        memset(dk + (size_t)row * columns + column, 0, dim * sizeof *dk);
        memset(dv + (size_t)row * columns + column, 0, dim * sizeof *dv);
    }
    size_t size = pfm_act_size(env->act);
    for (const pfm_attention_span *span = first; span <= last; span++) {
        for (int head = group * per_group; head < (group + 1) * per_group; head++) {
            pfm_attention_head view = head_view(call, head, thread);
            view.dout = (const char *)call->dout[0].data + (size_t)head * dim * size;
            view.dq = (char *)call->din[0].data + (size_t)head * dim * size;
            view.dk = dk + column;
            view.dv = dv + column;
            view.dkv_stride = columns;
            env->kernels->attention_backward[env->act](&view, span);
        }
    }
    for (int64_t row = first->q_begin; row < last->q_end; row++) {
        write_gradient(call, dk + (size_t)row * columns + column, 1, row, column, dim);
        write_gradient(call, dv + (size_t)row * columns + column, 2, row, column, dim);
    }
}

static void backward(const pfm_op_call *call)
{
    pfm_threads_run(call->env->context->threads, call->env->root_count * call->attributes.kv_heads, backward_item,
                    (void *)(uintptr_t)call);
}

static size_t scratch(const pfm_op_call *call, bool backward_pass)
{
    size_t size = thread_scratch(call) * (size_t)pfm_threads_count(call->env->context->threads);
    return size + (backward_pass ? 2 * sizeof(float) * (size_t)(call->in[1].rows * call->in[1].columns) : 0);
}

/* Two products over the visible pairs. */
static double operations(const pfm_op_call *call)
{
    double pairs = 0;
    for (int32_t s = 0; s < call->env->span_count; s++) {
        const pfm_attention_span *span = &call->env->spans[s];
        double rows = span->q_end - span->q_begin, whole = span->own_past;
        for (int32_t i = 0; i < span->ancestors; i++)
            whole += span->ancestor_end[i] - span->ancestor_begin[i];
        pairs += rows * whole + (span->whole ? rows * rows : rows * (rows + 1) / 2);
    }
    return 4.0 * pairs * call->attributes.heads * call->attributes.head_dim;
}

/* dV, dP, dQ and dK: four products where the forward has two. */
static double backward_operations(const pfm_op_call *call) { return 2.0 * operations(call); }

static const pfm_op_case cases[] = {
    {"grouped",
     {{37, 24, PFM_STORAGE_ACT, 0}, {37, 8, PFM_STORAGE_ACT, 0}, {37, 8, PFM_STORAGE_ACT, 0}},
     {{0}},
     {.heads = 6, .kv_heads = 2, .head_dim = 4}},
    {"head of 64",
     {{70, 192, PFM_STORAGE_ACT, 0}, {70, 64, PFM_STORAGE_ACT, 0}, {70, 64, PFM_STORAGE_ACT, 0}},
     {{0}},
     {.heads = 3, .kv_heads = 1, .head_dim = 64}},
    {0},
};

const pfm_op pfm_op_attention = {.name = "attention",
                                 .shape = shape,
                                 .forward = forward,
                                 .backward = backward,
                                 .operations = operations,
                                 .backward_operations = backward_operations,
                                 .scratch = scratch,
                                 .backward_inputs = 7u,
                                 .backward_outputs = 3u,
                                 .gradients = 7u,
                                 .operand_gradients = 0u,
                                 .accumulates = 6u,
                                 .passes = -1,
                                 .cases = cases};
