/* What the routes of the views Runs and Answers share. */
#ifndef PFM_SERVE_VIEWING_H
#define PFM_SERVE_VIEWING_H

#include "base/json.h"
#include "serve/http.h"

/* USAGE names what the query has and nobody here reads; known: names ended by NULL, or NULL. */
pfm_status pfm_view_check_query(const pfm_http_request *request, const char *const *known, pfm_error *err) PFM_MUST_CHECK;
/* The document, which is taken; NULL is NO_MEMORY. */
pfm_status pfm_view_reply(json_t *document, pfm_http_reply *reply, pfm_error *err) PFM_MUST_CHECK;

#endif
