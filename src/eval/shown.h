/* How the pictures of a data set were made of files that hold values: what a prediction's `shown` tells. */
#ifndef PFM_EVAL_SHOWN_H
#define PFM_EVAL_SHOWN_H

#include "base/context.h"
#include "data/dataset.h"

typedef struct pfm_shown {
    json_t **images; /* [count] by an image's index, as pfm_image_applied_json tells it; NULL of a finished picture */
    size_t count;
} pfm_shown; /* start with {0} */

/* Reads every image of the data set again. replacement [image_count]: which image is shown in its place; NULL: itself. window:
 * as pfm_image_load_file takes it. INTERRUPTED; else as pfm_image_load_file. The caller calls pfm_shown_free, also on error. */
pfm_status pfm_shown_read(pfm_context *context, const pfm_dataset *dataset, const size_t *replacement, const char *window,
                          pfm_shown *out, pfm_error *err) PFM_MUST_CHECK;
/* Gives a prediction the list `shown`, an entry for each of the row's images in their order, null for a finished picture;
 * nothing where all are. */
pfm_status pfm_shown_tell(const pfm_shown *shown, const pfm_row *row, json_t *prediction, pfm_error *err) PFM_MUST_CHECK;
void pfm_shown_free(pfm_shown *shown);

#endif
