/* Who may ask: the token, and what a browser says of where a request comes from. */
#ifndef PFM_SERVE_GUARD_H
#define PFM_SERVE_GUARD_H

#include "serve/routes.h"
#include "serve/server.h"

/* Refuses a request that a page of another site made (403), one under a name that is not this machine's where only this machine
 * is listened to (403, what a page does that has its own name point here), one to an owner's route without the token, and
 * one to a rater's without a rater's secret (401). route NULL: as an owner's. */
pfm_status pfm_guard_check(const pfm_server *server, const pfm_http_request *request, const pfm_route *route,
                           pfm_http_reply *reply, pfm_error *err) PFM_MUST_CHECK;
/* What was shown as Authorization: Bearer; NULL: nothing. Borrowed as headers are. */
const char *pfm_guard_bearer(const pfm_http_request *request);
/* 401: no rater has this link. */
pfm_status pfm_guard_refuse_rater(pfm_http_reply *reply, pfm_error *err) PFM_MUST_CHECK;

#endif
