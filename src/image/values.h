/* Pictures of values that are no finished grey, in files that are not DICOM: they become grey on the same way. */
#ifndef PFM_IMAGE_VALUES_H
#define PFM_IMAGE_VALUES_H

#include "image/dicom_grey.h"
#include "image/kinds.h"

/* What a file says of its values. */
typedef struct pfm_values_meaning {
    double slope, intercept; /* value = stored * slope + intercept */
    bool may_be_hounsfield;  /* the file cannot say so: a named window takes them for Hounsfield units */
    bool inverted;           /* high is dark */
    const pfm_window *own;   /* NULL, or the window that the file asks for */
} pfm_values_meaning;

/* Whether `width` x `height` pixels of so many samples, of so many bytes each, are few enough to be read within the memory and
 * the time that docs/images.md promises; FORMAT otherwise. */
pfm_status pfm_values_check_size(const char *name, long long width, long long height, int samples, int sample_bytes,
                                 pfm_error *err) PFM_MUST_CHECK;
/* *out = the picture of a frame of one sample a pixel through choice->window: the file's own is its window, where it has one;
 * else 8-bit values without a meaning are as they are, others within the outermost 0.5% on both sides. USAGE for a window that
 * the file has not. */
pfm_status pfm_values_show(const char *name, const pfm_dicom_frame *frame, const pfm_values_meaning *meaning,
                           const pfm_image_choice *choice, pfm_image *out, pfm_image_applied *applied,
                           pfm_error *err) PFM_MUST_CHECK;
/* Where the choice asks for values: those of a frame of one sample a pixel, in the units that `grey` knows. */
pfm_status pfm_values_keep(const pfm_dicom_frame *frame, const pfm_dicom_grey *grey, const pfm_image_choice *choice,
                           pfm_error *err) PFM_MUST_CHECK;

#endif
