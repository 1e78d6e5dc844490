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

enum { HUGE_PAGE = 2 << 20, SMALLEST_PAGE = 4096, SMALL_ALIGNMENT = 64 };

static size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

static void *create_small(size_t bytes)
{
    void *data = aligned_alloc(SMALL_ALIGNMENT, round_up(bytes, SMALL_ALIGNMENT));
    return data != NULL ? memset(data, 0, bytes) : NULL;
}

/* Whole huge pages from the system, which zeroes them; NULL where it has none. */
static void *create_large(size_t bytes)
{
    if (bytes > SIZE_MAX - 2 * (size_t)HUGE_PAGE)
        return NULL;
    const size_t size = round_up(bytes, HUGE_PAGE), mapped = size + HUGE_PAGE;
    char *start = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    const size_t before = round_up((uintptr_t)start, HUGE_PAGE) - (uintptr_t)start, behind = mapped - size - before;
    char *data = start + before;
    if (before > 0)
        (void)munmap(start, before);
    if (behind > 0)
        (void)munmap(data + size, behind);
    (void)madvise(data, size, MADV_HUGEPAGE); /* a hint: refusal costs speed only */
    return data;
}

pfm_status pfm_block_create(size_t bytes, pfm_block *out, pfm_error *err)
{
    if (bytes == 0)
        bytes = SMALL_ALIGNMENT;
    void *data = bytes < HUGE_PAGE ? create_small(bytes) : create_large(bytes);
    if (data == NULL)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not allocate %.1f MiB", (double)bytes / 1048576.0);
    *out = (pfm_block){.data = data, .bytes = bytes};
    return PFM_OK;
}

void pfm_block_free(pfm_block *block)
{
    if (block == NULL || block->data == NULL)
        return;
    if (block->bytes < HUGE_PAGE)
        free(block->data);
    else
        (void)munmap(block->data, round_up(block->bytes, HUGE_PAGE));
    *block = (pfm_block){0};
}

static void touch_item(void *user, int item, int thread)
{
    (void)thread;
    const pfm_block *block = user;
    const size_t begin = (size_t)item * HUGE_PAGE;
    for (size_t at = begin; at < begin + HUGE_PAGE && at < block->bytes; at += SMALLEST_PAGE) {
        volatile char *byte = (char *)block->data + at;
        *byte = *byte; /* a write, whatever stands there */
    }
}

void pfm_block_touch(const pfm_block *block, pfm_threads *threads)
{
    pfm_block copy = *block;
    pfm_threads_run(threads, (int)((block->bytes + HUGE_PAGE - 1) / HUGE_PAGE), touch_item, &copy);
}
