/* What routes share that work on images of the shelf. */
#ifndef PFM_SERVE_KEPT_H
#define PFM_SERVE_KEPT_H

#include "serve/http.h"
#include "serve/shelf.h"

struct pfm_server;

/* The image of this id; refuses (404) where it is not here any more. Give it back. */
pfm_status pfm_kept_use(struct pfm_server *server, const char *id, pfm_http_reply *reply, pfm_shelf_image **out,
                        pfm_error *err) PFM_MUST_CHECK;

#endif
