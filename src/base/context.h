/* Inside the context: what the other rooms take from it. */
#ifndef PFM_BASE_CONTEXT_H
#define PFM_BASE_CONTEXT_H

#include "base/threads.h"
#include "pefomed/context.h"

#include <pthread.h>

struct pfm_kernels; /* kernels/kernels.h */

struct pfm_context {
    pfm_threads *threads;
    const struct pfm_kernels *kernels; /* set and owned by kernels/select.c */
    const char *cpu_level;
    uint64_t seed;
    pfm_precision precision;
    pfm_weight_format weights;
    uint64_t memory; /* bytes; 0: no limit */
    char *home;
    pfm_log_function log;
    pfm_progress_function progress;
    void *user;
    pthread_mutex_t *telling; /* held while log or progress is called; NULL where neither is */
    const volatile int *interrupt;
};

void pfm_log(const pfm_context *context, pfm_log_level level, const char *format, ...) PFM_PRINTF(3, 4);
void pfm_report_progress(const pfm_context *context, const char *task, const char *unit, double done, double total,
                         const char *note);
/* true once the user has asked to stop. */
bool pfm_interrupted(const pfm_context *context);

#endif
