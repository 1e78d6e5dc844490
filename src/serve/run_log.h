/* The log of a run as curves: read on from where it was left, thinned so that a page can draw it. */
#ifndef PFM_SERVE_RUN_LOG_H
#define PFM_SERVE_RUN_LOG_H

#include "base/json.h"

#include <stdbool.h>

/* keep [most] = the numbers of the points that stand for all `count`, ascending; returns how many. All where they are no more
 * than `most`; else the first, of even stretches of the others the lowest and the highest, and each of the last `exact`, which
 * is less than `most`. */
size_t pfm_curve_thin(const double *values, size_t count, size_t most, size_t exact, size_t *keep);

/* What is kept of the logs that were asked for last. Any thread. */
typedef struct pfm_run_logs pfm_run_logs;
pfm_status pfm_run_logs_create(pfm_run_logs **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_run_logs_free(pfm_run_logs *logs);

/* *out = {"log","step","lines","stages":[{"step","name"}],"series":{name:{"step":[],"value":[]}}} of the file at path: every
 * number of its lines but the step is a series, with at most 1,000 points of which the last 200 are every one. A line that is
 * no JSON object with a step is passed over, as half a last one is. Only steps behind `from` where `known` is the "log" that
 * the caller had: another one says that lines were taken back. The caller calls json_decref. */
pfm_status pfm_run_logs_read(pfm_run_logs *logs, const char *path, double from, const char *known, json_t **out,
                             pfm_error *err) PFM_MUST_CHECK;

/* *out = the last whole line of a log, NULL where there is none. The caller calls json_decref. */
pfm_status pfm_run_log_last(const char *path, json_t **out, pfm_error *err) PFM_MUST_CHECK;

#endif
