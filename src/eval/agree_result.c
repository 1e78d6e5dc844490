#include "eval/agree_result.h"

#include "base/try.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct writer {
    const pfm_study *study;
    const pfm_ratings *of;
    const pfm_agree_request *request;
    json_t *out;
} writer;

static json_t *interval(double low, double high)
{
    return isnan(low) || isnan(high) ? json_null() : json_pack("[f,f]", low, high);
}

static bool is_rater(const pfm_rating_column *column)
{
    return column->kind == PFM_RATING_PERSON || column->kind == PFM_RATING_JUDGE;
}

/* ---- distributions ---- */

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Adds a column's distinct scores; false beyond the most that are counted one by one. */
static bool collect(const pfm_rating_column *column, size_t items, double *levels, size_t *count)
{
    for (size_t i = 0; i < items; i++) {
        double score = column->scores[i] + 0.0;
        bool known = isnan(score);
        for (size_t l = 0; l < *count && !known; l++)
            known = levels[l] == score;
        if (known)
            continue;
        if (*count == PFM_STUDY_MOST_LEVELS)
            return false;
        levels[(*count)++] = score;
    }
    return true;
}

/* The scores that are counted: the scale where it is named, else what people gave and single verdicts of judges. 0: too many.
 */
static size_t find_levels(const pfm_ratings *of, double levels[PFM_STUDY_MOST_LEVELS])
{
    size_t count = 0;
    if (of->levels != NULL && of->level_count <= PFM_STUDY_MOST_LEVELS) {
        memcpy(levels, of->levels, of->level_count * sizeof *levels);
        return of->level_count;
    }
    for (size_t c = 0; c < of->column_count; c++) {
        bool counted = of->columns[c].kind == PFM_RATING_PERSON || of->columns[c].kind == PFM_RATING_REPEAT;
        if (counted && !collect(&of->columns[c], of->item_count, levels, &count))
            return 0;
    }
    qsort(levels, count, sizeof *levels, compare_numbers);
    return count;
}

static void count_levels(const pfm_ratings *of, const pfm_rating_column *column, const double *levels, size_t level_count,
                         size_t *counts)
{
    for (size_t i = 0; i < of->item_count; i++) {
        for (size_t l = 0; l < level_count; l++)
            counts[l] += column->scores[i] == levels[l];
    }
}

static pfm_status write_distribution(const writer *w, size_t rater, const double *levels, size_t level_count, json_t *into,
                                     pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t counts[PFM_STUDY_MOST_LEVELS] = {0};
    pfm_number_text text;
    json_t *row = json_object();
    for (size_t c = 0; c < w->of->column_count; c++) { /* of a judge each of its verdicts */
        const pfm_rating_column *column = &w->of->columns[c];
        if (column->kind == PFM_RATING_REPEAT ? column->parent == rater : c == rater && column->kind == PFM_RATING_PERSON)
            count_levels(w->of, column, levels, level_count, counts);
    }
    for (size_t l = 0; l < level_count; l++) {
        (void)snprintf(text, sizeof text, "%.12g", levels[l]);
        PFM_TRY(pfm_json_take(row, text, json_integer((json_int_t)counts[l]), err));
    }
    PFM_TRY(pfm_json_take(into, w->of->columns[rater].name, json_incref(row), err));
done:
    json_decref(row);
    return status;
}

static pfm_status write_rater(const writer *w, size_t c, json_t *raters, json_t *counts, json_t *wasm, json_t *ci,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_rating_column *column = &w->of->columns[c];
    const pfm_study *s = w->study;
    double scale = w->request->scale, offset = w->request->offset;
    double low = scale * s->mean_low[c] + offset, high = scale * s->mean_high[c] + offset;
    if (json_array_append_new(raters, json_string(column->name)) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not name a rater");
    PFM_TRY(pfm_json_take(wasm, column->name, pfm_json_number(scale * s->means[c] + offset), err));
    PFM_TRY(pfm_json_take(ci, column->name, scale < 0 ? interval(high, low) : interval(low, high), err));
    PFM_TRY(pfm_json_take(counts, column->name,
                          json_pack("{s:s,s:I,s:I,s:I,s:I,s:I}", "kind", column->kind == PFM_RATING_JUDGE ? "judge" : "person",
                                    "items", (json_int_t)column->scored, "scores", (json_int_t)column->states[PFM_RATING_OK],
                                    "missing", (json_int_t)column->states[PFM_RATING_MISSING], "unparsable",
                                    (json_int_t)column->states[PFM_RATING_UNPARSABLE], "failed",
                                    (json_int_t)column->states[PFM_RATING_FAILED]),
                          err));
done:
    return status;
}

static pfm_status write_raters(writer *w, json_t *ci, pfm_error *err)
{
    pfm_status status = PFM_OK;
    double levels[PFM_STUDY_MOST_LEVELS];
    size_t level_count = find_levels(w->of, levels);
    json_t *raters = json_array(), *counts = json_object(), *wasm = json_object(), *wasm_ci = json_object();
    json_t *distributions = level_count > 0 ? json_object() : json_null();
    PFM_TRY(pfm_json_take(w->out, "raters", json_incref(raters), err));
    PFM_TRY(pfm_json_take(w->out, "n_items", json_integer((json_int_t)w->of->item_count), err));
    PFM_TRY(pfm_json_take(w->out, "counts", json_incref(counts), err));
    PFM_TRY(pfm_json_take(w->out, "distributions", json_incref(distributions), err));
    PFM_TRY(pfm_json_take(w->out, "wasm", json_incref(wasm), err));
    PFM_TRY(pfm_json_take(ci, "wasm", json_incref(wasm_ci), err));
    for (size_t c = 0; c < w->of->column_count; c++) {
        if (!is_rater(&w->of->columns[c]))
            continue;
        PFM_TRY(write_rater(w, c, raters, counts, wasm, wasm_ci, err));
        if (level_count > 0)
            PFM_TRY(write_distribution(w, c, levels, level_count, distributions, err));
    }
done:
    json_decref(raters);
    json_decref(counts);
    json_decref(wasm);
    json_decref(wasm_ci);
    json_decref(distributions);
    return status;
}

/* ---- groups ---- */

static pfm_status write_alphas(const pfm_study_group *group, json_t *into, json_t *ci, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *alphas = json_object(), *intervals = json_object();
    bool none = group->columns == 0;
    PFM_TRY(pfm_json_take(into, "krippendorff", json_incref(alphas), err));
    PFM_TRY(pfm_json_take(ci, "krippendorff", json_incref(intervals), err));
    for (size_t l = 0; l < PFM_LEVEL_COUNT; l++) {
        PFM_TRY(pfm_json_take(alphas, pfm_rated_level_names[l], none ? json_null() : pfm_json_number(group->values[l]), err));
        PFM_TRY(pfm_json_take(intervals, pfm_rated_level_names[l],
                              none || isnan(group->values[l]) ? json_null() : interval(group->low[l], group->high[l]), err));
    }
    PFM_TRY(pfm_json_take(into, "fleiss", none ? json_null() : pfm_json_number(group->values[PFM_GROUP_FLEISS]), err));
    PFM_TRY(pfm_json_take(ci, "fleiss",
                          none || isnan(group->values[PFM_GROUP_FLEISS])
                              ? json_null()
                              : interval(group->low[PFM_GROUP_FLEISS], group->high[PFM_GROUP_FLEISS]),
                          err));
done:
    json_decref(alphas);
    json_decref(intervals);
    return status;
}

/* {"krippendorff","fleiss","ci95",...}: a group that stands by itself. */
static pfm_status write_group(const pfm_study_group *group, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *row = json_object(), *ci = json_object();
    PFM_TRY(write_alphas(group, row, ci, err));
    PFM_TRY(pfm_json_take(row, "ci95", json_incref(ci), err));
    PFM_TRY(pfm_json_take(row, "n", json_integer((json_int_t)group->paired), err));
    *out = json_incref(row);
done:
    json_decref(row);
    json_decref(ci);
    return status;
}

static pfm_status write_repeats(const writer *w, const pfm_study_group *judge, json_t *into, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *row = NULL;
    PFM_TRY(write_group(judge, &row, err));
    PFM_TRY(pfm_json_take(row, "of", json_string("repeats"), err));
    PFM_TRY(pfm_json_take(row, "repeats", json_integer((json_int_t)judge->columns), err));
    PFM_TRY(pfm_json_take(
        row, "same", judge->paired > 0 ? json_real(100.0 * (double)judge->same / (double)judge->paired) : json_null(), err));
    PFM_TRY(pfm_json_take(row, "mean_sd", pfm_json_number(judge->mean_sd), err));
    PFM_TRY(pfm_json_take(into, judge->name, json_incref(row), err));
    (void)w;
done:
    json_decref(row);
    return status;
}

/* ---- pairs ---- */

static json_t *null_unless(bool known, json_t *value)
{
    if (known)
        return value;
    json_decref(value);
    return json_null();
}

static pfm_status write_pair(const pfm_study_pair *pair, const char *a, const char *b, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *row = json_object(), *ci = json_object();
    if (a != NULL)
        PFM_TRY(pfm_json_take(row, a, json_string(pair->a), err));
    if (b != NULL)
        PFM_TRY(pfm_json_take(row, b, json_string(pair->b), err));
    PFM_TRY(pfm_json_take(row, "n", json_integer((json_int_t)pair->n), err));
    for (size_t m = 0; pfm_rated_measures[m] != NULL; m++) {
        const pfm_rated_measure *measure = pfm_rated_measures[m];
        if (pair->part == PFM_STUDY_METRICS && measure->of_levels)
            continue;
        PFM_TRY(pfm_json_take(row, measure->name, pfm_json_number(pair->values[m]), err));
        PFM_TRY(
            pfm_json_take(ci, measure->name, null_unless(!isnan(pair->values[m]), interval(pair->low[m], pair->high[m])), err));
    }
    PFM_TRY(pfm_json_take(row, "ci95", json_incref(ci), err));
    *out = json_incref(row);
done:
    json_decref(row);
    json_decref(ci);
    return status;
}

static pfm_status write_part(const writer *w, pfm_study_part part, const char *key, const char *a, const char *b,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *list = json_array(), *row = NULL;
    PFM_TRY(pfm_json_take(w->out, key, json_incref(list), err));
    for (size_t i = 0; i < w->study->pair_count; i++) {
        if (w->study->pairs[i].part != part)
            continue;
        PFM_TRY(write_pair(&w->study->pairs[i], a, b, &row, err));
        if (json_array_append_new(list, row) != 0)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write a pair");
        row = NULL;
    }
done:
    json_decref(list);
    return status;
}

static pfm_status write_duplicates(const writer *w, json_t *into, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *row = NULL;
    for (size_t i = 0; i < w->study->pair_count; i++) {
        const pfm_study_pair *pair = &w->study->pairs[i];
        if (pair->part != PFM_STUDY_DUPLICATES)
            continue;
        PFM_TRY(write_pair(pair, NULL, NULL, &row, err));
        PFM_TRY(pfm_json_take(row, "of", json_string("duplicates"), err));
        PFM_TRY(pfm_json_take(row, "same", pair->n > 0 ? json_real(100.0 * (double)pair->same / (double)pair->n) : json_null(),
                              err));
        PFM_TRY(pfm_json_take(into, pair->a, json_incref(row), err));
        json_decref(row);
        row = NULL;
    }
done:
    json_decref(row);
    return status;
}

static pfm_status write_consistency(writer *w, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *consistency = json_object();
    PFM_TRY(pfm_json_take(w->out, "consistency", json_incref(consistency), err));
    for (size_t j = 0; j < w->study->judge_count; j++) {
        if (w->study->judges[j].columns > 1)
            PFM_TRY(write_repeats(w, &w->study->judges[j], consistency, err));
    }
    PFM_TRY(write_duplicates(w, consistency, err));
done:
    json_decref(consistency);
    return status;
}

/* ---- systems of blinded sheets ---- */

static pfm_status write_system(const writer *w, size_t s, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t people = pfm_ratings_next(w->of, PFM_RATING_MEAN, 0), n = 0, first = (s + 1) * w->of->column_count;
    const pfm_study *study = w->study;
    double scale = w->request->scale, offset = w->request->offset;
    json_t *row = json_object(), *wasm = json_object();
    if (people == w->of->column_count)
        people = pfm_ratings_next(w->of, PFM_RATING_PERSON, 0);
    for (size_t i = 0; i < w->of->item_count; i++)
        n += study->systems->of[i] == s;
    PFM_TRY(pfm_json_take(row, "system", json_string(study->systems->names[s]), err));
    PFM_TRY(pfm_json_take(row, "n", json_integer((json_int_t)n), err));
    if (people < w->of->column_count) {
        double low = scale * study->mean_low[first + people] + offset, high = scale * study->mean_high[first + people] + offset;
        PFM_TRY(pfm_json_take(row, "mean", pfm_json_number(scale * study->means[first + people] + offset), err));
        PFM_TRY(pfm_json_take(row, "ci95", scale < 0 ? interval(high, low) : interval(low, high), err));
    }
    PFM_TRY(pfm_json_take(row, "wasm", json_incref(wasm), err));
    for (size_t c = 0; c < w->of->column_count; c++) {
        if (is_rater(&w->of->columns[c]))
            PFM_TRY(
                pfm_json_take(wasm, w->of->columns[c].name, pfm_json_number(scale * study->means[first + c] + offset), err));
    }
    *out = json_incref(row);
done:
    json_decref(row);
    json_decref(wasm);
    return status;
}

static pfm_status write_systems(const writer *w, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *list = json_array(), *row = NULL;
    for (size_t s = 0; s < w->study->systems->count; s++) {
        PFM_TRY(write_system(w, s, &row, err));
        if (json_array_append_new(list, row) != 0)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write a system");
    }
    PFM_TRY(pfm_json_take(w->out, "systems", json_incref(list), err));
done:
    json_decref(list);
    return status;
}

static pfm_status sign(writer *w, pfm_rated_level level, uint64_t seed, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    PFM_TRY(pfm_buffer_append_format(&text, err, "agree|wasm[scale:%.12g,offset:%.12g]|level:%s|levels:%s|", w->request->scale,
                                     w->request->offset, pfm_rated_level_names[level],
                                     w->of->levels == NULL        ? "as they occur"
                                     : w->request->levels != NULL ? w->request->levels
                                                                  : "of the key"));
    if (w->request->metrics != NULL)
        PFM_TRY(pfm_buffer_append_format(&text, err, "metrics of rows:%s|", w->request->metrics));
    if (w->request->system != NULL)
        PFM_TRY(pfm_buffer_append_format(&text, err, "system:%s|", w->request->system));
    PFM_TRY(pfm_buffer_append_format(&text, err, "repeats:mean|fleiss:items with the most scores|"));
    PFM_TRY(pfm_buffer_append_format(&text, err, "ci95:bootstrap.items.%d.percentile.seed%llu|version:%s",
                                     PFM_BOOTSTRAP_SAMPLES, (unsigned long long)seed, pfm_version()));
    PFM_TRY(pfm_json_take(w->out, "signature", json_string(text.data), err));
done:
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_study_write(const pfm_study *study, const pfm_agree_request *request, pfm_rated_level level, uint64_t seed,
                           json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    writer w = {.study = study, .of = study->ratings, .request = request, .out = json_object()};
    json_t *ci = json_object(), *everybody = NULL;
    PFM_TRY(write_raters(&w, ci, err));
    PFM_TRY(pfm_json_take(w.out, "level", json_string(pfm_rated_level_names[level]), err));
    PFM_TRY(write_alphas(&study->people, w.out, ci, err));
    PFM_TRY(pfm_json_take(w.out, "n_paired", json_integer((json_int_t)study->people.paired), err));
    PFM_TRY(
        pfm_json_take(w.out, "n_fleiss", json_integer(study->people.most > 1 ? (json_int_t)study->people.fullest : 0), err));
    if (study->everybody.columns > 0)
        PFM_TRY(write_group(&study->everybody, &everybody, err));
    PFM_TRY(pfm_json_take(w.out, "with_judges", everybody != NULL ? json_incref(everybody) : json_null(), err));
    PFM_TRY(write_part(&w, PFM_STUDY_PAIRS, "pairs", "a", "b", err));
    PFM_TRY(write_part(&w, PFM_STUDY_MEAN, "against_mean", "rater", "mean", err));
    PFM_TRY(write_part(&w, PFM_STUDY_METRICS, "metrics", "metric", "rater", err));
    PFM_TRY(write_consistency(&w, err));
    PFM_TRY(write_systems(&w, err));
    PFM_TRY(pfm_json_take(w.out, "ci95", json_incref(ci), err));
    PFM_TRY(sign(&w, level, seed, err));
    *out = json_incref(w.out);
done:
    json_decref(w.out);
    json_decref(ci);
    json_decref(everybody);
    return status;
}
