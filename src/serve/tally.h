/* What /metrics counts of requests. */
#ifndef PFM_SERVE_TALLY_H
#define PFM_SERVE_TALLY_H

#include "base/memory.h"
#include "serve/routes.h"

#include <pthread.h>

enum { PFM_TALLY_BUCKETS = 12 };

/* How often something took at most so long. */
typedef struct pfm_tally_times {
    uint64_t counts[PFM_TALLY_BUCKETS + 1]; /* the last: longer than all */
    double sum;
} pfm_tally_times;

typedef struct pfm_tally {
    pthread_mutex_t lock;
    uint64_t requests[PFM_ROUTE_COUNT + 1][6]; /* of a route (the last: of none) by the status' first digit */
    pfm_tally_times answered, first_token;     /* seconds */
    uint64_t cancelled;                        /* requests whose client hung up or whose time was over */
} pfm_tally;

void pfm_tally_init(pfm_tally *tally);
void pfm_tally_destroy(pfm_tally *tally);
/* route NULL: none was found. */
void pfm_tally_request(pfm_tally *tally, const pfm_route *route, unsigned status, double seconds);
void pfm_tally_first_token(pfm_tally *tally, double seconds);
void pfm_tally_cancelled(pfm_tally *tally);
/* Appends all in Prometheus' text format. */
pfm_status pfm_tally_write(pfm_tally *tally, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;
/* Appends one figure: its help, its type ("counter", "gauge"), its value. */
pfm_status pfm_tally_write_one(pfm_buffer *out, const char *name, const char *help, const char *type, double value,
                               pfm_error *err) PFM_MUST_CHECK;

#endif
