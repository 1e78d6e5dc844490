#include "pefomed/eval.h"

#include "base/context.h"
#include "base/try.h"
#include "eval/metric.h"
#include "eval/paired.h"
#include "eval/score_text.h"
#include "eval/vqa.h"

#include <stdlib.h>
#include <string.h>

typedef struct id_index {
    json_t *rows; /* {id: row} */
} id_index;

static pfm_status index_row(void *user, json_t *row, const pfm_place *place, pfm_error *err)
{
    id_index *into = user;
    pfm_number_text number;
    pfm_place_text where;
    const char *id = pfm_score_row_id(row, number);
    if (id == NULL)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: a row that adds columns needs \"id\" or \"qid\"",
                             pfm_place_format(place, where));
    if (json_object_set(into->rows, id, row) != 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not keep the rows that add columns");
    return PFM_OK;
}

static bool meets(const json_t *row, const char *condition)
{
    pfm_number_text number;
    size_t length = strcspn(condition, "=");
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)row, key, value)
    {
        const char *text = pfm_json_text(value, number);
        if (strlen(key) == length && strncmp(key, condition, length) == 0)
            return text != NULL && strcmp(text, condition + length + 1) == 0;
    }
    return false;
}

typedef struct training_filter {
    const pfm_score_request *request;
    pfm_row_function function;
    void *user;
    size_t kept;
} training_filter;

static pfm_status pass_training(void *user, json_t *row, const pfm_place *place, pfm_error *err)
{
    training_filter *filter = user;
    for (size_t i = 0; i < filter->request->condition_count; i++) {
        if (!meets(row, filter->request->conditions[i]))
            return PFM_OK;
    }
    filter->kept++;
    return filter->function(filter->user, row, place, err);
}

pfm_status pfm_training_rows_read(const pfm_score_request *request, pfm_row_function function, void *user, pfm_error *err)
{
    pfm_status status = PFM_OK;
    training_filter filter = {.request = request, .function = function, .user = user};
    PFM_TRY(pfm_rows_read(request->training, pass_training, &filter, err));
    if (filter.kept == 0)
        PFM_FAIL(PFM_ERROR_USAGE, "%s: no training row meets the conditions of --where", request->training);
done:
    return status;
}

static pfm_status add_training(void *user, json_t *row, const pfm_place *place, pfm_error *err)
{
    return pfm_prior_add(user, row, place, err);
}

static pfm_status read_training(const pfm_score_request *request, const pfm_score_profile *profile, pfm_prior **out,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_prior *prior = NULL;
    PFM_TRY(pfm_prior_create(profile, &prior, err));
    PFM_TRY(pfm_training_rows_read(request, add_training, prior, err));
    *out = prior;
    prior = NULL;
done:
    pfm_prior_free(prior);
    return status;
}

static pfm_status read_system(const char *const *files, size_t count, const json_t *extra, pfm_answer_runs *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < count; i++)
        PFM_TRY(pfm_answer_runs_add_file(out, files[i], extra, false, err));
    PFM_TRY(pfm_answer_runs_finish(out, err));
done:
    return status;
}

/* The difference comes first: it may bring the kinds that the files themselves lack. */
static pfm_status score_profile(const pfm_score_request *request, const pfm_score_profile *profile, const json_t *extra,
                                const pfm_score_options *options, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_answer_runs system = {.profile = profile}, other = {.profile = profile};
    pfm_prior *prior = NULL;
    json_t *difference = NULL, *result = NULL;
    if (request->metrics != NULL || request->column_count > 0)
        PFM_FAIL(PFM_ERROR_USAGE, "metrics and columns do not go with the profile %s; score them by themselves", profile->name);
    if (request->labels != NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "labels are of reports; the profile %s scores questions", profile->name);
    if (request->bert != NULL || request->bert_layer > 0 || request->chexbert != NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "the profile %s runs no network; leave --bert, --bert-layer and --chexbert out",
                 profile->name);
    if (request->training != NULL)
        PFM_TRY(read_training(request, system.profile, &prior, err));
    PFM_TRY(read_system(request->files, request->file_count, extra, &system, err));
    if (request->against_count > 0) {
        PFM_TRY(read_system(request->against, request->against_count, extra, &other, err));
        PFM_TRY(pfm_score_difference(&system, &other, options, &difference, err));
    }
    PFM_TRY(pfm_score_vqa_system(&system, prior, options, &result, err));
    if (difference != NULL)
        PFM_TRY(pfm_json_take(result, "difference", json_incref(difference), err));
    *out = result;
    result = NULL;
done:
    json_decref(difference);
    json_decref(result);
    pfm_answer_runs_free(&system);
    pfm_answer_runs_free(&other);
    pfm_prior_free(prior);
    return status;
}

static pfm_status refuse_profile(const char *name, pfm_error *err)
{
    pfm_buffer known = {0};
    pfm_status status = PFM_OK;
    for (size_t i = 0; pfm_score_profiles[i] != NULL; i++)
        PFM_TRY(pfm_buffer_append_format(&known, err, "%s%s", i > 0 ? ", " : "", pfm_score_profiles[i]->name));
    for (size_t i = 0; pfm_profile_files[i].name != NULL; i++)
        PFM_TRY(pfm_buffer_append_format(&known, err, ", %s", pfm_profile_files[i].name));
    PFM_FAIL(PFM_ERROR_USAGE, "there is no profile '%.60s'; there are %s, and files by their path (./NAME.yaml)", name,
             known.data);
done:
    pfm_buffer_free(&known);
    return status;
}

static const pfm_score_profile *find_profile(const char *name)
{
    for (size_t i = 0; name != NULL && pfm_score_profiles[i] != NULL; i++) {
        if (strcmp(pfm_score_profiles[i]->name, name) == 0)
            return pfm_score_profiles[i];
    }
    return NULL;
}

static pfm_status score_texts(pfm_context *context, const pfm_score_request *request, const json_t *extra,
                              const pfm_score_options *options, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_text_profile *profile = NULL;
    if (request->profile != NULL) {
        PFM_TRY(pfm_text_profile_load(request->profile, &profile, err));
        if (profile == NULL)
            PFM_TRY(refuse_profile(request->profile, err));
    }
    PFM_TRY(pfm_score_text_files(request, profile, extra, options->seed, context, out, err));
done:
    pfm_text_profile_free(profile);
    return status;
}

static pfm_status check_request(const pfm_score_request *request, pfm_error *err)
{
    if (request->file_count == 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "name a predictions file to score");
    if (request->profile == NULL && request->metrics == NULL && request->column_count == 0)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "give a profile (--profile vqa), metrics (--metrics exact,f1_token) or a column (--column NAME)");
    if (request->labels != NULL && request->file_count != 1)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "labels are written of one predictions file; name one, or leave --labels out");
    for (size_t i = 0; i < request->condition_count; i++) {
        if (strchr(request->conditions[i], '=') == NULL)
            return pfm_error_set(err, PFM_ERROR_USAGE, "'%s' is no condition; write --where column=value",
                                 request->conditions[i]);
    }
    return request->metrics == NULL ? PFM_OK : pfm_metrics_check(request->metrics, err);
}

pfm_status pfm_score(pfm_context *context, const pfm_score_request *request, char **json_out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *result = NULL;
    id_index extra = {0};
    pfm_score_options options = {.dataset = request->dataset,
                                 .split = request->split,
                                 .probe = request->probe,
                                 .seed = context->seed,
                                 .threads = context->threads};
    PFM_TRY(check_request(request, err));
    if (request->rows != NULL) {
        extra.rows = json_object();
        PFM_TRY(pfm_rows_read(request->rows, index_row, &extra, err));
    }
    const pfm_score_profile *profile = find_profile(request->profile);
    if (profile != NULL)
        PFM_TRY(score_profile(request, profile, extra.rows, &options, &result, err));
    else
        PFM_TRY(score_texts(context, request, extra.rows, &options, &result, err));
    PFM_TRY(pfm_json_print(result, json_out, err));
done:
    json_decref(result);
    json_decref(extra.rows);
    return status;
}

static pfm_status add_definition(json_t *list, const char *name, const char *definition, pfm_error *err)
{
    json_t *entry = json_pack("{s:s,s:s}", "name", name, "definition", definition);
    if (entry == NULL || json_array_append_new(list, entry) != 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not list the metrics");
    return PFM_OK;
}

pfm_status pfm_score_list(char **json_out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *result = json_object(), *known_profiles = json_array(), *metrics = json_array();
    pfm_text_profile *profile = NULL;
    PFM_TRY(pfm_json_take(result, "profiles", json_incref(known_profiles), err));
    PFM_TRY(pfm_json_take(result, "metrics", json_incref(metrics), err));
    for (size_t i = 0; pfm_score_profiles[i] != NULL; i++)
        PFM_TRY(add_definition(known_profiles, pfm_score_profiles[i]->name, pfm_score_profiles[i]->definition, err));
    for (size_t i = 0; pfm_profile_files[i].name != NULL; i++) {
        pfm_text_profile_free(profile);
        profile = NULL;
        PFM_TRY(pfm_text_profile_load(pfm_profile_files[i].name, &profile, err));
        PFM_TRY(add_definition(known_profiles, profile->name, profile->definition, err));
    }
    for (size_t i = 0; pfm_metrics[i] != NULL; i++)
        PFM_TRY(add_definition(metrics, pfm_metrics[i]->name, pfm_metrics[i]->definition, err));
    PFM_TRY(pfm_json_print(result, json_out, err));
done:
    json_decref(result);
    json_decref(known_profiles);
    json_decref(metrics);
    pfm_text_profile_free(profile);
    return status;
}
