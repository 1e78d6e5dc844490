/* Recipes side by side: what each reaches for how many trained parameters, in how much time and memory. */
#ifndef PEFOMED_COMPARE_H
#define PEFOMED_COMPARE_H

#include "pefomed/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pfm_compare_options {
    const char *const *recipes; /* [recipe_count] recipe files of different names; a name is the file's without .yaml */
    int recipe_count;
    const char *data;        /* where the data set lies, for all; NULL: where the recipes say */
    const char *out;         /* the folder of all runs and of the table; NULL: runs/compare */
    const char *const *sets; /* overrides, "key=value", for all */
    int set_count;
    int seeds;            /* runs of each: the context's seed and those behind it; 0: 1 */
    const char *split;    /* what is scored; NULL: the validation split of the recipes */
    int limit;            /* of a split the first rows only; 0: all */
    const char *baseline; /* the name of the recipe that the others are compared with; NULL: the first */
    bool fresh;           /* forget what `out` holds of these recipes */
} pfm_compare_options;

/* Trains and scores every recipe, run by run, each in a child process (fork) so that its memory is its own, and makes a table.
 *
 * A recipe with compare.learning_rates is first trained with each of them, with the first seed; the rate with the highest
 * score on its validation split is the one that all seeds run with; of equal ones the earlier, and one at which loss or
 * gradient is not finite loses. A run is OUT/NAME/rate-RATE/seed-SEED, an ordinary run's folder. The same call again goes on
 * where it stopped, and passes over what is done.
 *
 * *json = the result as one document (docs/compare.md), *text = the same as a table for people; the caller calls free() for
 * both. Also written: OUT/table.json, table.txt, table.csv, and plot.svg where there is anything to plot. A recipe that fails
 * while it runs stands in the table with its error, "failed" counts those; what is wrong before the first run is an error of
 * this call, nothing is run then: USAGE for recipes of one name or that are scored on different rows. INTERRUPTED: the user
 * stopped it, and the state is saved. */
pfm_status pfm_compare(pfm_context *context, const pfm_compare_options *options, char **json, char **text,
                       pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
