/* F1 of the labels that our own rules give (labels.h). */
#include "eval/label_f1.h"

#include "base/try.h"

static pfm_status measure(const pfm_answer_set *set, pfm_label least, double *numbers, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_labeller *labeller = NULL;
    PFM_TRY(pfm_labeller_create(&labeller, err));
    for (size_t i = 0; i < set->count; i++, numbers += PFM_LABEL_F1_COLUMNS) {
        const pfm_answer_row *row = &set->rows[i];
        pfm_labels reference = {0}, prediction = {0};
        for (size_t r = 0; r < row->reference_count; r++)
            PFM_TRY(pfm_labels_add(labeller, pfm_answer_references(set, row)[r], &reference, err));
        PFM_TRY(pfm_labels_add(labeller, row->prediction, &prediction, err));
        pfm_label_f1_count(&reference, &prediction, least, numbers);
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

PFM_LABEL_F1_METRICS(label_f1, ", by the labels of pefomed-rules, which are not CheXbert's (docs/labels.md); ",
                     PFM_LABELLER_NAME, .network = PFM_NETWORK_NONE);
