/* What never looking at the image would score: each question is given the most common training answer to the same normalised
 * question; a question that training never asked, the most common training answer of its kind (open or closed). A profile may
 * have one answer to all of them, the most common of the training rows. Counted is what the profile says counts of an answer;
 * of equally common ones the first in the training data is taken. */
#ifndef PFM_EVAL_PRIOR_H
#define PFM_EVAL_PRIOR_H

#include "eval/predictions.h"
#include "eval/profile.h"

typedef struct pfm_prior pfm_prior;

/* profile NULL: vqa. The caller frees it with pfm_prior_free. */
pfm_status pfm_prior_create(const pfm_score_profile *profile, pfm_prior **out, pfm_error *err) PFM_MUST_CHECK;
/* Counts a training row {question, answer[, answer_type]}, or where the profile has a column for the answer a row of that;
 * there null is passed over. A pfm_row_function whose user is the prior. */
pfm_status pfm_prior_add(void *user, json_t *row, const pfm_place *place, pfm_error *err) PFM_MUST_CHECK;
/* *out = what counts of the answer, borrowed until the next call with this prior; NULL where training has no answer of this
 * kind.
 */
pfm_status pfm_prior_answer(pfm_prior *prior, const char *question, pfm_answer_kind kind, const char **out,
                            pfm_error *err) PFM_MUST_CHECK;
void pfm_prior_free(pfm_prior *prior);

#endif
