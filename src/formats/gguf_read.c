/* GGUF v2 and v3 (ggml, docs/gguf.md): "GGUF", version, counts, key-values, tensor descriptions, padding, tensor data. */
#include "base/try.h"
#include "formats/cursor.h"
#include "formats/gguf_types.h"
#include "formats/weights_internal.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct value_type {
    size_t bytes; /* 0: none of a fixed size */
    pfm_meta_kind kind;
    bool is_signed;
} value_type;

static const value_type value_types[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = {1, PFM_META_INTEGER, false},    [GGUF_I8] = {1, PFM_META_INTEGER, true},
    [GGUF_U16] = {2, PFM_META_INTEGER, false},   [GGUF_I16] = {2, PFM_META_INTEGER, true},
    [GGUF_U32] = {4, PFM_META_INTEGER, false},   [GGUF_I32] = {4, PFM_META_INTEGER, true},
    [GGUF_F32] = {4, PFM_META_NUMBER, false},    [GGUF_BOOL] = {1, PFM_META_BOOL, false},
    [GGUF_STRING] = {0, PFM_META_STRING, false}, [GGUF_U64] = {8, PFM_META_INTEGER, false},
    [GGUF_I64] = {8, PFM_META_INTEGER, true},    [GGUF_F64] = {8, PFM_META_NUMBER, false},
};

/* The number of a tensor type, plus one (0: not read here). */
static const int tensor_types[GGML_TYPE_END] = {
    [GGML_F32] = PFM_DTYPE_F32 + 1,   [GGML_F16] = PFM_DTYPE_F16 + 1,   [GGML_Q4_0] = PFM_DTYPE_Q4_0 + 1,
    [GGML_Q4_1] = PFM_DTYPE_Q4_1 + 1, [GGML_Q5_0] = PFM_DTYPE_Q5_0 + 1, [GGML_Q5_1] = PFM_DTYPE_Q5_1 + 1,
    [GGML_Q8_0] = PFM_DTYPE_Q8_0 + 1, [GGML_Q4_K] = PFM_DTYPE_Q4_K + 1, [GGML_Q5_K] = PFM_DTYPE_Q5_K + 1,
    [GGML_Q6_K] = PFM_DTYPE_Q6_K + 1, [GGML_I8] = PFM_DTYPE_I8 + 1,     [GGML_I16] = PFM_DTYPE_I16 + 1,
    [GGML_I32] = PFM_DTYPE_I32 + 1,   [GGML_I64] = PFM_DTYPE_I64 + 1,   [GGML_F64] = PFM_DTYPE_F64 + 1,
    [GGML_BF16] = PFM_DTYPE_BF16 + 1,
};

/* Type numbers are written as they are known to users. */
static const char *const unread_types[GGML_TYPE_END] = {
    [9] = "Q8_1",   [10] = "Q2_K",   [11] = "Q3_K",  [15] = "Q8_K",  [16] = "IQ2_XXS", [17] = "IQ2_XS", [18] = "IQ3_XXS",
    [19] = "IQ1_S", [20] = "IQ4_NL", [21] = "IQ3_S", [22] = "IQ2_S", [23] = "IQ4_XS",  [29] = "IQ1_M",
};

static bool probe(const unsigned char *data, size_t size) { return size >= 4 && memcmp(data, "GGUF", 4) == 0; }

static pfm_status take_text(pfm_cursor *cursor, const char *what, pfm_meta_text *out, pfm_error *err)
{
    uint64_t length = 0;
    const unsigned char *bytes = NULL;
    pfm_status status = pfm_cursor_u64(cursor, what, &length, err);
    if (status == PFM_OK)
        status = pfm_cursor_take(cursor, length, what, &bytes, err);
    if (status == PFM_OK)
        *out = (pfm_meta_text){(const char *)bytes, (size_t)length};
    return status;
}

/* Texts of an array stay in the mapping; a single one is copied for its NUL. */
static pfm_status read_texts(pfm_weights *weights, pfm_cursor *cursor, uint64_t count, pfm_meta *meta, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_meta_text *texts = NULL;
    if (count > (cursor->size - cursor->offset) / sizeof(uint64_t)) /* each has at least its length */
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: an array at byte %zu claims %llu texts, more than the file can hold", cursor->place,
                 cursor->offset, (unsigned long long)count);
    PFM_TRY(pfm_weights_keep(weights, (size_t)count, sizeof *texts, &texts, err));
    for (uint64_t i = 0; i < count; i++)
        PFM_TRY(take_text(cursor, "a text", &texts[i], err));
    if (!meta->array)
        PFM_TRY(pfm_weights_keep_text(weights, texts[0].data, texts[0].length, &texts[0].data, err));
    meta->texts = texts;
done:
    return status;
}

static pfm_status read_elements(pfm_cursor *cursor, uint32_t type, uint64_t count, pfm_meta *meta, pfm_error *err)
{
    const value_type *info = &value_types[type];
    uint64_t bytes = 0;
    if (__builtin_mul_overflow(count, (uint64_t)info->bytes, &bytes))
        bytes = UINT64_MAX;
    meta->element_bytes = info->bytes;
    meta->is_signed = info->is_signed;
    pfm_status status = pfm_cursor_take(cursor, bytes, "a value", &meta->elements, err);
    for (uint64_t i = 0; status == PFM_OK && type == GGUF_BOOL && i < count; i++) {
        if (meta->elements[i] > 1)
            status = pfm_error_set(err, PFM_ERROR_FORMAT, "%s: a boolean before byte %zu is %u", cursor->place, cursor->offset,
                                   meta->elements[i]);
    }
    return status;
}

static pfm_status read_key_value(pfm_weights *weights, pfm_cursor *cursor, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_meta_text key = {0};
    pfm_meta meta = {.count = 1};
    uint32_t type = 0;
    uint64_t count = 1;
    PFM_TRY(take_text(cursor, "a key", &key, err));
    size_t at = cursor->offset;
    PFM_TRY(pfm_cursor_u32(cursor, "the type of a value", &type, err));
    meta.gguf_type = type;
    meta.raw = cursor->data + cursor->offset;
    if (type == GGUF_ARRAY) {
        meta.array = true;
        PFM_TRY(pfm_cursor_u32(cursor, "the type of an array", &type, err));
        PFM_TRY(pfm_cursor_u64(cursor, "the length of an array", &count, err));
    }
    if (type >= GGUF_TYPE_COUNT || type == GGUF_ARRAY)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: the value at byte %zu has the type %u, which %s", cursor->place, at, type,
                 type == GGUF_ARRAY ? "makes an array of arrays" : "GGUF does not define");
    meta.kind = value_types[type].kind;
    meta.count = (size_t)count;
    if (type == GGUF_STRING)
        PFM_TRY(read_texts(weights, cursor, count, &meta, err));
    else
        PFM_TRY(read_elements(cursor, type, count, &meta, err));
    meta.raw_bytes = (size_t)(cursor->data + cursor->offset - meta.raw);
    PFM_TRY(pfm_weights_add_meta(weights, key.data, key.length, &meta, cursor->place, err));
done:
    return status;
}

/* One tensor's description; its data's offset, relative to the data's begin, goes to extent->begin. */
static pfm_status read_description(pfm_cursor *cursor, pfm_meta_text *name, pfm_weight *weight, pfm_extent *extent,
                                   pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint32_t rank = 0, type = 0;
    uint64_t size = 0, offset = 0;
    char shown[128];
    PFM_TRY(take_text(cursor, "a tensor's name", name, err));
    (void)snprintf(shown, sizeof shown, "%.*s", name->length > 100 ? 100 : (int)name->length, name->data);
    PFM_TRY(pfm_cursor_u32(cursor, "a tensor's rank", &rank, err));
    if (rank > GGUF_MAX_RANK)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: tensor %s has %u dimensions, GGUF has at most %d", cursor->place, shown, rank,
                 GGUF_MAX_RANK);
    weight->rank = (int)rank;
    for (uint32_t i = 0; i < rank; i++) {
        PFM_TRY(pfm_cursor_u64(cursor, "a tensor's shape", &size, err));
        weight->shape[rank - 1 - i] = size > INT64_MAX ? -1 : (int64_t)size;
    }
    PFM_TRY(pfm_cursor_u32(cursor, "a tensor's type", &type, err));
    PFM_TRY(pfm_cursor_u64(cursor, "a tensor's offset", &offset, err));
    if (type >= GGML_TYPE_END || tensor_types[type] == 0)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "%s: tensor %s has ggml's type %u (%s), which is not read here; quantise the model as Q4_K, Q8_0 "
                 "or another of F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K",
                 cursor->place, shown, type,
                 type < GGML_TYPE_END && unread_types[type] != NULL ? unread_types[type] : "unknown");
    weight->dtype = (pfm_dtype)(tensor_types[type] - 1);
    weight->name = shown; /* until the end of this function, for messages */
    PFM_TRY(pfm_weight_measure(weight, cursor->place, &weight->bytes, err));
    if (offset > SIZE_MAX / 2)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: tensor %s lies at the offset %llu, outside of any file", cursor->place, shown,
                 (unsigned long long)offset);
    extent->begin = (size_t)offset;
done:
    weight->name = NULL;
    return status;
}

static pfm_status find_alignment(const pfm_weights *weights, const char *place, size_t *out, pfm_error *err)
{
    int64_t alignment = GGUF_DEFAULT_ALIGNMENT;
    (void)pfm_weights_meta_integer(weights, "general.alignment", &alignment);
    if (alignment < 8 || alignment > (1 << 30) || (alignment & (alignment - 1)) != 0)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: general.alignment is %lld; it must be a power of two from 8 on", place,
                             (long long)alignment);
    *out = (size_t)alignment;
    return PFM_OK;
}

/* Gives every tensor its data and checks that it lies within the file, aligned and alone. */
static pfm_status place_tensors(pfm_weights *weights, const pfm_cursor *cursor, pfm_meta_text *names, pfm_weight *items,
                                pfm_extent *extents, size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t alignment = 0, first = weights->count;
    PFM_TRY(find_alignment(weights, cursor->place, &alignment, err));
    size_t begin = (cursor->offset + alignment - 1) & ~(alignment - 1);
    size_t room = begin <= cursor->size ? cursor->size - begin : 0;
    for (size_t i = 0; i < count; i++) {
        int shown = names[i].length > 100 ? 100 : (int)names[i].length;
        if (extents[i].begin % alignment != 0)
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: tensor %.*s lies at the offset %zu, no multiple of the alignment %zu",
                     cursor->place, shown, names[i].data, extents[i].begin, alignment);
        if (items[i].bytes > room || extents[i].begin > room - items[i].bytes)
            PFM_FAIL(PFM_ERROR_FORMAT,
                     "%s: tensor %.*s should end at byte %zu, the file at %zu; it was cut short or is damaged", cursor->place,
                     shown, names[i].data, begin + extents[i].begin + items[i].bytes, cursor->size);
        items[i].data = cursor->data + begin + extents[i].begin;
        extents[i].end = extents[i].begin + items[i].bytes;
        PFM_TRY(pfm_weights_add(weights, names[i].data, names[i].length, &items[i], cursor->place, err));
        extents[i].name = weights->items[first + i].name;
    }
    PFM_TRY(pfm_extents_check(extents, count, 0, cursor->place, err));
done:
    return status;
}

static pfm_status read_header(pfm_cursor *cursor, uint64_t *tensors, uint64_t *values, pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint32_t version = 0;
    cursor->offset = 4;
    PFM_TRY(pfm_cursor_u32(cursor, "the version", &version, err));
    if (version != 0 && (version & 0xffffu) == 0)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s is a big-endian GGUF; gguf-convert-endian makes it little-endian", cursor->place);
    if (version != 2 && version != 3)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s is GGUF of version %u; 2 and 3 are read here", cursor->place, version);
    PFM_TRY(pfm_cursor_u64(cursor, "the number of tensors", tensors, err));
    PFM_TRY(pfm_cursor_u64(cursor, "the number of key-values", values, err));
    enum { LEAST_TENSOR = 8 + 1 + 4 + 4 + 8, LEAST_VALUE = 8 + 1 + 4 + 1 };
    if (*tensors > cursor->size / LEAST_TENSOR || *values > cursor->size / LEAST_VALUE)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s claims %llu tensors and %llu key-values, more than its %zu bytes can hold",
                 cursor->place, (unsigned long long)*tensors, (unsigned long long)*values, cursor->size);
done:
    return status;
}

static pfm_status read_file(pfm_weights *weights, const unsigned char *data, size_t size, const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_cursor cursor = {.data = data, .size = size, .place = path};
    uint64_t tensors = 0, values = 0;
    pfm_meta_text *names = NULL;
    pfm_weight *items = NULL;
    pfm_extent *extents = NULL;
    PFM_TRY(read_header(&cursor, &tensors, &values, err));
    for (uint64_t i = 0; i < values; i++)
        PFM_TRY(read_key_value(weights, &cursor, err));
    size_t count = (size_t)tensors;
    PFM_TRY(pfm_allocate(count, sizeof *names, &names, err));
    PFM_TRY(pfm_allocate(count, sizeof *items, &items, err));
    PFM_TRY(pfm_allocate(count, sizeof *extents, &extents, err));
    for (size_t i = 0; i < count; i++)
        PFM_TRY(read_description(&cursor, &names[i], &items[i], &extents[i], err));
    PFM_TRY(place_tensors(weights, &cursor, names, items, extents, count, err));
done:
    free(names);
    free(items);
    free(extents);
    return status;
}

const pfm_weights_reader pfm_reader_gguf = {.format = "gguf", .probe = probe, .read = read_file};
