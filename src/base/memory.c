#include "base/memory.h"

#include "base/try.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

pfm_status pfm_allocate(size_t count, size_t size, void *out, pfm_error *err)
{
    void *memory = calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);
    if (memory == NULL)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not allocate %zu x %zu bytes", count, size);
    memcpy(out, &memory, sizeof memory);
    return PFM_OK;
}

pfm_status pfm_array_reserve(void *array, size_t *capacity, size_t needed, size_t size, pfm_error *err)
{
    if (needed <= *capacity)
        return PFM_OK;
    size_t grown = *capacity < 8 ? 8 : *capacity;
    while (grown < needed && grown <= SIZE_MAX / 2)
        grown *= 2;
    void *old = NULL;
    memcpy(&old, array, sizeof old);
    void *memory = grown < needed ? NULL : reallocarray(old, grown, size);
    if (memory == NULL)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not grow an array to %zu x %zu bytes", needed,
                             size);
    memset((char *)memory + *capacity * size, 0, (grown - *capacity) * size);
    memcpy(array, &memory, sizeof memory);
    *capacity = grown;
    return PFM_OK;
}

pfm_status pfm_string_copy_n(const char *text, size_t length, char **out, pfm_error *err)
{
    char *copy = length == SIZE_MAX ? NULL : malloc(length + 1);
    if (copy == NULL)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not copy a string of %zu bytes", length);
    if (length > 0)
        memcpy(copy, text, length);
    copy[length] = '\0';
    *out = copy;
    return PFM_OK;
}

pfm_status pfm_string_copy(const char *text, char **out, pfm_error *err)
{
    return pfm_string_copy_n(text, strlen(text), out, err);
}

pfm_status pfm_string_format(char **out, pfm_error *err, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = NULL;
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not format a string");
    *out = text;
    return PFM_OK;
}

pfm_status pfm_buffer_append(pfm_buffer *buffer, const void *bytes, size_t count, pfm_error *err)
{
    if (count > SIZE_MAX - buffer->size - 1)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: a buffer would pass the address space");
    pfm_status status = pfm_array_reserve(&buffer->data, &buffer->capacity, buffer->size + count + 1, 1, err);
    if (status != PFM_OK)
        return status;
    if (count > 0)
        memcpy(buffer->data + buffer->size, bytes, count);
    buffer->size += count;
    buffer->data[buffer->size] = '\0';
    return PFM_OK;
}

pfm_status pfm_buffer_append_string(pfm_buffer *buffer, const char *text, pfm_error *err)
{
    return pfm_buffer_append(buffer, text, strlen(text), err);
}

pfm_status pfm_buffer_append_format(pfm_buffer *buffer, pfm_error *err, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = NULL;
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not format a string");
    pfm_status status = pfm_buffer_append(buffer, text, (size_t)length, err);
    free(text);
    return status;
}

void pfm_buffer_clear(pfm_buffer *buffer)
{
    buffer->size = 0;
    if (buffer->data != NULL)
        buffer->data[0] = '\0';
}

void pfm_buffer_free(pfm_buffer *buffer)
{
    if (buffer == NULL)
        return;
    free(buffer->data);
    *buffer = (pfm_buffer){0};
}

enum { HUGE_PAGE = 2 << 20 };

pfm_status pfm_block_create(size_t bytes, pfm_block *out, pfm_error *err)
{
    if (bytes == 0)
        bytes = 64;
    size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : 64;
    void *data =
        bytes > SIZE_MAX - alignment ? NULL : aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (data == NULL)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not allocate %.1f MiB", (double)bytes / 1048576.0);
    if (alignment == HUGE_PAGE)
        (void)madvise(data, bytes, MADV_HUGEPAGE); /* a hint: refusal costs speed only */
    memset(data, 0, bytes);
    *out = (pfm_block){.data = data, .bytes = bytes};
    return PFM_OK;
}

void pfm_block_free(pfm_block *block)
{
    if (block == NULL)
        return;
    free(block->data);
    *block = (pfm_block){0};
}
