#include "data/dataset_audit.h"

#include "base/json.h"
#include "base/map.h"
#include "base/try.h"
#include "pefomed/data.h"

#include <stdlib.h>
#include <string.h>

static void free_audit(audit *state)
{
    for (size_t s = 0; s < state->split_count; s++) {
        pfm_dataset_free(state->splits[s]);
        if (state->image_of != NULL)
            free(state->image_of[s]);
    }
    for (size_t i = 0; i < state->image_count; i++) {
        free(state->images[i].reason);
        free(state->images[i].near);
    }
    free(state->splits);
    free(state->image_of);
    free(state->images);
}

static pfm_status load_splits(audit *state, const char *dataset, const char *path, const pfm_dataset_options *options,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_names names = {0};
    PFM_TRY(pfm_dataset_list_splits(dataset, path, options, &names, err));
    if (names.count == 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s holds no split of a data set of the kind '%s'", path, dataset);
    PFM_TRY(pfm_array_reserve(&state->splits, &state->capacity, state->split_count + names.count, sizeof *state->splits, err));
    for (size_t s = 0; s < names.count; s++) {
        PFM_TRY(pfm_dataset_load(dataset, path, names.items[s], options, &state->splits[state->split_count], err));
        state->split_count++;
    }
done:
    pfm_names_free(&names);
    return status;
}

static pfm_status collect_image(audit *state, size_t s, const pfm_row_image *shown, pfm_map *seen, size_t *capacity,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    int64_t image = (int64_t)state->image_count;
    const char *key = pfm_row_image_key(shown);
    if (!pfm_map_get(seen, key, strlen(key), &image)) {
        PFM_TRY(pfm_array_reserve(&state->images, capacity, state->image_count + 1, sizeof *state->images, err));
        PFM_TRY(pfm_map_set(seen, key, strlen(key), image, err));
        state->images[state->image_count++] = (audit_image){.split = state->splits[s], .image = shown};
    }
    state->images[image].rows++;
    state->image_of[s][shown->index] = (size_t)image;
done:
    return status;
}

/* Gathers the distinct files of all splits. */
static pfm_status collect_images(audit *state, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_map seen = {0};
    size_t capacity = 0;
    PFM_TRY(pfm_allocate(state->split_count, sizeof *state->image_of, &state->image_of, err));
    for (size_t s = 0; s < state->split_count; s++) {
        const pfm_dataset *split = state->splits[s];
        PFM_TRY(pfm_allocate(split->image_count, sizeof(size_t), &state->image_of[s], err));
        for (size_t i = 0; i < split->count; i++) {
            for (size_t k = 0; k < split->rows[i].image_count; k++)
                PFM_TRY(collect_image(state, s, &split->rows[i].images[k], &seen, &capacity, err));
        }
    }
done:
    pfm_map_free(&seen);
    return status;
}

static const char *language_column(const char *dataset)
{
#define COLUMN(kind)                                                                                                           \
    if (strcmp(dataset, #kind) == 0)                                                                                           \
        return pfm_dataset_##kind.layout != NULL ? pfm_dataset_##kind.layout->language : pfm_dataset_##kind.language;
    PFM_DATASET_LIST(COLUMN)
#undef COLUMN
    return NULL;
}

/* Splits of the data set that another is held against are called DATASET:SPLIT. */
static pfm_status name_others(audit *state, const char *dataset, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t s = state->own_count; status == PFM_OK && s < state->split_count; s++) {
        char *name = NULL;
        status = pfm_string_format(&name, err, "%s:%s", dataset, state->splits[s]->split);
        if (status != PFM_OK)
            break;
        free(state->splits[s]->split);
        state->splits[s]->split = name;
    }
    return status;
}

static pfm_status write_document(audit *state, const pfm_context *context, const char *dataset, const char *path,
                                 const char *language, char **json_out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *document = json_object();
    if (document == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the report");
    PFM_TRY(pfm_json_take(document, "dataset", json_string(dataset), err));
    PFM_TRY(pfm_json_take(document, "path", json_string(path), err));
    PFM_TRY(pfm_json_take(document, "language", language == NULL ? json_null() : json_string(language), err));
    PFM_TRY(pfm_audit_add_splits(state, document, err));
    PFM_TRY(pfm_audit_add_images(state, document, err));
    PFM_TRY(pfm_audit_add_questions(state, document, err));
    PFM_TRY(pfm_audit_add_leakage(state, context, document, err));
    PFM_TRY(pfm_json_take(document, "problems", json_integer((json_int_t)state->problems), err));
    PFM_TRY(pfm_json_print(document, json_out, err));
done:
    json_decref(document);
    return status;
}

pfm_status pfm_data_audit(const pfm_context *context, const char *dataset, const char *path, const char *language,
                          char **json_out, pfm_error *err)
{
    return pfm_data_audit_against(context, dataset, path, language, NULL, NULL, json_out, err);
}

pfm_status pfm_data_audit_against(const pfm_context *context, const char *dataset, const char *path, const char *language,
                                  const char *other, const char *other_path, char **json_out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    audit state = {.language_column = language_column(dataset)};
    const pfm_dataset_options options = {.language = language, .any_language = language == NULL};
    const pfm_dataset_options any = {.any_language = true};
    PFM_TRY(load_splits(&state, dataset, path, &options, err));
    state.own_count = state.split_count;
    if (other != NULL)
        PFM_TRY(load_splits(&state, other, other_path, &any, err));
    if (other != NULL)
        PFM_TRY(name_others(&state, other, err));
    PFM_TRY(collect_images(&state, err));
    PFM_TRY(pfm_audit_read_images(&state, context, err));
    PFM_TRY(write_document(&state, context, dataset, path, language, json_out, err));
done:
    free_audit(&state);
    return status;
}
