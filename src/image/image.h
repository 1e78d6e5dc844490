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

#endif
