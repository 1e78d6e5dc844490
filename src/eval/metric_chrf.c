/* chrF (Popovic, chrF: character n-gram F-score for automatic MT evaluation, 2015) as sacreBLEU computes it. */
#include "eval/metric.h"

#include "base/try.h"
#include "eval/ngrams.h"

#include <math.h>
#include <string.h>

enum { ORDERS = 6, GUESSED = 0, WANTED = ORDERS, CORRECT = 2 * ORDERS, COLUMNS = 3 * ORDERS };

/* Precision and recall are means over the orders that both sides have; beta is 2. */
static double score(const double *sums)
{
    double precision = 0, recall = 0, orders = 0;
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

static double finish(const pfm_metric *metric, const double *sums, double rows)
{
    (void)metric;
    return rows == 0 ? NAN : score(sums);
}

/* numbers [references, COLUMNS] */
static pfm_status count_all(pfm_ngram_space *space, const pfm_ngram_row *row, double *numbers, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t n = 1; n <= ORDERS; n++) {
        PFM_TRY(pfm_ngram_step(space, row, n, err));
        for (size_t r = 0; r < row->reference_count; r++) {
            double *of = numbers + r * COLUMNS;
            size_t wanted = pfm_ngram_count(&row->references[r], n);
            pfm_ngram_count_reference(space, row, r, n);
            /* A reference too short for this order counts against nobody. */
            of[GUESSED + n - 1] = wanted == 0 ? 0 : (double)pfm_ngram_count(row->prediction, n);
            of[WANTED + n - 1] = (double)wanted;
            of[CORRECT + n - 1] = (double)pfm_ngram_matches(space);
        }
    }
done:
    return status;
}

/* Of several references the one by which the row alone would score best counts, the first of those as good. */
static pfm_status count_row(pfm_ngram_space *space, const pfm_ngram_row *row, const void *user, double *numbers, pfm_error *err)
{
    (void)user;
    pfm_status status = PFM_OK;
    size_t best = 0;
    if (row->reference_count == 1)
        return count_all(space, row, numbers, err);
    PFM_TRY(pfm_array_reserve(&space->numbers, &space->number_capacity, row->reference_count * COLUMNS, sizeof *space->numbers,
                              err));
    PFM_TRY(count_all(space, row, space->numbers, err));
    for (size_t r = 1; r < row->reference_count; r++)
        best = score(space->numbers + r * COLUMNS) > score(space->numbers + best * COLUMNS) ? r : best;
    memcpy(numbers, space->numbers + best * COLUMNS, COLUMNS * sizeof *numbers);
done:
    return status;
}

static pfm_status measure(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    const pfm_ngram_plan plan = {.cut = pfm_ngram_text_characters, .measure = count_row, .columns = COLUMNS};
    pfm_ngram_space space = {0};
    pfm_status status = pfm_ngram_measure_rows(&space, set, &plan, numbers, err);
    pfm_ngram_space_free(&space);
    return status;
}

const pfm_metric pfm_metric_chrf = {
    .name = "chrf",
    .definition =
        "F with beta 2 (0..100) of runs of up to 6 characters, white space left out, of all rows together, as sacreBLEU "
        "2.6 computes it; of several references the best.",
    .signature = "case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6",
    .columns = COLUMNS,
    .order = ORDERS,
    .measure = measure,
    .finish = finish,
};
