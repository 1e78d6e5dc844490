/* The phantom: a synthetic data set in SLAKE's format whose right answers are known by construction. Cross-sections and
 * projections of a body with organs and lesions; questions about modality, plane, region, organs, lesions' number, side, size
 * and brightness. Over each split every answer to a question is about as frequent as the others, so that a model which does not
 * look can only guess. Pictures are shown as radiologists see them: the patient's right is at the picture's left, and all sides
 * in questions and answers are the patient's. */
#ifndef PEFOMED_PHANTOM_H
#define PEFOMED_PHANTOM_H

#include "pefomed/context.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { PFM_PHANTOM_DEFAULT_IMAGES = 900, PFM_PHANTOM_MIN_IMAGES = 10, PFM_PHANTOM_MAX_IMAGES = 100000 };

/* Writes train.json, validate.json and test.json (70, 15 and 15 percent of the images), the pictures imgs/xmlabN/source.jpg
 * (512 x 512, grey), and phantom.json, which says what the folder is. The same number and seed give the same bytes. A folder
 * that holds this very set is left as it is; one that was begun and interrupted is gone on with; any other that is not empty is
 * USAGE. *json_out = {"folder", "images", "seed", "written": false where it was there, "splits": {NAME: {"images",
 * "questions"}}}, released by the caller with free(). USAGE: a number outside the limits. IO: a folder that cannot be written.
 * INTERRUPTED: the user stopped it. */
pfm_status pfm_phantom_write(pfm_context *context, const char *folder, int images, uint64_t seed, char **json_out,
                             pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
