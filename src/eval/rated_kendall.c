/* Kendall's tau-b (The Treatment of Ties in Ranking Problems, 1945), as scipy.stats.kendalltau: pairs of items in the same
 * order less those in the opposite one, over the geometric mean of the pairs that each column does not tie. Undefined where a
 * column is constant. In n log n: cells come in the order of a, and a tree of sums (Fenwick, 1994) counts those of before by b.
 */
#include "eval/rated_pair.h"

#include <math.h>
#include <string.h>

/* Sums up to 2^53 are exact in doubles: 90 million items. */
static void tree_add(double *tree, size_t count, size_t index, double value)
{
    for (size_t i = index + 1; i <= count; i += i & (~i + 1))
        tree[i - 1] += value;
}

/* The sum of what was added to numbers below `index`. */
static double tree_below(const double *tree, size_t index)
{
    double sum = 0;
    for (size_t i = index; i > 0; i -= i & (~i + 1))
        sum += tree[i - 1];
    return sum;
}

static double count_tied(const double *margin, size_t count)
{
    double pairs = 0;
    for (size_t i = 0; i < count; i++)
        pairs += margin[i] * (margin[i] - 1) / 2;
    return pairs;
}

/* Concordant less discordant pairs. Cells of the same a are counted before any of them is added. */
static double count_order(const pfm_rated_counts *counts, double *tree)
{
    const pfm_rated_pair *pair = counts->pair;
    double order = 0, before = 0;
    memset(tree, 0, pair->b_count * sizeof *tree);
    for (size_t first = 0, end; first < pair->cell_count; first = end) {
        for (end = first; end < pair->cell_count && pair->cell_a[end] == pair->cell_a[first]; end++) {
            if (counts->times[end] > 0)
                order += counts->times[end] *
                         (tree_below(tree, pair->cell_b[end]) - (before - tree_below(tree, (size_t)pair->cell_b[end] + 1)));
        }
        for (size_t c = first; c < end; c++) {
            if (counts->times[c] > 0)
                tree_add(tree, pair->b_count, pair->cell_b[c], counts->times[c]);
            before += counts->times[c];
        }
    }
    return order;
}

static double compute_kendall(const pfm_rated_counts *counts)
{
    const pfm_rated_pair *pair = counts->pair;
    double *of_a = counts->room, *of_b = of_a + pair->a_count, *tree = of_b + pair->b_count;
    pfm_rated_margins(counts, of_a, of_b);
    if (pfm_rated_is_constant(of_a, pair->a_count) || pfm_rated_is_constant(of_b, pair->b_count))
        return NAN;
    double n = (double)counts->n, all = n * (n - 1) / 2;
    double untied_a = all - count_tied(of_a, pair->a_count), untied_b = all - count_tied(of_b, pair->b_count);
    return fmax(-1, fmin(1, count_order(counts, tree) / sqrt(untied_a) / sqrt(untied_b)));
}

const pfm_rated_measure pfm_rated_kendall = {.name = "kendall",
                                             .definition = "Kendall's tau-b: order of pairs of items, ties taken into account.",
                                             .compute = compute_kendall};
