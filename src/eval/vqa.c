#include "eval/vqa.h"

#include "base/try.h"
#include "eval/bootstrap.h"
#include "eval/calibration.h"
#include "eval/permutation.h"
#include "pefomed/context.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What an image, or a sum over images, holds. */
enum { N_CLOSED, N_OPEN, CORRECT_CLOSED, CORRECT_OPEN, RECALL_OPEN, COLUMNS };

const char *const pfm_vqa_statistic_names[PFM_VQA_STATISTICS] = {"overall", "closed", "open", "recall_open"};

static double percentage(double part, double whole) { return whole > 0 ? 100 * part / whole : NAN; }

static void vqa_statistics(const void *unused, const double *sums, double *values)
{
    (void)unused;
    double closed = sums[N_CLOSED], open = sums[N_OPEN];
    values[PFM_VQA_OVERALL] = percentage(sums[CORRECT_CLOSED] + sums[CORRECT_OPEN], closed + open);
    values[PFM_VQA_CLOSED] = percentage(sums[CORRECT_CLOSED], closed);
    values[PFM_VQA_OPEN] = percentage(sums[CORRECT_OPEN], open);
    values[PFM_VQA_RECALL] = percentage(sums[RECALL_OPEN], open);
}

static void add_row(double *sums, pfm_answer_kind kind, double correct, double recall)
{
    bool closed = kind == PFM_KIND_CLOSED;
    sums[closed ? N_CLOSED : N_OPEN]++;
    sums[closed ? CORRECT_CLOSED : CORRECT_OPEN] += correct;
    if (!closed)
        sums[RECALL_OPEN] += recall;
}

void pfm_vqa_score(const pfm_answer_set *set, const double *correct, const double *recall, double *values)
{
    double sums[COLUMNS] = {0};
    for (size_t i = 0; i < set->count; i++)
        add_row(sums, set->rows[i].kind, correct[i], recall[i]);
    vqa_statistics(NULL, sums, values);
}

static pfm_status sum_images(const pfm_answer_set *set, const double *correct, const double *recall, double **out,
                             pfm_error *err)
{
    double *sums = NULL;
    pfm_status status = pfm_allocate(set->images.count, COLUMNS * sizeof *sums, &sums, err);
    if (status != PFM_OK)
        return status;
    for (size_t i = 0; i < set->count; i++)
        add_row(sums + (size_t)set->rows[i].image * COLUMNS, set->rows[i].kind, correct[i], recall[i]);
    *out = sums;
    return PFM_OK;
}

pfm_status pfm_vqa_intervals_over_images(const pfm_answer_set *set, const double *correct, const double *recall,
                                         const pfm_score_options *options, pfm_vqa_intervals *out, pfm_error *err)
{
    double *units = NULL;
    pfm_status status = PFM_OK;
    PFM_TRY(sum_images(set, correct, recall, &units, err));
    pfm_vqa_score(set, correct, recall, out->value);
    pfm_bootstrap plan = {.units = units,
                          .count = set->images.count,
                          .columns = COLUMNS,
                          .values = PFM_VQA_STATISTICS,
                          .statistics = vqa_statistics,
                          .samples = PFM_BOOTSTRAP_SAMPLES,
                          .seed = options->seed,
                          .threads = options->threads};
    PFM_TRY(pfm_bootstrap_run(&plan, out->low, out->high, err));
done:
    free(units);
    return status;
}

/* An exchange turns the sign of an image's differences, and leaves its number of rows. */
pfm_status pfm_vqa_exchange_images(const pfm_answer_set *set, const double *correct, const double *recall,
                                   const pfm_score_options *options, double *p, pfm_error *err)
{
    double *units = NULL, middle[COLUMNS] = {0};
    pfm_status status = PFM_OK;
    PFM_TRY(sum_images(set, correct, recall, &units, err));
    for (size_t i = 0; i < set->images.count; i++) {
        for (size_t c = N_CLOSED; c <= N_OPEN; c++) {
            middle[c] += units[i * COLUMNS + c];
            units[i * COLUMNS + c] = 0;
        }
    }
    const pfm_permutation plan = {.middle = middle,
                                  .units = units,
                                  .count = set->images.count,
                                  .columns = COLUMNS,
                                  .values = PFM_VQA_STATISTICS,
                                  .statistics = vqa_statistics,
                                  .seed = options->seed,
                                  .threads = options->threads};
    PFM_TRY(pfm_permutation_run(&plan, p, err));
done:
    free(units);
    return status;
}

static json_t *text_or_null(const char *text) { return text == NULL ? json_null() : json_string(text); }

static pfm_status add_figures(json_t *out, const pfm_vqa_intervals *figures, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *intervals = json_object();
    for (int i = 0; i < PFM_VQA_STATISTICS; i++)
        PFM_TRY(pfm_json_take(out, pfm_vqa_statistic_names[i], pfm_json_number(figures->value[i]), err));
    for (int i = 0; i < PFM_VQA_STATISTICS; i++) {
        json_t *interval = isnan(figures->low[i]) ? json_null() : json_pack("[f,f]", figures->low[i], figures->high[i]);
        PFM_TRY(pfm_json_take(intervals, pfm_vqa_statistic_names[i], interval, err));
    }
    status = pfm_json_take(out, "ci95", intervals, err);
    intervals = NULL;
done:
    json_decref(intervals);
    return status;
}

typedef struct group {
    const char *name;
    double n, correct;
} group;

static int compare_groups(const void *a, const void *b) { return strcmp(((const group *)a)->name, ((const group *)b)->name); }

/* Takes groups into by[column], sorted by name, without those that no row belongs to. */
static pfm_status add_groups(json_t *by, const char *column, group *groups, size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *out = json_object();
    qsort(groups, count, sizeof *groups, compare_groups);
    for (size_t g = 0; g < count; g++) {
        if (groups[g].n == 0)
            continue;
        double overall = percentage(groups[g].correct, groups[g].n);
        PFM_TRY(
            pfm_json_take(out, groups[g].name, json_pack("{s:I,s:f}", "n", (json_int_t)groups[g].n, "overall", overall), err));
    }
    status = pfm_json_take(by, column, out, err);
    out = NULL;
done:
    json_decref(out);
    return status;
}

static pfm_status add_column(json_t *by, const pfm_answer_column *column, const double *correct, pfm_error *err)
{
    group *groups = NULL;
    pfm_status status = pfm_allocate(column->values.count, sizeof *groups, &groups, err);
    if (status != PFM_OK)
        return status;
    for (size_t i = 0; i < column->values.count; i++)
        groups[i].name = column->values.texts[i];
    for (size_t i = 0; i < column->coded; i++) {
        if (column->codes[i] == 0)
            continue;
        groups[column->codes[i] - 1].n++;
        groups[column->codes[i] - 1].correct += correct[i];
    }
    status = add_groups(by, column->name, groups, column->values.count, err);
    free(groups);
    return status;
}

static pfm_status add_by(json_t *out, const pfm_answer_runs *system, pfm_error *err)
{
    const pfm_answer_set *set = &system->runs[0];
    pfm_status status = PFM_OK;
    json_t *by = json_object();
    group kinds[2] = {{.name = "OPEN"}, {.name = "CLOSED"}};
    for (size_t i = 0; i < set->count; i++) {
        kinds[set->rows[i].kind == PFM_KIND_CLOSED].n++;
        kinds[set->rows[i].kind == PFM_KIND_CLOSED].correct += system->correct[i];
    }
    PFM_TRY(add_groups(by, "answer_type", kinds, 2, err));
    for (size_t i = 0; i < set->column_count; i++) {
        if (pfm_answer_column_splits(&set->columns[i]))
            PFM_TRY(add_column(by, &set->columns[i], system->correct, err));
    }
    status = pfm_json_take(out, "by", by, err);
    by = NULL;
done:
    json_decref(by);
    return status;
}

static pfm_status add_chance(json_t *out, const pfm_answer_runs *system, pfm_error *err)
{
    const pfm_answer_set *set = &system->runs[0];
    double sum = 0;
    if (pfm_score_profile_or_vqa(system->profile)->guess == NULL)
        return PFM_OK;
    for (size_t i = 0; i < set->count; i++)
        sum += set->rows[i].guess;
    return pfm_json_take(out, "chance", pfm_json_number(percentage(sum, (double)set->count)), err);
}

static pfm_status add_prior(json_t *out, const pfm_answer_runs *system, pfm_prior *prior, pfm_error *err)
{
    const pfm_answer_set *set = &system->runs[0];
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    double sums[COLUMNS] = {0}, values[PFM_VQA_STATISTICS];
    if (prior == NULL)
        return pfm_json_take(out, "prior", json_null(), err);
    for (size_t i = 0; i < set->count; i++) {
        const pfm_answer_row *row = &set->rows[i];
        const char *guess = NULL;
        PFM_TRY(pfm_prior_answer(prior, row->question, row->kind, &guess, err));
        PFM_TRY(pfm_score_profile_reduce(pfm_score_profile_or_vqa(system->profile), row->answer, false, NULL, &text, err));
        bool right = guess != NULL && strcmp(guess, text.size == 0 ? "" : text.data) == 0;
        add_row(sums, row->kind, right, 0);
    }
    vqa_statistics(NULL, sums, values);
    json_t *figures = json_object();
    status = pfm_json_take(out, "prior", figures, err);
    for (int i = 0; i < PFM_VQA_RECALL && status == PFM_OK; i++)
        status = pfm_json_take(figures, pfm_vqa_statistic_names[i], pfm_json_number(values[i]), err);
done:
    pfm_buffer_free(&text);
    return status;
}

static pfm_status add_calibration(json_t *out, const pfm_answer_runs *system, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_sure *answers = NULL;
    json_t *calibration = NULL;
    size_t count = 0, most = 0;
    for (size_t r = 0; r < system->run_count; r++)
        most += system->runs[r].probabilities;
    PFM_TRY(pfm_allocate(most, sizeof *answers, &answers, err));
    for (size_t r = 0; r < system->run_count; r++) {
        const pfm_answer_set *set = &system->runs[r];
        for (size_t i = 0; i < set->count; i++) {
            if (!isnan(set->rows[i].probability))
                answers[count++] = (pfm_sure){set->rows[i].probability, set->rows[i].correct};
        }
    }
    PFM_TRY(pfm_calibration(answers, count, &calibration, err));
    PFM_TRY(pfm_json_take(out, "calibration", calibration, err));
done:
    free(answers);
    return status;
}

static void score_run(const pfm_answer_runs *system, size_t run, double values[PFM_VQA_STATISTICS])
{
    double sums[COLUMNS] = {0};
    const pfm_answer_set *first = &system->runs[0], *set = &system->runs[run];
    for (size_t i = 0; i < first->count; i++) {
        const pfm_answer_row *row = &set->rows[system->order[run][i]];
        add_row(sums, first->rows[i].kind, row->correct, row->recall);
    }
    vqa_statistics(NULL, sums, values);
}

static pfm_status add_runs(json_t *out, const pfm_answer_runs *system, pfm_error *err)
{
    pfm_status status = PFM_OK;
    double sum[PFM_VQA_STATISTICS] = {0}, squares[PFM_VQA_STATISTICS] = {0}, values[PFM_VQA_STATISTICS];
    json_t *runs = json_array(), *sd = json_object();
    size_t count = system->run_count;
    PFM_TRY(pfm_json_take(out, "runs", runs, err));
    PFM_TRY(pfm_json_take(out, "sd", sd, err));
    for (size_t r = 0; r < count; r++) {
        json_t *run = json_object();
        score_run(system, r, values);
        if (run == NULL || json_array_append_new(runs, run) != 0)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write a score");
        PFM_TRY(pfm_json_take(run, "file", text_or_null(system->names[r]), err));
        for (int i = 0; i < PFM_VQA_STATISTICS; i++) {
            sum[i] += values[i];
            PFM_TRY(pfm_json_take(run, pfm_vqa_statistic_names[i], pfm_json_number(values[i]), err));
        }
    }
    for (size_t r = 0; r < count; r++) {
        score_run(system, r, values);
        for (int i = 0; i < PFM_VQA_STATISTICS; i++)
            squares[i] += pow(values[i] - sum[i] / (double)count, 2);
    }
    for (int i = 0; i < PFM_VQA_STATISTICS; i++)
        PFM_TRY(pfm_json_take(sd, pfm_vqa_statistic_names[i], pfm_json_number(sqrt(squares[i] / (double)(count - 1))), err));
done:
    return status;
}

static json_t *make_signature(const pfm_answer_runs *system, const pfm_score_options *options)
{
    const pfm_answer_set *set = &system->runs[0];
    const pfm_score_profile *profile = pfm_score_profile_or_vqa(system->profile);
    const char *kinds = set->kinds_given == set->count ? "given" : set->kinds_given == 0 ? "inferred" : "mixed";
    return json_sprintf("%s|%s|kinds:%s|ci95:bootstrap.%s.%d.percentile.seed%llu|bins:%d|version:%s", profile->name,
                        profile->rule, kinds, set->shown > 0 ? "images" : "rows", PFM_BOOTSTRAP_SAMPLES,
                        (unsigned long long)options->seed, PFM_CALIBRATION_BINS, pfm_version());
}

static size_t count_closed(const pfm_answer_set *set)
{
    size_t closed = 0;
    for (size_t i = 0; i < set->count; i++)
        closed += set->rows[i].kind == PFM_KIND_CLOSED;
    return closed;
}

pfm_status pfm_score_vqa_system(const pfm_answer_runs *system, pfm_prior *prior, const pfm_score_options *options, json_t **out,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_answer_set *set = &system->runs[0];
    size_t closed = count_closed(set);
    pfm_vqa_intervals figures;
    json_t *result = json_object();
    PFM_TRY(pfm_json_take(result, "profile", json_string(pfm_score_profile_or_vqa(system->profile)->name), err));
    PFM_TRY(pfm_json_take(result, "dataset", text_or_null(options->dataset), err));
    PFM_TRY(pfm_json_take(result, "split", text_or_null(options->split), err));
    PFM_TRY(pfm_json_take(result, "n", json_integer((json_int_t)set->count), err));
    PFM_TRY(pfm_json_take(result, "n_images", json_integer((json_int_t)set->shown), err));
    PFM_TRY(pfm_json_take(result, "n_closed", json_integer((json_int_t)closed), err));
    PFM_TRY(pfm_json_take(result, "n_open", json_integer((json_int_t)(set->count - closed)), err));
    PFM_TRY(pfm_vqa_intervals_over_images(set, system->correct, system->recall, options, &figures, err));
    PFM_TRY(add_figures(result, &figures, err));
    PFM_TRY(add_by(result, system, err));
    PFM_TRY(add_prior(result, system, prior, err));
    PFM_TRY(add_chance(result, system, err));
    PFM_TRY(pfm_json_take(result, "probe", json_string(options->probe == NULL ? "none" : options->probe), err));
    PFM_TRY(add_calibration(result, system, err));
    PFM_TRY(pfm_json_take(result, "signature", make_signature(system, options), err));
    if (system->run_count > 1)
        PFM_TRY(add_runs(result, system, err));
    *out = result;
    result = NULL;
done:
    json_decref(result);
    return status;
}

pfm_status pfm_score_vqa(const json_t *predictions, const json_t *training, const pfm_score_options *options, json_t **out,
                         pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_answer_runs system = {.profile = options->profile};
    pfm_prior *prior = NULL;
    PFM_TRY(pfm_answer_runs_add_rows(&system, predictions, false, err));
    PFM_TRY(pfm_answer_runs_finish(&system, err));
    if (training != NULL) {
        PFM_TRY(pfm_prior_create(options->profile, &prior, err));
        PFM_TRY(pfm_rows_visit(training, pfm_prior_add, prior, err));
    }
    PFM_TRY(pfm_score_vqa_system(&system, prior, options, out, err));
done:
    pfm_answer_runs_free(&system);
    pfm_prior_free(prior);
    return status;
}
