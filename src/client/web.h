/* Requests to a web server that is not asked for answers: a GET or a POST, one at a time. Only this machine, unless told
 * otherwise; no redirection is followed, so that neither data nor credentials go elsewhere. */
#ifndef PFM_CLIENT_WEB_H
#define PFM_CLIENT_WEB_H

#include "base/memory.h"

#include <stdbool.h>

typedef struct pfm_web pfm_web;

typedef struct pfm_web_options {
    const char *url;         /* what all paths are below, "http://localhost:8042/dicom-web" */
    bool allow_remote;       /* else a host other than this machine is refused */
    const char *credentials; /* a file whose first line is USER:PASSWORD, or "Bearer TOKEN"; NULL: none */
    const char *variable;    /* the environment's, which says the same where there is no file */
    double timeout;          /* seconds without a byte before a request is given up */
} pfm_web_options;

/* USAGE: a URL that is none or not allowed, credentials that cannot be sent; IO: their file. Opens no connection. */
pfm_status pfm_web_create(const pfm_web_options *options, pfm_web **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_web_free(pfm_web *web);             /* NULL is allowed */
const char *pfm_web_url(const pfm_web *web); /* as it is known by; borrowed */

typedef struct pfm_web_request {
    const char *path;   /* behind the URL, "/series?limit=10" */
    const char *accept; /* what may come back */
    const void *body;   /* NULL: a GET */
    size_t body_size;
    const char *content_type; /* of the body */
    /* Told the type of what comes ("" where it is not said), then all of it, where the status is good; the first error ends the
     * transfer and is that of the request. NULL: not wanted. */
    pfm_status (*on_type)(void *user, const char *type, pfm_error *err);
    pfm_status (*on_data)(void *user, const void *bytes, size_t count, pfm_error *err);
    bool conflict; /* 409 is good too, and not only 200..299 */
    void *user;
} pfm_web_request;

/* *answered = the status that the server answers with, 0 where none came. NETWORK: it cannot be reached, broke off, or answers
 * with a status that is not good. No error says what the server says, nor the path. */
pfm_status pfm_web_ask(pfm_web *web, const pfm_web_request *request, long *answered, pfm_error *err) PFM_MUST_CHECK;

#endif
