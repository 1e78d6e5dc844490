/* Whether the probability of an answer says how often it is right.
 *
 * reliability: ten bins of equal width (a probability of 1 falls into the last), each with its number of answers, their mean
 * probability and the share that is right. ECE: the mean over answers of the distance between the two in its bin (Guo et al.,
 * On Calibration of Modern Neural Networks, 2017). Brier: the mean of (probability - right)^2, 0..1. Coverage: the accuracy of
 * the surest 100, 90, ... 10 % of the answers, the others withheld; answers as sure as the last one count with their mean. */
#ifndef PFM_EVAL_CALIBRATION_H
#define PFM_EVAL_CALIBRATION_H

#include "base/json.h"

#include <stdbool.h>

enum { PFM_CALIBRATION_BINS = 10 };

typedef struct pfm_sure {
    double probability; /* 0..1 */
    double correct;     /* 0 or 1 */
} pfm_sure;

/* *out = {"n","bins":[{"low","high","n","confidence","accuracy"}],"ece","brier","coverage":[{"coverage","n","threshold",
 * "accuracy"}]}; all but n and brier are percentages (0..100), null in an empty bin. `answers` is sorted on the way. null where
 * count is 0. The caller calls json_decref. */
pfm_status pfm_calibration(pfm_sure *answers, size_t count, json_t **out, pfm_error *err) PFM_MUST_CHECK;

#endif
