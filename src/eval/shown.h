/* How the pictures of a row were made of files that hold values: what a prediction's `shown` tells. */
#ifndef PFM_EVAL_SHOWN_H
#define PFM_EVAL_SHOWN_H

#include "base/json.h"
#include "data/dataset.h"
#include "models/vision/feature_store.h"

/* Gives a prediction the list `shown`, an entry for each of the row's images in their order, null for a finished picture;
 * nothing where all are. features: of the data set's images; NULL: they were made up. replacement [image_count]: which image is
 * shown in its place; NULL: itself. */
pfm_status pfm_shown_tell(pfm_feature_store *features, const size_t *replacement, const pfm_row *row, json_t *prediction,
                          pfm_error *err) PFM_MUST_CHECK;

#endif
