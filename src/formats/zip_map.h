/* The entries of a zip archive in memory (PKWARE APPNOTE.TXT; zip64 too), without unpacking any: PyTorch stores tensors
 * uncompressed, so that they can be read where they lie. */
#ifndef PFM_FORMATS_ZIP_MAP_H
#define PFM_FORMATS_ZIP_MAP_H

#include "pefomed/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct pfm_zip_entry {
    const char *name; /* not ended by a NUL */
    size_t name_length;
    const unsigned char *data; /* size bytes within the archive, where it is stored */
    size_t size;
    uint16_t method; /* 0: stored; else compressed, data is NULL */
} pfm_zip_entry;

/* *out = the entries, freed with free(). FORMAT where the archive is damaged; `place` is its path. */
pfm_status pfm_zip_list(const unsigned char *data, size_t size, const char *place, pfm_zip_entry **out, size_t *count,
                        pfm_error *err) PFM_MUST_CHECK;

#endif
