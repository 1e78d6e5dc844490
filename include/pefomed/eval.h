/* Scores of predictions files, and what each score means. */
#ifndef PEFOMED_EVAL_H
#define PEFOMED_EVAL_H

#include "pefomed/context.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pfm_score_request {
    const char *const *files; /* predictions of one system: one file, or several runs (seeds), whose mean is taken */
    size_t file_count;
    const char *const *against; /* the same of another system on the same questions, or none: adds "difference" */
    size_t against_count;
    const char *profile;           /* its name, or the path of a file of one, or NULL */
    const char *metrics;           /* names separated by commas, or NULL: of a profile of texts these come beside its own */
    const char *const *columns;    /* numbers made elsewhere that count as metrics: "name" of a column, or "name=file" */
    size_t column_count;           /* a profile, metrics or columns are given */
    const char *labels;            /* NULL, or a file to write: what pefomed-rules finds in each text of the only file */
    const char *rows;              /* NULL, or a file of rows (id or qid) that bring columns which the predictions lack */
    const char *training;          /* NULL, or a file of training rows {question, answer, answer_type} for the prior */
    const char *const *conditions; /* "key=value": only training rows with this value count */
    size_t condition_count;
    const char *bert;                    /* the text encoder of bertscore_*: a name that fetch knows, or a path; NULL: the
                                          * profile's, or the default */
    const char *chexbert;                /* the path of CheXbert's checkpoint, for chexbert_f1_*; NULL: there is none */
    int bert_layer;                      /* whose output is compared, counted from 1; 0: the profile's, or the last */
    const char *dataset, *split, *probe; /* written into the result; NULL: unknown, unknown, "none" */
} pfm_score_request;

/* *json_out = the result as one JSON document (COMMANDS: score), to be released with free(). The context gives the seed of the
 * bootstrap and the threads. USAGE for an unknown profile or metric, FORMAT for a row that is no prediction (file and line),
 * MISMATCH where files that are compared hold different questions. */
pfm_status pfm_score(pfm_context *context, const pfm_score_request *request, char **json_out, pfm_error *err) PFM_MUST_CHECK;

/* *json_out = {"profiles":[{"name","definition"}],"metrics":[{"name","definition"}]}, to be released with free(). */
pfm_status pfm_score_list(char **json_out, pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
