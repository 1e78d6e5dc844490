/* Inside the decoder of JPEG 2000: the markers of a codestream. */
#ifndef PFM_IMAGE_J2K_HEADER_H
#define PFM_IMAGE_J2K_HEADER_H

#include "image/j2k_parts.h"

/* Bytes of a tile. */
typedef struct j2k_part {
    int tile;
    size_t at, size;
} j2k_part;

/* The main header; *end = where the first tile's part begins. False where anything is not usual. */
bool pfm_j2k_read_header(const unsigned char *bytes, size_t size, j2k_header *out, size_t *end);
/* *out [*count] = the parts of all tiles from `at` on, which must be in order and end as they should; the caller frees *out,
 * also where it is false. */
bool pfm_j2k_find_parts(const unsigned char *bytes, size_t size, size_t at, int tiles, j2k_part **out, size_t *count);

#endif
