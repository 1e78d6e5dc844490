/* F1 of the labels that CheXbert's network gives (models/text/chexbert.h): the figure of the papers, F1 by CheXbert. */
#include "eval/label_f1.h"
#include "eval/networks.h"

#include "base/context.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

static const pfm_label label_of[PFM_CHEXBERT_CLASSES] = {[PFM_CHEXBERT_BLANK] = PFM_LABEL_NONE,
                                                         [PFM_CHEXBERT_NEGATIVE] = PFM_LABEL_ABSENT,
                                                         [PFM_CHEXBERT_UNCERTAIN] = PFM_LABEL_UNCERTAIN,
                                                         [PFM_CHEXBERT_POSITIVE] = PFM_LABEL_PRESENT};

/* What a text says, added to that of others: the largest label of each finding. The heads have an order of their own. */
static void add_labels(const pfm_chexbert_class *classes, pfm_labels *labels)
{
    for (size_t h = 0; h < PFM_CHEXBERT_HEADS; h++) {
        for (size_t f = 0; f < PFM_FINDINGS; f++) {
            if (strcmp(pfm_chexbert_names[h], pfm_finding_names[f]) == 0 && label_of[classes[h]] > labels->of[f])
                labels->of[f] = label_of[classes[h]];
        }
    }
}

/* The texts of a row, prediction first, and what the network makes of them. */
typedef struct row_texts {
    const char **texts;
    pfm_chexbert_class *classes; /* [count, heads] */
    size_t capacity, class_capacity;
} row_texts;

static pfm_status label_rows(pfm_chexbert *chexbert, const pfm_answer_set *set, size_t from, size_t to, row_texts *of,
                             double *numbers, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t count = 0;
    for (size_t i = from; i < to; i++)
        count += 1 + set->rows[i].reference_count;
    PFM_TRY(pfm_array_reserve(&of->texts, &of->capacity, count, sizeof *of->texts, err));
    PFM_TRY(pfm_array_reserve(&of->classes, &of->class_capacity, count * PFM_CHEXBERT_HEADS, sizeof *of->classes, err));
    count = 0;
    for (size_t i = from; i < to; i++) {
        of->texts[count++] = set->rows[i].prediction;
        for (size_t r = 0; r < set->rows[i].reference_count; r++)
            of->texts[count++] = pfm_answer_references(set, &set->rows[i])[r];
    }
    PFM_TRY(pfm_chexbert_label(chexbert, of->texts, count, of->classes, err));
    const pfm_chexbert_class *at = of->classes;
    for (size_t i = from; i < to; i++) {
        pfm_labels reference = {0}, prediction = {0};
        add_labels(at, &prediction);
        at += PFM_CHEXBERT_HEADS;
        for (size_t r = 0; r < set->rows[i].reference_count; r++, at += PFM_CHEXBERT_HEADS)
            add_labels(at, &reference);
        pfm_label_f1_count(&reference, &prediction, numbers + i * PFM_LABEL_F1_COLUMNS);
    }
done:
    return status;
}

static pfm_status measure(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    enum { AT_ONCE = 64 };
    pfm_status status = PFM_OK;
    pfm_chexbert *chexbert = NULL;
    row_texts of = {0};
    PFM_TRY(pfm_score_networks_chexbert(set->networks, &chexbert, err));
    const pfm_context *context = set->networks->context;
    for (size_t i = 0; i < set->count; i += AT_ONCE) {
        const size_t to = set->count - i < AT_ONCE ? set->count : i + AT_ONCE;
        if (pfm_interrupted(context))
            PFM_FAIL(PFM_ERROR_INTERRUPTED, "interrupted while texts were labelled");
        PFM_TRY(label_rows(chexbert, set, i, to, &of, numbers, err));
        pfm_report_progress(context, "chexbert", "rows", (double)to, (double)set->count, "");
    }
done:
    free(of.texts);
    free(of.classes);
    return status;
}

static pfm_status sign(const pfm_metric *metric, const pfm_answer_set *set, pfm_buffer *text, pfm_error *err)
{
    (void)metric;
    return pfm_buffer_append_format(text, err, ".sha256:%s", pfm_chexbert_get_digest(set->networks->chexbert_network));
}

PFM_LABEL_F1_METRICS(chexbert_f1, ", by the labels of CheXbert's network, whose checkpoint --chexbert names; ", "chexbert",
                     .measure = measure, .network = PFM_NETWORK_CHEXBERT, .sign = sign);
