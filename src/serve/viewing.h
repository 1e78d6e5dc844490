/* What the routes of views share. */
#ifndef PFM_SERVE_VIEWING_H
#define PFM_SERVE_VIEWING_H

#include "serve/http.h"

/* USAGE names what the query has and nobody here reads; known: names ended by NULL, or NULL. */
pfm_status pfm_view_check_query(const pfm_http_request *request, const char *const *known, pfm_error *err) PFM_MUST_CHECK;
/* A whole number of at most ten digits and of nothing else; -1 where it is none. */
long pfm_view_whole(const char *text);
/* *out = a whole number of the query; `missing` where it is not there. USAGE names the bounds of one that is none or outside.
 */
pfm_status pfm_view_number(const pfm_http_request *request, const char *name, long low, long high, size_t missing, size_t *out,
                           pfm_error *err) PFM_MUST_CHECK;

#endif
