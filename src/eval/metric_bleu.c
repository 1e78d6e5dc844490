/* BLEU (Papineni et al., BLEU: a Method for Automatic Evaluation of Machine Translation, 2002) in the two forms that papers
 * report, which disagree: over words split at white space as pycocoevalcap has it, and sacreBLEU's with its own tokenizer. */
#include "eval/metric.h"

#include "base/try.h"
#include "eval/ngrams.h"

#include <math.h>

enum { ORDERS = 4, LENGTH = 0, REFERENCE_LENGTH = 1, CORRECT = 2, GUESSED = CORRECT + ORDERS, COLUMNS = GUESSED + ORDERS };

static pfm_status count_row(pfm_ngram_space *space, const pfm_ngram_row *row, const void *user, double *numbers, pfm_error *err)
{
    (void)user;
    pfm_status status = PFM_OK;
    numbers[LENGTH] = (double)row->prediction->count;
    numbers[REFERENCE_LENGTH] = (double)pfm_ngram_closest_length(row);
    for (size_t n = 1; n <= ORDERS; n++) {
        PFM_TRY(pfm_ngram_step(space, row, n, err));
        PFM_TRY(pfm_ngram_count_most(space, row, n, err));
        numbers[CORRECT + n - 1] = (double)pfm_ngram_matches(space);
        numbers[GUESSED + n - 1] = (double)pfm_ngram_count(row->prediction, n);
    }
done:
    return status;
}

static pfm_status measure_words(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    const pfm_ngram_plan plan = {.cut = pfm_ngram_text_split, .measure = count_row, .columns = COLUMNS};
    pfm_ngram_space space = {0};
    pfm_status status = pfm_ngram_measure_rows(&space, set, &plan, numbers, err);
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
                      "computes it (of several references the nearest length).",                                               \
        .signature = "pycocoevalcap1.2.corpus.space",                                                                          \
        .columns = COLUMNS,                                                                                                    \
        .order = (n),                                                                                                          \
        .shared = true,                                                                                                        \
        .measure = measure_words,                                                                                              \
        .finish = finish_words,                                                                                                \
    }
BLEU_WORDS(1);
BLEU_WORDS(2);
BLEU_WORDS(3);
BLEU_WORDS(4);

static pfm_status measure_13a(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    const pfm_ngram_plan plan = {.cut = pfm_ngram_text_13a, .measure = count_row, .columns = COLUMNS};
    pfm_ngram_space space = {0};
    pfm_status status = pfm_ngram_measure_rows(&space, set, &plan, numbers, err);
    pfm_ngram_space_free(&space);
    return status;
}

/* "exp": each order without a match counts as half of the one before. An order that no prediction is long enough for makes the
 * score 0, as does a corpus without any match. */
static double finish_13a(const pfm_metric *metric, const double *sums, double rows)
{
    double logarithms = 0, halves = 1, length = sums[LENGTH], wanted = sums[REFERENCE_LENGTH];
    if (rows == 0)
        return NAN;
    if (sums[CORRECT] == 0)
        return 0; /* no word matches, so nothing longer does */
    for (int n = 0; n < metric->order; n++) {
        if (sums[GUESSED + n] == 0)
            return 0;
        if (sums[CORRECT + n] == 0)
            halves *= 2;
        logarithms +=
            log(sums[CORRECT + n] == 0 ? 100 / (halves * sums[GUESSED + n]) : 100 * sums[CORRECT + n] / sums[GUESSED + n]);
    }
    return (length < wanted ? exp(1 - wanted / length) : 1) * exp(logarithms / metric->order);
}

#define BLEU_13A(metric, longest, words)                                                                                       \
    const pfm_metric pfm_metric_##metric = {                                                                                   \
        .name = #metric,                                                                                                       \
        .definition =                                                                                                          \
            "BLEU up to " words " (0..100) of all rows together, as sacreBLEU 2.6 computes it: case kept, tokenizer "          \
            "13a, smoothing exp; several references as it takes them.",                                                        \
        .signature = "n:" #longest "|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6",                                        \
        .columns = COLUMNS,                                                                                                    \
        .order = (longest),                                                                                                    \
        .shared = true,                                                                                                        \
        .measure = measure_13a,                                                                                                \
        .finish = finish_13a,                                                                                                  \
    }
BLEU_13A(sacrebleu, 4, "4 tokens");
BLEU_13A(sacrebleu1, 1, "1 token");
