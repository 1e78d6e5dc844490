#include "pefomed/agree.h"

#include "base/context.h"
#include "base/file.h"
#include "base/try.h"
#include "eval/agree_figures.h"
#include "eval/agree_result.h"
#include "eval/rating_files.h"
#include "eval/rating_metrics.h"
#include "eval/sheets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct agreement {
    pfm_sheet_key key;
    pfm_ratings ratings;
    pfm_study study;
    pfm_study_systems systems;
    double *levels; /* [PFM_RATINGS_MOST_LEVELS] */
} agreement;

static pfm_status add_range(double low, double high, agreement *a, pfm_error *err)
{
    if (low != floor(low) || high != floor(high) || !(low < high) || high - low >= PFM_RATINGS_MOST_LEVELS)
        return pfm_error_set(err, PFM_ERROR_USAGE, "a scale from %g to %g is no range of 2 to %d whole numbers", low, high,
                             PFM_RATINGS_MOST_LEVELS);
    for (int i = 0; i <= (int)(high - low); i++)
        a->levels[a->ratings.level_count++] = low + i;
    return PFM_OK;
}

/* "0..4", or "0,0.5,1" in ascending order. */
static pfm_status read_levels(const char *text, agreement *a, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *end = NULL;
    const char *dots = strstr(text, "..");
    if (dots != NULL) {
        double low = strtod(text, &end), high = 0;
        bool good = end != text && (end == dots || end == dots + 1); /* "0." is a number too */
        high = strtod(dots + 2, &end);
        if (!good || end == dots + 2 || *end != '\0')
            PFM_FAIL(PFM_ERROR_USAGE, "'%s' is no scale; write it as 0..4 or 0,0.5,1", text);
        PFM_TRY(add_range(low, high, a, err));
        goto done;
    }
    for (const char *next = text; *next != '\0';) {
        double level = strtod(next, &end);
        size_t count = a->ratings.level_count;
        bool good = end != next && isfinite(level) && (*end == ',' || *end == '\0') && count < PFM_RATINGS_MOST_LEVELS;
        if (!good || (count > 0 && !(level > a->levels[count - 1])) || (*end == ',' && end[1] == '\0'))
            PFM_FAIL(PFM_ERROR_USAGE, "'%s' is no scale; write it as 0..4 or 0,0.5,1, ascending", text);
        a->levels[a->ratings.level_count++] = level;
        next = *end == ',' ? end + 1 : end;
    }
    if (a->ratings.level_count < 2)
        PFM_FAIL(PFM_ERROR_USAGE, "'%s' is no scale: it needs two levels at least", text);
done:
    return status;
}

static pfm_status check_request(const pfm_agree_request *r, pfm_rated_level *level, pfm_error *err)
{
    size_t l = 0;
    while (r->level != NULL && l < PFM_LEVEL_COUNT && strcmp(r->level, pfm_rated_level_names[l]) != 0)
        l++;
    *level = r->level == NULL ? PFM_LEVEL_ORDINAL : (pfm_rated_level)l;
    if (l == PFM_LEVEL_COUNT)
        return pfm_error_set(err, PFM_ERROR_USAGE, "there is no level %s; there are nominal, ordinal and interval", r->level);
    if (!isfinite(r->offset) || !isfinite(r->scale) || r->scale == 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "the scale of weighted averages must be a number other than 0");
    if ((r->metrics == NULL) != (r->predictions == NULL))
        return pfm_error_set(err, PFM_ERROR_USAGE, "metrics of single rows need both --predictions FILE and --metrics A,B,C");
    if (r->system != NULL && r->key == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "--system chooses among blinded sheets, which need --key");
    return PFM_OK;
}

static pfm_status check_system(const pfm_agree_request *r, const pfm_sheet_key *key, pfm_error *err)
{
    size_t i = 0;
    json_t *system = NULL;
    if (r->system == NULL)
        return PFM_OK;
    json_array_foreach(json_object_get(key->document, "systems"), i, system)
    {
        const char *name = json_string_value(json_object_get(system, "name"));
        if (name != NULL && strcmp(name, r->system) == 0)
            return PFM_OK;
    }
    return pfm_error_set(err, PFM_ERROR_USAGE, "%s knows no system %s", r->key, r->system);
}

static pfm_status read_files(const pfm_agree_request *r, pfm_context *context, agreement *a, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_allocate(PFM_RATINGS_MOST_LEVELS, sizeof *a->levels, &a->levels, err));
    if (r->key != NULL) {
        PFM_TRY(pfm_sheet_key_load(r->key, &a->key, err));
        PFM_TRY(check_system(r, &a->key, err));
    }
    if (r->levels != NULL)
        PFM_TRY(read_levels(r->levels, a, err));
    else if (r->key != NULL)
        PFM_TRY(add_range(a->key.low, a->key.high, a, err));
    a->ratings.levels = a->ratings.level_count > 0 ? a->levels : NULL;
    const pfm_rating_options options = {.key_path = r->key, .key = r->key == NULL ? NULL : &a->key, .system = r->system};
    for (size_t i = 0; i < r->file_count; i++)
        PFM_TRY(pfm_ratings_read(&a->ratings, r->files[i], &options, err));
    if (r->metrics != NULL)
        PFM_TRY(pfm_ratings_measure(&a->ratings, r->predictions, r->metrics, context, err));
    PFM_TRY(pfm_ratings_finish(&a->ratings, err));
done:
    return status;
}

/* Sheets in memory. */
static pfm_status read_sheet(const json_t *key, const json_t *rows, agreement *a, pfm_error *err)
{
    static const char name[] = "the study";
    pfm_status status = PFM_OK;
    const pfm_rating_options options = {.key_path = name, .key = &a->key};
    PFM_TRY(pfm_allocate(PFM_RATINGS_MOST_LEVELS, sizeof *a->levels, &a->levels, err));
    PFM_TRY(pfm_sheet_key_read(json_incref((json_t *)(uintptr_t)key), name, &a->key, err));
    PFM_TRY(add_range(a->key.low, a->key.high, a, err));
    a->ratings.levels = a->levels;
    PFM_TRY(pfm_ratings_read_sheet(&a->ratings, rows, name, &options, err));
    PFM_TRY(pfm_ratings_finish(&a->ratings, err));
done:
    return status;
}

/* Items of sheets with several systems are named SYSTEM/id. */
static pfm_status find_systems(const pfm_agree_request *r, agreement *a, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t s = 0;
    json_t *system = NULL;
    const json_t *list = json_object_get(a->key.document, "systems");
    if (a->key.document == NULL || r->system != NULL || a->key.system_count < 2)
        goto done;
    PFM_TRY(pfm_allocate(a->key.system_count, sizeof *a->systems.names, &a->systems.names, err));
    PFM_TRY(pfm_allocate(a->ratings.item_count, sizeof *a->systems.of, &a->systems.of, err));
    a->systems.count = a->key.system_count;
    for (size_t i = 0; i < a->ratings.item_count; i++)
        a->systems.of[i] = (uint32_t)a->systems.count;
    json_array_foreach(list, s, system)
    {
        const char *name = json_string_value(json_object_get(system, "name"));
        a->systems.names[s] = name;
        size_t length = strlen(name);
        for (size_t i = 0; i < a->ratings.item_count; i++) {
            const char *item = a->ratings.items[i];
            if (strncmp(item, name, length) == 0 && item[length] == '/')
                a->systems.of[i] = (uint32_t)s;
        }
    }
done:
    return status;
}

/* What of a judge has nothing to do with the people is a slip of the hand more often than not. */
static void warn_apart(const pfm_context *context, const pfm_study *study)
{
    for (size_t i = 0; i < study->pair_count; i++) {
        const pfm_study_pair *pair = &study->pairs[i];
        if (pair->n == 0 && pair->part != PFM_STUDY_DUPLICATES)
            pfm_log(context, PFM_LOG_WARNING, "%s and %s have no item in common", pair->a, pair->b);
    }
}

static void free_agreement(agreement *a)
{
    pfm_study_free(&a->study);
    pfm_ratings_free(&a->ratings);
    pfm_sheet_key_free(&a->key);
    free(a->systems.names);
    free(a->systems.of);
    free(a->levels);
}

/* What was read becomes the result. */
static pfm_status finish(pfm_context *context, const pfm_agree_request *r, agreement *a, pfm_rated_level level, json_t **out,
                         pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(find_systems(r, a, err));
    PFM_TRY(pfm_study_run(context, &a->ratings, &a->systems, &a->study, err));
    warn_apart(context, &a->study);
    PFM_TRY(pfm_study_write(&a->study, r, level, context->seed, out, err));
done:
    return status;
}

pfm_status pfm_agree(pfm_context *context, const pfm_agree_request *request, char **json_out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    agreement a = {0};
    pfm_rated_level level = PFM_LEVEL_ORDINAL;
    json_t *result = NULL;
    PFM_TRY(check_request(request, &level, err));
    PFM_TRY(read_files(request, context, &a, err));
    PFM_TRY(finish(context, request, &a, level, &result, err));
    if (request->out != NULL)
        PFM_TRY(pfm_agree_draw(&a.ratings, result, request->out, err));
    *json_out = json_dumps(result, JSON_INDENT(2));
    if (*json_out == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the result");
done:
    json_decref(result);
    free_agreement(&a);
    return status;
}

pfm_status pfm_sheets_agree(pfm_context *context, const json_t *key, const json_t *rows, json_t **out, pfm_error *err)
{
    const pfm_agree_request request = {.scale = 1};
    agreement a = {0};
    pfm_status status = read_sheet(key, rows, &a, err);
    if (status == PFM_OK)
        status = finish(context, &request, &a, PFM_LEVEL_ORDINAL, out, err);
    free_agreement(&a);
    return status;
}
