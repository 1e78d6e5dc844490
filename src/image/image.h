/* Pictures: from a file's bytes to 8-bit RGB, resized as the models were trained on, and back to a file.
 *
 * What comes out of decode and resize is what Pillow gives for `Image.open(f).convert("RGB")` and then
 * `.resize((w, h), Image.BICUBIC)`, byte for byte: alpha is dropped, colour profiles, gamma and EXIF orientation are not
 * applied, CMYK is read in Adobe's inverted sense, 16-bit grey is clipped at 255 (not scaled). The functions hold no state and
 * may run in several threads at once. */
#ifndef PFM_IMAGE_IMAGE_H
#define PFM_IMAGE_IMAGE_H

#include "pefomed/status.h"

#include <stddef.h>
#include <stdint.h>

/* More pixels than this (Pillow's limit, twice 2^30 / 12) or a longer side are refused: such a file is a mistake or an attack.
 */
#define PFM_IMAGE_MAX_PIXELS 178956970
#define PFM_IMAGE_MAX_SIDE 1000000

typedef struct pfm_image {
    int width, height; /* at least 1 */
    uint8_t *rgb;      /* [height][width][3], row-major */
} pfm_image;

/* Releases the pixels and zeroes the struct; NULL and {0} are allowed. */
void pfm_image_free(pfm_image *image);

/* *out = a black picture. FORMAT when it is empty or larger than the limits; `name` is for the error. The caller calls
 * pfm_image_free. */
pfm_status pfm_image_create(int width, int height, const char *name, pfm_image *out, pfm_error *err) PFM_MUST_CHECK;

/* *out = the picture in a file; its kind is told by its content, never by its name. The caller calls pfm_image_free.
 * IO: the file cannot be read. FORMAT: no picture, cut short or damaged. UNSUPPORTED: a kind that is not read. */
pfm_status pfm_image_load(const char *path, pfm_image *out, pfm_error *err) PFM_MUST_CHECK;

/* The same from bytes; `name` is what errors call them. On error *out is {0}. */
pfm_status pfm_image_decode(const void *bytes, size_t size, const char *name, pfm_image *out, pfm_error *err) PFM_MUST_CHECK;

/* *out = the picture at width x height by Pillow's bicubic (a = -0.5, support widened by the scale when shrinking, two passes
 * of 22-bit fixed point with 8 bits between them). The caller calls pfm_image_free. USAGE: a side below 1 or too large. */
pfm_status pfm_image_resize_bicubic(const pfm_image *in, int width, int height, pfm_image *out, pfm_error *err) PFM_MUST_CHECK;

/* Writes an 8-bit RGB PNG, whole or not at all. */
pfm_status pfm_image_write_png(const pfm_image *image, const char *path, pfm_error *err) PFM_MUST_CHECK;

#endif
