/* Inside the reader of NIfTI: what the header of either version says (nifti1.h, nifti2.h of the NIfTI Data Format Working
 * Group). */
#ifndef PFM_IMAGE_NIFTI_HEADER_H
#define PFM_IMAGE_NIFTI_HEADER_H

#include "image/dicom_pixels.h"
#include "image/image.h"

typedef struct pfm_nifti {
    int width, height;   /* the first two axes */
    int64_t frames;      /* all places along the others, the third running fastest */
    int samples;         /* 1; 3 or 4 of colour */
    int sample_bytes;    /* of one */
    bool wide_integers;  /* of 64 bits, signed or not; kind is DICOM_F64, which they are turned into */
    bool unsigned_wide;  /* of these */
    pfm_dicom_kind kind; /* of one sample */
    bool swapped;        /* in the other byte order than this machine's */
    uint64_t data_at;    /* bytes before the first value */
    double slope, intercept;
    double low, high; /* what the file wants to be shown from black to white; equal: nothing */
    int orientation;  /* as EXIF's, so that a slice stands as a radiologist expects (docs/images.md) */
    char axes[3];     /* what lies to the picture's right and below: "LP"; "" where the file does not say */
    char rows_toward[4], columns_toward[4]; /* as of pfm_image_applied */
} pfm_nifti;

/* The bytes of a header that must be at hand. */
enum { PFM_NIFTI_HEADER_BYTES = 540 };

/* Whether the bytes, at least 348, begin as a header does, of one file or of a pair. */
bool pfm_nifti_begins(const unsigned char *bytes, size_t size);
/* 348 or 540, of what begins as a header. */
int pfm_nifti_header_bytes(const unsigned char *bytes);
/* Checks all that memory will be taken for. FORMAT, UNSUPPORTED. */
pfm_status pfm_nifti_read_header(const unsigned char *bytes, size_t size, const char *name, pfm_nifti *out,
                                 pfm_error *err) PFM_MUST_CHECK;

#endif
