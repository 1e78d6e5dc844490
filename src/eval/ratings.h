/* Scores of items by people, judges and metrics, as columns over items. */
#ifndef PFM_EVAL_RATINGS_H
#define PFM_EVAL_RATINGS_H

#include "eval/pair_map.h"
#include "eval/predictions.h"
#include "eval/text_store.h"

typedef enum pfm_rating_kind {
    PFM_RATING_PERSON,
    PFM_RATING_JUDGE,     /* the mean of its repeats */
    PFM_RATING_METRIC,    /* a number of an item that nobody rated */
    PFM_RATING_REPEAT,    /* one repeat of a judge */
    PFM_RATING_DUPLICATE, /* what a person said of planted duplicates */
    PFM_RATING_MEAN       /* of the people who scored an item */
} pfm_rating_kind;

typedef enum pfm_rating_state { PFM_RATING_OK, PFM_RATING_MISSING, PFM_RATING_UNPARSABLE, PFM_RATING_FAILED } pfm_rating_state;

typedef struct pfm_rating_column {
    pfm_rating_kind kind;
    const char *name; /* borrowed from the ratings */
    const char *file; /* where it was read first; borrowed from the caller */
    size_t parent;    /* of a repeat and of duplicates: the rater's column */
    double *scores;   /* [items], NaN for none; since pfm_ratings_finish */
    size_t scored;    /* how many there are */
    size_t states[4]; /* by pfm_rating_state: rows; of a judge those of its repeats */
} pfm_rating_column;

typedef struct pfm_rating {
    uint32_t column, item;
    pfm_rating_state state;
    double score;
    const char *path; /* borrowed */
    size_t line;
} pfm_rating;

typedef struct pfm_ratings {
    pfm_intern item_names, column_names; /* of all rows; a column's name is its kind, parent and name */
    pfm_text_store texts;
    pfm_rating_column *columns;
    size_t column_count, column_capacity;
    pfm_rating *rows;
    size_t row_count, row_capacity;
    pfm_pair_map seen;  /* (column, item): the row's number */
    const char **items; /* [item_count]: those that a person or judge scored */
    size_t item_count;
    const double *levels; /* [level_count] the only scores allowed of people and judges, or NULL; borrowed */
    size_t level_count;
} pfm_ratings; /* start with {0} */

enum {
    PFM_RATINGS_MOST_LEVELS = 1001,
    PFM_RATINGS_MOST_RATERS = 100,
    PFM_RATINGS_MOST_METRICS = 64,
    PFM_RATINGS_MOST_REPEATS = 1000
};

/* *out = the column of this kind and name, a new one where there was none. USAGE for more than the program compares. */
pfm_status pfm_ratings_column(pfm_ratings *ratings, pfm_rating_kind kind, size_t parent, const char *name, const char *file,
                              size_t *out, pfm_error *err) PFM_MUST_CHECK;
/* Whether there is one. */
bool pfm_ratings_has(const pfm_ratings *ratings, pfm_rating_kind kind, const char *name);
/* Adds a score. FORMAT where the column has one of this item, unless that one failed, and for a score that is no level. */
pfm_status pfm_ratings_add(pfm_ratings *ratings, size_t column, const char *item, pfm_rating_state state, double score,
                           const pfm_place *place, pfm_error *err) PFM_MUST_CHECK;
/* Once all is added: the items that somebody scored, columns over them, the means. FORMAT where nobody scored anything,
 * MISMATCH where a judge or metric knows none of the items that people scored. */
pfm_status pfm_ratings_finish(pfm_ratings *ratings, pfm_error *err) PFM_MUST_CHECK;
void pfm_ratings_free(pfm_ratings *ratings);

/* How many columns are of this kind, and the next one at or behind `from`; column_count: none. */
size_t pfm_ratings_count(const pfm_ratings *ratings, pfm_rating_kind kind);
size_t pfm_ratings_next(const pfm_ratings *ratings, pfm_rating_kind kind, size_t from);

#endif
