/* A position in bytes that came from outside; every step is checked against the end. Numbers are little-endian. */
#ifndef PFM_FORMATS_CURSOR_H
#define PFM_FORMATS_CURSOR_H

#include "pefomed/status.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct pfm_cursor {
    const unsigned char *data;
    size_t size, offset;
    const char *place; /* the file's path, for messages */
} pfm_cursor;

/* *out = the next `count` bytes, which are passed; FORMAT says at which byte which `what` was cut off. */
static inline pfm_status pfm_cursor_take(pfm_cursor *cursor, uint64_t count, const char *what, const unsigned char **out,
                                         pfm_error *err)
{
    if (count > cursor->size - cursor->offset)
        return pfm_error_set(err, PFM_ERROR_FORMAT,
                             "%s ends at byte %zu within %s (%llu bytes from byte %zu on); it was cut short or is damaged",
                             cursor->place, cursor->size, what, (unsigned long long)count, cursor->offset);
    *out = cursor->data + cursor->offset;
    cursor->offset += (size_t)count;
    return PFM_OK;
}

static inline pfm_status pfm_cursor_copy(pfm_cursor *cursor, void *out, size_t count, const char *what, pfm_error *err)
{
    const unsigned char *bytes = NULL;
    pfm_status status = pfm_cursor_take(cursor, count, what, &bytes, err);
    if (status == PFM_OK)
        memcpy(out, bytes, count);
    return status;
}

static inline pfm_status pfm_cursor_u32(pfm_cursor *cursor, const char *what, uint32_t *out, pfm_error *err)
{
    return pfm_cursor_copy(cursor, out, sizeof *out, what, err);
}

static inline pfm_status pfm_cursor_u64(pfm_cursor *cursor, const char *what, uint64_t *out, pfm_error *err)
{
    return pfm_cursor_copy(cursor, out, sizeof *out, what, err);
}

#endif
