/* Cohen's kappa (A Coefficient of Agreement for Nominal Scales, 1960) and its weighted forms (Weighted Kappa, 1968), as
 * scikit-learn's cohen_kappa_score: 1 - sum(w x) / sum(w e), x the counted cells, e what the margins make expected. A weight is
 * the distance of two levels by their number among the levels (1 where they differ; |i - j|; (i - j)^2), so that a level which
 * nobody gave and which was not named is no step. Undefined where both gave one and the same level throughout. */
#include "eval/rated_pair.h"

#include <math.h>
#include <string.h>

/* What is expected times n, from the margins over levels, in one pass over these. */
static double expect_other(const double *a, const double *b, size_t levels, double n)
{
    double same = 0;
    for (size_t i = 0; i < levels; i++)
        same += a[i] * b[i];
    return n * n - same;
}

/* |i - j| is how many thresholds lie between i and j. */
static double expect_steps(const double *a, const double *b, size_t levels, double n)
{
    double sum = 0, below_a = 0, below_b = 0;
    for (size_t i = 0; i + 1 < levels; i++) {
        below_a += a[i];
        below_b += b[i];
        sum += below_a * (n - below_b) + below_b * (n - below_a);
    }
    return sum;
}

static double expect_squares(const double *a, const double *b, size_t levels, double n)
{
    double a1 = 0, a2 = 0, b1 = 0, b2 = 0;
    for (size_t i = 0; i < levels; i++) {
        double x = (double)i;
        a1 += a[i] * x;
        a2 += a[i] * x * x;
        b1 += b[i] * x;
        b2 += b[i] * x * x;
    }
    return n * (a2 + b2) - 2 * a1 * b1;
}

static double distance(uint32_t i, uint32_t j, int power)
{
    double steps = i > j ? i - j : j - i;
    return power == 0 ? (i != j) : power == 1 ? steps : steps * steps;
}

static double kappa(const pfm_rated_counts *counts, int power)
{
    static double (*const expect[])(const double *, const double *, size_t, double) = {expect_other, expect_steps,
                                                                                       expect_squares};
    const pfm_rated_pair *pair = counts->pair;
    size_t levels = pair->level_count;
    double *a = counts->room, *b = a + levels, seen = 0, n = (double)counts->n;
    if (levels == 0)
        return NAN;
    memset(a, 0, 2 * levels * sizeof *a);
    for (size_t c = 0; c < pair->cell_count; c++) {
        uint32_t i = pair->a_level[pair->cell_a[c]], j = pair->b_level[pair->cell_b[c]];
        a[i] += counts->times[c];
        b[j] += counts->times[c];
        seen += counts->times[c] * distance(i, j, power);
    }
    double expected = expect[power](a, b, levels, n);
    return expected > 0 ? 1 - seen * n / expected : NAN;
}

static double compute_cohen(const pfm_rated_counts *counts) { return kappa(counts, 0); }
static double compute_linear(const pfm_rated_counts *counts) { return kappa(counts, 1); }
static double compute_quadratic(const pfm_rated_counts *counts) { return kappa(counts, 2); }

const pfm_rated_measure pfm_rated_cohen = {.name = "cohen",
                                           .definition = "Cohen's kappa, each level as far from each other one.",
                                           .of_levels = true,
                                           .compute = compute_cohen};
const pfm_rated_measure pfm_rated_kappa_linear = {.name = "kappa_linear",
                                                  .definition = "Cohen's kappa weighted by steps between levels.",
                                                  .of_levels = true,
                                                  .compute = compute_linear};
const pfm_rated_measure pfm_rated_kappa_quadratic = {.name = "kappa_quadratic",
                                                     .definition = "Cohen's kappa weighted by squared steps between levels.",
                                                     .of_levels = true,
                                                     .compute = compute_quadratic};
