/* chrF (Popovic, chrF: character n-gram F-score for automatic MT evaluation, 2015) as sacreBLEU computes it. */
#include "eval/metric.h"

#include "eval/ngrams.h"

#include <math.h>

enum { ORDERS = 6, GUESSED = 0, WANTED = ORDERS, CORRECT = 2 * ORDERS, COLUMNS = 3 * ORDERS };

static pfm_status count_row(pfm_ngram_space *space, const pfm_ngram_text *reference, const pfm_ngram_text *prediction,
                            const void *user, double *numbers, pfm_error *err)
{
    (void)user;
    for (size_t n = 1; n <= ORDERS; n++) {
        size_t common = 0, wanted = pfm_ngram_count(reference, n);
        pfm_status status = pfm_ngram_matches(space, prediction, reference, n, &common, err);
        if (status != PFM_OK)
            return status;
        /* A reference too short for this order counts against nobody. */
        numbers[GUESSED + n - 1] = wanted == 0 ? 0 : (double)pfm_ngram_count(prediction, n);
        numbers[WANTED + n - 1] = (double)wanted;
        numbers[CORRECT + n - 1] = (double)common;
    }
    return PFM_OK;
}

static pfm_status measure(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    pfm_ngram_space space = {0};
    pfm_status status = pfm_ngram_measure_rows(&space, set, pfm_ngram_text_characters, count_row, NULL, COLUMNS, numbers, err);
    pfm_ngram_space_free(&space);
    return status;
}

/* Precision and recall are means over the orders that both sides have; beta is 2. */
static double finish(const pfm_metric *metric, const double *sums, double rows)
{
    (void)metric;
    double precision = 0, recall = 0, orders = 0;
    if (rows == 0)
        return NAN;
    for (int n = 0; n < ORDERS; n++) {
        if (sums[GUESSED + n] == 0 || sums[WANTED + n] == 0)
            continue;
        precision += sums[CORRECT + n] / sums[GUESSED + n];
        recall += sums[CORRECT + n] / sums[WANTED + n];
        orders++;
    }
    if (precision + recall == 0)
        return 0;
    precision /= orders;
    recall /= orders;
    return 100 * 5 * precision * recall / (4 * precision + recall);
}

const pfm_metric pfm_metric_chrf = {
    .name = "chrf",
    .definition =
        "F with beta 2 (0..100) of runs of up to 6 characters, white space left out, of all rows together, as sacreBLEU "
        "2.6 computes it.",
    .signature = "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6",
    .columns = COLUMNS,
    .order = ORDERS,
    .measure = measure,
    .finish = finish,
};
