/* Agreement of any number of raters, with missing scores: Krippendorff's alpha (Content Analysis, 4th edition, 2018, chapter
 * 12) and Fleiss' kappa (Measuring Nominal Scale Agreement among Many Raters, 1971).
 *
 * alpha = 1 - D_o / D_e over the items with at least two scores, as PyPI's krippendorff computes it. An item with m scores
 * brings its pairs of scores with the weight 1 / (m - 1), and so counts m times; expected is every pair of the N scores of all
 * these items. The distance of two scores is 1 where they differ (nominal), the square of how many scores lie between their
 * middles (ordinal), the square of their difference (interval). Undefined (there an error or NaN) where no item has two scores
 * and where all scores are equal.
 *
 * Fleiss' kappa is defined for one number of scores an item. It is over the items with the most scores that any has, as R's irr
 * leaves out items with missing ones, and equals statsmodels' fleiss_kappa. Undefined where that is below two, and where all
 * scores are equal. */
#ifndef PFM_EVAL_RATED_GROUP_H
#define PFM_EVAL_RATED_GROUP_H

#include "base/memory.h"

typedef enum pfm_rated_level { PFM_LEVEL_NOMINAL, PFM_LEVEL_ORDINAL, PFM_LEVEL_INTERVAL, PFM_LEVEL_COUNT } pfm_rated_level;
extern const char *const pfm_rated_level_names[PFM_LEVEL_COUNT];

/* A level that an item was given `times` times. */
typedef struct pfm_rated_entry {
    uint32_t level, times;
} pfm_rated_entry;

typedef struct pfm_rated_group {
    double *levels; /* [level_count] the distinct scores, ascending */
    size_t level_count;
    size_t *first;    /* [items + 1] where an item's entries begin */
    uint32_t *scores; /* [items] how many scores an item has */
    pfm_rated_entry *entries;
    size_t items;
    uint32_t most;          /* scores that any item has */
    size_t paired, fullest; /* items with at least two scores; with the most */
} pfm_rated_group;          /* start with {0} */

/* *out from columns [count] of scores [items], NaN for none. */
pfm_status pfm_rated_group_create(const double *const *columns, size_t count, size_t items, pfm_rated_group *out,
                                  pfm_error *err) PFM_MUST_CHECK;
void pfm_rated_group_free(pfm_rated_group *group);

/* values = alpha of each level of measurement, then Fleiss' kappa, item i counting counts[i] times (a pfm_resampled of a
 * group). */
enum { PFM_GROUP_FLEISS = PFM_LEVEL_COUNT, PFM_GROUP_VALUES };
void pfm_rated_group_measure(const void *user, const uint32_t *counts, void *scratch, double *values);
size_t pfm_rated_group_scratch(const pfm_rated_group *group); /* bytes */

#endif
