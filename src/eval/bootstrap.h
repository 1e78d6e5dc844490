/* Percentile intervals by the bootstrap over units (images): a sample draws as many units as there are, with replacement, and
 * the statistics are computed from the sums of what the drawn units contribute (Efron and Tibshirani, An Introduction to the
 * Bootstrap, 1993, chapter 13). A unit brings all its questions, so that answers about one image are not taken for
 * independent. */
#ifndef PFM_EVAL_BOOTSTRAP_H
#define PFM_EVAL_BOOTSTRAP_H

#include "base/threads.h"

#include <stddef.h>
#include <stdint.h>

/* values[0..] = the statistics of these sums [columns]; NaN where one is undefined. Called from several threads at once. */
typedef void (*pfm_statistics)(const void *user, const double *sums, double *values);

typedef struct pfm_bootstrap {
    const double *units; /* [count, columns] what each unit contributes; borrowed */
    size_t count, columns, values;
    pfm_statistics statistics;
    const void *user;
    size_t samples;
    uint64_t seed;
    pfm_threads *threads; /* NULL: the caller's thread; the result is the same for any number */
} pfm_bootstrap;

enum { PFM_BOOTSTRAP_SAMPLES = 1000 };

/* low[values], high[values] = the 2.5th and 97.5th percentile over the samples in which a statistic is defined, linear between
 * neighbours; NaN where it is defined in none. USAGE for no units. */
pfm_status pfm_bootstrap_run(const pfm_bootstrap *bootstrap, double *low, double *high, pfm_error *err) PFM_MUST_CHECK;

/* Adds to counts[kind_of[unit]] (kind_of NULL: counts[unit]) how often sample number `sample` draws each of unit_count units,
 * 1..UINT32_MAX - 1. The same seed and sample draw the same units whatever is computed from them. */
void pfm_bootstrap_draw(uint64_t seed, int sample, size_t unit_count, const uint32_t *kind_of, uint32_t *counts);

/* *low, *high = the 2.5th and 97.5th percentile of those values that are no NaN, which are moved and sorted; NaN for none. */
void pfm_bootstrap_interval(double *values, size_t count, double *low, double *high);

/* The percentile (0..100) of sorted numbers, linear between neighbours (Hyndman and Fan's type 7); NaN for none. */
double pfm_percentile(const double *sorted, size_t count, double percent);

#endif
