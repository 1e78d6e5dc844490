/* The transfer syntaxes by name (PS3.6, A). How a data set is written its bytes show; which codec its frames want, their
 * streams. */
#ifndef PFM_IMAGE_DICOM_SYNTAX_H
#define PFM_IMAGE_DICOM_SYNTAX_H

#include <stdbool.h>

#define PFM_DICOM_RLE "1.2.840.10008.1.2.5" /* the one whose frames do not tell it themselves */

typedef struct pfm_dicom_syntax {
    const char *uid, *name;
    bool read; /* its frames can be decoded */
} pfm_dicom_syntax;

/* uids [at most `most`] = those that are read, plain ones first; returns how many. */
int pfm_dicom_list_syntaxes(const char **uids, int most);
/* NULL for one that is not known. */
const pfm_dicom_syntax *pfm_dicom_find_syntax(const char *uid);

#endif
