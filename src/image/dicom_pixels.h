/* Inside the reader of DICOM: one frame's stored values (PS3.3, C.7.6.3; PS3.5, 8). */
#ifndef PFM_IMAGE_DICOM_PIXELS_H
#define PFM_IMAGE_DICOM_PIXELS_H

#include "image/dicom_set.h"

/* More samples than this no frame has: a mammogram has 28 million. With the codecs' memory a frame stays within 512 MiB. */
#define DICOM_MOST_SAMPLES ((size_t)1 << 25)

typedef enum pfm_dicom_colour {
    DICOM_MONOCHROME1,
    DICOM_MONOCHROME2,
    DICOM_PALETTE,
    DICOM_RGB,
    DICOM_YBR_FULL,
    DICOM_YBR_FULL_422,
    DICOM_YBR_PARTIAL, /* of 16..235, with colour at half the width where nothing compresses it */
    DICOM_YBR_OF_CODEC /* YBR_ICT, YBR_RCT: JPEG 2000 itself makes RGB of it */
} pfm_dicom_colour;

/* What a file says of its pixels. */
typedef struct pfm_dicom_layout {
    int rows, columns, samples, allocated, stored, high, frames;
    bool is_signed, planar, is_float;
    pfm_dicom_colour colour;
    char photometric[17];
    const pfm_dicom_element *pixels;
} pfm_dicom_layout;

typedef enum pfm_dicom_kind {
    DICOM_U8,
    DICOM_S8,
    DICOM_U16,
    DICOM_S16,
    DICOM_U32,
    DICOM_S32,
    DICOM_F32,
    DICOM_F64
} pfm_dicom_kind;

/* One frame: samples of a pixel beside each other, in the machine's order, of the kind's size. Colour is RGB, or what a palette
 * is asked with. */
typedef struct pfm_dicom_frame {
    int width, height, samples, bits; /* bits: those in use */
    pfm_dicom_kind kind;
    const void *data; /* [height][width][samples] */
    void *owned;      /* the same where it is the frame's; NULL where it is the file's, which must not be closed before */
} pfm_dicom_frame;

/* Bytes of a sample. */
static inline size_t pfm_dicom_kind_bytes(pfm_dicom_kind kind)
{
    return kind <= DICOM_S8 ? 1 : kind <= DICOM_S16 ? 2 : kind == DICOM_F64 ? 8 : 4;
}

/* Sample i as a number. */
double pfm_dicom_sample(const pfm_dicom_frame *frame, size_t i);
/* The lowest and highest value of a frame of one sample a pixel, of at most 16 bits. */
void pfm_dicom_find_extent(const pfm_dicom_frame *frame, int *low, int *high);
/* Where such a value, of one byte or two, stands in a table whose first entry is for `low`. */
static inline size_t pfm_dicom_place(const void *values, bool one_byte, size_t i, int low)
{
    return one_byte ? (uint8_t)(((const uint8_t *)values)[i] - low) : (uint16_t)(((const uint16_t *)values)[i] - low);
}

/* FORMAT names the element that is missing or cannot be; UNSUPPORTED what is well-formed and not read here. */
pfm_status pfm_dicom_read_layout(const pfm_dicom *file, pfm_dicom_layout *out, pfm_error *err) PFM_MUST_CHECK;

/* *out = frame `index` (from 0), decoded alone; the caller calls pfm_dicom_frame_free, before pfm_dicom_close. USAGE for a
 * frame that is not there. */
pfm_status pfm_dicom_read_frame(pfm_dicom *file, const pfm_dicom_layout *layout, int index, pfm_dicom_frame *out,
                                pfm_error *err) PFM_MUST_CHECK;
void pfm_dicom_frame_free(pfm_dicom_frame *frame);

/* *bytes [*size] = the frame as it stands in the file, of encapsulated pixels as the codec wants it, otherwise from the byte in
 * which it begins, *first_bit of which is its first. Borrowed from the file, or from `joined`, which the caller frees. */
pfm_status pfm_dicom_find_frame(pfm_dicom *file, const pfm_dicom_layout *layout, int index, pfm_buffer *joined,
                                const unsigned char **bytes, size_t *size, int *first_bit, pfm_error *err) PFM_MUST_CHECK;

#endif
