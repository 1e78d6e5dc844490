#include "eval/score_text.h"

#include "base/context.h"
#include "base/try.h"
#include "eval/label_file.h"
#include "eval/metric_runs.h"
#include "eval/networks.h"

#include <stdlib.h>
#include <string.h>

/* Numbers that are metrics: columns of the predictions file, or of a file of their own. */
typedef struct number_columns {
    pfm_metric metrics[PFM_ANSWER_MAX_NUMBERS];
    pfm_answer_numbers names;
    char *owned[PFM_ANSWER_MAX_NUMBERS];
    json_t *sources[PFM_ANSWER_MAX_NUMBERS];
} number_columns;

static pfm_status measure_column(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)err;
    for (size_t i = 0; i < set->count; i++)
        numbers[i] = set->numbers[i * set->number_columns.count + (size_t)metric->order];
    return PFM_OK;
}

/* ---- a file of numbers ---- */

typedef struct number_file {
    const char *column;
    json_t *numbers; /* {id: number} */
} number_file;

const char *pfm_score_row_id(const json_t *row, pfm_number_text text)
{
    const json_t *id = json_object_get(row, "id");
    return pfm_json_text(id != NULL ? id : json_object_get(row, "qid"), text);
}

static pfm_status add_number(void *user, json_t *row, const pfm_place *place, pfm_error *err)
{
    number_file *into = user;
    pfm_number_text text;
    pfm_place_text where;
    json_t *number = json_object_get(row, into->column);
    const char *key = pfm_score_row_id(row, text);
    if (key == NULL || !json_is_number(number))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: a row of this file needs \"id\" (or \"qid\") and a number \"%s\"",
                             pfm_place_format(place, where), into->column);
    if (json_object_get(into->numbers, key) != NULL)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: the id %s is there already", pfm_place_format(place, where), key);
    if (json_object_set(into->numbers, key, number) != 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not keep the numbers of %s", into->column);
    return PFM_OK;
}

/* Rows with id and number, or one object {id: number}. */
static pfm_status read_numbers(const char *path, const char *column, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_error inner = PFM_ERROR_INIT;
    number_file file = {.column = column};
    json_t *whole = NULL, *number = NULL;
    const char *id = NULL;
    bool is_map = pfm_json_load(path, &whole, &inner) == PFM_OK && json_is_object(whole) && json_object_size(whole) > 0;
    json_object_foreach(whole, id, number) is_map &= json_is_number(number) && strcmp(id, column) != 0;
    if (is_map) {
        *out = json_incref(whole);
        goto done;
    }
    file.numbers = json_object();
    PFM_TRY(pfm_rows_read(path, add_number, &file, err));
    *out = json_incref(file.numbers);
done:
    json_decref(whole);
    json_decref(file.numbers);
    return status;
}

static pfm_status add_column(const pfm_score_request *request, const char *asked, number_columns *c, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t n = c->names.count, length = strcspn(asked, "=");
    if (n == PFM_ANSWER_MAX_NUMBERS)
        PFM_FAIL(PFM_ERROR_USAGE, "at most %d columns are scored at once", PFM_ANSWER_MAX_NUMBERS);
    if (length == 0)
        PFM_FAIL(PFM_ERROR_USAGE, "'%s' names no column; write --column NAME or --column NAME=FILE", asked);
    PFM_TRY(pfm_string_copy_n(asked, length, &c->owned[n], err));
    c->names.names[n] = c->owned[n];
    c->names.count++;
    c->metrics[n] = (pfm_metric){.name = c->owned[n],
                                 .definition = "Mean of a column.",
                                 .signature = "column.mean",
                                 .columns = 1,
                                 .order = (int)n,
                                 .measure = measure_column,
                                 .finish = pfm_metric_mean};
    if (asked[length] == '\0')
        goto done;
    if (request->file_count != 1 || request->against_count > 0)
        PFM_FAIL(
            PFM_ERROR_USAGE,
            "a file of numbers belongs to one predictions file; of several, or with --against, put the numbers into each as "
            "the column %s",
            c->owned[n]);
    PFM_TRY(read_numbers(asked + length + 1, c->owned[n], &c->sources[n], err));
    c->names.sources[n] = c->sources[n];
done:
    return status;
}

static void free_columns(number_columns *c)
{
    for (size_t n = 0; n < PFM_ANSWER_MAX_NUMBERS; n++) {
        free(c->owned[n]);
        json_decref(c->sources[n]);
    }
}

/* ---- preparing ---- */

static pfm_status learn_row(void *user, json_t *row, const pfm_place *place, pfm_error *err)
{
    pfm_text_profile *profile = user;
    pfm_number_text number;
    pfm_place_text where;
    pfm_status status = PFM_OK;
    const char *text = NULL;
    static const char *const columns[] = {"reference", "report", "answer"};
    for (size_t i = 0; i < sizeof columns / sizeof columns[0] && text == NULL; i++)
        text = pfm_json_text(json_object_get(row, columns[i]), number);
    if (text == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: a training row needs \"reference\", \"report\" or \"answer\"",
                 pfm_place_format(place, where));
    PFM_TRY(pfm_preparation_learn(&profile->references, text, err));
    PFM_TRY(pfm_preparation_learn(&profile->predictions, text, err));
done:
    return status;
}

static pfm_status learn(const pfm_score_request *request, pfm_text_profile *profile, pfm_error *err)
{
    if (request->training == NULL)
        return PFM_OK;
    if (profile == NULL || (!pfm_preparation_learns(&profile->references) && !pfm_preparation_learns(&profile->predictions)))
        return pfm_error_set(err, PFM_ERROR_USAGE, "nothing here learns from training rows; leave --training out");
    return pfm_training_rows_read(request, learn_row, profile, err);
}

/* What the request says of networks, or else the profile. */
static pfm_score_networks networks_of(const pfm_score_request *request, const pfm_text_profile *profile, pfm_context *context)
{
    const bool own = request->bert != NULL; /* a profile's layer is its own model's */
    return (pfm_score_networks){.context = context,
                                .chexbert = request->chexbert,
                                .bert = own || profile == NULL ? request->bert : profile->bert,
                                .bert_layer = own || request->bert_layer > 0 || profile == NULL ? request->bert_layer
                                                                                                : profile->bert_layer};
}

/* A network that nothing runs was asked for by mistake. */
static pfm_status check_networks(const pfm_score_request *request, const pfm_metric_selection *chosen, pfm_error *err)
{
    bool runs[PFM_NETWORK_CHEXBERT + 1] = {false};
    for (size_t m = 0; m < chosen->count; m++)
        runs[chosen->metrics[m]->network] = true;
    if ((request->bert != NULL || request->bert_layer > 0) && !runs[PFM_NETWORK_BERT])
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "no metric here runs a text encoder; leave --bert and --bert-layer out, or add "
                             "--metrics bertscore_f1");
    if (request->chexbert != NULL && !runs[PFM_NETWORK_CHEXBERT])
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "no metric here runs CheXbert; leave --chexbert out, or add --metrics chexbert_f1_micro");
    return PFM_OK;
}

static pfm_status read_system(const char *const *files, size_t count, const json_t *extra, pfm_text_profile *profile,
                              const number_columns *columns, pfm_answer_runs *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    out->number_columns = columns->names;
    for (size_t i = 0; i < count; i++)
        PFM_TRY(pfm_answer_runs_add_file(out, files[i], extra, true, err));
    for (size_t r = 0; r < out->run_count && profile != NULL; r++)
        PFM_TRY(pfm_prepare_set(&profile->references, &profile->predictions, &out->runs[r], err));
    PFM_TRY(pfm_answer_runs_finish(out, err));
done:
    return status;
}

/* The profile's metrics, then those asked for beside, then columns. */
static pfm_status choose(const pfm_score_request *request, const pfm_text_profile *profile, number_columns *columns,
                         pfm_metric_selection *chosen, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (profile != NULL)
        PFM_TRY(pfm_metrics_select(profile->metrics, chosen, err));
    if (request->metrics != NULL)
        PFM_TRY(pfm_metrics_select(request->metrics, chosen, err));
    for (size_t i = 0; i < request->column_count; i++)
        PFM_TRY(add_column(request, request->columns[i], columns, err));
    for (size_t i = 0; i < columns->names.count; i++) {
        if (pfm_metric_find(columns->metrics[i].name) != NULL)
            PFM_FAIL(PFM_ERROR_USAGE, "the column %s has the name of a metric; give it another", columns->metrics[i].name);
        PFM_TRY(pfm_metrics_add(chosen, &columns->metrics[i], err));
    }
done:
    return status;
}

pfm_status pfm_score_text_files(const pfm_score_request *request, pfm_text_profile *profile, const json_t *extra, uint64_t seed,
                                pfm_context *context, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_answer_runs system = {0}, other = {0};
    pfm_metric_selection chosen = {0};
    number_columns columns = {0};
    pfm_score_networks networks = networks_of(request, profile, context);
    char *prepared = NULL;
    system.networks = other.networks = &networks;
    PFM_TRY(choose(request, profile, &columns, &chosen, err));
    PFM_TRY(check_networks(request, &chosen, err));
    PFM_TRY(learn(request, profile, err));
    if (profile != NULL)
        PFM_TRY(pfm_text_profile_describe(profile, &prepared, err));
    PFM_TRY(read_system(request->files, request->file_count, extra, profile, &columns, &system, err));
    if (request->against_count > 0)
        PFM_TRY(read_system(request->against, request->against_count, extra, profile, &columns, &other, err));
    if (request->labels != NULL)
        PFM_TRY(pfm_label_file_write(&system.runs[0], request->labels, err));
    const pfm_metric_plan plan = {&chosen, profile == NULL ? NULL : profile->name, prepared, seed, context->threads};
    PFM_TRY(pfm_score_texts(&system, request->against_count > 0 ? &other : NULL, &plan, out, err));
done:
    pfm_answer_runs_free(&system);
    pfm_answer_runs_free(&other);
    pfm_score_networks_close(&networks);
    free_columns(&columns);
    free(prepared);
    return status;
}
