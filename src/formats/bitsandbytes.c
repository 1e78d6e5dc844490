#include "formats/bitsandbytes.h"

#include "base/json.h"
#include "base/try.h"

#include <stdio.h>
#include <stdlib.h>

static const char state_end[] = ".quant_state.bitsandbytes__nf4", any_state[] = ".quant_state.bitsandbytes__";

typedef struct joining {
    pfm_weights *weights;
    char name[1024]; /* of the weight */
    json_t *state;
    pfm_weight *whole;
    struct pfm_weight_parts *parts;
} joining;

static pfm_status refuse(const joining *j, const char *what, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: the tensor %s says that bitsandbytes quantised it, but %s",
                         j->weights->path, j->name, what);
}

/* *data = a part of `count` values of a type; its name is the weight's and `end`. */
static pfm_status find_part(const joining *j, const char *end, pfm_dtype dtype, size_t count, const void **data, pfm_error *err)
{
    char name[1100];
    (void)snprintf(name, sizeof name, "%s%s", j->name, end);
    const pfm_weight *part = pfm_weights_find(j->weights, name);
    if (part == NULL || part->dtype != dtype || pfm_weight_values(part) != count)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: %s is not %zu values of %s, as the state of bitsandbytes demands",
                             j->weights->path, name, count, pfm_dtype_get_info(dtype)->name);
    *data = part->data;
    return PFM_OK;
}

static int64_t state_integer(const joining *j, const char *key)
{
    const json_t *value = json_object_get(j->state, key);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static pfm_status read_shape(const joining *j, int64_t shape[2], pfm_error *err)
{
    const json_t *list = json_object_get(j->state, "shape");
    if (state_integer(j, "blocksize") != PFM_NF4_VALUES)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                             "%s: %s has blocks of another size than %d values, which is not supported", j->weights->path,
                             j->name, PFM_NF4_VALUES);
    for (size_t i = 0; i < 2; i++)
        shape[i] = json_integer_value(json_array_get(list, i));
    if (json_array_size(list) != 2 || shape[0] < 1 || shape[1] < 1 || shape[0] > (int64_t)1 << 40 ||
        shape[1] > (int64_t)1 << 20)
        return refuse(j, "its shape is not two sizes", err);
    if (shape[1] % PFM_NF4_VALUES != 0)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                             "%s: %s has rows of %lld values, which are not whole blocks of %d; this is not supported",
                             j->weights->path, j->name, (long long)shape[1], PFM_NF4_VALUES);
    return PFM_OK;
}

static pfm_status read_scales(joining *j, pfm_error *err)
{
    struct pfm_weight_parts *p = j->parts;
    pfm_status status = PFM_OK;
    const void *data = NULL;
    if (json_object_get(j->state, "nested_offset") == NULL) {
        PFM_TRY(find_part(j, ".absmax", PFM_DTYPE_F32, p->blocks, &data, err));
        p->absmax = data;
        goto done;
    }
    const int64_t block = state_integer(j, "nested_blocksize");
    const double offset = json_number_value(json_object_get(j->state, "nested_offset"));
    if (block < 1 || !(fabs(offset) < 1e30))
        PFM_TRY(refuse(j, "its nested_blocksize or nested_offset is no number that can be", err));
    p->nested_block = (size_t)block;
    p->offset = (float)offset;
    PFM_TRY(find_part(j, ".absmax", PFM_DTYPE_U8, p->blocks, &data, err));
    p->codes = data;
    PFM_TRY(find_part(j, ".nested_quant_map", PFM_DTYPE_F32, 256, &data, err));
    p->codebook = data;
    PFM_TRY(find_part(j, ".nested_absmax", PFM_DTYPE_F32, (p->blocks - 1) / p->nested_block + 1, &data, err));
    p->nested = data;
done:
    return status;
}

static pfm_status read_parts(joining *j, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int64_t shape[2] = {0, 0};
    const void *data = NULL;
    PFM_TRY(read_shape(j, shape, err));
    PFM_TRY(pfm_weights_keep(j->weights, 1, sizeof *j->parts, &j->parts, err));
    j->parts->blocks = (size_t)shape[0] * (size_t)shape[1] / PFM_NF4_VALUES;
    const size_t bytes = j->parts->blocks * (PFM_NF4_VALUES / 2);
    PFM_TRY(find_part(j, "", PFM_DTYPE_U8, bytes, &data, err));
    j->parts->halves = data;
    PFM_TRY(find_part(j, ".quant_map", PFM_DTYPE_F32, 16, &data, err));
    for (int i = 0; i < 16; i++) {
        if (fabsf(((const float *)data)[i] - pfm_nf4_levels[i]) > 1e-6f)
            PFM_TRY(refuse(j, "its quant_map does not hold the levels of NF4", err));
    }
    PFM_TRY(read_scales(j, err));
    j->whole->dtype = PFM_DTYPE_NF4;
    j->whole->rank = 2;
    j->whole->shape[0] = shape[0];
    j->whole->shape[1] = shape[1];
    j->whole->bytes = bytes;
    j->whole->parts = j->parts;
done:
    return status;
}

static bool ends_with(const char *name, const char *end)
{
    const size_t whole = strlen(name), part = strlen(end);
    return whole > part && strcmp(name + whole - part, end) == 0;
}

/* A part belongs to a weight that has been joined. */
static bool is_part(const pfm_weights *weights, const char *name)
{
    static const char *const ends[] = {".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", state_end};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        int64_t index = -1;
        if (ends_with(name, ends[i]) && pfm_map_get(&weights->names, name, strlen(name) - strlen(ends[i]), &index))
            return weights->items[index].parts != NULL;
    }
    return false;
}

static pfm_status drop_parts(pfm_weights *weights, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t left = 0;
    pfm_weight *items = NULL;
    pfm_map names = {0};
    PFM_TRY(pfm_allocate(weights->count, sizeof *items, &items, err));
    for (size_t i = 0; i < weights->count; i++) {
        if (is_part(weights, weights->items[i].name))
            continue;
        PFM_TRY(pfm_map_set(&names, weights->items[i].name, strlen(weights->items[i].name), (int64_t)left, err));
        items[left++] = weights->items[i];
    }
    pfm_map_free(&weights->names);
    free(weights->items);
    weights->names = names;
    weights->items = items;
    weights->capacity = weights->count;
    weights->count = left;
    items = NULL;
    names = (pfm_map){0};
done:
    free(items);
    pfm_map_free(&names);
    return status;
}

static pfm_status join(pfm_weights *weights, const pfm_weight *state, pfm_error *err)
{
    pfm_status status = PFM_OK;
    joining j = {.weights = weights};
    int64_t index = -1;
    if (!ends_with(state->name, state_end))
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s: %s is a type of bitsandbytes that is not supported; nf4 is", weights->path,
                 state->name);
    const size_t length = strlen(state->name) - (sizeof state_end - 1);
    (void)snprintf(j.name, sizeof j.name, "%.*s", (int)length, state->name);
    if (!pfm_map_get(&weights->names, j.name, strlen(j.name), &index))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: %s describes a tensor that is not there", weights->path, state->name);
    j.whole = &weights->items[index];
    j.state = state->dtype == PFM_DTYPE_U8 ? json_loadb(state->data, state->bytes, 0, NULL) : NULL;
    if (!json_is_object(j.state))
        PFM_TRY(refuse(&j, "its quant_state is no JSON object", err));
    PFM_TRY(read_parts(&j, err));
done:
    json_decref(j.state);
    return status;
}

pfm_status pfm_weights_join_nf4(pfm_weights *weights, pfm_error *err)
{
    bool any = false;
    for (size_t i = 0; i < weights->count; i++) {
        if (strstr(weights->items[i].name, any_state) == NULL)
            continue;
        const pfm_status status = join(weights, &weights->items[i], err);
        if (status != PFM_OK)
            return status;
        any = true;
    }
    return any ? drop_parts(weights, err) : PFM_OK;
}

void pfm_weight_join_block(const struct pfm_weight_parts *p, size_t i, uint8_t out[PFM_NF4_BYTES])
{
    float most;
    if (p->absmax != NULL) {
        most = p->absmax[i];
    } else {
        const float scaled = p->codebook[p->codes[i]] * p->nested[i / p->nested_block];
        most = scaled + p->offset; /* rounded twice, as bitsandbytes does */
    }
    memcpy(out, &most, sizeof most);
    memcpy(out + sizeof most, p->halves + i * (PFM_NF4_VALUES / 2), PFM_NF4_VALUES / 2);
}
