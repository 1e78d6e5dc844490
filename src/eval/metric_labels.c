/* F1 of clinical labels (labels.h), as the report generation papers compute it from CheXbert's. */
#include "eval/metric.h"

#include "base/try.h"
#include "eval/labels.h"

#include <math.h>

/* Of each finding how many rows both texts have, and how many the one and the other have, added. */
enum { BOTH = 0, EITHER = PFM_FINDINGS, COLUMNS = 2 * PFM_FINDINGS };

static const pfm_finding five[] = {PFM_CARDIOMEGALY, PFM_EDEMA, PFM_CONSOLIDATION, PFM_ATELECTASIS, PFM_PLEURAL_EFFUSION};
enum { FIVE = sizeof five / sizeof five[0] };

static pfm_status measure(const pfm_answer_set *set, pfm_label least, double *numbers, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_labeller *labeller = NULL;
    PFM_TRY(pfm_labeller_create(&labeller, err));
    for (size_t i = 0; i < set->count; i++, numbers += COLUMNS) {
        const pfm_answer_row *row = &set->rows[i];
        pfm_labels reference = {0}, prediction = {0};
        for (size_t r = 0; r < row->reference_count; r++)
            PFM_TRY(pfm_labels_add(labeller, pfm_answer_references(set, row)[r], &reference, err));
        PFM_TRY(pfm_labels_add(labeller, row->prediction, &prediction, err));
        for (size_t f = 0; f < PFM_FINDINGS; f++) {
            bool wanted = reference.of[f] >= least, given = prediction.of[f] >= least;
            numbers[BOTH + f] = wanted && given;
            numbers[EITHER + f] = wanted + given;
        }
    }
done:
    pfm_labeller_free(labeller);
    return status;
}

static pfm_status measure_uncertain(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    return measure(set, PFM_LABEL_UNCERTAIN, numbers, err);
}

static pfm_status measure_certain(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    return measure(set, PFM_LABEL_PRESENT, numbers, err);
}

/* `order` says how many findings count. */
static size_t finding_at(const pfm_metric *metric, size_t i) { return metric->order == FIVE ? (size_t)five[i] : i; }

static double f1(double both, double either) { return either > 0 ? 2 * both / either : 0; }

static double finish_micro(const pfm_metric *metric, const double *sums, double rows)
{
    double both = 0, either = 0;
    for (size_t i = 0; i < (size_t)metric->order; i++) {
        both += sums[BOTH + finding_at(metric, i)];
        either += sums[EITHER + finding_at(metric, i)];
    }
    return rows > 0 ? f1(both, either) : NAN;
}

static double finish_macro(const pfm_metric *metric, const double *sums, double rows)
{
    double sum = 0;
    for (size_t i = 0; i < (size_t)metric->order; i++)
        sum += f1(sums[BOTH + finding_at(metric, i)], sums[EITHER + finding_at(metric, i)]);
    return rows > 0 ? sum / metric->order : NAN;
}

#define ALL_TEXT "the 14 findings of CheXpert"
#define FIVE_TEXT "Cardiomegaly, Edema, Consolidation, Atelectasis and Pleural Effusion"
#define MICRO_TEXT "F1 (0..1) of all mentions together, of "
#define MACRO_TEXT "Mean of the F1 (0..1) of each finding, 0 where no text has it, of "
#define UNCERTAIN_TEXT "uncertain mentions count as findings"
#define CERTAIN_TEXT "uncertain mentions do not count"
#define LABEL_F1(metric, average, findings, doubt, mean_text, findings_text, doubt_text)                                       \
    const pfm_metric pfm_metric_##metric = {                                                                                   \
        .name = #metric,                                                                                                       \
        .definition =                                                                                                          \
            mean_text findings_text ", by the labels of pefomed-rules, which are not CheXbert's (docs/labels.md); " doubt_text \
                                    ". Several references count as one text.",                                                 \
        .signature = PFM_LABELLER_NAME ".f1-" #average "|findings:" #findings "|doubt:" #doubt,                                \
        .columns = COLUMNS,                                                                                                    \
        .order = findings,                                                                                                     \
        .shared = true,                                                                                                        \
        .measure = measure_##doubt,                                                                                            \
        .finish = finish_##average,                                                                                            \
    }
LABEL_F1(label_f1_micro, micro, 14, uncertain, MICRO_TEXT, ALL_TEXT, UNCERTAIN_TEXT);
LABEL_F1(label_f1_macro, macro, 14, uncertain, MACRO_TEXT, ALL_TEXT, UNCERTAIN_TEXT);
LABEL_F1(label_f1_micro5, micro, 5, uncertain, MICRO_TEXT, FIVE_TEXT, UNCERTAIN_TEXT);
LABEL_F1(label_f1_macro5, macro, 5, uncertain, MACRO_TEXT, FIVE_TEXT, UNCERTAIN_TEXT);
LABEL_F1(label_f1_micro_certain, micro, 14, certain, MICRO_TEXT, ALL_TEXT, CERTAIN_TEXT);
LABEL_F1(label_f1_macro_certain, macro, 14, certain, MACRO_TEXT, ALL_TEXT, CERTAIN_TEXT);
LABEL_F1(label_f1_micro5_certain, micro, 5, certain, MICRO_TEXT, FIVE_TEXT, CERTAIN_TEXT);
LABEL_F1(label_f1_macro5_certain, macro, 5, certain, MACRO_TEXT, FIVE_TEXT, CERTAIN_TEXT);
_Static_assert(PFM_FINDINGS == 14 && FIVE == 5, "as the metrics' names say");
