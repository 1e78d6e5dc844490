/* How good a run is: answers a split and scores it. */
#ifndef PEFOMED_EVALUATE_H
#define PEFOMED_EVALUATE_H

#include "pefomed/context.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pfm_eval_options {
    const char *run;             /* a run's folder, or a recipe file: the untrained model */
    const char *data;            /* where the data set lies; NULL: where the recipe says */
    const char *split;           /* NULL: the recipe's validation split */
    int limit;                   /* the first rows only; 0: all */
    const char *probe;           /* "none" (or NULL), "blank", "noise", "swap", "swap-any" */
    const char *out;             /* predictions file; NULL: none is written */
    int max_tokens;              /* of an answer; 0: the recipe's eval.max_tokens */
    const char *const *settings; /* [setting_count] "temperature=0.7": in place of the recipe's keys under eval
                                    (docs/decoding.md); of a list each adds one */
    size_t setting_count;
    const char *adapter; /* NULL: the run's own; else the folder of another (a run's with its aligner), or "none": the base */
} pfm_eval_options;

/* *json = the score as one JSON document, the caller calls free(): the data set's profile, or for a split that asks nothing
 * what pfm_score gives for the metrics of captions (bleu1, bleu4, rouge_l, cider, f1_token) and "dataset", "split", "probe".
 * The scores of a whole split by the run's own adapter as its recipe says are also kept in RUN/scores/SPLIT-PROBE.json and
 * shown by the model card. */
pfm_status pfm_eval(pfm_context *context, const pfm_eval_options *options, char **json, pfm_error *err) PFM_MUST_CHECK;

/* Writes RUN/README.md, the model card, from what the run's folder holds: recipe, audit, log, scores. */
pfm_status pfm_card(pfm_context *context, const char *run, pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
