/* Files with scores of items: ratings of people, verdicts of judges, numbers of metrics, filled sheets. What a file is its
 * columns say. JSON lines, a JSON array, or a table as spreadsheets save it (CSV with commas, semicolons or tabs). ratings
 * item, rater, score[, duplicate_of] verdicts  id, status, score[, repeat][, judge] a sheet   item, score as pefomed sheets
 * wrote it, with the key file metrics   id (or qid) and columns of numbers; or one JSON object {id: number} */
#ifndef PFM_EVAL_RATING_FILES_H
#define PFM_EVAL_RATING_FILES_H

#include "eval/ratings.h"
#include "eval/sheet_key.h"

/* A row of any file, with what reading its cells needs. */
typedef struct pfm_rating_row {
    const json_t *object;
    pfm_place place;
    bool decimal_comma; /* a table whose columns commas do not separate */
} pfm_rating_row;

typedef struct pfm_rating_rows {
    pfm_rating_row *items;
    size_t count, capacity;
    json_t *owner; /* an array of the objects */
} pfm_rating_rows; /* start with {0} */

/* *out = the rows of a file of objects. FORMAT names file and line. */
pfm_status pfm_rating_rows_load(const char *path, pfm_rating_rows *out, pfm_error *err) PFM_MUST_CHECK;
void pfm_rating_rows_free(pfm_rating_rows *rows);

/* *state and *score of a cell: a number, or what stands for none (absent, null, an empty cell, NA). FORMAT for anything else.
 */
pfm_status pfm_rating_score_read(const pfm_rating_row *row, const char *column, pfm_rating_state *state, double *score,
                                 pfm_error *err) PFM_MUST_CHECK;
/* The text of a cell without blanks around it; NULL for none. `scratch` must live as long. */
typedef char pfm_rating_text[512];
const char *pfm_rating_text_of(const json_t *row, const char *column, pfm_rating_text scratch);

/* *out = the name of a file without folder and the endings that say what it is: "gpt" of "a/gpt.verdicts.jsonl". */
pfm_status pfm_rating_file_name(const char *path, char **out, pfm_error *err) PFM_MUST_CHECK;

typedef struct pfm_rating_options {
    const char *key_path; /* NULL, or the file behind key */
    pfm_sheet_key *key;   /* opens sheets; NULL: none was given */
    const char *system;   /* of sheets of several systems: only this one's texts, under their own ids; NULL: all */
} pfm_rating_options;

/* Adds what a file holds; it is a path or NAME=PATH, which names its judge or metric. The words live as long as the ratings. */
pfm_status pfm_ratings_read(pfm_ratings *ratings, const char *word, const pfm_rating_options *options,
                            pfm_error *err) PFM_MUST_CHECK;
/* The same of a filled sheet in memory, a list of its rows; options->key opens it. The name lives as long as the ratings. */
pfm_status pfm_ratings_read_sheet(pfm_ratings *ratings, const json_t *sheet, const char *name,
                                  const pfm_rating_options *options, pfm_error *err) PFM_MUST_CHECK;

#endif
