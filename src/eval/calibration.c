#include "eval/calibration.h"

#include "base/try.h"

#include <math.h>
#include <stdlib.h>

typedef struct bin {
    double n, probability, correct; /* sums */
} bin;

static int compare_sure(const void *a, const void *b)
{
    double x = ((const pfm_sure *)a)->probability, y = ((const pfm_sure *)b)->probability;
    return (x < y) - (x > y);
}

static pfm_status append(json_t *array, json_t *value, pfm_error *err)
{
    if (value == NULL || json_array_append_new(array, value) != 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not write a calibration");
    return PFM_OK;
}

static pfm_status add_bins(json_t *out, const bin bins[PFM_CALIBRATION_BINS], pfm_error *err)
{
    json_t *array = json_array();
    pfm_status status = pfm_json_take(out, "bins", array, err);
    for (int i = 0; i < PFM_CALIBRATION_BINS && status == PFM_OK; i++) {
        const bin *b = &bins[i];
        double low = 100.0 * i / PFM_CALIBRATION_BINS, high = 100.0 * (i + 1) / PFM_CALIBRATION_BINS;
        status = append(array,
                        json_pack("{s:f,s:f,s:I,s:o,s:o}", "low", low, "high", high, "n", (json_int_t)b->n, "confidence",
                                  pfm_json_number(100 * b->probability / b->n), "accuracy",
                                  pfm_json_number(100 * b->correct / b->n)),
                        err);
    }
    return status;
}

/* The number right among the `kept` surest: those who tie with the last one share the places that are left. */
static double right_among(const pfm_sure *sorted, size_t count, size_t kept)
{
    double threshold = sorted[kept - 1].probability, above = 0, tied = 0;
    size_t n_above = 0, n_tied = 0;
    for (size_t i = 0; i < count && sorted[i].probability >= threshold; i++) {
        if (sorted[i].probability > threshold) {
            above += sorted[i].correct;
            n_above++;
        } else {
            tied += sorted[i].correct;
            n_tied++;
        }
    }
    return above + tied * (double)(kept - n_above) / (double)n_tied;
}

static pfm_status add_coverage(json_t *out, const pfm_sure *sorted, size_t count, pfm_error *err)
{
    json_t *array = json_array();
    pfm_status status = pfm_json_take(out, "coverage", array, err);
    for (int percent = 100; percent >= 10 && status == PFM_OK; percent -= 10) {
        size_t kept = (size_t)ceil((double)count * percent / 100.0 - 1e-9);
        if (kept == 0)
            kept = 1;
        status = append(array,
                        json_pack("{s:i,s:I,s:f,s:f}", "coverage", percent, "n", (json_int_t)kept, "threshold",
                                  100 * sorted[kept - 1].probability, "accuracy",
                                  100 * right_among(sorted, count, kept) / (double)kept),
                        err);
    }
    return status;
}

pfm_status pfm_calibration(pfm_sure *answers, size_t count, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bin bins[PFM_CALIBRATION_BINS] = {0};
    double brier = 0, ece = 0;
    if (count == 0) {
        *out = json_null();
        return PFM_OK;
    }
    json_t *result = json_object();
    for (size_t i = 0; i < count; i++) {
        double p = answers[i].probability, right = answers[i].correct;
        int place = (int)(p * PFM_CALIBRATION_BINS);
        bin *b = &bins[place < PFM_CALIBRATION_BINS ? place : PFM_CALIBRATION_BINS - 1];
        b->n++;
        b->probability += p;
        b->correct += right;
        brier += (p - right) * (p - right);
    }
    for (int i = 0; i < PFM_CALIBRATION_BINS; i++)
        ece += fabs(bins[i].probability - bins[i].correct);
    qsort(answers, count, sizeof *answers, compare_sure);
    PFM_TRY(pfm_json_take(result, "n", json_integer((json_int_t)count), err));
    PFM_TRY(add_bins(result, bins, err));
    PFM_TRY(pfm_json_take(result, "ece", json_real(100 * ece / (double)count), err));
    PFM_TRY(pfm_json_take(result, "brier", json_real(brier / (double)count), err));
    PFM_TRY(add_coverage(result, answers, count, err));
    *out = result;
    result = NULL;
done:
    json_decref(result);
    return status;
}
