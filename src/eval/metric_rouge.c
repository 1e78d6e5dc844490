/* ROUGE (Lin, ROUGE: A Package for Automatic Evaluation of Summaries, 2004): rouge-score's F1 over its own tokens, and the
 * F with beta 1.2 over words split at white space that pycocoevalcap calls ROUGE-L. */
#include "eval/metric.h"

#include "base/try.h"
#include "eval/ngrams.h"

#include <string.h>

typedef struct pair {
    pfm_ngram_space space;
    pfm_ngram_text reference, prediction;
} pair;

static void free_pair(pair *p)
{
    pfm_ngram_space_free(&p->space);
    pfm_ngram_text_free(&p->reference);
    pfm_ngram_text_free(&p->prediction);
}

static double f_measure(double common, const pair *p, double beta)
{
    if (common == 0)
        return 0;
    double precision = common / (double)p->prediction.count, recall = common / (double)p->reference.count;
    return (1 + beta * beta) * precision * recall / (recall + beta * beta * precision);
}

/* Runs of a..z and 0..9 in the lower case of the text. Two characters outside ASCII have a lower case within it: the Kelvin
 * sign k, and I with a dot above, i and a mark that ends the run. */
static pfm_status split_alphanumeric(pfm_ngram_space *space, const char *text, pfm_buffer *word, pfm_ngram_text *out,
                                     pfm_error *err)
{
    pfm_status status = PFM_OK;
    out->count = 0;
    pfm_buffer_clear(word);
    for (;; text++) {
        char c = *text;
        bool ends = false;
        if (strncmp(text, "\xE2\x84\xAA", 3) == 0) {
            c = 'k';
            text += 2;
        } else if (strncmp(text, "\xC4\xB0", 2) == 0) {
            c = 'i';
            text += 1;
            ends = true;
        } else if (c >= 'A' && c <= 'Z') {
            c = (char)(c - 'A' + 'a');
        }
        bool kept = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (kept)
            PFM_TRY(pfm_buffer_append(word, &c, 1, err));
        if ((!kept || ends) && word->size > 0) {
            PFM_TRY(pfm_ngram_text_add_word(space, word->data, word->size, out, err));
            pfm_buffer_clear(word);
        }
        if (c == '\0')
            break;
    }
done:
    return status;
}

/* order 0: the longest common subsequence. */
static pfm_status measure_alphanumeric(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    pair p = {0};
    pfm_buffer word = {0};
    pfm_status status = PFM_OK;
    size_t order = (size_t)metric->order, common = 0;
    for (size_t i = 0; i < set->count; i++) {
        PFM_TRY(split_alphanumeric(&p.space, set->rows[i].answer, &word, &p.reference, err));
        PFM_TRY(split_alphanumeric(&p.space, set->rows[i].prediction, &word, &p.prediction, err));
        if (order == 0) {
            PFM_TRY(pfm_ngram_text_lcs(&p.space, &p.reference, &p.prediction, &common, err));
            numbers[i] = f_measure((double)common, &p, 1);
        } else {
            PFM_TRY(pfm_ngram_matches(&p.space, &p.reference, &p.prediction, order, &common, err));
            size_t all = pfm_ngram_count(&p.reference, order) + pfm_ngram_count(&p.prediction, order);
            numbers[i] = all == 0 ? 0 : 2 * (double)common / (double)all;
        }
    }
done:
    free_pair(&p);
    pfm_buffer_free(&word);
    return status;
}

#define ROUGE(which, length, text)                                                                                             \
    const pfm_metric pfm_metric_rouge##which = {                                                                               \
        .name = "rouge" #which,                                                                                                \
        .definition =                                                                                                          \
            "F1 (0..1) of " text ", mean over rows, as rouge-score 0.1.2 computes it without its stemmer: words are "          \
            "runs of a..z and 0..9 in lower case.",                                                                            \
        .signature = "rouge-score0.1.2.nostem.f1.mean",                                                                        \
        .columns = 1,                                                                                                          \
        .order = (length),                                                                                                     \
        .measure = measure_alphanumeric,                                                                                       \
        .finish = pfm_metric_mean,                                                                                             \
    }
ROUGE(1, 1, "single words");
ROUGE(2, 2, "pairs of words");
ROUGE(L, 0, "the longest common subsequence of words");

/* A text without words counts as one empty word, as in the package. */
static pfm_status split_or_empty(pfm_ngram_space *space, const char *text, pfm_ngram_text *out, pfm_error *err)
{
    pfm_status status = pfm_ngram_text_split(space, text, out, err);
    return status == PFM_OK && out->count == 0 ? pfm_ngram_text_add_word(space, "", 0, out, err) : status;
}

static pfm_status measure_words(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    pair p = {0};
    pfm_status status = PFM_OK;
    size_t common = 0;
    for (size_t i = 0; i < set->count; i++) {
        PFM_TRY(split_or_empty(&p.space, set->rows[i].answer, &p.reference, err));
        PFM_TRY(split_or_empty(&p.space, set->rows[i].prediction, &p.prediction, err));
        PFM_TRY(pfm_ngram_text_lcs(&p.space, &p.reference, &p.prediction, &common, err));
        numbers[i] = f_measure((double)common, &p, 1.2);
    }
done:
    free_pair(&p);
    return status;
}

const pfm_metric pfm_metric_rouge_l = {
    .name = "rouge_l",
    .definition = "F with beta 1.2 (0..1) of the longest common subsequence of words split at white space, mean over rows, as "
                  "pycocoevalcap 1.2 computes it.",
    .signature = "pycocoevalcap1.2.beta1.2.space",
    .columns = 1,
    .measure = measure_words,
    .finish = pfm_metric_mean,
};
