/* Two columns of scores of the same items, as counted cells, and what is measured on them. A measure is a function in a file
 * and a line in rated_list.h.
 *
 * An item counts where both columns have a score. Items with the same two scores form a cell, so that a sample of items is the
 * cells with other counts: ranks and levels are found once. */
#ifndef PFM_EVAL_RATED_PAIR_H
#define PFM_EVAL_RATED_PAIR_H

#include "base/memory.h"
#include "eval/rated_list.h"

#include <stdbool.h>

typedef struct pfm_rated_pair {
    double *a, *b; /* [a_count], [b_count] the distinct scores of each, ascending */
    size_t a_count, b_count;
    uint32_t *a_level, *b_level; /* [a_count], [b_count] a score's number among the levels of both */
    size_t level_count;          /* 0: some score is no whole number, and the levels were not given */
    uint32_t *cell_a, *cell_b;   /* [cell_count] a cell's scores, by number; ascending by a, then b */
    size_t cell_count;
    uint32_t *item, *item_cell; /* [n] the items that count, and the cell of each */
    size_t n;
} pfm_rated_pair; /* start with {0} */

/* *out from scores [items], NaN for none. levels [level_count], ascending, holds every score of both; NULL: the scores that
 * occur. */
pfm_status pfm_rated_pair_create(const double *a, const double *b, size_t items, const double *levels, size_t level_count,
                                 pfm_rated_pair *out, pfm_error *err) PFM_MUST_CHECK;
void pfm_rated_pair_free(pfm_rated_pair *pair);

/* The cells with their counts, and room to work in. */
typedef struct pfm_rated_counts {
    const pfm_rated_pair *pair;
    const uint32_t *times; /* [cell_count] */
    uint64_t n;            /* their sum */
    double *room;          /* [pfm_rated_pair_room] */
} pfm_rated_counts;

/* What every measure on a pair may use: 2 * (a_count + b_count + level_count) + 2 doubles. */
size_t pfm_rated_pair_room(const pfm_rated_pair *pair);

typedef struct pfm_rated_measure {
    const char *name;
    const char *definition;
    bool of_levels; /* needs both columns on the same scale: nothing for a metric against people */
    double (*compute)(const pfm_rated_counts *counts); /* NaN where undefined; counts->n >= 1 */
} pfm_rated_measure;

#define PFM_RATED_DECLARE(name) extern const pfm_rated_measure pfm_rated_##name;
PFM_RATED_LIST(PFM_RATED_DECLARE)
extern const pfm_rated_measure *const pfm_rated_measures[]; /* ended by NULL */
size_t pfm_rated_measure_count(void);

/* values [pfm_rated_measure_count] of a pair, the user, item i counting counts[i] times (a pfm_resampled). NaN all where no
 * item counts. */
void pfm_rated_pair_measure(const void *user, const uint32_t *counts, void *scratch, double *values);
size_t pfm_rated_pair_scratch(const pfm_rated_pair *pair); /* bytes */

/* One measure alone, the same way. */
typedef struct pfm_rated_single {
    const pfm_rated_pair *pair;
    const pfm_rated_measure *measure;
} pfm_rated_single;
void pfm_rated_single_measure(const void *user, const uint32_t *counts, void *scratch, double *value);

/* *value = one measure of the pair, every item counting once; NaN where it is undefined. */
pfm_status pfm_rated_pair_compute(const pfm_rated_pair *pair, const pfm_rated_measure *measure, double *value,
                                  pfm_error *err) PFM_MUST_CHECK;

/* ---- for measures ---- */

/* totals [a_count] and [b_count] = how often each score occurs. */
void pfm_rated_margins(const pfm_rated_counts *counts, double *of_a, double *of_b);
/* Whether all scores of a column (by its margin) are the same one. */
bool pfm_rated_is_constant(const double *margin, size_t count);
/* Pearson's correlation of x [a_count] and y [b_count], the cells counted; margins as pfm_rated_margins says. */
double pfm_rated_correlation(const pfm_rated_counts *counts, const double *x, const double *y, const double *of_a,
                             const double *of_b);

#endif
