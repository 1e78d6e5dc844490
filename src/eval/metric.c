#include "eval/metric.h"

#include "base/try.h"
#include "eval/bootstrap.h"
#include "eval/metric_list.h"
#include "pefomed/context.h"
#include "pefomed/words.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DECLARE(name) extern const pfm_metric pfm_metric_##name;
PFM_METRIC_LIST(DECLARE)
#define ADDRESS(name) &pfm_metric_##name,
const pfm_metric *const pfm_metrics[] = {PFM_METRIC_LIST(ADDRESS) NULL};
_Static_assert(sizeof pfm_metrics / sizeof pfm_metrics[0] <= PFM_METRIC_MAX_COUNT, "a selection holds every metric");

double pfm_metric_mean(const pfm_metric *metric, const double *sums, double rows)
{
    (void)metric;
    return rows > 0 ? sums[0] / rows : NAN;
}

double pfm_metric_percentage(const pfm_metric *metric, const double *sums, double rows)
{
    return 100 * pfm_metric_mean(metric, sums, rows);
}

static const pfm_metric *find_metric(const char *name, size_t length)
{
    for (size_t i = 0; pfm_metrics[i] != NULL; i++) {
        if (strlen(pfm_metrics[i]->name) == length && strncmp(pfm_metrics[i]->name, name, length) == 0)
            return pfm_metrics[i];
    }
    return NULL;
}

const pfm_metric *pfm_metric_find(const char *name) { return find_metric(name, strlen(name)); }

static pfm_status refuse_name(const char *name, size_t length, pfm_error *err)
{
    pfm_buffer known = {0};
    char *word = NULL;
    const char *names[PFM_METRIC_MAX_COUNT];
    size_t count = 0;
    pfm_status status = PFM_OK;
    for (; pfm_metrics[count] != NULL && count < PFM_METRIC_MAX_COUNT; count++) {
        names[count] = pfm_metrics[count]->name;
        PFM_TRY(pfm_buffer_append_format(&known, err, "%s%s", count == 0 ? "" : ", ", names[count]));
    }
    PFM_TRY(pfm_string_copy_n(name, length > 60 ? 60 : length, &word, err));
    const char *nearest = pfm_words_nearest(word, names, count);
    status = pfm_error_set(err, PFM_ERROR_USAGE, "there is no metric '%s'%s%s%s; there are %s", word,
                           nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                           nearest == NULL ? "" : "'?", known.data);
done:
    free(word);
    pfm_buffer_free(&known);
    return status;
}

/* The metric before the m-th whose numbers it shares, or m. */
static size_t find_sharer(const pfm_metric_selection *chosen, size_t m)
{
    for (size_t k = 0; k < m && chosen->metrics[m]->shared; k++) {
        if (chosen->metrics[k]->measure == chosen->metrics[m]->measure)
            return k;
    }
    return m;
}

pfm_status pfm_metrics_add(pfm_metric_selection *out, const pfm_metric *metric, pfm_error *err)
{
    size_t m = out->count;
    for (size_t k = 0; k < m; k++) {
        if (strcmp(out->metrics[k]->name, metric->name) == 0)
            return pfm_error_set(err, PFM_ERROR_USAGE, "the metric '%s' is named twice", metric->name);
    }
    if (m == PFM_METRIC_MAX_COUNT)
        return pfm_error_set(err, PFM_ERROR_USAGE, "more than %d metrics at once; score them in parts", PFM_METRIC_MAX_COUNT);
    assert(metric->columns <= PFM_METRIC_MAX_COLUMNS);
    out->metrics[m] = metric;
    out->count++;
    size_t sharer = find_sharer(out, m);
    out->first[m] = sharer < m ? out->first[sharer] : out->columns;
    out->columns += sharer < m ? 0 : metric->columns;
    return PFM_OK;
}

pfm_status pfm_metrics_select(const char *names, pfm_metric_selection *out, pfm_error *err)
{
    while (*names != '\0') {
        size_t length = strcspn(names, ",");
        const pfm_metric *metric = find_metric(names, length);
        if (metric == NULL)
            return refuse_name(names, length, err);
        pfm_status status = pfm_metrics_add(out, metric, err);
        if (status != PFM_OK)
            return status;
        names += length + (names[length] == ',');
    }
    if (out->count == 0)
        return refuse_name("", 0, err);
    return PFM_OK;
}

pfm_status pfm_metrics_check(const char *names, pfm_error *err)
{
    pfm_metric_selection chosen = {0};
    return pfm_metrics_select(names, &chosen, err);
}

static void finish_all(const void *user, const double *sums, double *values)
{
    const pfm_metric_selection *chosen = user;
    for (size_t m = 0; m < chosen->count; m++)
        values[m] = chosen->metrics[m]->finish(chosen->metrics[m], sums + chosen->first[m], sums[chosen->columns]);
}

/* Metrics that are measured at once; each has its own numbers and its own error. */
typedef struct measurement {
    const pfm_metric *metric;
    const pfm_answer_set *set;
    double *numbers; /* [rows, columns] */
    pfm_status status;
    pfm_error error;
    size_t first; /* column */
} measurement;

static void measure_one(void *user, int item, int thread)
{
    (void)thread;
    measurement *m = (measurement *)user + item;
    m->status = pfm_allocate(m->set->count, m->metric->columns * sizeof *m->numbers, &m->numbers, &m->error);
    if (m->status == PFM_OK)
        m->status = m->metric->measure(m->metric, m->set, m->numbers, &m->error);
}

static void add_numbers(const measurement *m, const pfm_answer_set *first, const size_t *where, size_t width, double *units)
{
    for (size_t i = 0; i < first->count; i++) {
        double *unit = units + first->rows[i].image * width + m->first;
        const double *row = m->numbers + (where != NULL ? where[i] : i) * m->metric->columns;
        for (size_t c = 0; c < m->metric->columns; c++)
            unit[c] += row[c];
    }
}

pfm_status pfm_metrics_sum(const pfm_metric_selection *chosen, const pfm_answer_set *set, const pfm_answer_set *first,
                           const size_t *where, size_t width, pfm_threads *threads, double *units, pfm_error *err)
{
    pfm_status status = PFM_OK;
    measurement *list = NULL;
    size_t count = 0, together = 0;
    PFM_TRY(pfm_allocate(chosen->count, sizeof *list, &list, err));
    for (int alone = 0; alone < 2; alone++) { /* those that use all threads come last */
        for (size_t m = 0; m < chosen->count; m++) {
            if (find_sharer(chosen, m) == m && (chosen->metrics[m]->network != PFM_NETWORK_NONE) == (alone == 1))
                list[count++] = (measurement){.metric = chosen->metrics[m], .set = set, .first = chosen->first[m]};
        }
        together = alone == 0 ? count : together;
    }
    if (threads != NULL)
        pfm_threads_run(threads, (int)together, measure_one, list);
    for (size_t m = threads != NULL ? together : 0; m < count; m++)
        measure_one(list, (int)m, 0);
    for (size_t m = 0; m < count; m++) {
        if (list[m].status != PFM_OK)
            PFM_FAIL(list[m].status, "%s", list[m].error.message);
        add_numbers(&list[m], first, where, width, units);
    }
done:
    for (size_t m = 0; m < count; m++)
        free(list[m].numbers);
    free(list);
    return status;
}

/* *out [images, columns + 1] = the sums of the rows of each image. */
static pfm_status sum_images(const pfm_answer_set *set, const pfm_metric_selection *chosen, pfm_threads *threads, double **out,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    double *units = NULL;
    size_t width = chosen->columns + 1;
    PFM_TRY(pfm_allocate(set->images.count, width * sizeof *units, &units, err));
    PFM_TRY(pfm_metrics_sum(chosen, set, set, NULL, width, threads, units, err));
    for (size_t i = 0; i < set->count; i++)
        units[set->rows[i].image * width + chosen->columns]++;
    *out = units;
    units = NULL;
done:
    free(units);
    return status;
}

/* "1", or "1-4" where rows have from 1 to 4 references. */
static pfm_status add_reference_counts(const pfm_answer_set *set, pfm_buffer *text, pfm_error *err)
{
    size_t least = SIZE_MAX, most = 0;
    for (size_t i = 0; i < set->count; i++) {
        size_t count = set->rows[i].reference_count;
        least = count < least ? count : least;
        most = count > most ? count : most;
    }
    return least >= most ? pfm_buffer_append_format(text, err, "refs:%zu|", most)
                         : pfm_buffer_append_format(text, err, "refs:%zu-%zu|", least, most);
}

pfm_status pfm_metrics_sign(const pfm_answer_set *set, const pfm_metric_selection *chosen, const char *profile,
                            const char *prepared, uint64_t seed, json_t *out, pfm_error *err)
{
    pfm_buffer text = {0};
    pfm_status status = PFM_OK;
    if (profile != NULL)
        PFM_TRY(pfm_buffer_append_format(&text, err, "%s|", profile));
    for (size_t m = 0; m < chosen->count; m++) {
        const pfm_metric *metric = chosen->metrics[m];
        PFM_TRY(pfm_buffer_append_format(&text, err, "%s[%s", metric->name, metric->signature));
        if (metric->sign != NULL)
            PFM_TRY(metric->sign(metric, set, &text, err));
        PFM_TRY(pfm_buffer_append_string(&text, "]|", err));
    }
    if (prepared != NULL)
        PFM_TRY(pfm_buffer_append_format(&text, err, "%s|", prepared));
    PFM_TRY(add_reference_counts(set, &text, err));
    PFM_TRY(pfm_buffer_append_format(&text, err, "ci95:bootstrap.images.%d.percentile.seed%llu|version:%s",
                                     PFM_BOOTSTRAP_SAMPLES, (unsigned long long)seed, pfm_version()));
    PFM_TRY(pfm_json_take(out, "signature", json_string(text.data), err));
done:
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_metrics_write(const pfm_metric_selection *chosen, const double *values, const double *low, const double *high,
                             json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *metrics = json_object(), *intervals = json_object();
    PFM_TRY(pfm_json_take(out, "metrics", json_incref(metrics), err));
    PFM_TRY(pfm_json_take(out, "ci95", json_incref(intervals), err));
    for (size_t m = 0; m < chosen->count; m++) {
        const char *name = chosen->metrics[m]->name;
        PFM_TRY(pfm_json_take(metrics, name, pfm_json_number(values[m]), err));
        PFM_TRY(pfm_json_take(intervals, name, isnan(low[m]) ? json_null() : json_pack("[f,f]", low[m], high[m]), err));
    }
done:
    json_decref(metrics);
    json_decref(intervals);
    return status;
}

static pfm_status write_result(const pfm_answer_set *set, const pfm_metric_selection *chosen, const double *units,
                               uint64_t seed, pfm_threads *threads, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    double low[PFM_METRIC_MAX_COUNT], high[PFM_METRIC_MAX_COUNT], values[PFM_METRIC_MAX_COUNT], *sums = NULL;
    size_t width = chosen->columns + 1;
    PFM_TRY(pfm_json_take(out, "profile", json_null(), err));
    PFM_TRY(pfm_json_take(out, "n", json_integer((json_int_t)set->count), err));
    PFM_TRY(pfm_allocate(width, sizeof *sums, &sums, err));
    for (size_t i = 0; i < set->images.count * width; i++)
        sums[i % width] += units[i];
    finish_all(chosen, sums, values);
    pfm_bootstrap plan = {units,  set->images.count,     width, chosen->count, finish_all,
                          chosen, PFM_BOOTSTRAP_SAMPLES, seed,  threads};
    PFM_TRY(pfm_bootstrap_run(&plan, low, high, err));
    PFM_TRY(pfm_metrics_write(chosen, values, low, high, out, err));
    PFM_TRY(pfm_metrics_sign(set, chosen, NULL, NULL, seed, out, err));
done:
    free(sums);
    return status;
}

pfm_status pfm_score_metrics(const pfm_answer_set *set, const char *names, uint64_t seed, pfm_threads *threads, json_t **out,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_metric_selection chosen = {0};
    double *units = NULL;
    json_t *result = NULL;
    PFM_TRY(pfm_metrics_select(names, &chosen, err));
    PFM_TRY(sum_images(set, &chosen, threads, &units, err));
    result = json_object();
    PFM_TRY(write_result(set, &chosen, units, seed, threads, result, err));
    *out = result;
    result = NULL;
done:
    free(units);
    json_decref(result);
    return status;
}
