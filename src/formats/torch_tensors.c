#include "formats/torch_tensors.h"

#include "base/try.h"

#include <stdio.h>

enum { MAX_DEPTH = 64 };
enum { MARK_UNKNOWN, MARK_OPEN, MARK_NONE, MARK_HOLDS, MARK_TAKEN }; /* of a container: does it hold tensors? */

typedef struct walk {
    pfm_weights *weights;
    pfm_pickle *pickle;
    const char *place;
    size_t copies_left; /* bytes: a small file must not fill the memory with copies of one storage */
    pfm_buffer name;    /* of what is visited now */
} walk;

static bool is_container(const pfm_pickle_node *node)
{
    return node->kind == PFM_PICKLE_TUPLE || node->kind == PFM_PICKLE_LIST || node->kind == PFM_PICKLE_DICT;
}

static pfm_pickle_node *node_at(const walk *state, uint32_t index) { return &state->pickle->nodes[index]; }

/* Marks every container below with whether it holds tensors. */
static pfm_status mark_holders(walk *state, uint32_t index, int depth, bool *holds, pfm_error *err)
{
    pfm_pickle_node *node = node_at(state, index);
    *holds = node->kind == PFM_PICKLE_TENSOR || node->mark == MARK_HOLDS;
    if (!is_container(node) || node->mark == MARK_NONE || node->mark == MARK_HOLDS)
        return PFM_OK;
    if (node->mark == MARK_OPEN || depth > MAX_DEPTH)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s holds containers that hold themselves or are nested more than %d deep",
                             state->place, MAX_DEPTH);
    node->mark = MARK_OPEN;
    for (size_t i = 0; i < node->list.count; i++) {
        bool item_holds = false;
        pfm_status status = mark_holders(state, node->list.items[i], depth + 1, &item_holds, err);
        if (status != PFM_OK)
            return status;
        *holds = *holds || item_holds;
    }
    node->mark = *holds ? MARK_HOLDS : MARK_NONE;
    return PFM_OK;
}

/* The only value of a dict that holds tensors, where it is itself a dict and no value is a tensor; else NULL. */
static pfm_pickle_node *wrapped_dict(const walk *state, const pfm_pickle_node *dict, uint32_t *index)
{
    pfm_pickle_node *found = NULL;
    if (dict->kind != PFM_PICKLE_DICT)
        return NULL;
    for (size_t i = 1; i < dict->list.count; i += 2) {
        pfm_pickle_node *value = node_at(state, dict->list.items[i]);
        if (value->kind == PFM_PICKLE_TENSOR || (value->mark == MARK_HOLDS && found != NULL))
            return NULL;
        if (value->mark == MARK_HOLDS) {
            found = value;
            *index = dict->list.items[i];
        }
    }
    return found != NULL && found->kind == PFM_PICKLE_DICT ? found : NULL;
}

static pfm_status add_scalar(const walk *state, const pfm_pickle_node *key, const pfm_pickle_node *value, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_meta meta = {.count = 1};
    int64_t *bits = NULL;
    if (value->kind == PFM_PICKLE_TEXT)
        return pfm_weights_add_meta_text(state->weights, key->text.data, key->text.length, value->text.data, value->text.length,
                                         state->place, err);
    if (value->kind == PFM_PICKLE_INTEGER || value->kind == PFM_PICKLE_BOOL)
        meta.kind = value->kind == PFM_PICKLE_BOOL ? PFM_META_BOOL : PFM_META_INTEGER;
    else if (value->kind == PFM_PICKLE_NUMBER)
        meta.kind = PFM_META_NUMBER;
    else
        return PFM_OK;
    PFM_TRY(pfm_weights_keep(state->weights, 1, sizeof *bits, &bits, err));
    memcpy(bits, &value->integer, sizeof *bits); /* or the number, of the same size */
    meta.elements = (const unsigned char *)bits;
    meta.element_bytes = sizeof *bits;
    meta.is_signed = true;
    PFM_TRY(pfm_weights_add_meta(state->weights, key->text.data, key->text.length, &meta, state->place, err));
done:
    return status;
}

static pfm_status add_scalars(const walk *state, const pfm_pickle_node *dict, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; status == PFM_OK && dict->kind == PFM_PICKLE_DICT && i + 1 < dict->list.count; i += 2) {
        const pfm_pickle_node *key = node_at(state, dict->list.items[i]);
        if (key->kind == PFM_PICKLE_TEXT)
            status = add_scalar(state, key, node_at(state, dict->list.items[i + 1]), err);
    }
    return status;
}

/* Checks that the tensor lies in its storage; *dense: row-major without gaps. */
static pfm_status check_layout(const walk *state, const pfm_pickle_tensor *tensor, const pfm_pickle_storage *storage,
                               bool *dense, pfm_error *err)
{
    uint64_t values = 1, last = tensor->offset;
    bool overflow = false;
    *dense = true;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        uint64_t size = (uint64_t)tensor->shape[i], stride = (uint64_t)tensor->stride[i], reach = 0;
        if (size != 1 && stride != values)
            *dense = false;
        overflow = overflow || __builtin_mul_overflow(values, size, &values) ||
                   __builtin_mul_overflow(size > 0 ? size - 1 : 0, stride, &reach) ||
                   __builtin_add_overflow(last, reach, &last);
    }
    if (values == 0 && !overflow) {
        *dense = true;
        return PFM_OK;
    }
    if (overflow || last >= storage->values)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: tensor %.100s reaches past its storage of %llu values", state->place,
                             state->name.data, (unsigned long long)storage->values);
    if (values > storage->values)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                             "%s: tensor %.100s repeats its storage (an expanded view); save a contiguous copy", state->place,
                             state->name.data);
    return PFM_OK;
}

/* Copies a strided tensor into row-major order. */
static void gather(const pfm_pickle_tensor *tensor, const unsigned char *in, size_t element, unsigned char *out, size_t values)
{
    int64_t index[PFM_MAX_RANK] = {0};
    for (size_t i = 0; i < values; i++, out += element) {
        int64_t from = 0;
        for (int d = 0; d < tensor->rank; d++)
            from += index[d] * tensor->stride[d];
        memcpy(out, in + (size_t)from * element, element);
        for (int d = tensor->rank - 1; d >= 0; d--) {
            if (++index[d] < tensor->shape[d])
                break;
            index[d] = 0;
        }
    }
}

static pfm_status add_tensor(walk *state, const pfm_pickle_tensor *tensor, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_pickle_storage *storage = &state->pickle->storages[tensor->storage];
    size_t element = pfm_dtype_get_info(storage->dtype)->block_bytes;
    bool dense = false;
    pfm_weight weight = {.name = state->name.data, .dtype = storage->dtype, .rank = tensor->rank};
    memcpy(weight.shape, tensor->shape, sizeof weight.shape);
    PFM_TRY(pfm_weight_measure(&weight, state->place, &weight.bytes, err));
    PFM_TRY(check_layout(state, tensor, storage, &dense, err));
    if (weight.bytes > 0)
        weight.data = storage->data + (size_t)tensor->offset * element;
    if (!dense || !pfm_weight_is_aligned(&weight)) {
        if (weight.bytes > state->copies_left)
            PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                     "%s: too many tensors are views of the same storage, %.100s among them; save contiguous copies",
                     state->place, state->name.data);
        state->copies_left -= weight.bytes;
    }
    if (!dense) {
        unsigned char *copy = NULL;
        PFM_TRY(pfm_weights_keep(state->weights, weight.bytes, 1, &copy, err));
        gather(tensor, weight.data, element, copy, weight.bytes / element);
        weight.data = copy;
    }
    PFM_TRY(pfm_weights_add(state->weights, state->name.data, state->name.size, &weight, state->place, err));
done:
    return status;
}

/* Appends a key or position to the name. */
static pfm_status append_part(walk *state, const pfm_pickle_node *key, size_t position, pfm_error *err)
{
    const char *dot = state->name.size > 0 ? "." : "";
    if (key == NULL)
        return pfm_buffer_append_format(&state->name, err, "%s%zu", dot, position);
    if (key->kind == PFM_PICKLE_INTEGER)
        return pfm_buffer_append_format(&state->name, err, "%s%lld", dot, (long long)key->integer);
    if (key->kind != PFM_PICKLE_TEXT)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%s: a dictionary%s%.100s has a key that is neither text nor integer",
                             state->place, state->name.size > 0 ? " under " : "", state->name.size > 0 ? state->name.data : "");
    pfm_status status = pfm_buffer_append_string(&state->name, dot, err);
    return status == PFM_OK ? pfm_buffer_append(&state->name, key->text.data, key->text.length, err) : status;
}

static pfm_status visit(walk *state, uint32_t index, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_pickle_node *node = node_at(state, index);
    if (node->kind == PFM_PICKLE_TENSOR)
        return add_tensor(state, &state->pickle->tensors[node->integer], err);
    if (node->mark == MARK_TAKEN)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%s holds the same container twice, the second time as %.100s",
                             state->place, state->name.data);
    if (node->mark != MARK_HOLDS)
        return PFM_OK;
    node->mark = MARK_TAKEN;
    size_t step = node->kind == PFM_PICKLE_DICT ? 2 : 1, length = state->name.size;
    for (size_t i = 0; i + step <= node->list.count; i += step) {
        uint32_t item = node->list.items[i + step - 1];
        if (node_at(state, item)->kind != PFM_PICKLE_TENSOR && node_at(state, item)->mark < MARK_HOLDS)
            continue;
        PFM_TRY(append_part(state, step == 2 ? node_at(state, node->list.items[i]) : NULL, i, err));
        PFM_TRY(visit(state, item, err));
        state->name.size = length;
        state->name.data[length] = '\0';
    }
done:
    return status;
}

pfm_status pfm_torch_add_tensors(pfm_weights *weights, pfm_pickle *pickle, size_t size, const char *place, pfm_error *err)
{
    pfm_status status = PFM_OK;
    walk state = {
        .weights = weights, .pickle = pickle, .place = place, .copies_left = size > SIZE_MAX / 2 ? SIZE_MAX : 2 * size};
    uint32_t root = pickle->root, inner = 0;
    bool holds = false;
    PFM_TRY(mark_holders(&state, root, 0, &holds, err));
    if (!holds)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s holds no tensor", place);
    if (wrapped_dict(&state, node_at(&state, root), &inner) != NULL) {
        PFM_TRY(add_scalars(&state, node_at(&state, root), err));
        root = inner;
    }
    PFM_TRY(pfm_buffer_append_string(&state.name, node_at(&state, root)->kind == PFM_PICKLE_TENSOR ? "tensor" : "", err));
    PFM_TRY(visit(&state, root, err));
done:
    pfm_buffer_free(&state.name);
    return status;
}
