#include "eval/label_f1.h"

#include <math.h>

/* Columns. */
enum { BOTH = 0, EITHER = PFM_FINDINGS, UNCERTAIN = 0, CERTAIN = 2 * PFM_FINDINGS };

static const pfm_finding five[] = {PFM_CARDIOMEGALY, PFM_EDEMA, PFM_CONSOLIDATION, PFM_ATELECTASIS, PFM_PLEURAL_EFFUSION};
enum { FIVE = sizeof five / sizeof five[0] };
_Static_assert(PFM_FINDINGS == 14 && FIVE == 5, "as the metrics' names say");

static void count(const pfm_labels *reference, const pfm_labels *prediction, pfm_label least, double *numbers)
{
    for (size_t f = 0; f < PFM_FINDINGS; f++) {
        const bool wanted = reference->of[f] >= least, given = prediction->of[f] >= least;
        numbers[BOTH + f] = wanted && given;
        numbers[EITHER + f] = wanted + given;
    }
}

void pfm_label_f1_count(const pfm_labels *reference, const pfm_labels *prediction, double *numbers)
{
    count(reference, prediction, PFM_LABEL_UNCERTAIN, numbers + UNCERTAIN);
    count(reference, prediction, PFM_LABEL_PRESENT, numbers + CERTAIN);
}

static size_t finding_at(const pfm_metric *metric, size_t i) { return metric->order == FIVE ? (size_t)five[i] : i; }

static double f1(double both, double either) { return either > 0 ? 2 * both / either : 0; }

static double micro(const pfm_metric *metric, const double *sums, double rows)
{
    double both = 0, either = 0;
    for (size_t i = 0; i < (size_t)metric->order; i++) {
        both += sums[BOTH + finding_at(metric, i)];
        either += sums[EITHER + finding_at(metric, i)];
    }
    return rows > 0 ? f1(both, either) : NAN;
}

static double macro(const pfm_metric *metric, const double *sums, double rows)
{
    double sum = 0;
    for (size_t i = 0; i < (size_t)metric->order; i++)
        sum += f1(sums[BOTH + finding_at(metric, i)], sums[EITHER + finding_at(metric, i)]);
    return rows > 0 ? sum / metric->order : NAN;
}

double pfm_label_f1_micro_uncertain(const pfm_metric *metric, const double *sums, double rows)
{
    return micro(metric, sums + UNCERTAIN, rows);
}

double pfm_label_f1_macro_uncertain(const pfm_metric *metric, const double *sums, double rows)
{
    return macro(metric, sums + UNCERTAIN, rows);
}

double pfm_label_f1_micro_certain(const pfm_metric *metric, const double *sums, double rows)
{
    return micro(metric, sums + CERTAIN, rows);
}

double pfm_label_f1_macro_certain(const pfm_metric *metric, const double *sums, double rows)
{
    return macro(metric, sums + CERTAIN, rows);
}
