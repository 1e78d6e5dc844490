/* What the routes of the views Runs and Answers share. */
#ifndef PFM_SERVE_VIEWING_H
#define PFM_SERVE_VIEWING_H

#include "serve/http.h"

/* USAGE names what the query has and nobody here reads; known: names ended by NULL, or NULL. */
pfm_status pfm_view_check_query(const pfm_http_request *request, const char *const *known, pfm_error *err) PFM_MUST_CHECK;
#endif
