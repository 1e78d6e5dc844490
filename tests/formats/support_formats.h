/* What the tests of weight files share. */
#ifndef PFM_TESTS_SUPPORT_FORMATS_H
#define PFM_TESTS_SUPPORT_FORMATS_H

#include "base/file.h"
#include "formats/weights_internal.h"

/* A file of tests/formats/golden; borrowed, as test_path. */
const char *formats_data(const char *name);

/* Opens bytes at an address that a checker of memory watches: a copy of exactly their size. The status of opening; what was
 * opened is closed again. */
pfm_status formats_try(const void *bytes, size_t size, pfm_error *err);

/* Every prefix of a file must be refused, and the whole read. `step`: how many bytes more each time; the last `spare` bytes are
 * padding that a reader need not miss. */
void formats_check_prefixes(const char *path, size_t step, size_t spare);
/* Changes each byte of a file in a few ways: opening may succeed or fail, but must stay within the bytes; then expands all. */
void formats_check_flips(const char *path, size_t step);

/* Appends little-endian numbers, and texts with their u64 length, as GGUF has them. */
void put_u32(pfm_buffer *buffer, uint32_t value);
void put_u64(pfm_buffer *buffer, uint64_t value);
void put_text(pfm_buffer *buffer, const char *text);
void put_bytes(pfm_buffer *buffer, const void *bytes, size_t count);

#endif
