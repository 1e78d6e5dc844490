/* F1 of the labels that our own rules give (labels.h). */
#include "eval/label_f1.h"

#include "base/try.h"

static pfm_status measure(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    pfm_status status = PFM_OK;
    pfm_labeller *labeller = NULL;
    PFM_TRY(pfm_labeller_create(&labeller, err));
    for (size_t i = 0; i < set->count; i++, numbers += PFM_LABEL_F1_COLUMNS) {
        pfm_labels reference, prediction;
        PFM_TRY(pfm_labels_of_row(labeller, set, &set->rows[i], &reference, &prediction, err));
        pfm_label_f1_count(&reference, &prediction, numbers);
    }
done:
    pfm_labeller_free(labeller);
    return status;
}

PFM_LABEL_F1_METRICS(label_f1, ", by the labels of pefomed-rules, which are not CheXbert's (docs/labels.md); ",
                     PFM_LABELLER_NAME, .measure = measure);
