/* The chunks of a PNG, without libpng: what is to be known before it reads, or what it does not read. */
#ifndef PFM_IMAGE_PNG_CHUNKS_H
#define PFM_IMAGE_PNG_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the file has its last chunk, IEND: nothing is cut off. */
bool pfm_png_is_whole(const unsigned char *bytes, size_t size);
/* How the picture is to be turned (orientation.h), 1 to 8: by its chunk eXIf, by the profile that ImageMagick writes, or by
 * XMP, whichever of them speaks of it first; else 1. */
int pfm_png_orientation(const unsigned char *bytes, size_t size);

#endif
