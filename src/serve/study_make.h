/* From what a request says to a study that can be kept. */
#ifndef PFM_SERVE_STUDY_MAKE_H
#define PFM_SERVE_STUDY_MAKE_H

#include "base/json.h"
#include "eval/sheets.h"

typedef struct pfm_study_made {
    char *name;
    json_t *rubric, *settings; /* as pfm_study_draft has them */
    pfm_sheets_drawn drawn;
} pfm_study_made; /* start with {0} */

/* Draws the sheets of a study, `request` being {"name","rubric","rubric_text","raters","per_text","duplicates","seed",
 * "systems":[{"name","predictions"} or {"name","file"}]}; a file is a name that pfm_study_files lists.
 * USAGE and FORMAT say what of it cannot be. */
pfm_status pfm_study_make(const json_t *request, const char *const *folders, size_t count, pfm_study_made *out,
                          pfm_error *err) PFM_MUST_CHECK;
void pfm_study_made_free(pfm_study_made *made);

/* *out = the names of files that may hold predictions in folders, of each sorted. The caller calls json_decref. */
pfm_status pfm_study_files(const char *const *folders, size_t count, json_t **out, pfm_error *err) PFM_MUST_CHECK;
/* *out = the names of the program's rubrics that sheets can have. The caller calls json_decref. */
pfm_status pfm_study_rubrics(json_t **out, pfm_error *err) PFM_MUST_CHECK;

#endif
