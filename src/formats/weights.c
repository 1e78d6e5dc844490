#include "base/try.h"
#include "formats/bitsandbytes.h"
#include "formats/weights_internal.h"
#include "formats/weights_readers.h"

#include <stdlib.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are mapped as they lie in the files: little-endian");

enum { MAX_NAME = 1024 };

#define DECLARE(name) extern const pfm_weights_reader pfm_reader_##name;
PFM_WEIGHTS_READERS(DECLARE)

#define ADDRESS(name) &pfm_reader_##name,
static const pfm_weights_reader *const readers[] = {PFM_WEIGHTS_READERS(ADDRESS)};

pfm_status pfm_weights_keep(pfm_weights *weights, size_t count, size_t size, void *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    void *memory = NULL;
    PFM_TRY(pfm_array_reserve(&weights->kept, &weights->kept_capacity, weights->kept_count + 1, sizeof *weights->kept, err));
    PFM_TRY(pfm_allocate(count, size, &memory, err));
    weights->kept[weights->kept_count++] = memory;
    memcpy(out, &memory, sizeof memory);
done:
    return status;
}

pfm_status pfm_weights_keep_text(pfm_weights *weights, const char *text, size_t length, const char **out, pfm_error *err)
{
    char *copy = NULL;
    pfm_status status = pfm_weights_keep(weights, length + 1, 1, &copy, err);
    if (status != PFM_OK)
        return status;
    if (length > 0)
        memcpy(copy, text, length);
    *out = copy;
    return PFM_OK;
}

pfm_status pfm_weight_measure(const pfm_weight *weight, const char *place, size_t *bytes, pfm_error *err)
{
    const pfm_dtype_info *info = pfm_dtype_get_info(weight->dtype);
    size_t values = 1;
    for (int i = 0; i < weight->rank; i++) {
        if (weight->shape[i] < 0)
            return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: tensor %s has the dimension %lld", place, weight->name,
                                 (long long)weight->shape[i]);
        if (__builtin_mul_overflow(values, (size_t)weight->shape[i], &values))
            return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: tensor %s has more values than memory has addresses", place,
                                 weight->name);
    }
    size_t innermost = weight->rank > 0 ? (size_t)weight->shape[weight->rank - 1] : 1;
    if (innermost % info->block_values != 0)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: tensor %s has rows of %zu values, not whole %s blocks of %zu", place,
                             weight->name, innermost, info->name, info->block_values);
    if (__builtin_mul_overflow(values / info->block_values, info->block_bytes, bytes))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: tensor %s has more bytes than memory has addresses", place,
                             weight->name);
    return PFM_OK;
}

/* How many bytes the UTF-8 character at text has (RFC 3629); 0: it is none. */
static size_t character_bytes(const unsigned char *text, size_t left)
{
    size_t bytes = text[0] < 0x80                      ? 1
                   : text[0] >= 0xc2 && text[0] < 0xe0 ? 2
                   : (text[0] & 0xf0) == 0xe0          ? 3
                   : text[0] >= 0xf0 && text[0] < 0xf5 ? 4
                                                       : 0;
    if (bytes > left)
        return 0;
    for (size_t i = 1; i < bytes; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    bool overlong = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
    bool outside = (text[0] == 0xed && text[1] >= 0xa0) || (text[0] == 0xf4 && text[1] >= 0x90);
    return overlong || outside ? 0 : bytes;
}

pfm_status pfm_weights_check_name(const char *what, const char *name, size_t length, const char *place, pfm_error *err)
{
    if (length == 0 || length > MAX_NAME)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: a %s of %zu bytes; 1 to %d are allowed", place, what, length,
                             MAX_NAME);
    for (size_t i = 0; i < length;) {
        size_t bytes = character_bytes((const unsigned char *)name + i, length - i);
        if (bytes == 0 || (unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: the %s \"%.*s...\" holds %s", place, what, (int)i, name,
                                 bytes == 0 ? "bytes that are not UTF-8" : "a control character");
        i += bytes;
    }
    return PFM_OK;
}

bool pfm_weight_is_aligned(const pfm_weight *weight)
{
    const pfm_dtype_info *info = pfm_dtype_get_info(weight->dtype);
    size_t alignment = info->block_values == 1 ? info->block_bytes : 2;
    return (uintptr_t)weight->data % alignment == 0;
}

pfm_status pfm_weights_add(pfm_weights *weights, const char *name, size_t length, const pfm_weight *weight, const char *place,
                           pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_weight item = *weight;
    PFM_TRY(pfm_weights_check_name("tensor's name", name, length, place, err));
    if (pfm_map_get(&weights->names, name, length, NULL))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: two tensors are named %.*s", place, (int)length, name);
    PFM_TRY(pfm_weights_keep_text(weights, name, length, &item.name, err));
    if (item.data == NULL || !pfm_weight_is_aligned(&item)) {
        void *copy = NULL;
        PFM_TRY(pfm_weights_keep(weights, item.bytes, 1, &copy, err));
        if (item.bytes > 0)
            memcpy(copy, item.data, item.bytes);
        item.data = copy;
    }
    PFM_TRY(pfm_array_reserve(&weights->items, &weights->capacity, weights->count + 1, sizeof *weights->items, err));
    PFM_TRY(pfm_map_set(&weights->names, item.name, length, (int64_t)weights->count, err));
    weights->items[weights->count++] = item;
done:
    return status;
}

pfm_status pfm_weights_add_meta(pfm_weights *weights, const char *key, size_t length, const pfm_meta *meta, const char *place,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_meta item = *meta;
    PFM_TRY(pfm_weights_check_name("key", key, length, place, err));
    if (pfm_map_get(&weights->keys, key, length, NULL))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: the key %.*s stands there twice", place, (int)length, key);
    PFM_TRY(pfm_weights_keep_text(weights, key, length, &item.key, err));
    PFM_TRY(pfm_array_reserve(&weights->metas, &weights->meta_capacity, weights->meta_count + 1, sizeof *weights->metas, err));
    PFM_TRY(pfm_map_set(&weights->keys, item.key, length, (int64_t)weights->meta_count, err));
    weights->metas[weights->meta_count++] = item;
done:
    return status;
}

pfm_status pfm_weights_add_meta_text(pfm_weights *weights, const char *key, size_t key_length, const char *text, size_t length,
                                     const char *place, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_meta_text *copy = NULL;
    PFM_TRY(pfm_weights_keep(weights, 1, sizeof *copy, &copy, err));
    PFM_TRY(pfm_weights_keep_text(weights, text, length, &copy->data, err));
    copy->length = length;
    pfm_meta meta = {.kind = PFM_META_STRING, .count = 1, .texts = copy};
    PFM_TRY(pfm_weights_add_meta(weights, key, key_length, &meta, place, err));
done:
    return status;
}

static int compare_extents(const void *a, const void *b)
{
    const pfm_extent *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

pfm_status pfm_extents_check(pfm_extent *extents, size_t count, size_t whole, const char *place, pfm_error *err)
{
    if (count > 0)
        qsort(extents, count, sizeof *extents, compare_extents);
    size_t reached = 0;
    const char *last = "";
    for (size_t i = 0; i < count; i++) {
        const pfm_extent *extent = &extents[i];
        if (extent->begin < reached && extent->end > extent->begin)
            return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: the tensors %s and %s overlap at data byte %zu", place, last,
                                 extent->name, extent->begin);
        if (whole > 0 && extent->begin > reached)
            return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: the data bytes %zu to %zu, before %s, belong to no tensor", place,
                                 reached, extent->begin, extent->name);
        if (extent->end > reached) {
            reached = extent->end;
            last = extent->name;
        }
    }
    if (whole > reached)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: the last %zu bytes belong to no tensor", place, whole - reached);
    return PFM_OK;
}

bool pfm_weights_known(const unsigned char *data, size_t size)
{
    bool known = false;
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        known = known || readers[i]->probe(data, size);
    return known;
}

/* Lets the reader that knows these bytes add what they hold. */
static pfm_status add_bytes(pfm_weights *weights, const unsigned char *data, size_t size, const char *place, pfm_error *err)
{
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        if (!readers[i]->probe(data, size))
            continue;
        if (weights->format != NULL && strcmp(weights->format, readers[i]->format) != 0)
            return pfm_error_set(err, PFM_ERROR_FORMAT, "%s is a %s file among %s files", place, readers[i]->format,
                                 weights->format);
        weights->format = readers[i]->format;
        return readers[i]->read(weights, data, size, place, err);
    }
    return pfm_error_set(err, PFM_ERROR_FORMAT,
                         "%s%s is no weight file: it begins as none of GGUF, safetensors and PyTorch's do", place,
                         size == 0 ? " is empty and" : "");
}

pfm_status pfm_weights_add_file(pfm_weights *weights, const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_mapping mapping = {0};
    PFM_TRY(pfm_array_reserve(&weights->mappings, &weights->mapping_capacity, weights->mapping_count + 1,
                              sizeof *weights->mappings, err));
    PFM_TRY(pfm_mapping_open(path, &mapping, err));
    weights->mappings[weights->mapping_count++] = mapping;
    PFM_TRY(add_bytes(weights, mapping.data, mapping.size, path, err));
done:
    return status;
}

pfm_status pfm_weights_open_bytes(const void *data, size_t size, const char *place, pfm_weights **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_weights *weights = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *weights, &weights, err));
    PFM_TRY(pfm_string_copy(place, &weights->path, err));
    PFM_TRY(add_bytes(weights, data, size, place, err));
    PFM_TRY(pfm_weights_join_nf4(weights, err));
    *out = weights;
    weights = NULL;
done:
    pfm_weights_close(weights);
    return status;
}

void pfm_weights_close(pfm_weights *weights)
{
    if (weights == NULL)
        return;
    for (size_t i = 0; i < weights->mapping_count; i++)
        pfm_mapping_close(&weights->mappings[i]);
    for (size_t i = 0; i < weights->kept_count; i++)
        free(weights->kept[i]);
    pfm_map_free(&weights->names);
    pfm_map_free(&weights->keys);
    free(weights->mappings);
    free(weights->items);
    free(weights->metas);
    free(weights->kept);
    free(weights->path);
    free(weights);
}

size_t pfm_weights_count(const pfm_weights *weights) { return weights->count; }

const pfm_weight *pfm_weights_at(const pfm_weights *weights, size_t index) { return &weights->items[index]; }

const pfm_weight *pfm_weights_find(const pfm_weights *weights, const char *name)
{
    int64_t index = 0;
    return pfm_map_get(&weights->names, name, strlen(name), &index) ? &weights->items[index] : NULL;
}

const char *pfm_weights_format(const pfm_weights *weights) { return weights->format; }

const char *pfm_weights_path(const pfm_weights *weights) { return weights->path; }

size_t pfm_weight_values(const pfm_weight *weight)
{
    size_t values = 1;
    for (int i = 0; i < weight->rank; i++)
        values *= (size_t)weight->shape[i];
    return values;
}

static void release_range(const pfm_weights *weights, const void *begin, size_t bytes)
{
    uintptr_t data = (uintptr_t)begin;
    for (size_t i = 0; i < weights->mapping_count; i++) {
        const pfm_mapping *mapping = &weights->mappings[i];
        if (mapping->data != NULL && data - (uintptr_t)mapping->data < mapping->size)
            pfm_mapping_release(mapping, begin, bytes);
    }
}

void pfm_weights_release(const pfm_weights *weights, const pfm_weight *weight)
{
    release_range(weights, weight->data, weight->bytes);
    if (weight->parts != NULL && weight->parts->absmax != NULL)
        release_range(weights, weight->parts->absmax, weight->parts->blocks * sizeof(float));
}
