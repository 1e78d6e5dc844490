/* CIDEr (Vedantam et al., CIDEr: Consensus-based Image Description Evaluation, 2015) as pycocoevalcap computes it: what that
 * package calls CIDEr clips and has the penalty on length, as CIDEr-D does. */
#include "eval/metric.h"

#include "base/try.h"
#include "eval/ngrams.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ORDERS = 4 };

/* In how many references an n-gram occurs. */
typedef struct frequencies {
    pfm_intern known; /* of an n-gram's bytes */
    double *rows;
    size_t capacity;
    double logarithm; /* of the number of references */
} frequencies;

static size_t run_length(const pfm_ngram_list *list, size_t begin)
{
    size_t end = begin + 1;
    while (end < list->count && memcmp(&list->items[end], &list->items[begin], sizeof *list->items) == 0)
        end++;
    return end - begin;
}

static pfm_status count_reference(frequencies *f, const pfm_ngram_list *list, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < list->count; i += run_length(list, i)) {
        size_t index = 0;
        PFM_TRY(pfm_intern_add(&f->known, (const char *)&list->items[i], sizeof list->items[i], &index, err));
        PFM_TRY(pfm_array_reserve(&f->rows, &f->capacity, index + 1, sizeof *f->rows, err));
        f->rows[index]++;
    }
done:
    return status;
}

static double rarity(const frequencies *f, const pfm_ngram *ngram)
{
    size_t index = 0;
    double rows = pfm_intern_find(&f->known, (const char *)ngram, sizeof *ngram, &index) ? f->rows[index] : 1;
    return f->logarithm - log(rows);
}

static double norm(const frequencies *f, const pfm_ngram_list *list)
{
    double squares = 0;
    for (size_t i = 0, run = 0; i < list->count; i += run) {
        run = run_length(list, i);
        double weight = (double)run * rarity(f, &list->items[i]);
        squares += weight * weight;
    }
    return sqrt(squares);
}

/* The cosine of the two weighted vectors, no entry of the prediction's counted beyond the reference's. */
static double similarity(const frequencies *f, const pfm_ngram_list *prediction, const pfm_ngram_list *reference)
{
    double product = 0, norms = norm(f, prediction) * norm(f, reference);
    for (size_t i = 0, j = 0; i < prediction->count && j < reference->count;) {
        int order = memcmp(&prediction->items[i], &reference->items[j], sizeof *prediction->items);
        size_t of_prediction = run_length(prediction, i), of_reference = run_length(reference, j);
        if (order == 0) {
            double weight = rarity(f, &reference->items[j]);
            size_t common = of_prediction < of_reference ? of_prediction : of_reference;
            product += (double)common * weight * (double)of_reference * weight;
        }
        i += order <= 0 ? of_prediction : 0;
        j += order >= 0 ? of_reference : 0;
    }
    return norms != 0 ? product / norms : product;
}

static pfm_status count_references(const pfm_answer_set *set, pfm_ngram_space *space, frequencies *f, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_ngram_text tokens = {0};
    for (size_t i = 0; i < set->count; i++) {
        PFM_TRY(pfm_ngram_text_split(space, set->rows[i].answer, &tokens, err));
        for (size_t n = 1; n <= ORDERS; n++) {
            PFM_TRY(pfm_ngram_list_make(&tokens, n, &space->a, err));
            PFM_TRY(count_reference(f, &space->a, err));
        }
    }
    f->logarithm = log((double)set->count);
done:
    pfm_ngram_text_free(&tokens);
    return status;
}

static pfm_status score_row(pfm_ngram_space *space, const pfm_ngram_text *reference, const pfm_ngram_text *prediction,
                            const void *user, double *out, pfm_error *err)
{
    const frequencies *f = user;
    const double sigma = 6;
    double sum = 0, pairs = (double)pfm_ngram_count(prediction, 2) - (double)pfm_ngram_count(reference, 2);
    for (size_t n = 1; n <= ORDERS; n++) {
        pfm_status status = pfm_ngram_list_make(prediction, n, &space->a, err);
        if (status == PFM_OK)
            status = pfm_ngram_list_make(reference, n, &space->b, err);
        if (status != PFM_OK)
            return status;
        sum += similarity(f, &space->a, &space->b);
    }
    *out = 10 * sum / ORDERS * exp(-pairs * pairs / (2 * sigma * sigma)); /* the package measures length in pairs of words */
    return PFM_OK;
}

static pfm_status measure(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    pfm_ngram_space space = {0};
    frequencies f = {0};
    pfm_status status = count_references(set, &space, &f, err);
    if (status == PFM_OK)
        status = pfm_ngram_measure_rows(&space, set, pfm_ngram_text_split, score_row, &f, 1, numbers, err);
    pfm_ngram_space_free(&space);
    pfm_intern_free(&f.known);
    free(f.rows);
    return status;
}

const pfm_metric pfm_metric_cider = {
    .name = "cider",
    .definition =
        "CIDEr (0..10), mean over rows, of up to 4 words split at white space, as pycocoevalcap 1.2 computes it: clipped, "
        "sigma 6, document frequencies from the references of this file (in the interval too).",
    .signature = "pycocoevalcap1.2.n4.sigma6.df:references.space",
    .columns = 1,
    .order = ORDERS,
    .measure = measure,
    .finish = pfm_metric_mean,
};
