/* Metrics of single rows, to be compared with what people say of them. */
#ifndef PFM_EVAL_RATING_METRICS_H
#define PFM_EVAL_RATING_METRICS_H

#include "eval/ratings.h"
#include "pefomed/context.h"

/* Adds a column for each metric (names separated by commas): its value for each row of a predictions file by itself; what a
 * metric takes from all rows together (CIDEr's document frequencies) it takes from the file. USAGE for an unknown name. */
pfm_status pfm_ratings_measure(pfm_ratings *ratings, const char *predictions, const char *metrics, pfm_context *context,
                               pfm_error *err) PFM_MUST_CHECK;

#endif
