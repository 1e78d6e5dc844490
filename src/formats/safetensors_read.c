/* safetensors (Hugging Face, safetensors/README.md): the header's length as u64, a JSON header {name: {dtype, shape,
 * data_offsets}, "__metadata__": {text: text}}, the data without gaps. */
#include "base/try.h"
#include "formats/safetensors.h"
#include "formats/weights_internal.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_HEADER = 100 << 20 }; /* as the reference reader */

static const struct {
    const char *name;
    pfm_dtype dtype;
} types[] = {{"F32", PFM_DTYPE_F32}, {"F16", PFM_DTYPE_F16},  {"BF16", PFM_DTYPE_BF16}, {"F64", PFM_DTYPE_F64},
             {"I8", PFM_DTYPE_I8},   {"U8", PFM_DTYPE_U8},    {"I16", PFM_DTYPE_I16},   {"I32", PFM_DTYPE_I32},
             {"I64", PFM_DTYPE_I64}, {"BOOL", PFM_DTYPE_BOOL}};

const char *pfm_safetensors_type(pfm_dtype dtype)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].dtype == dtype)
            return types[i].name;
    }
    return NULL;
}

static uint64_t header_size(const unsigned char *data)
{
    uint64_t size = 0;
    memcpy(&size, data, sizeof size);
    return size;
}

static bool probe(const unsigned char *data, size_t size) { return size >= 9 && data[8] == '{'; }

static pfm_status read_type(const json_t *entry, const char *name, const char *path, pfm_dtype *out, pfm_error *err)
{
    const char *text = json_string_value(json_object_get(entry, "dtype"));
    for (size_t i = 0; text != NULL && i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].name, text) == 0) {
            *out = types[i].dtype;
            return PFM_OK;
        }
    }
    return pfm_error_set(err, text == NULL ? PFM_ERROR_FORMAT : PFM_ERROR_UNSUPPORTED, "%s: tensor %.100s has %s%.20s%s", path,
                         name, text == NULL ? "no \"dtype\"" : "the dtype ", text == NULL ? "" : text,
                         text == NULL ? "" : ", which is not read here");
}

static pfm_status read_shape(const json_t *entry, const char *name, const char *path, pfm_weight *weight, pfm_error *err)
{
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: tensor %.100s has no \"shape\"", path, name);
    if (json_array_size(shape) > PFM_MAX_RANK)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%s: tensor %.100s has %zu dimensions; at most %d are read here", path,
                             name, json_array_size(shape), PFM_MAX_RANK);
    weight->rank = (int)json_array_size(shape);
    for (int i = 0; i < weight->rank; i++) {
        const json_t *size = json_array_get(shape, (size_t)i);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: dimension %d of tensor %.100s is no size", path, i, name);
        weight->shape[i] = json_integer_value(size);
    }
    return PFM_OK;
}

static pfm_status read_offsets(const json_t *entry, const char *name, const char *path, size_t room, pfm_extent *out,
                               pfm_error *err)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: tensor %.100s has no \"data_offsets\" of two numbers", path, name);
    json_int_t from = json_integer_value(begin), to = json_integer_value(end);
    if (from < 0 || to < from || (uint64_t)to > room)
        return pfm_error_set(err, PFM_ERROR_FORMAT,
                             "%s: tensor %.100s claims the data bytes %lld to %lld of %zu; the file was cut short or "
                             "is damaged",
                             path, name, (long long)from, (long long)to, room);
    *out = (pfm_extent){.begin = (size_t)from, .end = (size_t)to, .name = name};
    return PFM_OK;
}

static pfm_status add_tensor(pfm_weights *weights, const char *name, const json_t *entry, const unsigned char *data,
                             size_t room, const char *path, pfm_extent *extent, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_weight weight = {.name = name};
    if (!json_is_object(entry))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: the header's entry %.100s is no object", path, name);
    PFM_TRY(read_type(entry, name, path, &weight.dtype, err));
    PFM_TRY(read_shape(entry, name, path, &weight, err));
    PFM_TRY(pfm_weight_measure(&weight, path, &weight.bytes, err));
    PFM_TRY(read_offsets(entry, name, path, room, extent, err));
    if (extent->end - extent->begin != weight.bytes)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: tensor %.100s needs %zu bytes by its shape, its offsets give %zu", path, name,
                 weight.bytes, extent->end - extent->begin);
    weight.data = data + extent->begin;
    PFM_TRY(pfm_weights_add(weights, name, strlen(name), &weight, path, err));
done:
    return status;
}

static pfm_status add_metadata(pfm_weights *weights, json_t *entry, const char *path, pfm_error *err)
{
    const char *key = NULL;
    json_t *value = NULL;
    if (!json_is_object(entry))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: __metadata__ is no object", path);
    json_object_foreach(entry, key, value)
    {
        if (!json_is_string(value))
            return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: __metadata__ %.100s is no text", path, key);
        if (pfm_weights_meta_find(weights, key) != NULL)
            continue; /* the shards of one model repeat it */
        pfm_status status = pfm_weights_add_meta_text(weights, key, strlen(key), json_string_value(value),
                                                      json_string_length(value), path, err);
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

static pfm_status read_entries(pfm_weights *weights, json_t *header, const unsigned char *data, size_t room, const char *path,
                               pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_extent *extents = NULL;
    size_t count = 0;
    const char *name = NULL;
    json_t *entry = NULL;
    PFM_TRY(pfm_allocate(json_object_size(header), sizeof *extents, &extents, err));
    json_object_foreach(header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0)
            PFM_TRY(add_metadata(weights, entry, path, err));
        else
            PFM_TRY(add_tensor(weights, name, entry, data, room, path, &extents[count++], err));
    }
    PFM_TRY(pfm_extents_check(extents, count, room, path, err));
done:
    free(extents);
    return status;
}

static pfm_status read_file(pfm_weights *weights, const unsigned char *data, size_t size, const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *header = NULL;
    json_error_t reason;
    uint64_t length = header_size(data);
    if (length > size - 8)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s says that its header has %llu bytes, but %zu are left; it was cut short or is damaged",
                 path, (unsigned long long)length, size - 8);
    if (length > MAX_HEADER)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s has a header of %llu bytes; at most %d are allowed", path, (unsigned long long)length,
                 MAX_HEADER);
    header = json_loadb((const char *)data + 8, (size_t)length, JSON_REJECT_DUPLICATES, &reason);
    if (!json_is_object(header))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: the header is not JSON (byte %d): %s", path, header == NULL ? reason.position + 8 : 8,
                 header == NULL ? reason.text : "no object");
    PFM_TRY(read_entries(weights, header, data + 8 + length, size - 8 - (size_t)length, path, err));
done:
    json_decref(header);
    return status;
}

const pfm_weights_reader pfm_reader_safetensors = {.format = "safetensors", .probe = probe, .read = read_file};
