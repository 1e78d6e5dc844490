/* Blinded sheets in memory: drawn, and opened again. */
#ifndef PFM_EVAL_SHEETS_H
#define PFM_EVAL_SHEETS_H

#include "eval/rubric.h"
#include "eval/sheet_key.h"
#include "pefomed/agree.h"

/* The columns of predictions that a column of a sheet is made of: the first one that a row has. NULL ends them. */
extern const char *const pfm_sheet_columns[PFM_SHEET_SHOWN][4];

typedef struct pfm_sheets_plan {
    const pfm_rubric *rubric;
    const json_t *systems; /* [{"name","file","rows"}], rows as pfm_predictions_load gives them */
    int raters, per_text;
    double duplicates; /* as in pfm_sheets_request */
    uint64_t seed;
} pfm_sheets_plan;

typedef struct pfm_sheets_drawn {
    json_t *sheets; /* [raters] of [{"item", what any text has of pfm_sheet_shown, "score": null, "comment": ""}] */
    json_t *key;    /* as pfm_sheet_key_read takes it */
    size_t texts, duplicates, most, least;
    size_t telling; /* texts that hold the name of their system */
} pfm_sheets_drawn; /* start with {0} */

/* USAGE unless sheets can be drawn by this rubric for so many raters. */
pfm_status pfm_sheets_check(const pfm_rubric *rubric, int raters, int per_text, double duplicates,
                            pfm_error *err) PFM_MUST_CHECK;
/* Every text gets the same number of raters, every rater as many texts of each system (give or take one), in an order of their
 * own. As pfm_sheets_check; USAGE where a rater would get nothing, or two systems have one name. */
pfm_status pfm_sheets_draw(const pfm_sheets_plan *plan, pfm_sheets_drawn *out, pfm_error *err) PFM_MUST_CHECK;
void pfm_sheets_drawn_free(pfm_sheets_drawn *drawn);

/* Appends rows of sheets, filled or not, as a table that spreadsheets open and agree reads. */
pfm_status pfm_sheet_append_csv(const json_t *rows, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

/* *out = what pfm_agree says of filled sheets, `rows` being those of all raters; the caller calls json_decref. FORMAT where
 * nothing is filled in. */
pfm_status pfm_sheets_agree(pfm_context *context, const json_t *key, const json_t *rows, json_t **out,
                            pfm_error *err) PFM_MUST_CHECK;

#endif
