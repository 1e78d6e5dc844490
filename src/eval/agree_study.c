#include "eval/agree_study.h"

#include "base/try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* So many pairs are prepared and drawn at once. */
enum { AT_ONCE = 64 };

typedef struct runner {
    const pfm_context *context;
    const pfm_ratings *ratings;
    pfm_study *study;
    pfm_resample_options options;
} runner;

/* ---- which pairs ---- */

typedef struct wanted {
    pfm_study_part part;
    const char *b_name; /* NULL: the column's */
    size_t a, b;
    double *b_scores; /* NULL: the column's; owned */
} wanted;

typedef struct wanted_list {
    wanted *items;
    size_t count, capacity;
} wanted_list;

static pfm_status want(wanted_list *list, pfm_study_part part, size_t a, size_t b, pfm_error *err)
{
    pfm_status status = pfm_array_reserve(&list->items, &list->capacity, list->count + 1, sizeof *list->items, err);
    if (status == PFM_OK)
        list->items[list->count++] = (wanted){.part = part, .a = a, .b = b};
    return status;
}

static bool is_rater(const pfm_ratings *r, size_t column)
{
    return r->columns[column].kind == PFM_RATING_PERSON || r->columns[column].kind == PFM_RATING_JUDGE;
}

static pfm_status want_raters(const pfm_ratings *r, wanted_list *list, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t a = 0; a < r->column_count; a++) {
        for (size_t b = a + 1; b < r->column_count && is_rater(r, a); b++) {
            if (is_rater(r, b))
                PFM_TRY(want(list, PFM_STUDY_PAIRS, a, b, err));
        }
    }
done:
    return status;
}

/* What everybody but one person says on the mean. */
static pfm_status take_others(const pfm_ratings *r, size_t person, double **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_allocate(r->item_count, sizeof **out, out, err));
    for (size_t i = 0; i < r->item_count; i++) {
        double sum = 0, count = 0;
        for (size_t c = 0; c < r->column_count; c++) {
            if (c == person || r->columns[c].kind != PFM_RATING_PERSON || isnan(r->columns[c].scores[i]))
                continue;
            sum += r->columns[c].scores[i];
            count++;
        }
        (*out)[i] = count > 0 ? sum / count : NAN;
    }
done:
    return status;
}

static pfm_status want_means(const pfm_ratings *r, wanted_list *list, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t mean = pfm_ratings_next(r, PFM_RATING_MEAN, 0);
    bool leave_out = pfm_ratings_count(r, PFM_RATING_PERSON) > 2;
    for (size_t c = 0; c < r->column_count && mean < r->column_count; c++) {
        if (r->columns[c].kind == PFM_RATING_JUDGE)
            PFM_TRY(want(list, PFM_STUDY_MEAN, c, mean, err));
        if (r->columns[c].kind != PFM_RATING_PERSON || !leave_out)
            continue;
        PFM_TRY(want(list, PFM_STUDY_MEAN, c, mean, err));
        list->items[list->count - 1].b_name = "mean of the others";
        PFM_TRY(take_others(r, c, &list->items[list->count - 1].b_scores, err));
    }
done:
    return status;
}

static pfm_status want_metrics(const pfm_ratings *r, wanted_list *list, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t m = pfm_ratings_next(r, PFM_RATING_METRIC, 0); m < r->column_count;
         m = pfm_ratings_next(r, PFM_RATING_METRIC, m + 1)) {
        for (size_t c = 0; c < r->column_count; c++) {
            if (is_rater(r, c) || r->columns[c].kind == PFM_RATING_MEAN)
                PFM_TRY(want(list, PFM_STUDY_METRICS, m, c, err));
        }
    }
    for (size_t d = pfm_ratings_next(r, PFM_RATING_DUPLICATE, 0); d < r->column_count;
         d = pfm_ratings_next(r, PFM_RATING_DUPLICATE, d + 1))
        PFM_TRY(want(list, PFM_STUDY_DUPLICATES, r->columns[d].parent, d, err));
done:
    return status;
}

/* ---- pairs ---- */

static size_t count_same(const double *a, const double *b, size_t items)
{
    size_t same = 0;
    for (size_t i = 0; i < items; i++)
        same += a[i] == b[i]; /* NaN equals nothing */
    return same;
}

static pfm_status measure_some(runner *r, const wanted *list, size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_rated_pair pairs[AT_ONCE] = {0};
    pfm_resampled_figures figures[AT_ONCE] = {0};
    const pfm_ratings *of = r->ratings;
    for (size_t i = 0; i < count; i++) {
        const wanted *w = &list[i];
        const double *a = of->columns[w->a].scores, *b = w->b_scores != NULL ? w->b_scores : of->columns[w->b].scores;
        pfm_study_pair *into = &r->study->pairs[r->study->pair_count + i];
        bool metric = w->part == PFM_STUDY_METRICS;
        PFM_TRY(pfm_rated_pair_create(a, b, of->item_count, metric ? NULL : of->levels, of->level_count, &pairs[i], err));
        *into = (pfm_study_pair){.part = w->part,
                                 .a = of->columns[w->a].name,
                                 .b = w->b_name != NULL ? w->b_name : of->columns[w->b].name,
                                 .n = pairs[i].n,
                                 .same = count_same(a, b, of->item_count)};
        figures[i] = (pfm_resampled_figures){.compute = pfm_rated_pair_measure,
                                             .user = &pairs[i],
                                             .values = pfm_rated_measure_count(),
                                             .scratch_bytes = pfm_rated_pair_scratch(&pairs[i]),
                                             .value = into->values,
                                             .low = into->low,
                                             .high = into->high};
    }
    PFM_TRY(pfm_resample_run(figures, count, &r->options, err));
    r->study->pair_count += count;
done:
    for (size_t i = 0; i < count; i++)
        pfm_rated_pair_free(&pairs[i]);
    return status;
}

static pfm_status run_pairs(runner *r, pfm_error *err)
{
    pfm_status status = PFM_OK;
    wanted_list list = {0};
    PFM_TRY(want_raters(r->ratings, &list, err));
    PFM_TRY(want_means(r->ratings, &list, err));
    PFM_TRY(want_metrics(r->ratings, &list, err));
    PFM_TRY(pfm_array_reserve(&r->study->pairs, &r->study->pair_capacity, list.count + 1, sizeof *r->study->pairs, err));
    for (size_t first = 0; first < list.count; first += AT_ONCE) {
        size_t count = list.count - first < AT_ONCE ? list.count - first : AT_ONCE;
        PFM_TRY(measure_some(r, list.items + first, count, err));
        pfm_report_progress(r->context, "agreement", "pairs", (double)(first + count), (double)list.count, "");
    }
done:
    for (size_t i = 0; i < list.count; i++)
        free(list.items[i].b_scores);
    free(list.items);
    return status;
}

/* ---- groups ---- */

static pfm_status run_group(runner *r, const double *const *columns, size_t count, pfm_study_group *into, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_rated_group group = {0};
    into->columns = count;
    PFM_TRY(pfm_rated_group_create(columns, count, r->ratings->item_count, &group, err));
    into->paired = group.paired;
    into->fullest = group.fullest;
    into->most = group.most;
    const pfm_resampled_figures figures = {.compute = pfm_rated_group_measure,
                                           .user = &group,
                                           .values = PFM_GROUP_VALUES,
                                           .scratch_bytes = pfm_rated_group_scratch(&group),
                                           .value = into->values,
                                           .low = into->low,
                                           .high = into->high};
    PFM_TRY(pfm_resample_run(&figures, 1, &r->options, err));
done:
    pfm_rated_group_free(&group);
    return status;
}

static void take_spread(const double *const *columns, size_t count, size_t items, pfm_study_group *into)
{
    size_t several = 0;
    double sum = 0;
    for (size_t i = 0; i < items; i++) {
        double n = 0, mean = 0, squares = 0;
        for (size_t c = 0; c < count; c++) {
            if (isnan(columns[c][i]))
                continue;
            n++;
            double step = columns[c][i] - mean; /* Welford */
            mean += step / n;
            squares += step * (columns[c][i] - mean);
        }
        if (n < 2)
            continue;
        several++;
        sum += sqrt(squares / (n - 1));
        into->same += squares == 0;
    }
    into->mean_sd = several > 0 ? sum / (double)several : NAN;
}

static size_t take_columns(const pfm_ratings *of, pfm_rating_kind kind, size_t parent, const double **columns, size_t count)
{
    for (size_t c = pfm_ratings_next(of, kind, 0); c < of->column_count; c = pfm_ratings_next(of, kind, c + 1)) {
        if (parent == SIZE_MAX || of->columns[c].parent == parent)
            columns[count++] = of->columns[c].scores;
    }
    return count;
}

/* Means of repeats that lie between levels are no levels: what only asks whether two scores are the same says nothing of them.
 */
static void drop_nominal(const pfm_ratings *of, pfm_study_group *group)
{
    for (size_t j = pfm_ratings_next(of, PFM_RATING_JUDGE, 0); j < of->column_count;
         j = pfm_ratings_next(of, PFM_RATING_JUDGE, j + 1)) {
        for (size_t i = 0; i < of->item_count; i++) {
            double score = of->columns[j].scores[i];
            if (!isnan(score) && score != floor(score))
                group->values[PFM_LEVEL_NOMINAL] = group->values[PFM_GROUP_FLEISS] = NAN;
        }
    }
}

static pfm_status run_groups(runner *r, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_ratings *of = r->ratings;
    const double **columns = NULL;
    PFM_TRY(pfm_allocate(of->column_count, sizeof *columns, &columns, err));
    PFM_TRY(pfm_allocate(of->column_count, sizeof *r->study->judges, &r->study->judges, err));
    size_t people = take_columns(of, PFM_RATING_PERSON, SIZE_MAX, columns, 0);
    if (people > 0)
        PFM_TRY(run_group(r, columns, people, &r->study->people, err));
    size_t all = take_columns(of, PFM_RATING_JUDGE, SIZE_MAX, columns, people);
    if (all > people)
        PFM_TRY(run_group(r, columns, all, &r->study->everybody, err));
    drop_nominal(of, &r->study->everybody);
    for (size_t j = pfm_ratings_next(of, PFM_RATING_JUDGE, 0); j < of->column_count;
         j = pfm_ratings_next(of, PFM_RATING_JUDGE, j + 1)) {
        pfm_study_group *into = &r->study->judges[r->study->judge_count++];
        size_t repeats = take_columns(of, PFM_RATING_REPEAT, j, columns, 0);
        into->name = of->columns[j].name;
        PFM_TRY(run_group(r, columns, repeats, into, err));
        take_spread(columns, repeats, of->item_count, into);
    }
done:
    free(columns);
    return status;
}

/* ---- means ---- */

/* Of all items, then of each system's. */
static void measure_means(const void *user, const uint32_t *counts, void *scratch, double *values)
{
    const pfm_study *study = user;
    const pfm_ratings *of = study->ratings;
    const pfm_study_systems *systems = study->systems;
    size_t columns = of->column_count;
    double *n = scratch;
    memset(values, 0, (systems->count + 1) * columns * sizeof *values);
    memset(n, 0, (systems->count + 1) * columns * sizeof *n);
    for (size_t c = 0; c < columns; c++) {
        for (size_t i = 0; i < of->item_count; i++) {
            double score = of->columns[c].scores[i];
            if (isnan(score) || counts[i] == 0)
                continue;
            values[c] += counts[i] * score;
            n[c] += counts[i];
            if (systems->count == 0 || systems->of[i] == systems->count)
                continue;
            values[(systems->of[i] + 1) * columns + c] += counts[i] * score;
            n[(systems->of[i] + 1) * columns + c] += counts[i];
        }
    }
    for (size_t v = 0; v < (systems->count + 1) * columns; v++)
        values[v] = n[v] > 0 ? values[v] / n[v] : NAN;
}

static pfm_status run_means(runner *r, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t count = r->ratings->column_count * (r->study->systems->count + 1);
    PFM_TRY(pfm_allocate(count, sizeof(double), &r->study->means, err));
    PFM_TRY(pfm_allocate(count, sizeof(double), &r->study->mean_low, err));
    PFM_TRY(pfm_allocate(count, sizeof(double), &r->study->mean_high, err));
    const pfm_resampled_figures figures = {.compute = measure_means,
                                           .user = r->study,
                                           .values = count,
                                           .scratch_bytes = count * sizeof(double),
                                           .value = r->study->means,
                                           .low = r->study->mean_low,
                                           .high = r->study->mean_high};
    PFM_TRY(pfm_resample_run(&figures, 1, &r->options, err));
done:
    return status;
}

pfm_status pfm_study_run(const pfm_context *context, const pfm_ratings *ratings, const pfm_study_systems *systems,
                         pfm_study *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *out = (pfm_study){.ratings = ratings, .systems = systems};
    runner r = {.context = context,
                .ratings = ratings,
                .study = out,
                .options = {.items = ratings->item_count,
                            .samples = PFM_BOOTSTRAP_SAMPLES,
                            .seed = context->seed,
                            .threads = context->threads,
                            .interrupt = context->interrupt}};
    PFM_TRY(run_means(&r, err));
    PFM_TRY(run_groups(&r, err));
    PFM_TRY(run_pairs(&r, err));
done:
    if (status != PFM_OK)
        pfm_study_free(out);
    return status;
}

void pfm_study_free(pfm_study *study)
{
    free(study->pairs);
    free(study->judges);
    free(study->means);
    free(study->mean_low);
    free(study->mean_high);
    *study = (pfm_study){0};
}
