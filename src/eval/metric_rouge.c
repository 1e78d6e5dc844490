/* ROUGE (Lin, ROUGE: A Package for Automatic Evaluation of Summaries, 2004): rouge-score's F1 over its own tokens, and the
 * F with beta 1.2 over words split at white space that pycocoevalcap calls ROUGE-L. */
#include "eval/metric.h"

#include "base/try.h"
#include "eval/ngrams.h"

#include <string.h>

static double f_measure(size_t common, const pfm_ngram_text *reference, const pfm_ngram_text *prediction, double beta)
{
    if (common == 0)
        return 0;
    double precision = (double)common / (double)prediction->count, recall = (double)common / (double)reference->count;
    return (1 + beta * beta) * precision * recall / (recall + beta * beta * precision);
}

/* Runs of a..z and 0..9 in the lower case of the text. Two characters outside ASCII have a lower case within it: the Kelvin
 * sign k, and I with a dot above, i and a mark that ends the run. */
static pfm_status split_alphanumeric(pfm_ngram_space *space, const char *text, pfm_ngram_text *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer *word = &space->text;
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
static pfm_status score_alphanumeric(pfm_ngram_space *space, const pfm_ngram_text *reference, const pfm_ngram_text *prediction,
                                     const void *metric, double *out, pfm_error *err)
{
    const size_t order = (size_t)((const pfm_metric *)metric)->order;
    size_t common = 0;
    pfm_status status;
    if (order == 0) {
        status = pfm_ngram_text_lcs(space, reference, prediction, &common, err);
        *out = f_measure(common, reference, prediction, 1);
    } else {
        status = pfm_ngram_matches(space, reference, prediction, order, &common, err);
        size_t all = pfm_ngram_count(reference, order) + pfm_ngram_count(prediction, order);
        *out = all == 0 ? 0 : 2 * (double)common / (double)all;
    }
    return status;
}

static pfm_status measure_alphanumeric(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    pfm_ngram_space space = {0};
    pfm_status status = pfm_ngram_measure_rows(&space, set, split_alphanumeric, score_alphanumeric, metric, 1, numbers, err);
    pfm_ngram_space_free(&space);
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

static pfm_status score_words(pfm_ngram_space *space, const pfm_ngram_text *reference, const pfm_ngram_text *prediction,
                              const void *user, double *out, pfm_error *err)
{
    (void)user;
    size_t common = 0;
    pfm_status status = pfm_ngram_text_lcs(space, reference, prediction, &common, err);
    *out = f_measure(common, reference, prediction, 1.2);
    return status;
}

static pfm_status measure_words(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    pfm_ngram_space space = {0};
    pfm_status status = pfm_ngram_measure_rows(&space, set, split_or_empty, score_words, NULL, 1, numbers, err);
    pfm_ngram_space_free(&space);
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
