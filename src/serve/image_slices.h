/* What one looks through of an image that predictions name: the slices of a series, which is a folder of DICOM files or one
 * file of several frames, in the order of series.h; the frames of another file; or the one picture that it is. */
#ifndef PFM_SERVE_IMAGE_SLICES_H
#define PFM_SERVE_IMAGE_SLICES_H

#include "base/memory.h"
#include "pefomed/image.h"

/* A slice has a number below this. */
enum { PFM_SLICE_MOST = 1 << 20 };

typedef struct pfm_image_slice {
    char *path; /* of its file, which lies in the folders; NULL: it is not there */
    int frame;  /* of the file, from 0 */
    size_t number, total;
} pfm_image_slice;

/* *out = slice `number` (from 1; 0: the middle one) of what is called `name` in the folders of images (image_folders.h). The
 * path is NULL where the image, or the slice, is not there, cannot be read, or leads out of the folders; also of a folder that
 * holds no series, or several. Release the path with free(). */
pfm_status pfm_image_slice_find(const char *const *folders, size_t count, const char *name, size_t number, pfm_image_slice *out,
                                pfm_error *err) PFM_MUST_CHECK;

/* *out = its picture through a window, as pfm_image_decode_file. MISMATCH where the file cannot be read; the error tells no
 * path. */
pfm_status pfm_image_slice_decode(const pfm_image_slice *slice, const char *window, pfm_image *out,
                                  pfm_error *err) PFM_MUST_CHECK;
/* Appends {"slices": total, "at": number} as JSON. */
pfm_status pfm_image_slice_tell(const pfm_image_slice *slice, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

#endif
