/* A paired test by approximate randomisation (Noreen, Computer-Intensive Methods for Testing Hypotheses, 1989; for texts:
 * Riezler and Maxwell, On Some Pitfalls in Automatic Evaluation and Significance Testing for MT, 2005): were two systems
 * equally good, each unit's (image's) two answers could as well be exchanged. A trial exchanges those of half of the units, by
 * chance; p is the share of trials whose difference is as large as the one observed, that one counted in. */
#ifndef PFM_EVAL_PERMUTATION_H
#define PFM_EVAL_PERMUTATION_H

#include "eval/bootstrap.h"

typedef struct pfm_permutation {
    const double *middle; /* [columns] the sums' part that no exchange changes; borrowed */
    const double *units;  /* [count, columns] what a unit adds to it, and takes away where it is exchanged; borrowed */
    size_t count, columns, values;
    pfm_statistics statistics; /* the differences, from sums [columns] */
    const void *user;
    uint64_t seed;
    pfm_threads *threads; /* NULL: the caller's thread; the result is the same for any number */
} pfm_permutation;

enum { PFM_PERMUTATION_TRIALS = 10000 };

/* p[values] = the two-sided p-value of each difference; NaN where it is undefined without an exchange. */
pfm_status pfm_permutation_run(const pfm_permutation *of, double *p, pfm_error *err) PFM_MUST_CHECK;

#endif
