/* Inside structured reports: whose images they are. */
#ifndef PFM_IMAGE_SR_IDENTITY_H
#define PFM_IMAGE_SR_IDENTITY_H

#include "base/memory.h"
#include "pefomed/sr.h"

typedef char pfm_dicom_uid[65];

/* An element as it stands in the image: bytes in its character set, without padding. */
typedef struct pfm_sr_element {
    uint16_t group, element;
    char vr[3];
    char *value;
} pfm_sr_element;

/* One image, and which of its frames. */
typedef struct pfm_sr_reference {
    pfm_dicom_uid sop_class, instance, series;
    int *frames; /* [frame_count] from 1; none of a file that has only one */
    size_t frame_count, frame_capacity;
} pfm_sr_reference;

struct pfm_sr {
    pfm_dicom_uid study;
    char character_set[129];  /* as the images say; "" */
    char timezone[6];         /* "+0100"; "" */
    pfm_sr_element *elements; /* [element_count] patient and study, of the first image */
    size_t element_count, element_capacity;
    pfm_sr_reference *references; /* [reference_count] */
    size_t reference_count, reference_capacity;
    bool foreign; /* some value is more than ASCII */
};

/* Adds an image: the first one's identity, of the others what refers to them. */
pfm_status pfm_sr_add(pfm_sr *sr, const pfm_sr_image *image, pfm_error *err) PFM_MUST_CHECK;

#endif
