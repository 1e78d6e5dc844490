/* Grouped-query attention over spans of visible keys (kernels.h, pfm_attention_span): causal within a row, the shared prefix in
 * full; or what the spans of another sort say. Training, reading a prompt and decoding are this one operator; with a key-value
 * store this step's keys and values are put there first and the sequence's spans speak of the store's rows.
 * in[0] q act [T, heads * head_dim]; in[1] k, in[2] v act [S, kv_heads * head_dim], S = T among the tokens of the sequence;
 * out[0] act as q; out[1] log-sum-exp f32 [T, heads]. softmax(q k^T / sqrt(head_dim)) v (Vaswani et al. 2017; Ainslie et al.,
 * GQA, 2023). */
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
        status = pfm_op_require(k->rows == v->rows && k->dim == v->dim && q->storage == PFM_STORAGE_ACT &&
                                    k->storage == PFM_STORAGE_ACT && v->storage == PFM_STORAGE_ACT,
                                "attention", "k and v differ in rows", err);
    if (status == PFM_OK)
        status = pfm_op_require(a->attention == PFM_ATTENTION_SEQUENCE ? q->rows == k->rows : a->most_keys > 0, "attention",
                                "q and k differ in rows, or it is not said how many keys a query sees", err);
    call->out[0] = (pfm_tensor){.dim = q->dim, .rows = q->rows, .columns = q->columns, .storage = PFM_STORAGE_ACT};
    call->out[1] = (pfm_tensor){.dim = q->dim, .rows = q->rows, .columns = a->heads, .storage = PFM_STORAGE_F32};
    return status;
}

static size_t thread_scratch(const pfm_op_call *call)
{
    const pfm_op_attributes *a = &call->attributes;
    const int32_t most_keys = a->attention == PFM_ATTENTION_SEQUENCE ? call->env->most_keys : a->most_keys;
    return pfm_op_align(call->env->kernels->attention_scratch((size_t)a->head_dim, (size_t)most_keys) * sizeof(float));
}

static const pfm_attention_set *set_of(const pfm_op_call *call) { return &call->env->attention[call->attributes.attention]; }

static const pfm_kv_store *store_of(const pfm_op_call *call)
{
    const pfm_attention_sort sort = call->attributes.attention;
    return sort == PFM_ATTENTION_SEQUENCE ? call->env->kv : sort == PFM_ATTENTION_IMAGES ? call->env->image_kv : NULL;
}

/* A row without an image has nothing to look at; what it takes from there is zero. */
static bool sees_nothing(const pfm_attention_span *span)
{
    size_t seen = pfm_attention_span_seen(span, (size_t)span->q_begin);
    for (int32_t i = 0; i < span->ancestors; i++)
        seen += (size_t)(span->ancestor_end[i] - span->ancestor_begin[i]);
    return seen == 0;
}

/* Zeroes the columns from `column` on, head_dim of them, of a span's rows of q's shape. */
static void clear_rows(const pfm_op_call *call, const pfm_attention_span *span, void *from, size_t column)
{
    const size_t size = pfm_act_size(call->env->act), row = (size_t)call->in[0].columns * size;
    for (int32_t r = span->q_begin; r < span->q_end; r++)
        memset((char *)from + (size_t)r * row + column * size, 0, (size_t)call->attributes.head_dim * size);
}

/* The head's view of the tensors; head is a query head. */
static pfm_attention_head head_view(const pfm_op_call *call, int head, int thread)
{
    const pfm_op_attributes *a = &call->attributes;
    const pfm_kv_store *kv = store_of(call);
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
        const pfm_attention_span *seen = &set_of(call)->spans[span];
        pfm_attention_head view = head_view(call, head, thread);
        if (sees_nothing(seen))
            clear_rows(call, seen, call->out[0].data, (size_t)head * (size_t)a->head_dim);
        else
            call->env->kernels->attention[call->env->act](&view, seen);
    }
}

static void store_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const pfm_kv_store *kv = store_of(call);
    size_t size = pfm_act_size(call->env->act), row = kv->columns * size;
    char *keys = (char *)kv->keys + (size_t)call->attributes.layer * kv->layer_stride * size;
    char *values = (char *)kv->values + (size_t)call->attributes.layer * kv->layer_stride * size;
    for (int64_t t = begin; t < end; t++) {
        const size_t to = kv->rows != NULL ? (size_t)kv->rows[t] : (size_t)t;
        memcpy(keys + to * row, (const char *)call->in[1].data + (size_t)t * row, row);
        memcpy(values + to * row, (const char *)call->in[2].data + (size_t)t * row, row);
    }
}

static void forward(const pfm_op_call *call)
{
    if (store_of(call) != NULL)
        pfm_op_for_rows(call, call->in[1].rows, store_rows);
    pfm_threads_run(call->env->context->threads, set_of(call)->span_count * call->attributes.kv_heads, forward_item,
                    (void *)(uintptr_t)call);
}

/* Behind the threads' scratch: the f32 sums of dk and dv, then a dq that nobody asked for, which the kernel writes all the
 * same.
 */
static size_t key_gradient_bytes(const pfm_op_call *call)
{
    return pfm_op_align(sizeof(float) * (size_t)(call->in[1].rows * call->in[1].columns));
}

static char *behind_threads(const pfm_op_call *call)
{
    return (char *)call->scratch + thread_scratch(call) * (size_t)pfm_threads_count(call->env->context->threads);
}

static char *query_gradient(const pfm_op_call *call)
{
    return call->din[0].data != NULL ? call->din[0].data : behind_threads(call) + 2 * key_gradient_bytes(call);
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

/* The lowest key row that the spans from a root on see, as key rows ascend with the roots; `otherwise` where they see none. */
static int64_t lowest_key(const pfm_attention_set *set, int32_t root, int64_t otherwise)
{
    int64_t lowest = otherwise;
    for (; root < set->root_count && lowest == otherwise; root++) {
        for (int32_t s = set->roots[root]; s < set->roots[root + 1]; s++) {
            const pfm_attention_span *span = &set->spans[s];
            if (pfm_attention_span_seen(span, (size_t)span->q_begin) > 0 && span->own_begin < lowest)
                lowest = span->own_begin;
            for (int32_t i = 0; i < span->ancestors; i++)
                lowest = span->ancestor_begin[i] < lowest ? span->ancestor_begin[i] : lowest;
        }
    }
    return lowest;
}

/* One tree of spans and one group of keys: nobody else reads or writes these rows of dk and dv, and the order is fixed. A root
 * has the rows from its lowest key to the next root's, the first and the last those before and behind, so that rows that
 * nobody sees get their zeros too. */
static void backward_item(void *user, int item, int thread)
{
    const pfm_op_call *call = user;
    const pfm_op_environment *env = call->env;
    const pfm_op_attributes *a = &call->attributes;
    const pfm_attention_set *set = set_of(call);
    int root = item / a->kv_heads, group = item % a->kv_heads, per_group = a->heads / a->kv_heads;
    const int64_t key_rows = call->in[1].rows, begin = root == 0 ? 0 : lowest_key(set, root, key_rows),
                  end = root == set->root_count - 1 ? key_rows : lowest_key(set, root + 1, key_rows);
    const pfm_attention_span *first = &set->spans[set->roots[root]], *last = &set->spans[set->roots[root + 1] - 1];
    size_t columns = (size_t)call->in[1].columns, dim = (size_t)a->head_dim, column = (size_t)group * dim;
    float *dk = (float *)(void *)behind_threads(call), *dv = dk + key_gradient_bytes(call) / sizeof *dk;
    for (int64_t row = begin; row < end; row++) {
        memset(dk + (size_t)row * columns + column, 0, dim * sizeof *dk);
        memset(dv + (size_t)row * columns + column, 0, dim * sizeof *dv);
    }
    size_t size = pfm_act_size(env->act);
    for (const pfm_attention_span *span = first; span <= last; span++) {
        for (int head = group * per_group; head < (group + 1) * per_group; head++) {
            if (sees_nothing(span)) {
                clear_rows(call, span, query_gradient(call), (size_t)head * dim);
                continue;
            }
            pfm_attention_head view = head_view(call, head, thread);
            view.dout = (const char *)call->dout[0].data + (size_t)head * dim * size;
            view.dq = query_gradient(call) + (size_t)head * dim * size;
            view.dk = dk + column;
            view.dv = dv + column;
            view.dkv_stride = columns;
            env->kernels->attention_backward[env->act](&view, span);
        }
    }
    for (int64_t row = begin; row < end; row++) {
        write_gradient(call, dk + (size_t)row * columns + column, 1, row, column, dim);
        write_gradient(call, dv + (size_t)row * columns + column, 2, row, column, dim);
    }
}

static void backward(const pfm_op_call *call)
{
    pfm_threads_run(call->env->context->threads, set_of(call)->root_count * call->attributes.kv_heads, backward_item,
                    (void *)(uintptr_t)call);
}

static size_t scratch(const pfm_op_call *call, bool backward_pass)
{
    size_t size = thread_scratch(call) * (size_t)pfm_threads_count(call->env->context->threads);
    if (backward_pass)
        size += 2 * key_gradient_bytes(call) + (size_t)(call->in[0].rows * call->in[0].columns) * pfm_act_size(call->env->act);
    return size;
}

/* Two products over the visible pairs. */
static double operations(const pfm_op_call *call)
{
    double pairs = 0;
    for (int32_t s = 0; s < set_of(call)->span_count; s++) {
        const pfm_attention_span *span = &set_of(call)->spans[s];
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
    {"queries over features",
     {{6, 24, PFM_STORAGE_ACT, 0}, {37, 24, PFM_STORAGE_ACT, 0}, {37, 24, PFM_STORAGE_ACT, 0}},
     {{0}},
     {.heads = 3, .kv_heads = 3, .head_dim = 8, .attention = PFM_ATTENTION_FEATURES, .most_keys = 20}},
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
