/* Studies as the store has them, for their owner: sheets of raters, and who has come how far. */
#ifndef PFM_SERVE_STUDY_ROWS_H
#define PFM_SERVE_STUDY_ROWS_H

#include "base/json.h"
#include "serve/http.h"
#include "serve/secret.h"
#include "serve/store.h"

typedef char pfm_study_id[PFM_SECRET_ID + 1];

/* What a study is made of; borrowed. */
typedef struct pfm_study_draft {
    const char *name;
    const json_t *rubric;   /* {"name","instruction","low","high","levels":[{"score","text"}],"parts":[{"column","title"}]} */
    const json_t *settings; /* {"systems":[{"name","n"}],"texts","per_text","duplicates","seed","telling"} */
    const json_t *key;      /* as pfm_sheet_key_read takes it */
    const json_t *sheets;   /* [raters] of rows, as pfm_sheets_draw gives them */
} pfm_study_draft;

/* Each is one transaction: what returns OK is on the disk. A study that is not there is refused (404). */

/* *links = [{"rater","link"}], the only time that the links are told; the caller calls json_decref. */
pfm_status pfm_study_create(pfm_store *store, const pfm_study_draft *draft, pfm_study_id id, json_t **links,
                            pfm_error *err) PFM_MUST_CHECK;
/* *out = [{"id","name","created","closed","rubric","scale","settings",
 * "raters":[{"rater","count","done","scored","comments","last"}]}], the newest first; the caller calls json_decref. */
pfm_status pfm_study_list(pfm_store *store, json_t **out, pfm_error *err) PFM_MUST_CHECK;
/* *out = one of them. */
pfm_status pfm_study_read(pfm_store *store, const char *id, pfm_http_reply *reply, json_t **out, pfm_error *err) PFM_MUST_CHECK;
/* A closed study takes no more scores. */
pfm_status pfm_study_close(pfm_store *store, const char *id, bool closed, pfm_http_reply *reply, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_study_remove(pfm_store *store, const char *id, pfm_http_reply *reply, pfm_error *err) PFM_MUST_CHECK;
/* *link = a new link of a rater, after which the old one opens nothing. Release with free(). */
pfm_status pfm_study_relink(pfm_store *store, const char *id, int64_t rater, pfm_http_reply *reply, char **link,
                            pfm_error *err) PFM_MUST_CHECK;
/* *key and *rows = the key, and the rows of all sheets with what is filled in; *seed = the study's. The caller calls
 * json_decref. */
pfm_status pfm_study_sheets(pfm_store *store, const char *id, pfm_http_reply *reply, json_t **key, json_t **rows,
                            uint64_t *seed, pfm_error *err) PFM_MUST_CHECK;

#endif
