#include "formats/weights_internal.h"

const pfm_meta *pfm_weights_meta_find(const pfm_weights *weights, const char *key)
{
    int64_t index = 0;
    return pfm_map_get(&weights->keys, key, strlen(key), &index) ? &weights->metas[index] : NULL;
}

const char *pfm_weights_meta_key(const pfm_weights *weights, size_t index)
{
    return index < weights->meta_count ? weights->metas[index].key : NULL;
}

/* An integer or boolean element, extended to 64 bits. */
static bool integer_at(const pfm_meta *meta, size_t index, int64_t *out)
{
    if (index >= meta->count || (meta->kind != PFM_META_INTEGER && meta->kind != PFM_META_BOOL))
        return false;
    uint64_t bits = 0;
    memcpy(&bits, meta->elements + index * meta->element_bytes, meta->element_bytes);
    unsigned shift = 64 - 8 * (unsigned)meta->element_bytes;
    if (meta->is_signed)
        *out = (int64_t)(bits << shift) >> shift;
    else if (bits > INT64_MAX)
        return false;
    else
        *out = (int64_t)bits;
    return true;
}

static bool number_at(const pfm_meta *meta, size_t index, double *out)
{
    int64_t integer = 0;
    if (integer_at(meta, index, &integer)) {
        *out = (double)integer;
        return true;
    }
    if (index >= meta->count || meta->kind == PFM_META_STRING)
        return false;
    const unsigned char *element = meta->elements + index * meta->element_bytes;
    uint64_t large = 0;
    float single = 0;
    if (meta->kind == PFM_META_INTEGER) {
        memcpy(&large, element, sizeof large); /* only an unsigned one past INT64_MAX comes here */
        *out = (double)large;
    } else if (meta->element_bytes == sizeof single) {
        memcpy(&single, element, sizeof single);
        *out = (double)single;
    } else {
        memcpy(out, element, sizeof *out);
    }
    return true;
}

bool pfm_weights_meta_integer(const pfm_weights *weights, const char *key, int64_t *out)
{
    const pfm_meta *meta = pfm_weights_meta_find(weights, key);
    return meta != NULL && !meta->array && integer_at(meta, 0, out);
}

bool pfm_weights_meta_number(const pfm_weights *weights, const char *key, double *out)
{
    const pfm_meta *meta = pfm_weights_meta_find(weights, key);
    return meta != NULL && !meta->array && number_at(meta, 0, out);
}

const char *pfm_weights_meta_string(const pfm_weights *weights, const char *key, size_t *length)
{
    const pfm_meta *meta = pfm_weights_meta_find(weights, key);
    if (meta == NULL || meta->array || meta->kind != PFM_META_STRING)
        return NULL;
    if (length != NULL)
        *length = meta->texts[0].length;
    return meta->texts[0].data;
}

size_t pfm_weights_meta_array_count(const pfm_weights *weights, const char *key)
{
    const pfm_meta *meta = pfm_weights_meta_find(weights, key);
    return meta != NULL && meta->array ? meta->count : 0;
}

bool pfm_weights_meta_array_string(const pfm_weights *weights, const char *key, size_t index, const char **text, size_t *length)
{
    const pfm_meta *meta = pfm_weights_meta_find(weights, key);
    if (meta == NULL || !meta->array || meta->kind != PFM_META_STRING || index >= meta->count)
        return false;
    *text = meta->texts[index].data;
    *length = meta->texts[index].length;
    return true;
}

bool pfm_weights_meta_array_integer(const pfm_weights *weights, const char *key, size_t index, int64_t *out)
{
    const pfm_meta *meta = pfm_weights_meta_find(weights, key);
    return meta != NULL && meta->array && integer_at(meta, index, out);
}

bool pfm_weights_meta_array_number(const pfm_weights *weights, const char *key, size_t index, double *out)
{
    const pfm_meta *meta = pfm_weights_meta_find(weights, key);
    return meta != NULL && meta->array && number_at(meta, index, out);
}
