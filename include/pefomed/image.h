/* Pictures: from a file's bytes to 8-bit RGB, resized as the models were trained on, and back to a file.
 *
 * What comes out of decoding and resizing is what Pillow (13 or later) gives for `Image.open(f).convert("RGB")` and then
 * `.resize((w, h), Image.BICUBIC)`, byte for byte: alpha is dropped, colour profiles, gamma and EXIF orientation are not
 * applied, CMYK is read in Adobe's inverted sense, 16-bit grey is clipped at 255 (not scaled). Unlike Pillow, a file that ends
 * before its end marker or whose data are damaged is an error, never a picture with invented parts.
 *
 * The functions keep no state and may run in several threads at once. */
#ifndef PEFOMED_IMAGE_H
#define PEFOMED_IMAGE_H

#include "pefomed/status.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

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

/* *out = the picture in a file; its kind is told by its content, never by its name. The caller calls pfm_image_free.
 * IO: the file cannot be read. FORMAT: no picture, cut short, damaged or too large. UNSUPPORTED: a kind that is not read. */
pfm_status pfm_image_load(const char *path, pfm_image *out, pfm_error *err) PFM_MUST_CHECK;

/* The same from bytes; `name` is what errors call them. On error *out is {0}. */
pfm_status pfm_image_decode(const void *bytes, size_t size, const char *name, pfm_image *out, pfm_error *err) PFM_MUST_CHECK;

/* *out = the picture at width x height by Pillow's bicubic (a = -0.5, support widened by the scale when shrinking, two passes
 * of 22-bit fixed point with 8 bits between them). The caller calls pfm_image_free. USAGE: a side that cannot be. */
pfm_status pfm_image_resize_bicubic(const pfm_image *in, int width, int height, pfm_image *out, pfm_error *err) PFM_MUST_CHECK;

/* Writes an 8-bit RGB PNG, whole or not at all. */
pfm_status pfm_image_write_png(const pfm_image *image, const char *path, pfm_error *err) PFM_MUST_CHECK;

/* Writes a baseline JPEG of one component, whole or not at all: `grey` [height][width], quality 1..100. The same samples give
 * the same bytes on every machine (libjpeg's integer transform, its standard tables). USAGE: a size or quality that cannot be.
 */
pfm_status pfm_image_write_grey_jpeg(const uint8_t *grey, int width, int height, int quality, const char *path,
                                     pfm_error *err) PFM_MUST_CHECK;

/* Which picture of a file, and how it is shown. Zeroes mean the file's first frame as it is. */
typedef struct pfm_image_options {
    int frame;          /* counts from 0 */
    const char *window; /* "CENTER,WIDTH" or a name, for pictures with more than 8 bits; NULL: the file's own */
    int size;           /* both sides of the result as the model sees it; 0: the frame's own rows and columns */
} pfm_image_options;

/* *out = the picture that a model would be given of a file. The caller calls pfm_image_free. As pfm_image_load; and USAGE: a
 * frame that the file lacks, a window on a file that has no values to choose from, a size that cannot be. */
pfm_status pfm_image_convert(const char *path, const pfm_image_options *options, pfm_image *out, pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
