/* How far the table of a judge would be another one on other items: intervals over items, whose repeats stay together. */
#include "base/context.h"
#include "base/json.h"
#include "base/try.h"
#include "eval/judge_internal.h"
#include "eval/resample.h"

#include <math.h>
#include <stdlib.h>

/* What an item adds, and what is made of it. */
enum { SCORES, OK, ALL, PAIRS, SAME, DIFFERENCES, SUMS };
enum { MEAN, MEAN_ALL, AGREEMENT, DIFFERENCE, VALUES };
static const char *const names[VALUES] = {"mean", "mean_all", "exact_agreement", "mean_abs_diff"};

static void count_item(const pfm_judging *j, size_t item, double sums[SUMS])
{
    const int repeats = j->options->repeats;
    sums[ALL] = repeats;
    for (int a = 1; a <= repeats; a++) {
        const pfm_verdict *x = pfm_judge_verdict(j, item, a);
        if (x->state != PFM_VERDICT_OK)
            continue;
        sums[SCORES] += x->score;
        sums[OK]++;
        for (int b = a + 1; b <= repeats; b++) {
            const pfm_verdict *y = pfm_judge_verdict(j, item, b);
            if (y->state != PFM_VERDICT_OK)
                continue;
            sums[PAIRS]++;
            sums[SAME] += x->score == y->score;
            sums[DIFFERENCES] += fabs((double)x->score - y->score);
        }
    }
}

static void compute(const void *user, const double *sums, double *values)
{
    const pfm_judging *j = user;
    values[MEAN] = sums[OK] > 0 ? sums[SCORES] / sums[OK] : NAN;
    values[MEAN_ALL] = sums[ALL] > 0 ? (sums[SCORES] + (sums[ALL] - sums[OK]) * j->rubric->missing) / sums[ALL] : NAN;
    values[AGREEMENT] = sums[PAIRS] > 0 ? 100 * sums[SAME] / sums[PAIRS] : NAN;
    values[DIFFERENCE] = sums[PAIRS] > 0 ? sums[DIFFERENCES] / sums[PAIRS] : NAN;
}

static pfm_status put(json_t *out, const char *name, double low, double high, pfm_error *err)
{
    json_t *interval = isnan(low) || isnan(high) ? json_null() : json_pack("[f,f]", low, high);
    return pfm_json_take(out, name, interval, err);
}

static pfm_status describe_means(const pfm_judging *j, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    double *units = NULL, low[VALUES], high[VALUES];
    PFM_TRY(pfm_allocate(j->count * SUMS, sizeof *units, &units, err));
    for (size_t i = 0; i < j->count; i++)
        count_item(j, i, units + i * SUMS);
    const pfm_bootstrap bootstrap = {.units = units,
                                     .count = j->count,
                                     .columns = SUMS,
                                     .values = VALUES,
                                     .statistics = compute,
                                     .user = j,
                                     .samples = PFM_BOOTSTRAP_SAMPLES,
                                     .seed = j->context->seed,
                                     .threads = j->context->threads};
    PFM_TRY(pfm_bootstrap_run(&bootstrap, low, high, err));
    for (size_t v = 0; v < VALUES; v++)
        PFM_TRY(put(out, names[v], low[v], high[v], err));
done:
    free(units);
    return status;
}

static pfm_status describe_length(const pfm_judging *j, const pfm_judged *items, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_rated_pair pair = {0};
    double value = NAN, low = NAN, high = NAN;
    PFM_TRY(pfm_judged_pair_create(items, j->count, &pair, err));
    if (pair.n >= PFM_JUDGE_FEWEST_RANKED) {
        const pfm_rated_single single = {&pair, &pfm_rated_spearman};
        const pfm_resampled_figures figure = {.compute = pfm_rated_single_measure,
                                              .user = &single,
                                              .values = 1,
                                              .scratch_bytes = pfm_rated_pair_scratch(&pair),
                                              .value = &value,
                                              .low = &low,
                                              .high = &high};
        const pfm_resample_options options = {.items = j->count,
                                              .samples = PFM_BOOTSTRAP_SAMPLES,
                                              .seed = j->context->seed,
                                              .threads = j->context->threads,
                                              .interrupt = j->context->interrupt};
        PFM_TRY(pfm_resample_run(&figure, 1, &options, err));
    }
    PFM_TRY(put(out, "length", low, high, err));
done:
    pfm_rated_pair_free(&pair);
    return status;
}

pfm_status pfm_judge_intervals(const pfm_judging *j, const pfm_judged *items, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *object = json_object();
    PFM_TRY(describe_means(j, object, err));
    PFM_TRY(describe_length(j, items, object, err));
    PFM_TRY(pfm_json_take(out, "ci95", json_incref(object), err));
done:
    json_decref(object);
    return status;
}
