/* Text metrics of systems of one or several runs (seeds), and the difference of two such systems. */
#ifndef PFM_EVAL_METRIC_RUNS_H
#define PFM_EVAL_METRIC_RUNS_H

#include "eval/answer_runs.h"
#include "eval/metric.h"

typedef struct pfm_metric_plan {
    const pfm_metric_selection *chosen;
    const char *profile;  /* its name, or NULL */
    const char *prepared; /* what was done to the texts before, for the signature; NULL: nothing */
    uint64_t seed;
    pfm_threads *threads;
} pfm_metric_plan;

/* *out = {"profile","n","metrics":{name:value},"ci95":{name:[low,high]},"signature"}: each metric's mean over the runs of a
 * system, its interval drawn over images, the same for all runs. With `other` (or NULL) also
 * "difference":{"against":[files],"n","n_images","metrics":{name:{"mean","ci95":[low,high],"p","a","b"}}}: the system's figure
 * less the other's; p by permutation.h, null where the systems have different numbers of runs. Both systems after
 * pfm_answer_runs_finish. MISMATCH where their ids or references differ. The caller calls json_decref. */
pfm_status pfm_score_texts(pfm_answer_runs *system, pfm_answer_runs *other, const pfm_metric_plan *plan, json_t **out,
                           pfm_error *err) PFM_MUST_CHECK;

/* *out = {"metrics":{name:value},"ci95":{name:[low,high]}} of metrics named as in pfm_metrics_select: a system's, or with
 * `other` (or NULL) the difference. */
pfm_status pfm_score_metric_runs(pfm_answer_runs *system, pfm_answer_runs *other, const char *names, uint64_t seed,
                                 pfm_threads *threads, json_t **out, pfm_error *err) PFM_MUST_CHECK;

#endif
