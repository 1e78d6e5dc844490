/* BLEU (Papineni et al., BLEU: a Method for Automatic Evaluation of Machine Translation, 2002) in the two forms that papers
 * report, which disagree: over words split at white space as pycocoevalcap has it, and sacreBLEU's with its own tokenizer. */
#include "eval/metric.h"

#include "eval/cut_13a.h"
#include "eval/ngrams.h"

#include <math.h>

enum { ORDERS = 4, LENGTH = 0, REFERENCE_LENGTH = 1, CORRECT = 2, GUESSED = CORRECT + ORDERS, COLUMNS = GUESSED + ORDERS };

static pfm_status count_row(pfm_ngram_space *space, const pfm_ngram_text *reference, const pfm_ngram_text *prediction,
                            const void *user, double *numbers, pfm_error *err)
{
    (void)user;
    numbers[LENGTH] = (double)prediction->count;
    numbers[REFERENCE_LENGTH] = (double)reference->count;
    for (size_t n = 1; n <= ORDERS; n++) {
        size_t common = 0;
        pfm_status status = pfm_ngram_matches(space, prediction, reference, n, &common, err);
        if (status != PFM_OK)
            return status;
        numbers[CORRECT + n - 1] = (double)common;
        numbers[GUESSED + n - 1] = (double)pfm_ngram_count(prediction, n);
    }
    return PFM_OK;
}

static pfm_status measure_words(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    pfm_ngram_space space = {0};
    pfm_status status = pfm_ngram_measure_rows(&space, set, pfm_ngram_text_split, count_row, NULL, COLUMNS, numbers, err);
    pfm_ngram_space_free(&space);
    return status;
}

/* The package's two small numbers keep empty counts from dividing by zero, and are part of its figures. */
static double finish_words(const pfm_metric *metric, const double *sums, double rows)
{
    const double small = 1e-9, tiny = 1e-15;
    double product = 1, ratio = (sums[LENGTH] + tiny) / (sums[REFERENCE_LENGTH] + small);
    if (rows == 0)
        return NAN;
    for (int n = 0; n < metric->order; n++)
        product *= (sums[CORRECT + n] + tiny) / (sums[GUESSED + n] + small);
    double score = pow(product, 1.0 / metric->order);
    return ratio < 1 ? score * exp(1 - 1 / ratio) : score;
}

#define BLEU_WORDS(n)                                                                                                          \
    const pfm_metric pfm_metric_bleu##n = {                                                                                    \
        .name = "bleu" #n,                                                                                                     \
        .definition = "BLEU up to " #n " words (0..1) of all rows together, words split at white space, as pycocoevalcap 1.2 " \
                      "computes it.",                                                                                          \
        .signature = "pycocoevalcap1.2.corpus.space",                                                                          \
        .columns = COLUMNS,                                                                                                    \
        .order = (n),                                                                                                          \
        .measure = measure_words,                                                                                              \
        .finish = finish_words,                                                                                                \
    }
BLEU_WORDS(1);
BLEU_WORDS(2);
BLEU_WORDS(3);
BLEU_WORDS(4);

static pfm_status split_13a(pfm_ngram_space *space, const char *text, pfm_ngram_text *out, pfm_error *err)
{
    pfm_status status = pfm_cut_13a(text, &space->text, err);
    return status == PFM_OK ? pfm_ngram_text_split(space, space->text.size == 0 ? NULL : space->text.data, out, err) : status;
}

static pfm_status measure_13a(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    pfm_ngram_space space = {0};
    pfm_status status = pfm_ngram_measure_rows(&space, set, split_13a, count_row, NULL, COLUMNS, numbers, err);
    pfm_ngram_space_free(&space);
    return status;
}

/* "exp": each order without a match counts as half of the one before. An order that no prediction is long enough for makes the
 * score 0, as does a corpus without any match. */
static double finish_13a(const pfm_metric *metric, const double *sums, double rows)
{
    (void)metric;
    double logarithms = 0, halves = 1, length = sums[LENGTH], wanted = sums[REFERENCE_LENGTH];
    if (rows == 0)
        return NAN;
    if (sums[CORRECT] == 0)
        return 0; /* no word matches, so nothing longer does */
    for (int n = 0; n < ORDERS; n++) {
        if (sums[GUESSED + n] == 0)
            return 0;
        if (sums[CORRECT + n] == 0)
            halves *= 2;
        logarithms +=
            log(sums[CORRECT + n] == 0 ? 100 / (halves * sums[GUESSED + n]) : 100 * sums[CORRECT + n] / sums[GUESSED + n]);
    }
    return (length < wanted ? exp(1 - wanted / length) : 1) * exp(logarithms / ORDERS);
}

const pfm_metric pfm_metric_sacrebleu = {
    .name = "sacrebleu",
    .definition = "BLEU up to 4 tokens (0..100) of all rows together, as sacreBLEU 2.6 computes it: case kept, tokenizer 13a, "
                  "smoothing exp.",
    .signature = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6",
    .columns = COLUMNS,
    .order = ORDERS,
    .measure = measure_13a,
    .finish = finish_13a,
};
