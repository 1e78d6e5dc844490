/* Memory: checked allocation, growing arrays, growing byte buffers, and page-aligned blocks for tensors. */
#ifndef PFM_BASE_MEMORY_H
#define PFM_BASE_MEMORY_H

#include "base/threads.h"
#include "pefomed/status.h"

#include <stddef.h>
#include <stdint.h>

/* *out = count * size zeroed bytes (at least one), or NO_MEMORY, also when the product overflows. Release with free(). */
pfm_status pfm_allocate(size_t count, size_t size, void *out, pfm_error *err) PFM_MUST_CHECK;

/* Grows the array behind `array` (a pointer to a pointer, freed with free()) to hold at least `needed` elements of `size`
 * bytes; *capacity counts elements. New elements are zero. On error the array is as before. */
pfm_status pfm_array_reserve(void *array, size_t *capacity, size_t needed, size_t size, pfm_error *err) PFM_MUST_CHECK;

/* *out = a copy of a string (of `length` bytes, a NUL added). Release with free(). */
pfm_status pfm_string_copy(const char *text, char **out, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_string_copy_n(const char *text, size_t length, char **out, pfm_error *err) PFM_MUST_CHECK;
/* *out = the formatted string. Release with free(). */
pfm_status pfm_string_format(char **out, pfm_error *err, const char *format, ...) PFM_PRINTF(3, 4) PFM_MUST_CHECK;

/* A growing run of bytes, always followed by a NUL that size does not count. Start with {0}; data is NULL while empty. */
typedef struct pfm_buffer {
    char *data;
    size_t size, capacity;
} pfm_buffer;

pfm_status pfm_buffer_append(pfm_buffer *buffer, const void *bytes, size_t count, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_buffer_append_string(pfm_buffer *buffer, const char *text, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_buffer_append_format(pfm_buffer *buffer, pfm_error *err, const char *format, ...)
    PFM_PRINTF(3, 4) PFM_MUST_CHECK;
void pfm_buffer_clear(pfm_buffer *buffer); /* size 0, the memory is kept */
void pfm_buffer_free(pfm_buffer *buffer);

/* A block of `bytes` zeroed bytes aligned to 64 (to 2 MiB and backed by huge pages where it is large and the system has them).
 * A large one takes its pages from the system when they are first written, on the thread that writes. Release with
 * pfm_block_free. */
typedef struct pfm_block {
    void *data;
    size_t bytes;
} pfm_block;
pfm_status pfm_block_create(size_t bytes, pfm_block *out, pfm_error *err) PFM_MUST_CHECK;
void pfm_block_free(pfm_block *block);
/* Takes all its pages now, on all threads, so that no later use waits for them. */
void pfm_block_touch(const pfm_block *block, pfm_threads *threads);

#endif
