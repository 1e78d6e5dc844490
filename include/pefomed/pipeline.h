/* Pipelines: several calls of models, one made from what the others gave, over the cases of a data set. */
#ifndef PEFOMED_PIPELINE_H
#define PEFOMED_PIPELINE_H

#include "pefomed/client.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pfm_pipeline_options {
    const char *file; /* the name of one that is part of the program, or a file's path (docs/pipelines.md) */
    /* What answers a step that does not say it itself: a run's folder, a recipe, or a language model by name or path (run), or
     * a server (client.url and client.model). */
    const char *run;
    pfm_client_options client;      /* how servers are asked, also those that steps name */
    const char *dataset;            /* NULL: that of run's recipe, else table */
    const char *data;               /* where it lies; NULL: where run's recipe says */
    const char *language;           /* of the data, NULL: all, or as run's recipe says */
    const char *split;              /* NULL: validate, or as run's recipe says */
    int limit;                      /* the first rows only; 0: all */
    const char *text_column;        /* what {text} stands for; NULL: the column text, where there is one */
    bool no_images;                 /* no step shows images */
    const char *accept_identifiers; /* NULL, or kinds of identifiers that a person has looked at (docs/judge.md) */
    const char *out;                /* a folder: calls.jsonl, pipeline.yaml, predictions.jsonl */
    bool strict;                    /* a row without a prediction is an error, behind all others */
} pfm_pipeline_options;

/* Asks what OUT/calls.jsonl does not answer yet, and writes OUT/predictions.jsonl. *json =
 * {"pipeline","dataset","split","n","ok","unparsable","failed","asked","attempts","replayed","cut_short","seconds","out"}, the
 * caller calls free(): of n rows so many have a prediction, a reply from which none could be taken, or no reply; asked and
 * replayed count questions, attempts how often servers were asked. INTERRUPTED, NETWORK: the same call goes on. */
pfm_status pfm_pipeline_run(pfm_context *context, const pfm_pipeline_options *options, char **json,
                            pfm_error *err) PFM_MUST_CHECK;

/* *json = {"pipelines":[{"name","definition","steps":[name]}]} of those that are part of the program. */
pfm_status pfm_pipeline_list(char **json, pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
