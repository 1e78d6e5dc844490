/* Inside agree: what is compared with what, and the figures of it. */
#ifndef PFM_EVAL_AGREE_STUDY_H
#define PFM_EVAL_AGREE_STUDY_H

#include "base/context.h"
#include "eval/rated_group.h"
#include "eval/rated_pair.h"
#include "eval/ratings.h"
#include "eval/resample.h"

enum { PFM_STUDY_MEASURES = 16 }; /* room for pfm_rated_measure_count */

typedef enum pfm_study_part {
    PFM_STUDY_PAIRS,      /* people and judges, each with each */
    PFM_STUDY_MEAN,       /* judges against the mean of people, each person against that of the others */
    PFM_STUDY_METRICS,    /* metrics against people, their mean and judges */
    PFM_STUDY_DUPLICATES, /* a person against themselves */
    PFM_STUDY_PARTS
} pfm_study_part;

typedef struct pfm_study_pair {
    pfm_study_part part;
    const char *a, *b;
    size_t n, same; /* items that count; of these with the same score */
    double values[PFM_STUDY_MEASURES], low[PFM_STUDY_MEASURES], high[PFM_STUDY_MEASURES];
} pfm_study_pair;

typedef struct pfm_study_group {
    const char *name; /* of a judge whose repeats they are; NULL: people, or everybody */
    size_t columns, paired, fullest;
    uint32_t most;
    double values[PFM_GROUP_VALUES], low[PFM_GROUP_VALUES], high[PFM_GROUP_VALUES];
    double mean_sd; /* of repeats: the mean over items of their standard deviation (n - 1) */
    size_t same;    /* of repeats: items with two or more of which all are equal */
} pfm_study_group;

/* Which system's text an item is, where sheets mixed several. */
typedef struct pfm_study_systems {
    const char **names; /* [count] */
    size_t count;       /* 0: there are none */
    uint32_t *of;       /* [items]; count: of none */
} pfm_study_systems;

typedef struct pfm_study {
    const pfm_ratings *ratings;
    const pfm_study_systems *systems;
    pfm_study_pair *pairs;
    size_t pair_count, pair_capacity;
    pfm_study_group people, everybody; /* columns 0: there is no such group */
    pfm_study_group *judges;           /* by repeats */
    size_t judge_count;
    double *means, *mean_low,
        *mean_high; /* [column_count] of scores; then [systems, column_count], those of a system's items */
} pfm_study;        /* start with {0} */

/* Everything of finished ratings; systems is borrowed. Stops with INTERRUPTED where the context says so. */
pfm_status pfm_study_run(const pfm_context *context, const pfm_ratings *ratings, const pfm_study_systems *systems,
                         pfm_study *out, pfm_error *err) PFM_MUST_CHECK;
void pfm_study_free(pfm_study *study);

#endif
