/* Fine-tuning. */
#ifndef PEFOMED_TRAIN_H
#define PEFOMED_TRAIN_H

#include "pefomed/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pfm_train_options {
    const char *recipe;      /* a recipe file */
    const char *data;        /* where the data set lies; NULL: where the recipe says */
    const char *out;         /* the run's folder; NULL: runs/NAME after the recipe's file */
    const char *const *sets; /* overrides, "key=value" */
    int set_count;
    bool plan;  /* say what it would take and stop */
    bool fresh; /* forget what the run's folder holds */
} pfm_train_options;

/* Trains, or goes on where the run's folder holds an unfinished run of the same recipe, to the same bits as without a break.
 * *json = what was done (or, with plan, what it would take): one JSON document, the caller calls free(). MISMATCH: the folder
 * holds another recipe's run. INTERRUPTED: the user stopped it, and the state is saved. */
pfm_status pfm_train(pfm_context *context, const pfm_train_options *options, char **json, pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
