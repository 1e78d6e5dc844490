/* A study as one JSON document, which text and figures are made from (docs/agreement.md). */
#ifndef PFM_EVAL_AGREE_RESULT_H
#define PFM_EVAL_AGREE_RESULT_H

#include "eval/agree_study.h"
#include "pefomed/agree.h"

/* The most distinct scores of people and judges of which distributions count each. */
enum { PFM_STUDY_MOST_LEVELS = 25 };

/* *out = the document; the caller calls json_decref. */
pfm_status pfm_study_write(const pfm_study *study, const pfm_agree_request *request, pfm_rated_level level, uint64_t seed,
                           json_t **out, pfm_error *err) PFM_MUST_CHECK;

#endif
