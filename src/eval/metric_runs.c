#include "eval/metric_runs.h"

#include "base/try.h"
#include "eval/bootstrap.h"

#include <stdlib.h>

/* What a sample of images sums up: the columns of every run of the system, then of the other, then the number of rows. */
typedef struct sums_of_runs {
    pfm_metric_selection chosen;
    size_t runs, other_runs, width; /* width: of all */
} sums_of_runs;

static double mean_over_runs(const sums_of_runs *s, size_t metric, size_t first_run, size_t runs, const double *sums)
{
    const pfm_metric *m = s->chosen.metrics[metric];
    double sum = 0;
    for (size_t r = first_run; r < first_run + runs; r++)
        sum += m->finish(m, sums + r * s->chosen.columns + s->chosen.first[metric], sums[s->width - 1]);
    return sum / (double)runs;
}

static void finish_all(const void *user, const double *sums, double *values)
{
    const sums_of_runs *s = user;
    for (size_t m = 0; m < s->chosen.count; m++) {
        values[m] = mean_over_runs(s, m, 0, s->runs, sums);
        if (s->other_runs > 0)
            values[m] -= mean_over_runs(s, m, s->runs, s->other_runs, sums);
    }
}

static pfm_status add_system(const sums_of_runs *s, pfm_answer_set *first, pfm_answer_runs *system, size_t column,
                             double *units, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t *match = NULL, *where = NULL;
    PFM_TRY(pfm_allocate(first->count, sizeof *match, &match, err));
    PFM_TRY(pfm_allocate(first->count, sizeof *where, &where, err));
    pfm_answer_set *runs = system->runs;
    PFM_TRY(pfm_answer_set_match(first, NULL, &runs[0], system->names[0], match, err));
    for (size_t r = 0; r < system->run_count; r++) {
        for (size_t i = 0; i < first->count; i++)
            where[i] = system->order[r][match[i]];
        PFM_TRY(pfm_metrics_sum(&s->chosen, &runs[r], first, where, s->width, units + column + r * s->chosen.columns, err));
    }
done:
    free(match);
    free(where);
    return status;
}

pfm_status pfm_score_metric_runs(pfm_answer_runs *system, pfm_answer_runs *other, const char *names, uint64_t seed,
                                 pfm_threads *threads, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sums_of_runs s = {.runs = system->run_count, .other_runs = other != NULL ? other->run_count : 0};
    double *units = NULL, *sums = NULL, values[PFM_METRIC_MAX_COUNT], low[PFM_METRIC_MAX_COUNT], high[PFM_METRIC_MAX_COUNT];
    json_t *result = json_object();
    pfm_answer_set *first = &system->runs[0];
    PFM_TRY(pfm_metrics_select(names, &s.chosen, err));
    s.width = (s.runs + s.other_runs) * s.chosen.columns + 1;
    PFM_TRY(pfm_allocate(first->images.count, s.width * sizeof *units, &units, err));
    PFM_TRY(pfm_allocate(s.width, sizeof *sums, &sums, err));
    PFM_TRY(add_system(&s, first, system, 0, units, err));
    if (other != NULL)
        PFM_TRY(add_system(&s, first, other, s.runs * s.chosen.columns, units, err));
    for (size_t i = 0; i < first->count; i++)
        units[first->rows[i].image * s.width + s.width - 1]++;
    for (size_t i = 0; i < first->images.count * s.width; i++)
        sums[i % s.width] += units[i];
    finish_all(&s, sums, values);
    const pfm_bootstrap plan = {.units = units,
                                .count = first->images.count,
                                .columns = s.width,
                                .values = s.chosen.count,
                                .statistics = finish_all,
                                .user = &s,
                                .samples = PFM_BOOTSTRAP_SAMPLES,
                                .seed = seed,
                                .threads = threads};
    PFM_TRY(pfm_bootstrap_run(&plan, low, high, err));
    PFM_TRY(pfm_metrics_write(&s.chosen, values, low, high, result, err));
    *out = result;
    result = NULL;
done:
    free(units);
    free(sums);
    json_decref(result);
    return status;
}
