/* Mean absolute difference of two columns of scores, in points of the scale. */
#include "eval/rated_pair.h"

#include <math.h>

static double compute_difference(const pfm_rated_counts *counts)
{
    const pfm_rated_pair *pair = counts->pair;
    double sum = 0;
    for (size_t c = 0; c < pair->cell_count; c++)
        sum += counts->times[c] * fabs(pair->a[pair->cell_a[c]] - pair->b[pair->cell_b[c]]);
    return sum / (double)counts->n;
}

const pfm_rated_measure pfm_rated_mean_abs_diff = {.name = "mean_abs_diff",
                                                   .definition = "Mean absolute difference of the scores.",
                                                   .of_levels = true,
                                                   .compute = compute_difference};
