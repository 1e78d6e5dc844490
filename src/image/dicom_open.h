/* Between the two files that open DICOM. */
#ifndef PFM_IMAGE_DICOM_OPEN_H
#define PFM_IMAGE_DICOM_OPEN_H

#include "image/dicom_set.h"

/* Fills file->elements from file->set. */
pfm_status pfm_dicom_list(pfm_dicom *file, pfm_error *err) PFM_MUST_CHECK;

#endif
