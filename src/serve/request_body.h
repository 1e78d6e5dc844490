/* Reading a request whose body is a JSON object. */
#ifndef PFM_SERVE_REQUEST_BODY_H
#define PFM_SERVE_REQUEST_BODY_H

#include "base/json.h"
#include "serve/http.h"

/* *out = the body, an object with no other keys than these, which end with NULL; the caller calls json_decref, also on error.
 */
pfm_status pfm_body_read(const pfm_http_request *request, const char *const *keys, json_t **out, pfm_error *err) PFM_MUST_CHECK;
/* USAGE for a key that is none of these. */
pfm_status pfm_body_check_keys(const json_t *object, const char *const *keys, pfm_error *err) PFM_MUST_CHECK;
/* *out = a text of at most so many bytes, borrowed; `missing` where there is none, USAGE where that is NULL. */
pfm_status pfm_body_text(const json_t *object, const char *key, const char *missing, size_t most, const char **out,
                         pfm_error *err) PFM_MUST_CHECK;
/* *out = a whole number from low to high; `missing` where there is none. */
pfm_status pfm_body_integer(const json_t *object, const char *key, int64_t low, int64_t high, int64_t missing, int64_t *out,
                            pfm_error *err) PFM_MUST_CHECK;

#endif
