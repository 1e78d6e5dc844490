/* The metrics of short answers: exact match, recall of open answers, F1 of words; all on texts normalised as in vqa_text.h. */
#include "eval/metric.h"

#include "base/try.h"

#include <math.h>
#include <stdlib.h>

#define NORMALISED "nfc.lower.LN_,/"

static pfm_status measure_exact(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric, (void)err;
    for (size_t i = 0; i < set->count; i++)
        numbers[i] = set->rows[i].correct;
    return PFM_OK;
}

const pfm_metric pfm_metric_exact = {
    .name = "exact",
    .definition =
        "Percentage of predictions equal to the reference after Unicode NFC, lower case, removal of every character that "
        "is neither letter, digit, underscore, white space, comma nor slash, collapsing of white space, and trimming.",
    .signature = NORMALISED,
    .columns = 1,
    .measure = measure_exact,
    .finish = pfm_metric_percentage,
};

static pfm_status measure_recall(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric, (void)err;
    for (size_t i = 0; i < set->count; i++) {
        if (set->rows[i].kind != PFM_KIND_OPEN)
            continue;
        numbers[2 * i] = set->rows[i].recall;
        numbers[2 * i + 1] = 1;
    }
    return PFM_OK;
}

static double finish_recall(const pfm_metric *metric, const double *sums, double rows)
{
    (void)metric, (void)rows;
    return sums[1] > 0 ? 100 * sums[0] / sums[1] : NAN;
}

const pfm_metric pfm_metric_recall_open = {
    .name = "recall_open",
    .definition =
        "Percentage of the reference's distinct words (normalised as in exact, split at white space) that the prediction "
        "has, mean over open questions (answer_type OPEN; without answer_type, what is not answered by yes or no).",
    .signature = NORMALISED ".distinct",
    .columns = 2,
    .measure = measure_recall,
    .finish = finish_recall,
};

static pfm_status split_normalised(const char *text, pfm_buffer *normalised, pfm_word_list *words, pfm_error *err)
{
    pfm_status status = pfm_vqa_normalise(text, normalised, err);
    if (status == PFM_OK)
        status = pfm_word_list_split(words, normalised->size == 0 ? NULL : normalised->data, err);
    if (status == PFM_OK)
        pfm_word_list_sort(words);
    return status;
}

static pfm_status measure_f1(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    pfm_buffer a = {0}, b = {0};
    pfm_word_list a_words = {0}, b_words = {0};
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < set->count; i++) {
        const pfm_answer_row *row = &set->rows[i];
        PFM_TRY(split_normalised(row->prediction, &b, &b_words, err));
        for (size_t r = 0; r < row->reference_count; r++) {
            PFM_TRY(split_normalised(pfm_answer_references(set, row)[r], &a, &a_words, err));
            numbers[i] = fmax(numbers[i], pfm_word_list_f1(&a_words, &b_words));
        }
    }
done:
    pfm_buffer_free(&a);
    pfm_buffer_free(&b);
    pfm_word_list_free(&a_words);
    pfm_word_list_free(&b_words);
    return status;
}

const pfm_metric pfm_metric_f1_token = {
    .name = "f1_token",
    .definition = "F1 (0..1) of the two multisets of words (normalised as in exact, split at white space): twice the number in "
                  "common over the number in both, mean over rows; two texts without words count as 1. Of several references "
                  "the best.",
    .signature = NORMALISED ".multiset",
    .columns = 1,
    .measure = measure_f1,
    .finish = pfm_metric_mean,
};
