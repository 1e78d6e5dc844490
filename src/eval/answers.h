/* From the rows of a data set to what the scores read. */
#ifndef PFM_EVAL_ANSWERS_H
#define PFM_EVAL_ANSWERS_H

#include "base/memory.h"
#include "data/dataset.h"
#include "eval/prior.h"
#include "eval/profile.h"

/* Appends the text with U+FFFD for every byte that is no UTF-8. A model that is cut off may end within a character. */
pfm_status pfm_answer_make_valid(const char *text, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

/* *out = a prediction: {"id","image","question","answer","prediction","answer_type","correct","probability"} and then the row's
 * further columns; of a row with several images "image" is the first and "images" lists them all, of one without it is null;
 * what is correct the profile says (NULL: vqa); a row that asks nothing has "reference" in place of question, answer,
 * answer_type and correct. Bytes of `prediction` that are no UTF-8 become U+FFFD. probability 0..1, or NaN for none (null). The
 * caller calls json_decref. */
pfm_status pfm_prediction_create(const pfm_row *row, const pfm_score_profile *profile, const char *prediction,
                                 double probability, json_t **out, pfm_error *err) PFM_MUST_CHECK;

/* *out = what the prior counts of a training split: an array of {"question","answer","answer_type"}. The caller calls
 * json_decref. */
pfm_status pfm_training_rows_create(const pfm_dataset *dataset, json_t **out, pfm_error *err) PFM_MUST_CHECK;

#endif
