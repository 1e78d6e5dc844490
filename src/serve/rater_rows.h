/* What a rater reads and writes of a study: their own sheet, without what would tell whose a text is. */
#ifndef PFM_SERVE_RATER_ROWS_H
#define PFM_SERVE_RATER_ROWS_H

#include "serve/study_rows.h"

typedef struct pfm_rater {
    pfm_study_id study;
    int64_t number;
} pfm_rater;

/* What a rater gives an item. */
typedef struct pfm_rater_given {
    bool has_score, cannot_tell; /* a score, or that there is none to give; false, false: as before */
    int64_t score;
    const char *comment; /* NULL: as before */
} pfm_rater_given;

/* Each is one transaction: what returns OK is on the disk. */

/* *found = whether a link has this secret, and *out = whose it is. */
pfm_status pfm_rater_find(pfm_store *store, const char *secret, pfm_rater *out, bool *found, pfm_error *err) PFM_MUST_CHECK;
/* *out = {"instruction","low","high","levels","count","done","next","change","changed","closed"}: `next` the first item that
 * was not passed, `change` what undo would take back and `changed` its item, null where there is none. The caller calls
 * json_decref. */
pfm_status pfm_rater_state(pfm_store *store, const pfm_rater *rater, pfm_http_reply *reply, json_t **out,
                           pfm_error *err) PFM_MUST_CHECK;
/* *out = {"n","parts":[{"title","text"}],"images","score","comment","done"}, images the names, one a line. Refuses (404). */
pfm_status pfm_rater_item(pfm_store *store, const pfm_rater *rater, int64_t n, pfm_http_reply *reply, json_t **out,
                          pfm_error *err) PFM_MUST_CHECK;
/* Gives an item a score, a comment or both; what it has already changes nothing. Refuses a score off the scale (400), an item
 * that is not there (404), a closed study (409). */
pfm_status pfm_rater_give(pfm_store *store, const pfm_rater *rater, int64_t n, const pfm_rater_given *given,
                          pfm_http_reply *reply, pfm_error *err) PFM_MUST_CHECK;
/* Takes back the change of this number, the last one; nothing where it was taken back already. Refuses (409) any other. */
pfm_status pfm_rater_undo(pfm_store *store, const pfm_rater *rater, int64_t change, pfm_http_reply *reply,
                          pfm_error *err) PFM_MUST_CHECK;

#endif
