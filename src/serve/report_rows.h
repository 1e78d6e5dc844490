/* Reports as the store has them. */
#ifndef PFM_SERVE_REPORT_ROWS_H
#define PFM_SERVE_REPORT_ROWS_H

#include "base/json.h"
#include "serve/http.h"
#include "serve/store.h"

typedef char pfm_report_id[33];

/* What a request says of a new report; borrowed from its document. */
typedef struct pfm_report_draft {
    const char *model, *indication, *text;
    bool complete;  /* false: the model was stopped at its longest */
    json_t *images; /* [{"hash","kind","frame","window"}] */
} pfm_report_draft;

/* Each is one transaction: what returns OK is on the disk. A report that is not there, was accepted, or is of another version
 * than the one that was read, is refused (404, 409). */
pfm_status pfm_report_create(pfm_store *store, const pfm_report_draft *draft, pfm_report_id id, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_report_edit(pfm_store *store, const char *id, int64_t version, const char *text, pfm_http_reply *reply,
                           pfm_error *err) PFM_MUST_CHECK;
/* observer and organization: who accepts it; NULL: that is not told. */
pfm_status pfm_report_accept(pfm_store *store, const char *id, int64_t version, const char *observer, const char *organization,
                             pfm_http_reply *reply, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_report_remove(pfm_store *store, const char *id, pfm_http_reply *reply, pfm_error *err) PFM_MUST_CHECK;
/* *out =
 * {"id","state","version","created","changed","accepted","model","indication","draft","text","complete","images","observer",
 * "organization"}; the
 * caller calls json_decref. */
pfm_status pfm_report_read(pfm_store *store, const char *id, pfm_http_reply *reply, json_t **out,
                           pfm_error *err) PFM_MUST_CHECK;
/* *out = a list of the newest, without their texts; the caller calls json_decref. */
pfm_status pfm_report_list(pfm_store *store, json_t **out, pfm_error *err) PFM_MUST_CHECK;

#endif
