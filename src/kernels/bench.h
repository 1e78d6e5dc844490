/* What the measurements of this room share; include/pefomed/bench.h says what they make. */
#ifndef PFM_KERNELS_BENCH_H
#define PFM_KERNELS_BENCH_H

#include "base/context.h"
#include "base/json.h"
#include "kernels/kernels.h"
#include "pefomed/bench.h"

enum { PFM_BENCH_INT8 = PFM_ACT_COUNT, PFM_BENCH_TYPES };

typedef struct pfm_bench {
    const pfm_context *context;
    const pfm_kernels *kernels;
    double peak[PFM_BENCH_TYPES]; /* FLOP/s of one thread by pfm_act_type and PFM_BENCH_INT8, 0 where there is none */
    double read;                  /* byte/s of all threads */
    json_t *document, *rows;
} pfm_bench;

/* Measures the machine's peaks and begins the document. Whatever happens, pfm_bench_end must follow. */
pfm_status pfm_bench_begin(const pfm_context *context, const char *name, pfm_bench *out, pfm_error *err) PFM_MUST_CHECK;
/* Where status is PFM_OK, *json_out = the document's text. Returns status, or what went wrong. */
pfm_status pfm_bench_end(pfm_bench *bench, pfm_status status, char **json_out, pfm_error *err) PFM_MUST_CHECK;

/* The function that reaches a type's peak, or NULL. */
typedef double (*pfm_bench_peak)(size_t steps, volatile float *sink);
pfm_bench_peak pfm_bench_peak_of(const pfm_kernels *kernels, int type);

enum { PFM_BENCH_READ_FLOATS = 32 << 20 };
/* byte/s that these threads (NULL: the caller's alone) read from data [PFM_BENCH_READ_FLOATS]. */
double pfm_bench_read(const pfm_kernels *kernels, pfm_threads *threads, const float *data);

/* The seconds of the fastest of several runs, after one to warm up. */
double pfm_bench_time(void (*run)(void *user), void *user);

typedef struct pfm_bench_row {
    const char *name, *shape, *by; /* by NULL: "own" */
    int type;                      /* a pfm_act_type, PFM_BENCH_INT8, or -1: none */
    int threads;
    double flops, bytes; /* one of them is 0 */
    double seconds;
} pfm_bench_row;
pfm_status pfm_bench_add(pfm_bench *bench, const pfm_bench_row *row, pfm_error *err) PFM_MUST_CHECK;

/* Scratch for a measurement: n random numbers of a type; freed with free(). */
pfm_status pfm_bench_numbers(pfm_act_type type, size_t n, void *out, pfm_error *err) PFM_MUST_CHECK;

#endif
