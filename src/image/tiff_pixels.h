/* Inside the reader of TIFF: one page's samples to a picture. */
#ifndef PFM_IMAGE_TIFF_PIXELS_H
#define PFM_IMAGE_TIFF_PIXELS_H

#include "image/kinds.h"

#include <tiffio.h>

/* What a page says of its pixels. */
typedef struct pfm_tiff_page {
    TIFF *tiff;
    const char *name;
    const pfm_error *said; /* what libtiff last said was wrong */
    int width, height, bits, samples, format, photometric, compression;
    bool planes; /* a plane for each sample */
    int orientation;
    bool premultiplied;         /* the fourth sample is alpha, which the colours were multiplied by */
    const uint16_t *palette[3]; /* borrowed from libtiff */
    bool palette_of_bytes;      /* entries of 8 bits, as old programs wrote them */
    int frame_kind;             /* of values: a pfm_dicom_kind; -1 for a finished picture */
} pfm_tiff_page;

/* *out = the page's picture, not turned yet; `page` was checked. */
pfm_status pfm_tiff_show(const pfm_tiff_page *page, const pfm_image_choice *choice, pfm_image *out, pfm_image_applied *applied,
                         pfm_error *err) PFM_MUST_CHECK;

#endif
