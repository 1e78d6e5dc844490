/* The values of a template: memory, truth, equality, text. */
#include "text/jinja_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pfm_jinja_chunk {
    struct pfm_jinja_chunk *next;
    size_t used, capacity;
    max_align_t bytes[];
};

enum { CHUNK_BYTES = 1 << 14 };

pfm_status pfm_jinja_allocate(pfm_jinja_arena *arena, size_t size, void *out, pfm_error *err)
{
    struct pfm_jinja_chunk *chunk = arena->chunks;
    size_t unit = sizeof(max_align_t);
    if (size > arena->limit || arena->total > arena->limit - size)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "the chat template needs more than %zu bytes of memory", arena->limit);
    size = (size + unit - 1) / unit * unit;
    if (chunk == NULL || chunk->capacity - chunk->used < size) {
        size_t capacity = size > CHUNK_BYTES ? size : CHUNK_BYTES;
        pfm_status status = pfm_allocate(1, sizeof *chunk + capacity, &chunk, err);
        if (status != PFM_OK)
            return status;
        chunk->capacity = capacity;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
        arena->total += capacity;
    }
    void *memory = (char *)chunk->bytes + chunk->used;
    chunk->used += size;
    memcpy(out, &memory, sizeof memory);
    return PFM_OK;
}

void pfm_jinja_arena_free(pfm_jinja_arena *arena)
{
    while (arena->chunks != NULL) {
        struct pfm_jinja_chunk *next = arena->chunks->next;
        free(arena->chunks);
        arena->chunks = next;
    }
    arena->total = 0;
}

pfm_jinja_value pfm_jinja_text(const char *text) { return jinja_string(text, strlen(text)); }

bool jinja_equals(const char *text, size_t length, const char *literal)
{
    return strlen(literal) == length && memcmp(text, literal, length) == 0;
}

const pfm_jinja_value *jinja_dict_get(const pfm_jinja_dict *dict, const char *key, size_t length)
{
    for (const pfm_jinja_entry *entry = dict->first; entry != NULL; entry = entry->next) {
        if (entry->length == length && memcmp(entry->key, key, length) == 0)
            return &entry->value;
    }
    return NULL;
}

pfm_status pfm_jinja_dict_set(pfm_jinja_arena *arena, pfm_jinja_dict *dict, const char *key, size_t length,
                              pfm_jinja_value value, pfm_error *err)
{
    for (pfm_jinja_entry *entry = dict->first; entry != NULL; entry = entry->next) {
        if (entry->length == length && memcmp(entry->key, key, length) == 0) {
            entry->value = value;
            return PFM_OK;
        }
    }
    pfm_jinja_entry *added = NULL;
    JINJA_TRY(pfm_jinja_allocate(arena, sizeof *added, &added, err));
    *added = (pfm_jinja_entry){key, length, value, NULL};
    *(dict->last == NULL ? &dict->first : &dict->last->next) = added;
    dict->last = added;
    return PFM_OK;
}

const char *jinja_type_name(pfm_jinja_value value)
{
    static const char *const names[] = {
        "nothing (undefined)", "none", "a truth value", "a number", "a text", "a list", "a dict", "loop", "a function"};
    return names[value.type];
}

bool jinja_is_true(pfm_jinja_value value)
{
    switch (value.type) {
    case PFM_JINJA_UNDEFINED:
    case PFM_JINJA_NONE: return false;
    case PFM_JINJA_BOOLEAN:
    case PFM_JINJA_INTEGER: return value.number != 0;
    case PFM_JINJA_TEXT:
    case PFM_JINJA_LIST: return value.length > 0;
    case PFM_JINJA_DICT: return value.dict->is_namespace || value.dict->first != NULL;
    case PFM_JINJA_LOOP:
    case PFM_JINJA_FUNCTION: break;
    }
    return true;
}

static bool same(pfm_jinja_value a, pfm_jinja_value b, int depth);

static bool same_dict(const pfm_jinja_dict *a, const pfm_jinja_dict *b, int depth)
{
    size_t count_a = 0, count_b = 0;
    for (const pfm_jinja_entry *entry = b->first; entry != NULL; entry = entry->next)
        count_b++;
    for (const pfm_jinja_entry *entry = a->first; entry != NULL; entry = entry->next, count_a++) {
        const pfm_jinja_value *other = jinja_dict_get(b, entry->key, entry->length);
        if (other == NULL || !same(entry->value, *other, depth))
            return false;
    }
    return count_a == count_b;
}

/* What is nested more than 100 deep is not compared, and counts as different. */
static bool same(pfm_jinja_value a, pfm_jinja_value b, int depth)
{
    if (depth > 100)
        return false;
    if (jinja_is_number(a) && jinja_is_number(b))
        return a.number == b.number;
    if (a.type != b.type)
        return false;
    switch (a.type) {
    case PFM_JINJA_TEXT: return a.length == b.length && memcmp(a.text, b.text, a.length) == 0;
    case PFM_JINJA_LIST:
        for (size_t i = 0; i < a.length && a.length == b.length; i++) {
            if (!same(a.items[i], b.items[i], depth + 1))
                return false;
        }
        return a.length == b.length;
    case PFM_JINJA_DICT:
        return a.dict == b.dict || (!a.dict->is_namespace && !b.dict->is_namespace && same_dict(a.dict, b.dict, depth + 1));
    case PFM_JINJA_FUNCTION: return strcmp(a.text, b.text) == 0;
    default: return true; /* undefined, none; there is one loop at a time */
    }
}

bool jinja_same(pfm_jinja_value a, pfm_jinja_value b) { return same(a, b, 0); }

const char *jinja_find(const char *text, size_t length, const char *part, size_t part_length)
{
    return part_length == 0 ? text : length < part_length ? NULL : memmem(text, length, part, part_length);
}

size_t jinja_code_points(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

pfm_status jinja_fail(const jinja_run *run, pfm_status code, const char *format, ...)
{
    char message[800];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return pfm_error_set(run->err, code, "chat template line %d: %s", run->line, message);
}

pfm_status jinja_write(const jinja_run *run, pfm_jinja_value value, pfm_buffer *where)
{
    switch (value.type) {
    case PFM_JINJA_UNDEFINED: return PFM_OK;
    case PFM_JINJA_NONE: return pfm_buffer_append_string(where, "None", run->err);
    case PFM_JINJA_BOOLEAN: return pfm_buffer_append_string(where, value.number ? "True" : "False", run->err);
    case PFM_JINJA_INTEGER: return pfm_buffer_append_format(where, run->err, "%lld", (long long)value.number);
    case PFM_JINJA_TEXT: return pfm_buffer_append(where, value.text, value.length, run->err);
    default: return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "this program cannot write %s as text", jinja_type_name(value));
    }
}

pfm_status jinja_keep(const jinja_run *run, const pfm_buffer *buffer, pfm_jinja_value *out)
{
    char *text = NULL;
    JINJA_TRY(pfm_jinja_allocate(run->arena, buffer->size + 1, &text, run->err));
    if (buffer->size > 0)
        memcpy(text, buffer->data, buffer->size);
    *out = jinja_string(text, buffer->size);
    return PFM_OK;
}

pfm_status jinja_concatenate(const jinja_run *run, pfm_jinja_value a, pfm_jinja_value b, pfm_jinja_value *out)
{
    pfm_buffer joined = {0};
    pfm_status status = jinja_write(run, a, &joined);
    if (status == PFM_OK)
        status = jinja_write(run, b, &joined);
    if (status == PFM_OK)
        status = jinja_keep(run, &joined, out);
    pfm_buffer_free(&joined);
    return status;
}
