/* deltaBLEU (Galley et al., deltaBLEU: A Discriminative Metric for Generation Tasks with Intrinsically Diverse Targets, 2015)
 * as the scorer of MEDIQA-M3G 2024 computes it, which is made of sacreBLEU 1.4.1. */
#include "eval/metric.h"

#include "base/try.h"
#include "eval/cut_13a.h"
#include "eval/lower.h"
#include "eval/ngrams.h"

#include <math.h>

enum { ORDERS = 4, LENGTH = 0, REFERENCE_LENGTH = 1, CORRECT = 2, GUESSED = CORRECT + ORDERS, COLUMNS = GUESSED + ORDERS };

/* space->numbers [kinds] = the largest weight of the references that have a kind. */
static pfm_status weigh_kinds(pfm_ngram_space *space, const pfm_ngram_row *row, size_t order, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t kinds = space->pairs.count;
    PFM_TRY(pfm_array_reserve(&space->numbers, &space->number_capacity, kinds + 1, sizeof *space->numbers, err));
    for (size_t k = 0; k < kinds; k++)
        space->numbers[k] = -INFINITY;
    for (size_t r = 0; r < row->reference_count; r++) {
        const uint32_t *of = pfm_ngram_reference_kinds(space, row, r);
        for (size_t i = 0; i < pfm_ngram_count(&row->references[r], order); i++)
            space->numbers[of[i]] = fmax(space->numbers[of[i]], row->weights[r]);
    }
done:
    return status;
}

static pfm_status count_row(pfm_ngram_space *space, const pfm_ngram_row *row, const void *user, double *numbers, pfm_error *err)
{
    (void)user;
    pfm_status status = PFM_OK;
    double largest = 0;
    for (size_t r = 0; r < row->reference_count; r++)
        largest = fmax(largest, row->weights[r]);
    numbers[LENGTH] = (double)row->prediction->count;
    numbers[REFERENCE_LENGTH] = (double)pfm_ngram_closest_length(row);
    for (size_t n = 1; n <= ORDERS; n++) {
        PFM_TRY(pfm_ngram_step(space, row, n, err));
        PFM_TRY(pfm_ngram_count_most(space, row, n, err));
        PFM_TRY(weigh_kinds(space, row, n, err));
        for (size_t k = 0; k < space->pairs.count; k++) {
            uint32_t common = space->predicted[k] < space->wanted[k] ? space->predicted[k] : space->wanted[k];
            if (common > 0)
                numbers[CORRECT + n - 1] += common * space->numbers[k];
        }
        numbers[GUESSED + n - 1] = largest * (double)pfm_ngram_count(row->prediction, n);
    }
done:
    return status;
}

static pfm_status cut_zh(pfm_ngram_space *space, const char *text, pfm_ngram_text *out, pfm_error *err)
{
    pfm_status status = pfm_cut_zh(text, &space->text, err);
    return status == PFM_OK ? pfm_ngram_text_split(space, space->text.data, out, err) : status;
}

static pfm_status cut_lower(pfm_ngram_space *space, const char *text, pfm_ngram_cut cut, pfm_ngram_text *out, pfm_error *err)
{
    pfm_status status = pfm_text_lower(text, &space->lowered, err);
    return status == PFM_OK ? cut(space, space->lowered.data == NULL ? "" : space->lowered.data, out, err) : status;
}

static pfm_status cut_lower_13a(pfm_ngram_space *space, const char *text, pfm_ngram_text *out, pfm_error *err)
{
    return cut_lower(space, text, pfm_ngram_text_13a, out, err);
}

static pfm_status cut_lower_zh(pfm_ngram_space *space, const char *text, pfm_ngram_text *out, pfm_error *err)
{
    return cut_lower(space, text, cut_zh, out, err);
}

static pfm_status measure_cut(const pfm_answer_set *set, pfm_ngram_cut cut, pfm_ngram_cut cut_prediction, double *numbers,
                              pfm_error *err)
{
    const pfm_ngram_plan plan = {.cut = cut, .cut_prediction = cut_prediction, .measure = count_row, .columns = COLUMNS};
    pfm_ngram_space space = {0};
    pfm_status status = pfm_ngram_measure_rows(&space, set, &plan, numbers, err);
    pfm_ngram_space_free(&space);
    return status;
}

static pfm_status measure_13a(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    return measure_cut(set, pfm_ngram_text_13a, cut_lower_13a, numbers, err);
}

static pfm_status measure_zh(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    return measure_cut(set, cut_zh, cut_lower_zh, numbers, err);
}

/* Orders that no prediction is long enough for do not count; each order without a match counts as half of the one before. */
static double finish(const pfm_metric *metric, const double *sums, double rows)
{
    (void)metric;
    double logarithms = 0, halves = 1, length = sums[LENGTH], wanted = sums[REFERENCE_LENGTH];
    int orders = 0;
    if (rows == 0)
        return NAN;
    for (; orders < ORDERS && sums[GUESSED + orders] > 0; orders++) {
        double correct = sums[CORRECT + orders], guessed = sums[GUESSED + orders];
        if (correct <= 0)
            halves *= 2;
        logarithms += log(correct <= 0 ? 100 / (halves * guessed) : 100 * correct / guessed);
    }
    if (orders == 0)
        return 0;
    return (length < wanted ? exp(1 - wanted / length) : 1) * exp(logarithms / orders);
}

#define DELTABLEU(metric, cutter, tokens)                                                                                      \
    const pfm_metric pfm_metric_##metric = {                                                                                   \
        .name = #metric,                                                                                                       \
        .definition =                                                                                                          \
            "deltaBLEU (0..100) of all rows together, as the scorer of MEDIQA-M3G 2024 computes it: BLEU up to 4 tokens "      \
            "of " tokens                                                                                                       \
            ", smoothing exp, orders that no prediction has left out; a match counts by the largest weight of the "            \
            "references that have it (weights: 1 where a row gives none), a guess by the row's largest. Like that scorer it "  \
            "brings predictions into lower case and not the references.",                                                      \
        .signature = "m3g2024.case:lc-predictions|eff:yes|tok:" #cutter "|smooth:exp",                                         \
        .columns = COLUMNS,                                                                                                    \
        .order = ORDERS,                                                                                                       \
        .measure = measure_##cutter,                                                                                           \
        .finish = finish,                                                                                                      \
    }
DELTABLEU(deltableu, 13a, "tokenizer 13a");
DELTABLEU(deltableu_zh, zh, "tokenizer zh, which takes each Chinese character for one");
