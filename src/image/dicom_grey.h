/* Inside the reader of DICOM: from stored values to a picture (PS3.3, C.7.6.3.1.5, C.7.9, C.11). */
#ifndef PFM_IMAGE_DICOM_GREY_H
#define PFM_IMAGE_DICOM_GREY_H

#include "image/dicom_pixels.h"
#include "image/image.h"
#include "image/window.h"

/* A lookup table; count 0: none. */
typedef struct pfm_dicom_lut {
    size_t count;
    double first; /* the input that the first entry is for */
    int bits;     /* of an entry */
    uint16_t *values;
} pfm_dicom_lut;
void pfm_dicom_lut_free(pfm_dicom_lut *lut);
/* The entry for an input; below the first it is the first, beyond the last the last. */
double pfm_dicom_lut_apply(const pfm_dicom_lut *lut, double value);
/* Of an item of a Modality or VOI LUT Sequence, whose inputs may be negative or not. */
pfm_status pfm_dicom_lut_read(pfm_dicom *file, const pfm_dicom_set *item, bool is_signed, pfm_dicom_lut *out,
                              pfm_error *err) PFM_MUST_CHECK;
/* Of the palette: colour 0 (red) to 2, segmented or not. */
pfm_status pfm_dicom_palette_read(pfm_dicom *file, int colour, pfm_dicom_lut *out, pfm_error *err) PFM_MUST_CHECK;

/* What is done to the stored values of one frame. */
typedef struct pfm_dicom_grey {
    char modality[17];
    bool has_units, is_hounsfield; /* values are rescaled; they are Hounsfield units */
    double slope, intercept;
    pfm_dicom_lut modality_lut, voi_lut;
    pfm_window window;  /* where there is no voi_lut */
    const char *chosen; /* "file", "lut", "given", "percentile", "full", "stored", or a preset's name */
    int index;
    bool inverted;
    bool pads;
    double pad_low, pad_high; /* in stored values */
} pfm_dicom_grey;

/* Finds all of it. USAGE for a window that the file lacks, or that is in units that it has not. */
pfm_status pfm_dicom_grey_read(pfm_dicom *file, const pfm_dicom_layout *layout, int index, const pfm_dicom_frame *frame,
                               const pfm_window *wanted, pfm_dicom_grey *out, pfm_error *err) PFM_MUST_CHECK;
/* The window where a person or recipe chose one that is not the file's: named, given or measured. USAGE for a named one on
 * values that are not in Hounsfield units; `name` is for the error. */
pfm_status pfm_dicom_grey_choose(const char *name, const pfm_dicom_frame *frame, const pfm_window *wanted, pfm_dicom_grey *out,
                                 pfm_error *err) PFM_MUST_CHECK;
void pfm_dicom_grey_free(pfm_dicom_grey *grey);
/* What was chosen, for the record. */
void pfm_dicom_grey_record(const pfm_dicom_grey *grey, pfm_image_applied *out);
/* The value that a stored one stands for: Hounsfield units of CT. */
double pfm_dicom_grey_value(const pfm_dicom_grey *grey, double stored);
/* A window from the lowest to the highest of a frame's values, or without the outermost 0.5% on both sides; padding does not
 * count. */
pfm_status pfm_dicom_grey_measure(const pfm_dicom_grey *grey, const pfm_dicom_frame *frame, double share, pfm_window *out,
                                  pfm_error *err) PFM_MUST_CHECK;
/* *out = the picture of one sample a pixel. */
pfm_status pfm_dicom_make_grey(const char *name, const pfm_dicom_frame *frame, const pfm_dicom_grey *grey, pfm_image *out,
                               pfm_error *err) PFM_MUST_CHECK;
/* *out = the picture; of colour `grey` is NULL. */
pfm_status pfm_dicom_make_picture(pfm_dicom *file, const pfm_dicom_layout *layout, const pfm_dicom_frame *frame,
                                  const pfm_dicom_grey *grey, pfm_image *out, pfm_error *err) PFM_MUST_CHECK;
/* Reads an element for one frame: of the frame's functional group `macro`, of that of all frames, or of the file itself. */
pfm_status pfm_dicom_find_of_frame(pfm_dicom *file, int index, uint32_t macro, uint32_t tag, pfm_dicom_element *out,
                                   bool *found, pfm_error *err) PFM_MUST_CHECK;

#endif
