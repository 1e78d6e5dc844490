#include "formats/gguf.h"

#include "base/try.h"
#include "formats/gguf_types.h"
#include "formats/weights_internal.h"
#include "formats/write_tensor.h"

#include <fnmatch.h>
#include <stdlib.h>

enum { GGUF_VERSION = 3, GGUF_MAX_NAME = 63 };

typedef struct key_value {
    char *key;
    uint32_t type;
    pfm_buffer value; /* as in the file, behind its type */
} key_value;

struct pfm_gguf_writer {
    key_value *pairs;
    size_t pair_count, pair_capacity;
    pfm_weight *tensors; /* with names of their own */
    size_t count, capacity;
    pfm_map names;
};

pfm_status pfm_gguf_writer_create(pfm_gguf_writer **out, pfm_error *err) { return pfm_allocate(1, sizeof **out, out, err); }

void pfm_gguf_writer_free(pfm_gguf_writer *writer)
{
    if (writer == NULL)
        return;
    for (size_t i = 0; i < writer->pair_count; i++) {
        free(writer->pairs[i].key);
        pfm_buffer_free(&writer->pairs[i].value);
    }
    for (size_t i = 0; i < writer->count; i++)
        free((void *)(uintptr_t)writer->tensors[i].name);
    pfm_map_free(&writer->names);
    free(writer->pairs);
    free(writer->tensors);
    free(writer);
}

/* *out = the pair of a key, empty, made where there is none. */
static pfm_status take_pair(pfm_gguf_writer *writer, const char *key, uint32_t type, key_value **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_weights_check_name("key", key, strlen(key), "a GGUF to write", err));
    key_value *found = NULL;
    for (size_t i = 0; i < writer->pair_count && found == NULL; i++) {
        if (strcmp(writer->pairs[i].key, key) == 0)
            found = &writer->pairs[i];
    }
    if (found == NULL) {
        PFM_TRY(pfm_array_reserve(&writer->pairs, &writer->pair_capacity, writer->pair_count + 1, sizeof *writer->pairs, err));
        found = &writer->pairs[writer->pair_count];
        PFM_TRY(pfm_string_copy(key, &found->key, err));
        writer->pair_count++;
    }
    found->type = type;
    pfm_buffer_clear(&found->value);
    *out = found;
done:
    return status;
}

static pfm_status set_bytes(pfm_gguf_writer *writer, const char *key, uint32_t type, const void *bytes, size_t size,
                            pfm_error *err)
{
    key_value *pair = NULL;
    pfm_status status = take_pair(writer, key, type, &pair, err);
    return status == PFM_OK ? pfm_buffer_append(&pair->value, bytes, size, err) : status;
}

static pfm_status append_u64(pfm_buffer *buffer, uint64_t value, pfm_error *err)
{
    return pfm_buffer_append(buffer, &value, sizeof value, err);
}

static pfm_status append_u32(pfm_buffer *buffer, uint32_t value, pfm_error *err)
{
    return pfm_buffer_append(buffer, &value, sizeof value, err);
}

static pfm_status append_text(pfm_buffer *buffer, const char *text, size_t length, pfm_error *err)
{
    pfm_status status = append_u64(buffer, length, err);
    return status == PFM_OK ? pfm_buffer_append(buffer, text, length, err) : status;
}

pfm_status pfm_gguf_set_u32(pfm_gguf_writer *writer, const char *key, uint32_t value, pfm_error *err)
{
    return set_bytes(writer, key, GGUF_U32, &value, sizeof value, err);
}

pfm_status pfm_gguf_set_i32(pfm_gguf_writer *writer, const char *key, int32_t value, pfm_error *err)
{
    return set_bytes(writer, key, GGUF_I32, &value, sizeof value, err);
}

pfm_status pfm_gguf_set_u64(pfm_gguf_writer *writer, const char *key, uint64_t value, pfm_error *err)
{
    return set_bytes(writer, key, GGUF_U64, &value, sizeof value, err);
}

pfm_status pfm_gguf_set_f32(pfm_gguf_writer *writer, const char *key, float value, pfm_error *err)
{
    return set_bytes(writer, key, GGUF_F32, &value, sizeof value, err);
}

pfm_status pfm_gguf_set_bool(pfm_gguf_writer *writer, const char *key, bool value, pfm_error *err)
{
    unsigned char byte = value ? 1 : 0;
    return set_bytes(writer, key, GGUF_BOOL, &byte, sizeof byte, err);
}

pfm_status pfm_gguf_set_text(pfm_gguf_writer *writer, const char *key, const char *text, pfm_error *err)
{
    key_value *pair = NULL;
    pfm_status status = take_pair(writer, key, GGUF_STRING, &pair, err);
    return status == PFM_OK ? append_text(&pair->value, text, strlen(text), err) : status;
}

/* Begins an array: the type and the number of its elements. */
static pfm_status take_array(pfm_gguf_writer *writer, const char *key, uint32_t type, size_t count, key_value **out,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(take_pair(writer, key, GGUF_ARRAY, out, err));
    PFM_TRY(append_u32(&(*out)->value, type, err));
    PFM_TRY(append_u64(&(*out)->value, count, err));
done:
    return status;
}

pfm_status pfm_gguf_set_texts(pfm_gguf_writer *writer, const char *key, const char *const *texts, const size_t *lengths,
                              size_t count, pfm_error *err)
{
    key_value *pair = NULL;
    pfm_status status = take_array(writer, key, GGUF_STRING, count, &pair, err);
    for (size_t i = 0; status == PFM_OK && i < count; i++)
        status = append_text(&pair->value, texts[i], lengths == NULL ? strlen(texts[i]) : lengths[i], err);
    return status;
}

pfm_status pfm_gguf_set_i32s(pfm_gguf_writer *writer, const char *key, const int32_t *values, size_t count, pfm_error *err)
{
    key_value *pair = NULL;
    pfm_status status = take_array(writer, key, GGUF_I32, count, &pair, err);
    return status == PFM_OK ? pfm_buffer_append(&pair->value, values, count * sizeof *values, err) : status;
}

pfm_status pfm_gguf_set_f32s(pfm_gguf_writer *writer, const char *key, const float *values, size_t count, pfm_error *err)
{
    key_value *pair = NULL;
    pfm_status status = take_array(writer, key, GGUF_F32, count, &pair, err);
    return status == PFM_OK ? pfm_buffer_append(&pair->value, values, count * sizeof *values, err) : status;
}

static bool fits_one(const char *key, const char *const *patterns)
{
    for (; patterns != NULL && *patterns != NULL; patterns++) {
        if (fnmatch(*patterns, key, 0) == 0)
            return true;
    }
    return false;
}

pfm_status pfm_gguf_copy_meta(pfm_gguf_writer *writer, const pfm_weights *source, const char *const *except, pfm_error *err)
{
    if (strcmp(source->format, "gguf") != 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s is no GGUF: it has no key-values to copy", source->path);
    for (size_t i = 0; i < source->meta_count; i++) {
        const pfm_meta *meta = &source->metas[i];
        if (fits_one(meta->key, except))
            continue;
        pfm_status status = set_bytes(writer, meta->key, meta->gguf_type, meta->raw, meta->raw_bytes, err);
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

static pfm_status tensor_type(const pfm_weight *tensor, uint32_t *out, pfm_error *err)
{
    static const struct {
        pfm_dtype dtype;
        uint32_t type;
    } types[] = {
        {PFM_DTYPE_F32, GGML_F32},   {PFM_DTYPE_F16, GGML_F16},   {PFM_DTYPE_BF16, GGML_BF16}, {PFM_DTYPE_F64, GGML_F64},
        {PFM_DTYPE_I8, GGML_I8},     {PFM_DTYPE_I16, GGML_I16},   {PFM_DTYPE_I32, GGML_I32},   {PFM_DTYPE_I64, GGML_I64},
        {PFM_DTYPE_Q4_0, GGML_Q4_0}, {PFM_DTYPE_Q4_1, GGML_Q4_1}, {PFM_DTYPE_Q5_0, GGML_Q5_0}, {PFM_DTYPE_Q5_1, GGML_Q5_1},
        {PFM_DTYPE_Q8_0, GGML_Q8_0}, {PFM_DTYPE_Q4_K, GGML_Q4_K}, {PFM_DTYPE_Q5_K, GGML_Q5_K}, {PFM_DTYPE_Q6_K, GGML_Q6_K}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].dtype == tensor->dtype) {
            *out = types[i].type;
            return PFM_OK;
        }
    }
    return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "tensor %.100s is %s, which GGUF does not have", tensor->name,
                         pfm_dtype_get_info(tensor->dtype)->name);
}

pfm_status pfm_gguf_add_tensor(pfm_gguf_writer *writer, const pfm_weight *tensor, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t length = strlen(tensor->name);
    pfm_weight copy = *tensor;
    char *name = NULL;
    uint32_t type = 0;
    PFM_TRY(pfm_weights_check_name("tensor's name", tensor->name, length, "a GGUF to write", err));
    if (length > GGUF_MAX_NAME || tensor->rank > GGUF_MAX_RANK)
        PFM_FAIL(PFM_ERROR_USAGE, "tensor %.100s does not fit in a GGUF: names have at most %d bytes, shapes %d dimensions",
                 tensor->name, GGUF_MAX_NAME, GGUF_MAX_RANK);
    if (pfm_map_get(&writer->names, tensor->name, length, NULL))
        PFM_FAIL(PFM_ERROR_USAGE, "two tensors are named %s", tensor->name);
    PFM_TRY(tensor_type(tensor, &type, err));
    PFM_TRY(pfm_weight_measure(tensor, "a GGUF to write", &copy.bytes, err));
    PFM_TRY(pfm_array_reserve(&writer->tensors, &writer->capacity, writer->count + 1, sizeof copy, err));
    PFM_TRY(pfm_string_copy(tensor->name, &name, err));
    PFM_TRY(pfm_map_set(&writer->names, name, length, 0, err));
    copy.name = name;
    name = NULL;
    writer->tensors[writer->count++] = copy;
done:
    free(name);
    return status;
}

static size_t alignment_of(const pfm_gguf_writer *writer)
{
    for (size_t i = 0; i < writer->pair_count; i++) {
        uint32_t value = 0;
        if (strcmp(writer->pairs[i].key, "general.alignment") == 0 && writer->pairs[i].value.size == sizeof value) {
            memcpy(&value, writer->pairs[i].value.data, sizeof value);
            return value;
        }
    }
    return GGUF_DEFAULT_ALIGNMENT;
}

static pfm_status append_tensor(pfm_buffer *header, const pfm_weight *tensor, size_t offset, pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint32_t type = 0;
    PFM_TRY(tensor_type(tensor, &type, err));
    PFM_TRY(append_text(header, tensor->name, strlen(tensor->name), err));
    PFM_TRY(append_u32(header, (uint32_t)tensor->rank, err));
    for (int i = tensor->rank; i > 0; i--)
        PFM_TRY(append_u64(header, (uint64_t)tensor->shape[i - 1], err));
    PFM_TRY(append_u32(header, type, err));
    PFM_TRY(append_u64(header, offset, err));
done:
    return status;
}

static pfm_status append_pairs(const pfm_gguf_writer *writer, pfm_buffer *header, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < writer->pair_count; i++) {
        const key_value *pair = &writer->pairs[i];
        PFM_TRY(append_text(header, pair->key, strlen(pair->key), err));
        PFM_TRY(append_u32(header, pair->type, err));
        PFM_TRY(pfm_buffer_append(header, pair->value.data, pair->value.size, err));
    }
done:
    return status;
}

static size_t padding(size_t size, size_t alignment) { return (alignment - size % alignment) % alignment; }

static pfm_status write_padding(pfm_atomic_file *file, size_t count, pfm_error *err)
{
    static const char zeros[64];
    pfm_status status = PFM_OK;
    for (; status == PFM_OK && count > 0; count -= count < sizeof zeros ? count : sizeof zeros)
        status = pfm_atomic_file_write(file, zeros, count < sizeof zeros ? count : sizeof zeros, err);
    return status;
}

static pfm_status make_header(const pfm_gguf_writer *writer, size_t alignment, pfm_buffer *header, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t offset = 0;
    PFM_TRY(pfm_buffer_append(header, "GGUF", 4, err));
    PFM_TRY(append_u32(header, GGUF_VERSION, err));
    PFM_TRY(append_u64(header, writer->count, err));
    PFM_TRY(append_u64(header, writer->pair_count, err));
    PFM_TRY(append_pairs(writer, header, err));
    for (size_t i = 0; i < writer->count; i++) {
        PFM_TRY(append_tensor(header, &writer->tensors[i], offset, err));
        offset += writer->tensors[i].bytes + padding(writer->tensors[i].bytes, alignment);
    }
done:
    return status;
}

pfm_status pfm_gguf_write(const pfm_gguf_writer *writer, const char *path, pfm_weight_fill fill, void *user, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_atomic_file file = {.descriptor = -1};
    pfm_buffer header = {0};
    size_t alignment = alignment_of(writer);
    if (alignment < 8 || (alignment & (alignment - 1)) != 0)
        PFM_FAIL(PFM_ERROR_USAGE, "cannot write %s: general.alignment is %zu, no power of two from 8 on", path, alignment);
    PFM_TRY(make_header(writer, alignment, &header, err));
    PFM_TRY(pfm_atomic_file_begin(path, &file, err));
    PFM_TRY(pfm_atomic_file_write(&file, header.data, header.size, err));
    PFM_TRY(write_padding(&file, padding(header.size, alignment), err));
    for (size_t i = 0; i < writer->count; i++) {
        PFM_TRY(pfm_write_tensor(&file, &writer->tensors[i], fill, user, err));
        PFM_TRY(write_padding(&file, padding(writer->tensors[i].bytes, alignment), err));
    }
    PFM_TRY(pfm_atomic_file_commit(&file, err));
done:
    pfm_atomic_file_abort(&file);
    pfm_buffer_free(&header);
    return status;
}
