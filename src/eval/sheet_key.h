/* The key of blinded sheets: which text of which system stands behind each row. */
#ifndef PFM_EVAL_SHEET_KEY_H
#define PFM_EVAL_SHEET_KEY_H

#include "base/json.h"
#include "base/map.h"

#include <stdbool.h>

/* The columns of a sheet: its code, those of these that any text has, score and comment. What is shown must come back as it
 * was. */
#define PFM_SHEET_CODE "item"
#define PFM_SHEET_SCORE "score"
#define PFM_SHEET_COMMENT "comment"
enum { PFM_SHEET_SHOWN = 4 };
extern const char *const pfm_sheet_shown[PFM_SHEET_SHOWN];

typedef struct pfm_sheet_key {
    json_t *document;
    const json_t *rows; /* [{"item","rater","id","system","duplicate","shown":{column: digest}}] */
    pfm_map by_code;    /* a row's number by its code */
    double low, high;   /* the scale: whole numbers */
    size_t system_count;
} pfm_sheet_key; /* start with {0} */

/* FORMAT unless the file is a key that pefomed sheets wrote. */
pfm_status pfm_sheet_key_load(const char *path, pfm_sheet_key *out, pfm_error *err) PFM_MUST_CHECK;
/* The same of a document in memory, which is taken, also on error; path: what errors call it. */
pfm_status pfm_sheet_key_read(json_t *document, const char *path, pfm_sheet_key *out, pfm_error *err) PFM_MUST_CHECK;
void pfm_sheet_key_free(pfm_sheet_key *key);
/* The row of a code, borrowed; NULL for an unknown one. */
const json_t *pfm_sheet_key_find(const pfm_sheet_key *key, const char *code);

/* *out = what a spreadsheet will not take for a formula: a text that begins (after blanks) with = + - @ or with a quote, a tab
 * or a carriage return gets a quote ' before it. Release with free(). */
pfm_status pfm_sheet_cell_guard(const char *text, char **out, pfm_error *err) PFM_MUST_CHECK;
/* Appends a guarded text as a quoted cell of a table with commas. */
pfm_status pfm_sheet_append_cell(pfm_buffer *out, const char *text, pfm_error *err) PFM_MUST_CHECK;
/* out = the digest of a text, its line ends and the blanks at its ends aside. */
typedef char pfm_sheet_digest[17];
pfm_status pfm_sheet_digest_of(const char *text, pfm_sheet_digest out, pfm_error *err) PFM_MUST_CHECK;
/* *same = whether a cell that came back, guarded or not, is the text of this digest. */
pfm_status pfm_sheet_cell_check(const char *cell, const char *digest, bool *same, pfm_error *err) PFM_MUST_CHECK;

#endif
