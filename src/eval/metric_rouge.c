/* ROUGE (Lin, ROUGE: A Package for Automatic Evaluation of Summaries, 2004): rouge-score's F1 over its own tokens, and the
 * F with beta 1.2 over words split at white space that pycocoevalcap calls ROUGE-L. */
#include "eval/metric.h"

#include "base/try.h"
#include "eval/ngrams.h"

#include <math.h>
#include <string.h>

static double f_measure(size_t common, const pfm_ngram_text *reference, const pfm_ngram_text *prediction)
{
    size_t all = reference->count + prediction->count;
    return all == 0 ? 0 : 2 * (double)common / (double)all;
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

enum { SINGLE, PAIR, SUBSEQUENCE, FIGURES };

/* Of several references the best F1 counts, of each figure for itself. */
static pfm_status score_alphanumeric(pfm_ngram_space *space, const pfm_ngram_row *row, const void *user, double *out,
                                     pfm_error *err)
{
    (void)user;
    pfm_status status = PFM_OK;
    for (size_t n = 1; n <= 2; n++) {
        PFM_TRY(pfm_ngram_step(space, row, n, err));
        for (size_t r = 0; r < row->reference_count; r++) {
            size_t all = pfm_ngram_count(&row->references[r], n) + pfm_ngram_count(row->prediction, n);
            pfm_ngram_count_reference(space, row, r, n);
            if (all > 0)
                out[n - 1] = fmax(out[n - 1], 2 * (double)pfm_ngram_matches(space) / (double)all);
        }
    }
    for (size_t r = 0; r < row->reference_count; r++) {
        size_t common = 0;
        PFM_TRY(pfm_ngram_text_lcs(space, &row->references[r], row->prediction, &common, err));
        out[SUBSEQUENCE] = fmax(out[SUBSEQUENCE], f_measure(common, &row->references[r], row->prediction));
    }
done:
    return status;
}

static pfm_status measure_alphanumeric(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    const pfm_ngram_plan plan = {.cut = split_alphanumeric, .measure = score_alphanumeric, .columns = FIGURES};
    pfm_ngram_space space = {0};
    pfm_status status = pfm_ngram_measure_rows(&space, set, &plan, numbers, err);
    pfm_ngram_space_free(&space);
    return status;
}

static double finish_figure(const pfm_metric *metric, const double *sums, double rows)
{
    return pfm_metric_mean(metric, sums + metric->order, rows);
}

#define ROUGE(which, figure, text)                                                                                             \
    const pfm_metric pfm_metric_rouge##which = {                                                                               \
        .name = "rouge" #which,                                                                                                \
        .definition =                                                                                                          \
            "F1 (0..1) of " text ", mean over rows, as rouge-score 0.1.2 computes it without its stemmer: words are "          \
            "runs of a..z and 0..9 in lower case; of several references the best.",                                            \
        .signature = "rouge-score0.1.2.nostem.f1.mean",                                                                        \
        .columns = FIGURES,                                                                                                    \
        .order = (figure),                                                                                                     \
        .shared = true,                                                                                                        \
        .measure = measure_alphanumeric,                                                                                       \
        .finish = finish_figure,                                                                                               \
    }
ROUGE(1, SINGLE, "single words");
ROUGE(2, PAIR, "pairs of words");
ROUGE(L, SUBSEQUENCE, "the longest common subsequence of words");

/* A text without words counts as one empty word, as in the package. */
static pfm_status split_or_empty(pfm_ngram_space *space, const char *text, pfm_ngram_text *out, pfm_error *err)
{
    pfm_status status = pfm_ngram_text_split(space, text, out, err);
    return status == PFM_OK && out->count == 0 ? pfm_ngram_text_add_word(space, "", 0, out, err) : status;
}

/* Of several references the best precision and the best recall count, be they of two. */
static pfm_status score_words(pfm_ngram_space *space, const pfm_ngram_row *row, const void *user, double *out, pfm_error *err)
{
    (void)user;
    const double beta = 1.2;
    double precision = 0, recall = 0;
    for (size_t r = 0; r < row->reference_count; r++) {
        size_t common = 0;
        pfm_status status = pfm_ngram_text_lcs(space, &row->references[r], row->prediction, &common, err);
        if (status != PFM_OK)
            return status;
        precision = fmax(precision, (double)common / (double)row->prediction->count);
        recall = fmax(recall, (double)common / (double)row->references[r].count);
    }
    *out = recall == 0 ? 0 : (1 + beta * beta) * precision * recall / (recall + beta * beta * precision);
    return PFM_OK;
}

static pfm_status measure_words(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    const pfm_ngram_plan plan = {.cut = split_or_empty, .measure = score_words, .columns = 1};
    pfm_ngram_space space = {0};
    pfm_status status = pfm_ngram_measure_rows(&space, set, &plan, numbers, err);
    pfm_ngram_space_free(&space);
    return status;
}

const pfm_metric pfm_metric_rouge_l = {
    .name = "rouge_l",
    .definition = "F with beta 1.2 (0..1) of the longest common subsequence of words split at white space, mean over rows, as "
                  "pycocoevalcap 1.2 computes it (of several references the best precision and the best recall).",
    .signature = "pycocoevalcap1.2.beta1.2.space",
    .columns = 1,
    .measure = measure_words,
    .finish = pfm_metric_mean,
};
