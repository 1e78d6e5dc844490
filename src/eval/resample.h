/* Percentile intervals of figures that are no functions of sums (ranks, kappas, alpha): each is computed again from how often a
 * sample draws each item. All figures of a run see the same samples. */
#ifndef PFM_EVAL_RESAMPLE_H
#define PFM_EVAL_RESAMPLE_H

#include "eval/bootstrap.h"

#include <stdbool.h>

/* values[0..] = the figures of the items, item i counting counts[i] times; NaN where one is undefined. scratch: scratch_bytes
 * of zeroes or of what an earlier call left, aligned for doubles, this thread's own. */
typedef void (*pfm_resampled)(const void *user, const uint32_t *counts, void *scratch, double *values);

typedef struct pfm_resampled_figures {
    pfm_resampled compute;
    const void *user; /* borrowed */
    size_t values, scratch_bytes;
    double *value, *low, *high; /* [values]: where the results go */
} pfm_resampled_figures;

typedef struct pfm_resample_options {
    size_t items, samples;
    uint64_t seed;
    pfm_threads *threads;          /* NULL: the caller's thread; the result is the same for any number */
    const volatile int *interrupt; /* NULL, or a flag that ends the work with INTERRUPTED */
} pfm_resample_options;

/* value = the figures of every item once; low, high = the 2.5th and 97.5th percentile over the samples in which a figure is
 * defined, NaN where it is defined in none. USAGE for no items. */
pfm_status pfm_resample_run(const pfm_resampled_figures *figures, size_t count, const pfm_resample_options *options,
                            pfm_error *err) PFM_MUST_CHECK;

#endif
