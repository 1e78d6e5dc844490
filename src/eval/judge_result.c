/* The table of a judge: what it said, how steady it is, and whether it likes long answers. Of verdicts alone, so that a replay
 * gives the same. */
#include "base/json.h"
#include "base/try.h"
#include "eval/judge_internal.h"
#include "eval/vqa_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ALL_LEVELS = 20 };

/* ---- counts and means ---- */

typedef struct tally {
    size_t n, states[PFM_VERDICT_FAILED + 1];
    double sum; /* of ok ones */
} tally;

static bool is_ok(const pfm_verdict *v) { return v->state == PFM_VERDICT_OK; }

static double mean_of(const tally *t)
{
    return t->states[PFM_VERDICT_OK] > 0 ? t->sum / (double)t->states[PFM_VERDICT_OK] : NAN;
}

/* Those that are no verdicts count as the rubric says. */
static double mean_of_all(const pfm_judging *j, const tally *t)
{
    const size_t others = t->n - t->states[PFM_VERDICT_OK];
    return t->n > 0 ? (t->sum + (double)others * j->rubric->missing) / (double)t->n : NAN;
}

static tally count_verdicts(const pfm_judging *j, int first, int last)
{
    tally t = {0};
    for (size_t i = 0; i < j->count; i++) {
        for (int r = first; r <= last; r++) {
            const pfm_verdict *v = pfm_judge_verdict(j, i, r);
            t.n++;
            t.states[v->state]++;
            t.sum += is_ok(v) ? v->score : 0;
        }
    }
    return t;
}

static double deviation(double squares, size_t n) { return n > 1 ? sqrt(squares / (double)(n - 1)) : NAN; }

static pfm_status put(json_t *out, const char *key, double value, pfm_error *err)
{
    return pfm_json_take(out, key, pfm_json_number(value), err);
}

static pfm_status put_count(json_t *out, const char *key, size_t value, pfm_error *err)
{
    return pfm_json_take(out, key, json_integer((json_int_t)value), err);
}

/* Every score of a short scale, else those that were given. */
static pfm_status describe_distribution(const pfm_judging *j, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_rubric *rubric = j->rubric;
    const size_t levels = (size_t)(rubric->high - rubric->low) + 1;
    size_t *counts = NULL;
    char score[16];
    json_t *object = json_object();
    PFM_TRY(pfm_allocate(levels, sizeof *counts, &counts, err));
    for (size_t i = 0; i < j->count * (size_t)j->options->repeats; i++)
        if (is_ok(&j->verdicts[i]))
            counts[j->verdicts[i].score - rubric->low]++;
    for (size_t k = 0; k < levels; k++) {
        if (counts[k] == 0 && levels > ALL_LEVELS + 1)
            continue;
        (void)snprintf(score, sizeof score, "%d", rubric->low + (int)k);
        PFM_TRY(put_count(object, score, counts[k], err));
    }
    PFM_TRY(pfm_json_take(out, "distribution", json_incref(object), err));
done:
    json_decref(object);
    free(counts);
    return status;
}

static pfm_status describe_repeats(const pfm_judging *j, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *list = json_array(), *entry = NULL;
    double sum = 0, squares = 0;
    size_t counted = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int r = 1; r <= j->options->repeats; r++) {
            const tally t = count_verdicts(j, r, r);
            const double mean = mean_of(&t);
            if (pass == 1 && !isnan(mean))
                squares += (mean - sum / (double)counted) * (mean - sum / (double)counted);
            if (pass == 1)
                continue;
            if (!isnan(mean)) {
                sum += mean;
                counted++;
            }
            entry = json_object();
            PFM_TRY(pfm_json_take(entry, "repeat", json_integer(r), err));
            PFM_TRY(put_count(entry, "ok", t.states[PFM_VERDICT_OK], err));
            PFM_TRY(put(entry, "mean", mean, err));
            PFM_TRY(put(entry, "mean_all", mean_of_all(j, &t), err));
            list = pfm_json_add(list, entry);
            entry = NULL;
        }
    }
    PFM_TRY(pfm_json_take(out, "repeats", json_incref(list), err));
    PFM_TRY(put(out, "sd_of_repeats", deviation(squares, counted), err));
done:
    json_decref(entry);
    json_decref(list);
    return status;
}

/* Over all pairs of ok verdicts on the same item. */
static pfm_status describe_consistency(const pfm_judging *j, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t pairs = 0, same = 0, items = 0;
    double difference = 0;
    json_t *object = json_object();
    for (size_t i = 0; i < j->count; i++) {
        const size_t before = pairs;
        for (int a = 1; a <= j->options->repeats; a++) {
            for (int b = a + 1; b <= j->options->repeats; b++) {
                const pfm_verdict *x = pfm_judge_verdict(j, i, a), *y = pfm_judge_verdict(j, i, b);
                if (!is_ok(x) || !is_ok(y))
                    continue;
                pairs++;
                same += x->score == y->score;
                difference += fabs((double)x->score - y->score);
            }
        }
        items += pairs > before;
    }
    PFM_TRY(put_count(object, "items", items, err));
    PFM_TRY(put_count(object, "pairs", pairs, err));
    PFM_TRY(put(object, "exact_agreement", pairs > 0 ? 100.0 * (double)same / (double)pairs : NAN, err));
    PFM_TRY(put(object, "mean_abs_diff", pairs > 0 ? difference / (double)pairs : NAN, err));
    PFM_TRY(pfm_json_take(out, "consistency", json_incref(object), err));
done:
    json_decref(object);
    return status;
}

/* ---- length ---- */

pfm_status pfm_judged_pair_create(const pfm_judged *items, size_t count, pfm_rated_pair *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    double *scores = NULL;
    PFM_TRY(pfm_allocate(2 * count, sizeof *scores, &scores, err));
    for (size_t i = 0; i < count; i++) {
        scores[i] = items[i].used ? items[i].score : NAN;
        scores[count + i] = items[i].used ? items[i].length : NAN;
    }
    status = pfm_rated_pair_create(scores, scores + count, count, NULL, 0, out, err);
done:
    free(scores);
    return status;
}

/* *out = Spearman's rank correlation; NaN for few items or where one side is constant. */
static pfm_status correlate(const pfm_judged *items, size_t count, double *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_rated_pair pair = {0};
    *out = NAN;
    PFM_TRY(pfm_judged_pair_create(items, count, &pair, err));
    if (pair.n >= PFM_JUDGE_FEWEST_RANKED)
        PFM_TRY(pfm_rated_pair_compute(&pair, &pfm_rated_spearman, out, err));
done:
    pfm_rated_pair_free(&pair);
    return status;
}

static double count_characters(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80;
    return (double)count;
}

static pfm_status measure(const pfm_judging *j, size_t i, pfm_judged *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    double sum = 0;
    int ok = 0;
    pfm_number_text number, other;
    const json_t *row = j->items[i].row, *reference = json_object_get(row, "reference");
    const char *prediction = pfm_json_text(json_object_get(row, "prediction"), number);
    const char *answer = pfm_json_text(reference != NULL ? reference : json_object_get(row, "answer"), other);
    for (int r = 1; r <= j->options->repeats; r++) {
        const pfm_verdict *v = pfm_judge_verdict(j, i, r);
        ok += is_ok(v);
        sum += is_ok(v) ? v->score : 0;
    }
    *out = (pfm_judged){0};
    if (ok == 0 || prediction == NULL)
        goto done;
    *out = (pfm_judged){.used = true, .score = sum / ok, .length = count_characters(prediction)};
    if (answer != NULL)
        PFM_TRY(pfm_vqa_correct(prediction, answer, &out->exact, err));
done:
    return status;
}

/* Of the items that equal their reference, or of those that do not. */
static pfm_status describe_group(const pfm_judged *items, size_t count, bool exact, json_t *list, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_judged *group = NULL;
    double sum = 0, spearman = 0;
    size_t n = 0;
    json_t *object = json_object();
    PFM_TRY(pfm_allocate(count, sizeof *group, &group, err));
    for (size_t i = 0; i < count; i++) {
        if (!items[i].used || items[i].exact != exact)
            continue;
        sum += items[i].score;
        group[n++] = items[i];
    }
    PFM_TRY(pfm_json_take(object, "exact", json_boolean(exact), err));
    PFM_TRY(put_count(object, "n", n, err));
    PFM_TRY(put(object, "mean", n > 0 ? sum / (double)n : NAN, err));
    PFM_TRY(correlate(group, n, &spearman, err));
    PFM_TRY(put(object, "spearman", spearman, err));
    if (json_array_append(list, object) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not describe the verdicts");
done:
    json_decref(object);
    free(group);
    return status;
}

static pfm_status describe_length(const pfm_judging *j, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_judged *items = NULL;
    double spearman = 0;
    size_t count = 0;
    json_t *object = json_object(), *groups = json_array();
    PFM_TRY(pfm_allocate(j->count, sizeof *items, &items, err));
    for (size_t i = 0; i < j->count; i++) {
        PFM_TRY(measure(j, i, &items[i], err));
        count += items[i].used;
    }
    PFM_TRY(put_count(object, "n", count, err));
    PFM_TRY(correlate(items, j->count, &spearman, err));
    PFM_TRY(put(object, "spearman", spearman, err));
    PFM_TRY(describe_group(items, j->count, true, groups, err));
    PFM_TRY(describe_group(items, j->count, false, groups, err));
    PFM_TRY(pfm_json_take(object, "by_exact_match", json_incref(groups), err));
    PFM_TRY(pfm_json_take(out, "length", json_incref(object), err));
    PFM_TRY(pfm_judge_intervals(j, items, out, err));
done:
    json_decref(groups);
    json_decref(object);
    free(items);
    return status;
}

/* ---- errors by type ---- */

static pfm_status describe_side(const pfm_judging *j, bool significant, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    double sums[PFM_ERROR_TYPES] = {0}, total = 0;
    size_t n = 0, none = 0;
    json_t *object = json_object();
    for (size_t i = 0; i < j->count * (size_t)j->options->repeats; i++) {
        const pfm_verdict *v = &j->verdicts[i];
        if (!is_ok(v) || !(significant ? v->has_significant : v->has_significant && v->has_insignificant))
            continue;
        const int *counts = significant ? v->significant : v->insignificant;
        double sum = 0;
        for (int k = 0; k < PFM_ERROR_TYPES; k++) {
            sums[k] += counts[k];
            sum += counts[k];
        }
        total += sum;
        none += sum == 0;
        n++;
    }
    PFM_TRY(put_count(object, "n", n, err));
    for (int k = 0; k < PFM_ERROR_TYPES; k++) {
        const char type[2] = {(char)('A' + k), '\0'};
        PFM_TRY(put(object, type, n > 0 ? sums[k] / (double)n : NAN, err));
    }
    PFM_TRY(put(object, "total", n > 0 ? total / (double)n : NAN, err));
    PFM_TRY(put(object, "none", n > 0 ? 100.0 * (double)none / (double)n : NAN, err));
    PFM_TRY(pfm_json_take(out, significant ? "significant" : "insignificant", json_incref(object), err));
done:
    json_decref(object);
    return status;
}

static pfm_status describe_errors(const pfm_judging *j, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *object = json_object();
    PFM_TRY(describe_side(j, true, object, err));
    PFM_TRY(describe_side(j, false, object, err));
    PFM_TRY(pfm_json_take(out, "errors", json_incref(object), err));
done:
    json_decref(object);
    return status;
}

/* ---- all ---- */

static pfm_status sign(const pfm_judging *j, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_rubric *rubric = j->rubric;
    const pfm_judge_options *o = j->options;
    pfm_buffer text = {0};
    PFM_TRY(pfm_buffer_append_format(
        &text, err, "judge|rubric:%s.%.8s|scale:%d..%d|missing:%d|model:%s|repeats:%d|temperature:", rubric->name, rubric->hash,
        rubric->low, rubric->high, rubric->missing, o->client.model, o->repeats));
    if (isnan(o->temperature))
        PFM_TRY(pfm_buffer_append_string(&text, "server", err));
    else
        PFM_TRY(pfm_buffer_append_format(&text, err, "%g", o->temperature));
    PFM_TRY(pfm_buffer_append_format(&text, err, "|max_tokens:%d|constrain:%s|version:" PEFOMED_VERSION, o->max_tokens,
                                     o->constrain != NULL ? o->constrain : "none"));
    PFM_TRY(pfm_json_take(out, "signature", json_string(text.data), err));
done:
    pfm_buffer_free(&text);
    return status;
}

static pfm_status describe_totals(const pfm_judging *j, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const tally t = count_verdicts(j, 1, j->options->repeats);
    size_t attempts = 0;
    double squares = 0;
    const double mean = mean_of(&t);
    for (size_t i = 0; i < t.n; i++) {
        attempts += (size_t)j->verdicts[i].attempts;
        if (is_ok(&j->verdicts[i]))
            squares += (j->verdicts[i].score - mean) * (j->verdicts[i].score - mean);
    }
    PFM_TRY(put_count(out, "items", j->count, err));
    PFM_TRY(put_count(out, "n", t.n, err));
    PFM_TRY(put_count(out, "ok", t.states[PFM_VERDICT_OK], err));
    PFM_TRY(put_count(out, "unparsable", t.states[PFM_VERDICT_UNPARSABLE], err));
    PFM_TRY(put_count(out, "failed", t.states[PFM_VERDICT_FAILED], err));
    PFM_TRY(put_count(out, "attempts", attempts, err));
    PFM_TRY(put(out, "mean", mean, err));
    PFM_TRY(put(out, "sd", deviation(squares, t.states[PFM_VERDICT_OK]), err));
    PFM_TRY(put(out, "mean_all", mean_of_all(j, &t), err));
    PFM_TRY(pfm_json_take(out, "missing_counts_as", json_integer(j->rubric->missing), err));
done:
    return status;
}

pfm_status pfm_judge_result(const pfm_judging *j, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *out = json_object();
    PFM_TRY(pfm_json_take(out, "rubric", json_string(j->rubric->name), err));
    PFM_TRY(pfm_json_take(out, "model", json_string(j->options->client.model), err));
    PFM_TRY(pfm_json_take(out, "dataset", j->dataset != NULL ? json_string(j->dataset) : json_null(), err));
    PFM_TRY(describe_totals(j, out, err));
    PFM_TRY(describe_distribution(j, out, err));
    PFM_TRY(describe_repeats(j, out, err));
    PFM_TRY(describe_consistency(j, out, err));
    PFM_TRY(describe_length(j, out, err));
    if (j->rubric->verdict == PFM_RUBRIC_ERRORS)
        PFM_TRY(describe_errors(j, out, err));
    PFM_TRY(pfm_json_take(out, "verdicts", json_string(j->verdicts_path), err));
    PFM_TRY(pfm_json_take(out, "log", json_string(j->log_path), err));
    PFM_TRY(sign(j, out, err));
    PFM_TRY(pfm_json_print(out, json, err));
done:
    json_decref(out);
    return status;
}
