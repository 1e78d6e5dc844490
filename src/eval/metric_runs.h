/* Text metrics of systems of several runs (seeds), and the difference of two such systems. */
#ifndef PFM_EVAL_METRIC_RUNS_H
#define PFM_EVAL_METRIC_RUNS_H

#include "eval/answer_runs.h"
#include "eval/metric.h"

/* *out = {"metrics":{name:value},"ci95":{name:[low,high]}}: each metric's mean over the runs of a system; with `other` (or
 * NULL) less its mean over those of that. The interval draws images, for all runs the same. Both systems after
 * pfm_answer_runs_finish. MISMATCH where the systems' ids or references differ. The caller calls json_decref. */
pfm_status pfm_score_metric_runs(pfm_answer_runs *system, pfm_answer_runs *other, const char *names, uint64_t seed,
                                 pfm_threads *threads, json_t **out, pfm_error *err) PFM_MUST_CHECK;

#endif
