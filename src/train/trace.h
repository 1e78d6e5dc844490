/* A record of what an executor runs, as a trace that chrome://tracing and Perfetto open (the Trace Event Format's complete
 * events: microseconds, one an operator and direction). */
#ifndef PFM_TRAIN_TRACE_H
#define PFM_TRAIN_TRACE_H

#include "base/memory.h"
#include "nn/executor.h"

typedef struct pfm_trace {
    pfm_buffer events;
    double begun;
    pfm_status status; /* of the first event that could not be kept */
    pfm_error err;
} pfm_trace;

/* Records every operator of the executor until pfm_trace_end; the trace is {0} before, and outlives that time. */
void pfm_trace_begin(pfm_trace *trace, pfm_executor *executor);
/* Writes the file, whole or not at all. */
pfm_status pfm_trace_end(pfm_trace *trace, pfm_executor *executor, const char *path, pfm_error *err) PFM_MUST_CHECK;
void pfm_trace_free(pfm_trace *trace);

#endif
