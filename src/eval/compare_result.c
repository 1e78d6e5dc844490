/* What a comparison found out, as one document. */
#include "base/process.h"
#include "base/try.h"
#include "eval/answer_runs.h"
#include "eval/compare.h"
#include "eval/compare_notes.h"
#include "eval/metric_runs.h"
#include "eval/paired.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The runs of a recipe that count: those at the chosen rate. */
typedef struct scored {
    pfm_answer_runs answers;
    char **paths;  /* [seeds] of the predictions, which answers borrows as names */
    json_t *facts; /* [seeds] what pfm_compared_run_read gives */
} scored;

static const json_t *metrics_of(const json_t *scores) { return json_object_get(scores, "metrics"); }

json_t *pfm_score_figures(const json_t *scores)
{
    const json_t *from = metrics_of(scores) != NULL ? metrics_of(scores) : scores;
    json_t *figures = json_object(), *value = NULL;
    const char *name = NULL;
    bool failed = false;
    json_object_foreach((json_t *)(uintptr_t)from, name, value)
    {
        bool wanted = from != scores;
        for (int i = 0; i < PFM_VQA_STATISTICS && !wanted; i++)
            wanted = strcmp(name, pfm_vqa_statistic_names[i]) == 0;
        failed |= wanted && json_object_set(figures, name, value) != 0;
    }
    if (failed) {
        json_decref(figures);
        figures = NULL;
    }
    return figures;
}

const char *pfm_score_headline(const json_t *scores) { return metrics_of(scores) != NULL ? "rouge_l" : "overall"; }

static void release(const pfm_comparison *c, scored *s)
{
    pfm_answer_runs_free(&s->answers);
    for (int i = 0; s->paths != NULL && i < c->seeds; i++)
        free(s->paths[i]);
    free(s->paths);
    json_decref(s->facts);
}

static pfm_status load_run(const pfm_comparison *c, const pfm_contender *contender, int number, scored *s, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_compared_run run = {0};
    json_t *facts = NULL;
    PFM_TRY(pfm_compared_run_locate(c, contender, &contender->rates[contender->chosen], c->context->seed + (uint64_t)number,
                                    c->split, &run, err));
    PFM_TRY(pfm_compared_run_read(&run, &facts, err));
    PFM_TRY(pfm_json_take(facts, "seed", json_integer((json_int_t)run.seed), err));
    PFM_TRY(pfm_json_take(facts, "folder", json_string(run.folder), err));
    PFM_TRY(pfm_compared_run_answers(&run, &s->paths[number], err));
    const json_t *scores = json_object_get(facts, "scores");
    const char *profile = json_string_value(json_object_get(scores, "profile"));
    bool reports = metrics_of(scores) != NULL;
    if (!reports && profile != NULL) /* what eval scored by */
        PFM_TRY(pfm_score_profile_find(profile, &s->answers.profile, err));
    PFM_TRY(pfm_answer_runs_add_file(&s->answers, s->paths[number], NULL, reports, err));
    if (json_array_append(s->facts, facts) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not collect the runs of %s", contender->name);
done:
    free(run.folder);
    json_decref(facts);
    return status;
}

static pfm_status load_runs(const pfm_comparison *c, const pfm_contender *contender, scored *s, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_allocate((size_t)c->seeds, sizeof *s->paths, &s->paths, err));
    s->facts = json_array();
    for (int i = 0; i < c->seeds; i++)
        PFM_TRY(load_run(c, contender, i, s, err));
    PFM_TRY(pfm_answer_runs_finish(&s->answers, err));
done:
    return status;
}

static const json_t *scores_of(const scored *s, size_t run) { return json_object_get(json_array_get(s->facts, run), "scores"); }

/* Standard deviation over the runs of one figure (n - 1); NaN where it is undefined. */
static double deviation(const scored *s, const char *name)
{
    double sum = 0, squares = 0;
    size_t count = json_array_size(s->facts);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            json_t *figures = pfm_score_figures(scores_of(s, i));
            const json_t *value = json_object_get(figures, name);
            double number = json_is_number(value) ? json_number_value(value) : NAN;
            json_decref(figures);
            if (pass == 0)
                sum += number;
            else
                squares += pow(number - sum / (double)count, 2);
        }
    }
    return count > 1 ? sqrt(squares / (double)(count - 1)) : NAN;
}

/* The names of the metrics of captions, separated by commas. */
static pfm_status list_metrics(const json_t *metrics, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)metrics, name, value)
        PFM_TRY(pfm_buffer_append_format(out, err, "%s%s", out->size > 0 ? "," : "", name));
done:
    return status;
}

/* out[name] = {"mean","sd","ci95"}, taking the interval; sd NULL: there is none. */
static pfm_status take_figure(json_t *out, const char *name, double mean, const double *sd, json_t *interval, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *figure = json_object();
    PFM_TRY(pfm_json_take(figure, "ci95", interval, err));
    PFM_TRY(pfm_json_take(figure, "mean", pfm_json_number(mean), err));
    if (sd != NULL)
        PFM_TRY(pfm_json_take(figure, "sd", pfm_json_number(*sd), err));
    PFM_TRY(pfm_json_take(out, name, json_incref(figure), err));
done:
    json_decref(figure);
    return status;
}

static json_t *interval_of(double low, double high)
{
    return isnan(low) || isnan(high) ? json_null() : json_pack("[f,f]", low, high);
}

/* The figures of questions: of a system, or with `other` the difference to it. */
static pfm_status score_questions(const pfm_comparison *c, scored *s, scored *other, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_score_options options = {.seed = c->context->seed, .threads = c->context->threads};
    json_t *gap = NULL;
    pfm_vqa_intervals figures;
    if (other != NULL)
        PFM_TRY(pfm_score_difference(&s->answers, &other->answers, &options, &gap, err));
    else
        PFM_TRY(
            pfm_vqa_intervals_over_images(&s->answers.runs[0], s->answers.correct, s->answers.recall, &options, &figures, err));
    for (int i = 0; i < PFM_VQA_STATISTICS; i++) {
        const char *name = pfm_vqa_statistic_names[i];
        const json_t *difference = json_object_get(gap, name);
        double sd = deviation(s, name);
        if (other == NULL)
            PFM_TRY(take_figure(out, name, figures.value[i], &sd, interval_of(figures.low[i], figures.high[i]), err));
        else if (json_is_object(difference))
            PFM_TRY(take_figure(out, name, json_number_value(json_object_get(difference, "mean")), NULL,
                                json_incref(json_object_get(difference, "ci95")), err));
    }
done:
    json_decref(gap);
    return status;
}

/* The same of captions. */
static pfm_status score_captions(const pfm_comparison *c, scored *s, scored *other, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer names = {0};
    json_t *figures = NULL, *value = NULL;
    const char *name = NULL;
    PFM_TRY(list_metrics(metrics_of(scores_of(s, 0)), &names, err));
    PFM_TRY(pfm_score_metric_runs(&s->answers, other != NULL ? &other->answers : NULL, names.data == NULL ? "" : names.data,
                                  c->context->seed, c->context->threads, &figures, err));
    json_object_foreach(json_object_get(figures, "metrics"), name, value)
    {
        double sd = deviation(s, name), mean = json_is_number(value) ? json_number_value(value) : NAN;
        PFM_TRY(take_figure(out, name, mean, other == NULL ? &sd : NULL,
                            json_incref(json_object_get(json_object_get(figures, "ci95"), name)), err));
    }
done:
    pfm_buffer_free(&names);
    json_decref(figures);
    return status;
}

static pfm_status score(const pfm_comparison *c, scored *s, scored *other, json_t *out, pfm_error *err)
{
    return metrics_of(scores_of(s, 0)) != NULL ? score_captions(c, s, other, out, err) : score_questions(c, s, other, out, err);
}

/* ---- a recipe's entry ---- */

static pfm_status add_rates(const pfm_contender *contender, json_t *entry, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *list = json_array();
    for (size_t i = 0; i < contender->rate_count; i++) {
        const pfm_rate *rate = &contender->rates[i];
        list = pfm_json_add(list, json_pack("{s:o,s:o,s:o}", "learning_rate", pfm_json_number(rate->value), "score",
                                            pfm_json_number(rate->score), "error",
                                            rate->error == NULL ? json_null() : json_string(rate->error)));
    }
    PFM_TRY(pfm_json_take(entry, "learning_rates", list, err));
    double chosen = contender->chosen < 0 ? NAN : contender->rates[contender->chosen].value;
    PFM_TRY(pfm_json_take(entry, "learning_rate", pfm_json_number(chosen), err));
done:
    return status;
}

/* The mean of a figure over the runs. */
static double mean_fact(const scored *s, const char *name)
{
    double sum = 0;
    for (size_t i = 0; i < json_array_size(s->facts); i++)
        sum += json_number_value(json_object_get(json_array_get(s->facts, i), name));
    return sum / (double)json_array_size(s->facts);
}

static json_int_t largest_fact(const scored *s, const char *name)
{
    json_int_t most = 0;
    for (size_t i = 0; i < json_array_size(s->facts); i++) {
        json_int_t value = json_integer_value(json_object_get(json_array_get(s->facts, i), name));
        most = value > most ? value : most;
    }
    return most;
}

/* What was paid: parameters, time (means over the runs), memory (the most of any run). */
static pfm_status add_costs(const scored *s, json_t *entry, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_int_t trainable = largest_fact(s, "trainable_parameters"), total = largest_fact(s, "total_parameters");
    double samples = mean_fact(s, "samples"), seconds = mean_fact(s, "seconds");
    PFM_TRY(pfm_json_take(entry, "trainable_parameters", json_integer(trainable), err));
    PFM_TRY(pfm_json_take(entry, "total_parameters", json_integer(total), err));
    PFM_TRY(pfm_json_take(entry, "trainable_share", pfm_json_number(100.0 * (double)trainable / (double)total), err));
    PFM_TRY(pfm_json_take(entry, "samples", json_integer((json_int_t)samples), err));
    PFM_TRY(pfm_json_take(entry, "seconds", pfm_json_number(seconds), err));
    PFM_TRY(pfm_json_take(entry, "seconds_per_sample", pfm_json_number(seconds / samples), err));
    PFM_TRY(pfm_json_take(entry, "peak_bytes", json_integer(largest_fact(s, "peak_bytes")), err));
done:
    return status;
}

/* The runs one by one, with their figures in place of the whole scores. */
static pfm_status add_runs(const scored *s, json_t *entry, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *list = json_array(), *run = NULL;
    for (size_t i = 0; i < json_array_size(s->facts); i++) {
        run = json_copy(json_array_get(s->facts, i));
        PFM_TRY(pfm_json_take(run, "scores", pfm_score_figures(scores_of(s, i)), err));
        list = pfm_json_add(list, run);
        run = NULL;
    }
    status = pfm_json_take(entry, "runs", list, err);
    list = NULL;
done:
    json_decref(run);
    json_decref(list);
    return status;
}

static pfm_status add_entry(const pfm_comparison *c, const pfm_contender *contender, scored *s, scored *baseline, json_t *list,
                            pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *entry = json_object(), *figures = json_object(), *gap = json_object();
    PFM_TRY(pfm_json_take(entry, "name", json_string(contender->name), err));
    PFM_TRY(pfm_json_take(entry, "method", json_string(contender->recipe->peft.method), err));
    PFM_TRY(pfm_json_take(entry, "error", contender->error == NULL ? json_null() : json_string(contender->error), err));
    PFM_TRY(add_rates(contender, entry, err));
    if (contender->error == NULL) {
        PFM_TRY(add_costs(s, entry, err));
        PFM_TRY(score(c, s, NULL, figures, err));
        PFM_TRY(pfm_json_take(entry, "scores", json_incref(figures), err));
        bool compared = baseline != NULL && baseline != s;
        if (compared)
            PFM_TRY(score(c, s, baseline, gap, err));
        PFM_TRY(pfm_json_take(entry, "difference", compared ? json_incref(gap) : json_null(), err));
        PFM_TRY(add_runs(s, entry, err));
    }
    if (json_array_append(list, entry) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the table");
done:
    json_decref(entry);
    json_decref(figures);
    json_decref(gap);
    return status;
}

/* ---- the whole ---- */

/* What was scored and how, from the scores of any run; null where there is none. */
static pfm_status add_subject(const json_t *scores, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    static const char *const same[] = {"dataset", "profile", "n", "n_images", "prior", "signature"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        json_t *value = json_object_get(scores, same[i]);
        PFM_TRY(pfm_json_take(out, same[i], value == NULL ? json_null() : json_incref(value), err));
    }
    const json_t *chance = json_object_get(scores, "chance");
    PFM_TRY(pfm_json_take(
        out, "chance", json_is_number(chance) ? json_pack("{s:f}", "overall", json_number_value(chance)) : json_null(), err));
    PFM_TRY(pfm_json_take(out, "headline", scores == NULL ? json_null() : json_string(pfm_score_headline(scores)), err));
done:
    return status;
}

static pfm_status add_untrained(const pfm_comparison *c, const pfm_error *outcome, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_compared_run run = {0};
    json_t *facts = NULL;
    if (outcome->code != PFM_OK)
        return pfm_json_take(out, "untrained", json_null(), err);
    PFM_TRY(pfm_compared_run_locate(c, &c->contenders[c->baseline], NULL, c->context->seed, c->split, &run, err));
    PFM_TRY(pfm_compared_run_read(&run, &facts, err));
    PFM_TRY(pfm_json_take(out, "untrained", pfm_score_figures(json_object_get(facts, "scores")), err));
done:
    free(run.folder);
    json_decref(facts);
    return status;
}

static pfm_status add_circumstances(const pfm_comparison *c, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char machine[128];
    json_t *seeds = json_array();
    json_int_t failed = 0;
    pfm_process_machine(machine, sizeof machine);
    for (int i = 0; i < c->seeds; i++)
        seeds = pfm_json_add(seeds, json_integer((json_int_t)(c->context->seed + (uint64_t)i)));
    for (size_t i = 0; i < c->count; i++)
        failed += c->contenders[i].error != NULL;
    PFM_TRY(pfm_json_take(out, "seeds", seeds, err));
    PFM_TRY(pfm_json_take(out, "split", json_string(c->split), err));
    PFM_TRY(pfm_json_take(out, "chosen_on", json_string(c->choice_split), err));
    PFM_TRY(pfm_json_take(out, "limit", json_integer(c->options->limit), err));
    PFM_TRY(pfm_json_take(out, "baseline", json_string(c->contenders[c->baseline].name), err));
    PFM_TRY(pfm_json_take(out, "failed", json_integer(failed), err));
    PFM_TRY(pfm_json_take(out, "out", json_string(c->out), err));
    PFM_TRY(pfm_json_take(out, "machine", json_string(machine), err));
    PFM_TRY(pfm_json_take(out, "threads", json_integer(pfm_context_threads(c->context)), err));
done:
    return status;
}

static pfm_status write(const pfm_comparison *c, scored *all, const pfm_error *untrained, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *recipes = json_array();
    const json_t *scores = NULL;
    scored *baseline = c->contenders[c->baseline].error == NULL ? &all[c->baseline] : NULL;
    PFM_TRY(pfm_json_take(out, "recipes", recipes, err));
    for (size_t i = 0; i < c->count; i++) {
        PFM_TRY(add_entry(c, &c->contenders[i], &all[i], baseline, recipes, err));
        if (scores == NULL && c->contenders[i].error == NULL)
            scores = scores_of(&all[i], 0);
    }
    PFM_TRY(add_subject(scores, out, err));
    PFM_TRY(add_circumstances(c, out, err));
    PFM_TRY(add_untrained(c, untrained, out, err));
    PFM_TRY(pfm_comparison_notes(c, untrained, out, err));
done:
    return status;
}

pfm_status pfm_comparison_result(const pfm_comparison *c, const pfm_error *untrained, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    scored *all = NULL;
    json_t *result = json_object();
    PFM_TRY(pfm_allocate(c->count, sizeof *all, &all, err));
    for (size_t i = 0; i < c->count; i++) {
        if (c->contenders[i].error == NULL)
            PFM_TRY(load_runs(c, &c->contenders[i], &all[i], err));
    }
    PFM_TRY(write(c, all, untrained, result, err));
    *out = result;
    result = NULL;
done:
    for (size_t i = 0; all != NULL && i < c->count; i++)
        release(c, &all[i]);
    free(all);
    json_decref(result);
    return status;
}
