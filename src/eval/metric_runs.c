#include "eval/metric_runs.h"

#include "base/try.h"
#include "eval/bootstrap.h"
#include "eval/permutation.h"

#include <math.h>
#include <stdlib.h>

/* What a sample of images sums up: the columns of every run of the system, then of the other, then the number of rows. */
typedef struct sums_of_runs {
    const pfm_metric_selection *chosen;
    size_t runs, other_runs, width; /* width: of all */
    double *units;                  /* [images, width] */
    size_t count;                   /* images */
    const double *sums;             /* [width] of all images, for exchanges */
} sums_of_runs;

/* Each metric of the system, then (where there is another one) each difference. */
typedef struct figures {
    double value[2 * PFM_METRIC_MAX_COUNT], low[2 * PFM_METRIC_MAX_COUNT], high[2 * PFM_METRIC_MAX_COUNT],
        p[PFM_METRIC_MAX_COUNT];
} figures;

static double mean_over_runs(const sums_of_runs *s, size_t metric, size_t first_run, size_t runs, const double *sums)
{
    const pfm_metric *m = s->chosen->metrics[metric];
    double sum = 0;
    for (size_t r = first_run; r < first_run + runs; r++)
        sum += m->finish(m, sums + r * s->chosen->columns + s->chosen->first[metric], sums[s->width - 1]);
    return sum / (double)runs;
}

static void finish_all(const void *user, const double *sums, double *values)
{
    const sums_of_runs *s = user;
    for (size_t m = 0; m < s->chosen->count; m++) {
        values[m] = mean_over_runs(s, m, 0, s->runs, sums);
        if (s->other_runs > 0)
            values[s->chosen->count + m] = values[m] - mean_over_runs(s, m, s->runs, s->other_runs, sums);
    }
}

static pfm_status add_system(const sums_of_runs *s, pfm_answer_set *first, pfm_answer_runs *system, size_t column,
                             pfm_threads *threads, pfm_error *err)
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
        PFM_TRY(pfm_metrics_sum(s->chosen, &runs[r], first, where, s->width, threads,
                                s->units + column + r * s->chosen->columns, err));
    }
done:
    free(match);
    free(where);
    return status;
}

static pfm_status sum_systems(sums_of_runs *s, pfm_answer_runs *system, pfm_answer_runs *other, pfm_threads *threads,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_answer_set *first = &system->runs[0];
    s->runs = system->run_count;
    s->other_runs = other != NULL ? other->run_count : 0;
    s->width = (s->runs + s->other_runs) * s->chosen->columns + 1;
    s->count = first->images.count;
    PFM_TRY(pfm_allocate(s->count, s->width * sizeof *s->units, &s->units, err));
    PFM_TRY(add_system(s, first, system, 0, threads, err));
    if (other != NULL)
        PFM_TRY(add_system(s, first, other, s->runs * s->chosen->columns, threads, err));
    for (size_t i = 0; i < first->count; i++)
        s->units[first->rows[i].image * s->width + s->width - 1]++;
done:
    return status;
}

static pfm_status find_figures(sums_of_runs *s, uint64_t seed, pfm_threads *threads, figures *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    double *sums = NULL;
    PFM_TRY(pfm_allocate(s->width, sizeof *sums, &sums, err));
    for (size_t i = 0; i < s->count * s->width; i++)
        sums[i % s->width] += s->units[i];
    finish_all(s, sums, out->value);
    const pfm_bootstrap plan = {.units = s->units,
                                .count = s->count,
                                .columns = s->width,
                                .values = s->chosen->count * (s->other_runs > 0 ? 2 : 1),
                                .statistics = finish_all,
                                .user = s,
                                .samples = PFM_BOOTSTRAP_SAMPLES,
                                .seed = seed,
                                .threads = threads};
    PFM_TRY(pfm_bootstrap_run(&plan, out->low, out->high, err));
done:
    free(sums);
    return status;
}

/* The differences where `sums` [runs, columns] is what the system's sums are above the middle of both, and the other's below
 * it. */
static void finish_exchanged(const void *user, const double *sums, double *values)
{
    const sums_of_runs *s = user;
    const size_t half = s->runs * s->chosen->columns;
    double rows = s->sums[s->width - 1];
    for (size_t m = 0; m < s->chosen->count; m++) {
        const pfm_metric *metric = s->chosen->metrics[m];
        double gap = 0, own[PFM_METRIC_MAX_COLUMNS], others[PFM_METRIC_MAX_COLUMNS];
        for (size_t r = 0; r < s->runs; r++) {
            const size_t first = r * s->chosen->columns + s->chosen->first[m];
            for (size_t c = 0; c < metric->columns; c++) {
                double middle = (s->sums[first + c] + s->sums[half + first + c]) / 2;
                own[c] = middle + sums[first + c];
                others[c] = middle - sums[first + c];
            }
            gap += metric->finish(metric, own, rows) - metric->finish(metric, others, rows);
        }
        values[m] = gap / (double)s->runs;
    }
}

/* Run r of the one is exchanged with run r of the other, so that both need as many. */
static pfm_status find_p(sums_of_runs *s, uint64_t seed, pfm_threads *threads, double *p, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t half = s->runs * s->chosen->columns;
    double *sums = NULL, *middle = NULL, *units = NULL;
    for (size_t m = 0; m < s->chosen->count; m++)
        p[m] = NAN;
    if (s->runs != s->other_runs)
        return PFM_OK;
    PFM_TRY(pfm_allocate(s->width, sizeof *sums, &sums, err));
    PFM_TRY(pfm_allocate(half, sizeof *middle, &middle, err));
    PFM_TRY(pfm_allocate(s->count, half * sizeof *units, &units, err));
    for (size_t i = 0; i < s->count; i++) {
        const double *unit = s->units + i * s->width;
        for (size_t c = 0; c < s->width; c++)
            sums[c] += unit[c];
        for (size_t c = 0; c < half; c++)
            units[i * half + c] = (unit[c] - unit[half + c]) / 2;
    }
    s->sums = sums;
    const pfm_permutation plan = {.middle = middle,
                                  .units = units,
                                  .count = s->count,
                                  .columns = half,
                                  .values = s->chosen->count,
                                  .statistics = finish_exchanged,
                                  .user = s,
                                  .seed = seed,
                                  .threads = threads};
    PFM_TRY(pfm_permutation_run(&plan, p, err));
done:
    s->sums = NULL;
    free(sums);
    free(middle);
    free(units);
    return status;
}

static json_t *interval_of(double low, double high) { return isnan(low) ? json_null() : json_pack("[f,f]", low, high); }

static pfm_status add_difference(const sums_of_runs *s, const pfm_answer_runs *system, const pfm_answer_runs *other,
                                 const figures *of, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *difference = json_object(), *metrics = json_object();
    const size_t count = s->chosen->count;
    PFM_TRY(pfm_json_take(out, "difference", json_incref(difference), err));
    PFM_TRY(pfm_json_take(difference, "against", pfm_answer_runs_files(other), err));
    PFM_TRY(pfm_json_take(difference, "n", json_integer((json_int_t)system->runs[0].count), err));
    PFM_TRY(pfm_json_take(difference, "n_images", json_integer((json_int_t)s->count), err));
    PFM_TRY(pfm_json_take(difference, "metrics", json_incref(metrics), err));
    for (size_t m = 0; m < count; m++) {
        double gap = of->value[count + m];
        json_t *figure = json_pack("{s:o,s:o,s:o,s:o,s:o}", "mean", pfm_json_number(gap), "ci95",
                                   interval_of(of->low[count + m], of->high[count + m]), "p", pfm_json_number(of->p[m]), "a",
                                   pfm_json_number(of->value[m]), "b", pfm_json_number(of->value[m] - gap));
        PFM_TRY(pfm_json_take(metrics, s->chosen->metrics[m]->name, figure, err));
    }
done:
    json_decref(difference);
    json_decref(metrics);
    return status;
}

pfm_status pfm_score_texts(pfm_answer_runs *system, pfm_answer_runs *other, const pfm_metric_plan *plan, json_t **out,
                           pfm_error *err)
{
    pfm_status status = PFM_OK;
    sums_of_runs s = {.chosen = plan->chosen};
    figures of;
    json_t *result = json_object();
    PFM_TRY(sum_systems(&s, system, other, plan->threads, err));
    PFM_TRY(find_figures(&s, plan->seed, plan->threads, &of, err));
    PFM_TRY(pfm_json_take(result, "profile", plan->profile == NULL ? json_null() : json_string(plan->profile), err));
    PFM_TRY(pfm_json_take(result, "n", json_integer((json_int_t)system->runs[0].count), err));
    PFM_TRY(pfm_metrics_write(plan->chosen, of.value, of.low, of.high, result, err));
    if (other != NULL) {
        PFM_TRY(find_p(&s, plan->seed, plan->threads, of.p, err));
        PFM_TRY(add_difference(&s, system, other, &of, result, err));
    }
    PFM_TRY(pfm_metrics_sign(&system->runs[0], plan->chosen, plan->profile, plan->prepared, plan->seed, result, err));
    *out = result;
    result = NULL;
done:
    free(s.units);
    json_decref(result);
    return status;
}

pfm_status pfm_score_metric_runs(pfm_answer_runs *system, pfm_answer_runs *other, const char *names, uint64_t seed,
                                 pfm_threads *threads, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_metric_selection chosen = {0};
    sums_of_runs s = {.chosen = &chosen};
    figures of;
    json_t *result = json_object();
    PFM_TRY(pfm_metrics_select(names, &chosen, err));
    PFM_TRY(sum_systems(&s, system, other, threads, err));
    PFM_TRY(find_figures(&s, seed, threads, &of, err));
    const size_t first = other != NULL ? chosen.count : 0;
    PFM_TRY(pfm_metrics_write(&chosen, of.value + first, of.low + first, of.high + first, result, err));
    *out = result;
    result = NULL;
done:
    free(s.units);
    json_decref(result);
    return status;
}
