/* Pearson's correlation of scores, and of their mean ranks (Spearman), as scipy.stats.pearsonr and spearmanr: undefined where a
 * column is constant, which one item is. */
#include "eval/rated_pair.h"

static double compute_pearson(const pfm_rated_counts *counts)
{
    const pfm_rated_pair *pair = counts->pair;
    double *of_a = counts->room, *of_b = of_a + pair->a_count;
    pfm_rated_margins(counts, of_a, of_b);
    return pfm_rated_correlation(counts, pair->a, pair->b, of_a, of_b);
}

/* Items of one score share the mean of their ranks. */
static void take_ranks(const double *margin, size_t count, double *ranks)
{
    double below = 0;
    for (size_t i = 0; i < count; i++) {
        ranks[i] = below + (margin[i] + 1) / 2;
        below += margin[i];
    }
}

static double compute_spearman(const pfm_rated_counts *counts)
{
    const pfm_rated_pair *pair = counts->pair;
    double *of_a = counts->room, *of_b = of_a + pair->a_count, *x = of_b + pair->b_count, *y = x + pair->a_count;
    pfm_rated_margins(counts, of_a, of_b);
    take_ranks(of_a, pair->a_count, x);
    take_ranks(of_b, pair->b_count, y);
    return pfm_rated_correlation(counts, x, y, of_a, of_b);
}

const pfm_rated_measure pfm_rated_pearson = {
    .name = "pearson", .definition = "Pearson's correlation of the scores.", .compute = compute_pearson};
const pfm_rated_measure pfm_rated_spearman = {.name = "spearman",
                                              .definition =
                                                  "Spearman's correlation: Pearson's of the ranks, ties sharing their mean.",
                                              .compute = compute_spearman};
