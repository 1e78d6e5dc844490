/* Inside the room of pictures; what it offers is in pefomed/image.h. */
#ifndef PFM_IMAGE_IMAGE_H
#define PFM_IMAGE_IMAGE_H

#include "base/memory.h"
#include "pefomed/image.h"

/* *out = a black picture. FORMAT when it is empty or larger than the limits; `name` is for the error. The caller calls
 * pfm_image_free. */
pfm_status pfm_image_create(int width, int height, const char *name, pfm_image *out, pfm_error *err) PFM_MUST_CHECK;
/* Appends the picture as an 8-bit RGB PNG; `name` is for the error. */
pfm_status pfm_image_encode_png(const pfm_image *image, const char *name, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

/* What a window makes grey, in the units of the file. */
typedef struct pfm_image_values {
    int width, height;
    float *data; /* [height][width]; NULL of a picture that has none */
    bool is_hounsfield, inverted;
} pfm_image_values;
/* *out = the values of a frame; nothing of a finished picture, or of one that is turned. The caller calls
 * pfm_image_values_free. As pfm_image_decode_file. */
pfm_status pfm_image_decode_values(const void *bytes, size_t size, const pfm_image_file *file, pfm_image_values *out,
                                   pfm_image_applied *applied, pfm_error *err) PFM_MUST_CHECK;
void pfm_image_values_free(pfm_image_values *values);

/* Appends the picture as a PNG, of one channel where it is grey; made quickly rather than small. `name` is for the error. */
pfm_status pfm_image_append_png(const pfm_image *image, const char *name, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

#endif
