/* Closes connections that are open and never finish asking: a head that comes byte by byte is no silence, which libmicrohttpd
 * would end by itself. */
#ifndef PFM_SERVE_WATCH_H
#define PFM_SERVE_WATCH_H

#include "pefomed/status.h"

typedef struct pfm_watch pfm_watch;
typedef struct pfm_watched pfm_watched;

/* A connection may take so many seconds from its beginning, or from the end of a reply, to the end of a head. */
pfm_status pfm_watch_create(double seconds, pfm_watch **out, pfm_error *err) PFM_MUST_CHECK;
/* After the last pfm_watch_remove; NULL is allowed. */
void pfm_watch_free(pfm_watch *watch);

/* From any thread. The descriptor stays open until it is removed. NULL where there is no memory: then it is not watched. */
pfm_watched *pfm_watch_add(pfm_watch *watch, int descriptor);
/* NULL is allowed in each. asked: a head has come, and time does not count until `answered`. */
void pfm_watch_asked(pfm_watch *watch, pfm_watched *connection);
void pfm_watch_answered(pfm_watch *watch, pfm_watched *connection);
void pfm_watch_remove(pfm_watch *watch, pfm_watched *connection);

#endif
