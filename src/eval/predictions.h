/* Predictions files: JSON lines, or one JSON array, of objects. A prediction has
 *   id          string or whole number, different in every row
 *   image       string or whole number: what the bootstrap draws; null: the row shows none and is drawn itself
 *   question    string
 *   answer      string or number (a number counts as its JSON text)
 *   prediction  string or number
 * and may have answer_type (OPEN or CLOSED in any case, blanks around it allowed; "yes/no" is CLOSED, "other" and "number" are
 * OPEN), correct (true or false), probability (0..1, or null) and any further columns. A caption or report has `reference` (a
 * string) and `prediction`; in place of `reference` it may have `references`, a list of strings, and with them `weights`, a
 * list of as many numbers of which one is above 0. */
#ifndef PFM_EVAL_PREDICTIONS_H
#define PFM_EVAL_PREDICTIONS_H

#include "base/json.h"

#include <stdbool.h>

/* Where a row comes from, for errors: "FILE line 7", "FILE row 7", or "prediction 7" where path is NULL. One-based. */
typedef struct pfm_place {
    const char *path;
    const char *unit; /* "line" or "row" */
    size_t number;
} pfm_place;
typedef char pfm_place_text[300];
/* Writes the place as it appears at the beginning of an error; returns out. */
const char *pfm_place_format(const pfm_place *place, pfm_place_text out);

typedef pfm_status (*pfm_row_function)(void *user, json_t *row, const pfm_place *place, pfm_error *err);
/* Calls function(user, row, place) for each row of the file in its order; row is borrowed during the call. Rows must be
 * objects; a file without any is FORMAT. JSON lines are read one at a time, so memory does not grow with the file. */
pfm_status pfm_rows_read(const char *path, pfm_row_function function, void *user, pfm_error *err) PFM_MUST_CHECK;
/* The same of a file's text in memory; path is for errors. */
pfm_status pfm_rows_read_text(const char *path, const char *text, size_t size, pfm_row_function function, void *user,
                              pfm_error *err) PFM_MUST_CHECK;
/* The same over an array in memory. */
pfm_status pfm_rows_visit(const json_t *rows, pfm_row_function function, void *user, pfm_error *err) PFM_MUST_CHECK;

/* The text of a string or number: borrowed from the value, or written to `scratch`; NULL for anything else. Real numbers have
 * the fewest digits that read back as the same number. */
typedef char pfm_number_text[32];
const char *pfm_json_text(const json_t *value, pfm_number_text scratch);

/* FORMAT, naming the place and the field, unless the row is a prediction as described above. */
pfm_status pfm_prediction_check(const json_t *row, const pfm_place *place, pfm_error *err) PFM_MUST_CHECK;

/* The same for a caption or report: it needs a reference (or an answer) and a prediction. */
pfm_status pfm_report_check(const json_t *row, const pfm_place *place, pfm_error *err) PFM_MUST_CHECK;

typedef enum pfm_answer_kind { PFM_KIND_OPEN, PFM_KIND_CLOSED, PFM_KIND_UNKNOWN } pfm_answer_kind;
/* *out = the row's answer_type, UNKNOWN where it is absent or null. FORMAT for a value that is neither. */
pfm_status pfm_answer_kind_read(const json_t *row, const pfm_place *place, pfm_answer_kind *out, pfm_error *err) PFM_MUST_CHECK;
/* The kind of a question without answer_type: CLOSED where the normalised answer is "yes" or "no". */
pfm_answer_kind pfm_answer_kind_infer(const char *normalised_answer);

/* *out = an array of all predictions, each checked (as a report where it has a `reference` or `references`), the ids different;
 * the caller calls json_decref. */
pfm_status pfm_predictions_load(const char *path, json_t **out, pfm_error *err) PFM_MUST_CHECK;
/* Checks an array of predictions and writes it as JSON lines, the whole file or nothing. */
pfm_status pfm_predictions_save(const char *path, const json_t *predictions, pfm_error *err) PFM_MUST_CHECK;

#endif
