/* The context owns what every other call shares: threads, the kernel table, the log, the seed. One per process is usual;
 * several are independent. A context may be used by one thread at a time. */
#ifndef PEFOMED_CONTEXT_H
#define PEFOMED_CONTEXT_H

#include "pefomed/status.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pfm_context pfm_context;

typedef enum pfm_precision {
    PFM_PRECISION_BF16, /* bf16 activations and frozen weights, f32 accumulation, residual, norms, loss */
    PFM_PRECISION_F32   /* everything in f32 */
} pfm_precision;

/* How the frozen matrices are kept while answering; training keeps them in the precision. Blocks of 32 weights as ggml defines
 * them, multiplied with activations in blocks of int8; trained parameters stay in the precision. */
typedef enum pfm_weight_format { PFM_WEIGHTS_FULL, PFM_WEIGHTS_Q8_0, PFM_WEIGHTS_Q4_0, PFM_WEIGHTS_Q4_1 } pfm_weight_format;

typedef enum pfm_log_level { PFM_LOG_DEBUG, PFM_LOG_INFO, PFM_LOG_WARNING } pfm_log_level;

/* Receives one message, without a newline. `user` is pfm_context_options.user. */
typedef void (*pfm_log_function)(void *user, pfm_log_level level, const char *message);

/* How far long work has come. `done` of `total` in `unit`s ("samples", "images", "bytes"); total is 0 when unknown.
 * `note` is a short text for the end of the line ("loss 0.412"), never NULL. */
typedef struct pfm_progress {
    const char *task; /* "training", "features", ... */
    const char *unit;
    double done, total;
    const char *note;
    int64_t memory; /* the most bytes that the process which works has held so far; 0: unknown */
} pfm_progress;
typedef void (*pfm_progress_function)(void *user, const pfm_progress *progress);

typedef struct pfm_context_options {
    int threads;                    /* 0: the cores this process may use */
    uint64_t seed;                  /* the program's default is 42 */
    pfm_precision precision;        /* default bf16 */
    pfm_weight_format weights;      /* default full */
    uint64_t memory;                /* bytes that training and answering stay within, or refuse; 0: no limit */
    const char *cpu_level;          /* NULL: $PEFOMED_CPU, else the best: "ref", "avx2", "avx512" */
    const char *home;               /* NULL: $PEFOMED_HOME, else ~/.cache/pefomed */
    pfm_log_function log;           /* NULL: silent */
    pfm_progress_function progress; /* NULL: silent */
    void *user;                     /* handed to log and progress, which are called by one thread at a time */
    const volatile int *interrupt;  /* NULL, or a flag that a signal handler sets: long work saves, then returns INTERRUPTED */
} pfm_context_options;

/* Creates a context; the caller frees it with pfm_context_free. USAGE for an unknown cpu_level or threads < 0 or > 1024. */
pfm_status pfm_context_create(const pfm_context_options *options, pfm_context **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_context_free(pfm_context *context);

int pfm_context_threads(const pfm_context *context);
uint64_t pfm_context_seed(const pfm_context *context);
pfm_precision pfm_context_precision(const pfm_context *context);
/* The folder for weights and caches; borrowed, as long as the context. It may not exist yet. */
const char *pfm_context_home(const pfm_context *context);
/* "ref", "avx2", "avx512": the level in force. */
const char *pfm_context_cpu_level(const pfm_context *context);

/* The library's version, "0.1.0". */
const char *pfm_version(void);

#ifdef __cplusplus
}
#endif
#endif
