/* Scores of texts: of a profile that is a file, of metrics, and of numbers made elsewhere. */
#ifndef PFM_EVAL_SCORE_TEXT_H
#define PFM_EVAL_SCORE_TEXT_H

#include "base/json.h"
#include "eval/text_profile.h"
#include "pefomed/eval.h"

/* *out = what pfm_score_texts says of the request's files. profile NULL: its metrics alone. extra NULL, or {id: row}. */
pfm_status pfm_score_text_files(const pfm_score_request *request, pfm_text_profile *profile, const json_t *extra, uint64_t seed,
                                pfm_context *context, json_t **out, pfm_error *err) PFM_MUST_CHECK;

/* Calls function(user, row, place) for each training row that meets the request's conditions. USAGE where none does. */
pfm_status pfm_training_rows_read(const pfm_score_request *request, pfm_row_function function, void *user,
                                  pfm_error *err) PFM_MUST_CHECK;

/* The id (or qid) by which a row of a file beside the predictions finds its row there; NULL where it has none. */
const char *pfm_score_row_id(const json_t *row, pfm_number_text text);

#endif
