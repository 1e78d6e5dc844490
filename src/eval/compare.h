/* Inside of compare: recipes, their runs, and what is made of them. */
#ifndef PFM_EVAL_COMPARE_H
#define PFM_EVAL_COMPARE_H

#include "base/context.h"
#include "base/json.h"
#include "pefomed/compare.h"
#include "train/recipe.h"

/* A recipe at one learning rate. */
typedef struct pfm_rate {
    char *text;          /* "1e-3", as folders and tables have it; "own" of a recipe with stages, which have one each */
    double value;        /* NaN for "own" */
    char *set;           /* NULL, or "train.learning_rate=1e-3" */
    pfm_hash_hex recipe; /* of the recipe at this rate */
    double score;        /* on the validation split with the first seed; NaN: none */
    char *error;         /* NULL, or why there is none */
} pfm_rate;

/* One of the recipes. */
typedef struct pfm_contender {
    const char *path; /* borrowed */
    char *name;
    pfm_recipe *recipe; /* with the overrides */
    pfm_rate *rates;    /* [rate_count], at least one */
    size_t rate_count;
    int chosen;                           /* -1: none yet */
    pfm_hash_hex split_rows, choice_rows; /* what it is asked; the rows are the same for all, what they show need not be */
    char *error;                          /* NULL, or why there is no result */
} pfm_contender;

typedef struct pfm_comparison {
    pfm_context *context;
    const pfm_compare_options *options;
    const char *out;
    pfm_contender *contenders; /* [count] */
    size_t count, baseline;
    const char *split, *choice_split; /* scored; that rates are chosen on */
    int seeds, visits, visit;         /* visits: to runs in all; visit: the one at hand */
} pfm_comparison;

/* One run. */
typedef struct pfm_compared_run {
    const pfm_comparison *comparison;
    const pfm_contender *contender;
    const pfm_rate *rate; /* NULL: the untrained model */
    uint64_t seed;
    const char *split, *rows; /* what it answers, and the hash of that */
    bool fresh;
    char *folder;
} pfm_compared_run;

/* The stage whose data are scored: the last. */
const pfm_recipe *pfm_contender_stage(const pfm_contender *contender);

/* ---- compare_rate.c ---- */

/* *out [*count] = the rates that a recipe asks for, or its own alone, canonical texts; USAGE for two of one value, and for
 * several in a recipe with stages. The caller frees each with pfm_rate_free and the list. */
pfm_status pfm_rates_create(const pfm_recipe *recipe, const char *name, pfm_rate **out, size_t *count,
                            pfm_error *err) PFM_MUST_CHECK;
void pfm_rate_free(pfm_rate *rate);
/* The rate with the highest score, of equal ones the earlier; -1 where none has a score. */
int pfm_rates_choose(const pfm_rate *rates, size_t count);
/* Shortest text that reads back as the number: "1e-3", "3e-4", "1.5e-2". */
void pfm_rate_format(double value, char out[40]);

/* ---- compare_run.c ---- */

/* *out = the run's place; the caller calls free() for out->folder. */
pfm_status pfm_compared_run_locate(const pfm_comparison *comparison, const pfm_contender *contender, const pfm_rate *rate,
                                   uint64_t seed, const char *split, pfm_compared_run *out, pfm_error *err) PFM_MUST_CHECK;
/* Trains and answers, as far as that is not done, in a child. *outcome = how that went; INTERRUPTED is returned. */
pfm_status pfm_compared_run_do(pfm_comparison *comparison, const pfm_compared_run *run, pfm_error *outcome,
                               pfm_error *err) PFM_MUST_CHECK;
/* *out = {"scores","samples","seconds","peak_bytes","trainable_parameters","total_parameters"} of a run that is done; of the
 * untrained model the scores alone. The caller calls json_decref. */
pfm_status pfm_compared_run_read(const pfm_compared_run *run, json_t **out, pfm_error *err) PFM_MUST_CHECK;
/* The predictions file of a run; release with free(). */
pfm_status pfm_compared_run_answers(const pfm_compared_run *run, char **out, pfm_error *err) PFM_MUST_CHECK;

/* ---- compare_result.c ---- */

/* The figures of an eval document: {name: value or null}, a new reference; NULL: out of memory. */
json_t *pfm_score_figures(const json_t *scores);
/* Which of the figures chooses rates and is plotted: "overall", for captions "rouge_l". */
const char *pfm_score_headline(const json_t *scores);
/* *out = the whole result, docs/compare.md. */
pfm_status pfm_comparison_result(const pfm_comparison *comparison, const pfm_error *untrained, json_t **out,
                                 pfm_error *err) PFM_MUST_CHECK;

/* ---- compare_text.c, compare_csv.c, compare_plot.c: of such a result ---- */

pfm_status pfm_comparison_text(const json_t *result, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_comparison_csv(const json_t *result, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;
/* Appends nothing where no recipe has a score. */
pfm_status pfm_comparison_plot(const json_t *result, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

#endif
