/* A study that is complete: its series, the rule that decides about it, the pictures that are shown. */
#ifndef PFM_PACS_DICOM_STUDY_H
#define PFM_PACS_DICOM_STUDY_H

#include "pacs/pacs_rules.h"
#include "pefomed/image.h"
#include "pefomed/series.h"
#include "pefomed/sr.h"

typedef struct pfm_dicom_study {
    const char *folder;        /* borrowed */
    const pfm_pacs_rule *rule; /* NULL: none is for it */
    int *series;               /* [series_count] numbers of those that are shown */
    size_t series_count;
    pfm_series *slices; /* [series_count] as they were chosen */
    size_t picture_count;
    pfm_image *pictures;        /* [picture_count] once they are decoded */
    pfm_image_applied *applied; /* [picture_count] what made them */
    pfm_sr_image *references;   /* [picture_count] their files; paths borrowed from slices */
} pfm_dicom_study;              /* start with {0} */

/* Reads a folder's series and finds the first rule that one of them matches; slices as the rule says, else as `slices` does,
 * which may be NULL: all. Nothing is decoded. The caller calls pfm_dicom_study_free, also after an error. */
pfm_status pfm_dicom_study_open(const char *folder, const pfm_pacs_rules *rules, const char *slices, pfm_dicom_study *out,
                                pfm_error *err) PFM_MUST_CHECK;
/* Decodes the pictures, through the rule's window or else `window`. */
pfm_status pfm_dicom_study_load(pfm_dicom_study *study, const char *window, pfm_error *err) PFM_MUST_CHECK;
void pfm_dicom_study_free(pfm_dicom_study *study);

#endif
