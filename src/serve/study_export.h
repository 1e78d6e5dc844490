/* The ratings of a study as files that pefomed agree reads. */
#ifndef PFM_SERVE_STUDY_EXPORT_H
#define PFM_SERVE_STUDY_EXPORT_H

#include "base/json.h"

/* *out = filled sheets, opened by their key: [{"item","rater","score","comment","system","duplicate_of"}], of rows that were
 * passed or not. An item is its id, or SYSTEM/id where there are several systems, as agree --key has them. The caller calls
 * json_decref. */
pfm_status pfm_study_open(const json_t *key, const json_t *rows, json_t **out, pfm_error *err) PFM_MUST_CHECK;
/* Appends those as a table. */
pfm_status pfm_study_append_csv(const json_t *ratings, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;
/* Appends any list of objects as JSON lines. */
pfm_status pfm_study_append_lines(const json_t *rows, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

#endif
