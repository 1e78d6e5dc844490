/* Two systems on the same questions: the difference of their scores with an interval. Rows are matched by id, so what makes a
 * question hard for both cancels; the bootstrap draws images; of several runs (seeds) of a system, the mean counts. */
#ifndef PFM_EVAL_PAIRED_H
#define PFM_EVAL_PAIRED_H

#include "eval/vqa.h"

/* *out = {"against":[files],"n","n_images","overall":{"mean","ci95":[low,high],"p","a","b"},"closed","open","recall_open"}:
 * mean is a - b in percentage points, p its two-sided p-value (permutation.h); an undefined statistic is null. Both systems
 * after pfm_answer_runs_finish; kinds that one of them lacks are taken from the other. MISMATCH where the ids or answers
 * differ. The caller calls json_decref. */
pfm_status pfm_score_difference(pfm_answer_runs *a, pfm_answer_runs *b, const pfm_score_options *options, json_t **out,
                                pfm_error *err) PFM_MUST_CHECK;
/* The same from two arrays of predictions. */
pfm_status pfm_score_difference_of_rows(const json_t *a, const json_t *b, const pfm_score_options *options, json_t **out,
                                        pfm_error *err) PFM_MUST_CHECK;

#endif
