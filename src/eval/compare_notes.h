/* What a reader of a comparison's table has to know beside it. */
#ifndef PFM_EVAL_COMPARE_NOTES_H
#define PFM_EVAL_COMPARE_NOTES_H

#include "eval/compare.h"

/* out gains "notes": sentences: where rates were chosen on what is scored, where recipes did not learn from the same samples,
 * where only some rows are scored, where there is no baseline or no untrained model. */
pfm_status pfm_comparison_notes(const pfm_comparison *comparison, const pfm_error *untrained, json_t *out,
                                pfm_error *err) PFM_MUST_CHECK;

#endif
