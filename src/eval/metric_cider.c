/* CIDEr (Vedantam et al., CIDEr: Consensus-based Image Description Evaluation, 2015). The paper has two: CIDEr, the cosine of
 * weighted counts, and CIDEr-D, which clips counts and has a penalty on length. What pycocoevalcap calls CIDEr, and papers with
 * it, is CIDEr-D. */
#include "eval/metric.h"

#include "base/try.h"
#include "eval/ngrams.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ORDERS = 4, PLAIN = 0, CLIPPED = 1, FIGURES };
static const uint32_t unknown = UINT32_MAX;

/* In how many rows' references an n-gram occurs. An n-gram's number is that of the one before it and its last word, under which
 * it is found. */
typedef struct frequencies {
    pfm_pair_map known;
    double *rows;
    uint32_t *last_row; /* + 1, in which it was counted */
    size_t rows_capacity, last_row_capacity;
    double logarithm; /* of the number of rows */
    uint32_t row;
    /* Of the row that is scored: */
    uint32_t *numbers; /* of the n-grams of its texts, one behind the other; `unknown` where no reference has it */
    double *rarity;    /* [kinds] */
    size_t number_capacity, rarity_capacity;
} frequencies;

static void free_frequencies(frequencies *f)
{
    pfm_pair_map_free(&f->known);
    free(f->rows);
    free(f->last_row);
    free(f->numbers);
    free(f->rarity);
}

/* The numbers of an n-gram's beginnings of all lengths lie in one map; a beginning's number + 1 and a word are a pair. */
static pfm_status count_text(frequencies *f, const pfm_ngram_text *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < text->count; i++) {
        uint32_t number = 0;
        for (size_t n = 1; n <= ORDERS && i + n <= text->count; n++) {
            PFM_TRY(pfm_pair_map_add(&f->known, n == 1 ? 0 : number + 1, text->ids[i + n - 1], &number, err));
            PFM_TRY(pfm_array_reserve(&f->rows, &f->rows_capacity, number + 1, sizeof *f->rows, err));
            PFM_TRY(pfm_array_reserve(&f->last_row, &f->last_row_capacity, number + 1, sizeof *f->last_row, err));
            f->rows[number] += f->last_row[number] != f->row + 1;
            f->last_row[number] = f->row + 1;
        }
    }
done:
    return status;
}

static pfm_status count_references(const pfm_answer_set *set, pfm_ngram_space *space, frequencies *f, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_ngram_text tokens = {0};
    for (f->row = 0; f->row < set->count; f->row++) {
        const pfm_answer_row *row = &set->rows[f->row];
        for (size_t r = 0; r < row->reference_count; r++) {
            PFM_TRY(pfm_ngram_text_split(space, pfm_answer_references(set, row)[r], &tokens, err));
            PFM_TRY(count_text(f, &tokens, err));
        }
    }
    f->logarithm = log((double)set->count);
done:
    pfm_ngram_text_free(&tokens);
    return status;
}

/* Finds the numbers of a text's n-grams from those of order - 1, and from them how rare each kind is. */
static void find_rarities(frequencies *f, const pfm_ngram_text *text, const uint32_t *kinds, size_t order, uint32_t *numbers)
{
    for (size_t i = 0; i < pfm_ngram_count(text, order); i++) {
        uint32_t number = unknown;
        if (order == 1 || numbers[i] != unknown)
            (void)pfm_pair_map_find(&f->known, order == 1 ? 0 : numbers[i] + 1, text->ids[i + order - 1], &number);
        numbers[i] = number;
        f->rarity[kinds[i]] = f->logarithm - (number == unknown ? 0 : log(f->rows[number]));
    }
}

static pfm_status weigh(frequencies *f, pfm_ngram_space *space, const pfm_ngram_row *row, size_t order, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t begin = row->prediction->count;
    for (size_t r = 0; r < row->reference_count; r++)
        begin += row->references[r].count;
    PFM_TRY(pfm_array_reserve(&f->numbers, &f->number_capacity, begin + 1, sizeof *f->numbers, err));
    PFM_TRY(pfm_array_reserve(&f->rarity, &f->rarity_capacity, space->pairs.count + 1, sizeof *f->rarity, err));
    begin = row->prediction->count;
    find_rarities(f, row->prediction, space->kinds, order, f->numbers);
    for (size_t r = 0; r < row->reference_count; begin += row->references[r++].count)
        find_rarities(f, &row->references[r], pfm_ngram_reference_kinds(space, row, r), order, f->numbers + begin);
done:
    return status;
}

static double divide(double product, double norms) { return norms != 0 ? product / norms : product; }

/* Adds to out [FIGURES] the cosine of the two weighted vectors, plain, and with no entry of the prediction's beyond the
 * reference's. */
static void add_similarity(const frequencies *f, const pfm_ngram_space *space, double penalty, double *out)
{
    double product = 0, clipped = 0, predicted_square = 0, wanted_square = 0;
    for (size_t k = 0; k < space->pairs.count; k++) {
        double predicted = space->predicted[k] * f->rarity[k], wanted = space->wanted[k] * f->rarity[k];
        product += predicted * wanted;
        clipped += fmin(predicted, wanted) * wanted;
        predicted_square += predicted * predicted;
        wanted_square += wanted * wanted;
    }
    double norms = sqrt(predicted_square) * sqrt(wanted_square);
    out[PLAIN] += divide(product, norms);
    out[CLIPPED] += penalty * divide(clipped, norms);
}

/* The mean over n and references, times ten. */
static pfm_status score_row(pfm_ngram_space *space, const pfm_ngram_row *row, const void *user, double *out, pfm_error *err)
{
    frequencies *f = (frequencies *)(uintptr_t)user;
    const double sigma = 6;
    for (size_t n = 1; n <= ORDERS; n++) {
        pfm_status status = pfm_ngram_step(space, row, n, err);
        if (status == PFM_OK)
            status = weigh(f, space, row, n, err);
        if (status != PFM_OK)
            return status;
        for (size_t r = 0; r < row->reference_count; r++) {
            /* the package measures length in pairs of words */
            double pairs = (double)pfm_ngram_count(row->prediction, 2) - (double)pfm_ngram_count(&row->references[r], 2);
            pfm_ngram_count_reference(space, row, r, n);
            add_similarity(f, space, exp(-pairs * pairs / (2 * sigma * sigma)), out);
        }
    }
    for (size_t i = 0; i < FIGURES; i++)
        out[i] *= 10.0 / ORDERS / (double)row->reference_count;
    return PFM_OK;
}

static pfm_status measure(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    pfm_ngram_space space = {0};
    frequencies f = {0};
    const pfm_ngram_plan plan = {.cut = pfm_ngram_text_split, .measure = score_row, .user = &f, .columns = FIGURES};
    pfm_status status = count_references(set, &space, &f, err);
    if (status == PFM_OK)
        status = pfm_ngram_measure_rows(&space, set, &plan, numbers, err);
    pfm_ngram_space_free(&space);
    free_frequencies(&f);
    return status;
}

static double finish(const pfm_metric *metric, const double *sums, double rows)
{
    return pfm_metric_mean(metric, sums + metric->order, rows);
}

#define CIDER(metric, figure, text, signed_by)                                                                                 \
    const pfm_metric pfm_metric_##metric = {                                                                                   \
        .name = #metric,                                                                                                       \
        .definition = text " (0..10), mean over rows and their references, of up to 4 words split at white space; document "   \
                           "frequencies from the references of this file (in the interval too).",                              \
        .signature = signed_by ".df:references.space",                                                                         \
        .columns = FIGURES,                                                                                                    \
        .order = (figure),                                                                                                     \
        .shared = true,                                                                                                        \
        .measure = measure,                                                                                                    \
        .finish = finish,                                                                                                      \
    }
CIDER(cider, CLIPPED, "What pycocoevalcap 1.2 calls CIDEr, and papers that use it: the paper's CIDEr-D, clipped, sigma 6",
      "pycocoevalcap1.2.n4.sigma6");
CIDER(ciderd, CLIPPED, "CIDEr-D, clipped, sigma 6: the same figure as cider, under the name that its paper gives it",
      "pycocoevalcap1.2.n4.sigma6");
CIDER(cider_plain, PLAIN, "The paper's CIDEr, neither clipped nor with a penalty on length, which pycocoevalcap lacks",
      "plain.n4");
