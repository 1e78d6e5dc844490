/* Whether people, judges and metrics agree, and blinded sheets on which people score. */
#ifndef PEFOMED_AGREE_H
#define PEFOMED_AGREE_H

#include "pefomed/context.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pfm_agree_request {
    const char *const
        *files; /* ratings, verdicts, numbers of metrics, filled sheets; or NAME=FILE, which names a judge or metric */
    size_t file_count;
    double offset, scale; /* of weighted averages: scale * mean + offset; scale is not 0 */
    const char *level;    /* "nominal", "ordinal", "interval": by which own consistency is told; NULL: ordinal */
    const char
        *levels; /* NULL, or the scale: "0..4" (whole numbers) or "0,0.5,1"; other scores of people and judges are errors */
    const char *predictions, *metrics; /* NULL, or a predictions file and the text metrics of its rows, separated by commas */
    const char *key;                   /* NULL, or the key of filled sheets */
    const char *system; /* NULL, or the only system of the sheets that counts; its items then have their own ids */
    const char *out;    /* NULL, or a folder for figures (SVG and PNG) and the result (agreement.json) */
} pfm_agree_request;

/* *json_out = the result as one JSON document (docs/agreement.md), to be released with free(). The context gives the seed of
 * the bootstrap and the threads. USAGE, FORMAT and MISMATCH name the file and line. */
pfm_status pfm_agree(pfm_context *context, const pfm_agree_request *request, char **json_out, pfm_error *err) PFM_MUST_CHECK;

typedef struct pfm_sheets_request {
    const char *const *files; /* predictions files, one a system; or NAME=FILE */
    size_t file_count;
    int raters, per_text; /* 1..100 people; how many of them score each text */
    double duplicates;    /* per cent of a rater's texts that are shown once more, 0..50 */
    const char *rubric;   /* "likert-report", "correct" or a file's path (docs/judge.md) */
    const char *out;      /* the folder of the sheets */
    const char *key;      /* NULL: OUT.key.json */
} pfm_sheets_request;

/* Writes OUT/rater-N.csv and .jsonl and the key, which its owner alone can read; never over a file that is there. *json_out =
 * what was written, to be released with free(). The context gives the seed. */
pfm_status pfm_sheets(pfm_context *context, const pfm_sheets_request *request, char **json_out, pfm_error *err) PFM_MUST_CHECK;

typedef struct pfm_plot_request {
    const char *const *runs; /* runs' folders, or log.jsonl files; or NAME=PATH */
    size_t run_count;
    const char *column;  /* of log.jsonl; NULL: loss */
    const char *against; /* "step", "epoch", "samples", "tokens" or "seconds"; NULL: step */
    int smooth;          /* a point is the mean of so many lines of the log, 1 or more; 0: chosen by their number */
    const char *out;     /* FILE.svg or FILE.png */
} pfm_plot_request;

/* Draws the learning curves of runs side by side. *json_out = what was drawn, to be released with free(). */
pfm_status pfm_plot(const pfm_plot_request *request, char **json_out, pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
