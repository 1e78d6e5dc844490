/* What a training step says of the routers in its graph: which experts were taken, how evenly, how surely. Every row counts the
 * same, and every router; packing, micro-batches and threads change nothing. In the vision encoder each image of a row is a
 * row.
 */
#ifndef PFM_TRAIN_ROUTING_H
#define PFM_TRAIN_ROUTING_H

#include "base/memory.h"
#include "nn/executor.h"

enum { PFM_ROUTING_MOST_EXPERTS = 64 };

/* Sums over rows and routers, until finished; then means. */
typedef struct pfm_routing {
    int64_t experts;                                                  /* 0: nothing routes */
    bool by_token;                                                    /* else by contexts, and load is all there is to say */
    double load[PFM_ROUTING_MOST_EXPERTS], balance, entropy, dropped; /* see src/ops/route.c */
} pfm_routing;

/* Adds what the graph's last run while training says of routers of such rows. */
void pfm_routing_add(pfm_routing *routing, pfm_row_sort sort, const pfm_graph *graph, const pfm_executor *executor);
/* rows: that were added up. */
void pfm_routing_finish(pfm_routing *routing, pfm_row_sort sort, const pfm_graph *graph, int64_t rows);
/* Appends the keys of a line of the log, each with a comma before it and `begin` before its name; nothing where nothing routes.
 */
pfm_status pfm_routing_append(const pfm_routing *routing, const char *begin, pfm_buffer *line, pfm_error *err) PFM_MUST_CHECK;

#endif
