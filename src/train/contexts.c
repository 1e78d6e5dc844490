#include "train/contexts.h"

#include "base/try.h"
#include "train/recipe_table.h"
#include "train/trainer.h"

#include <stdlib.h>
#include <string.h>

bool pfm_context_chooses(const pfm_peft_options *method)
{
    return method != NULL && strcmp(method->method, "none") != 0 && method->context != NULL;
}

/* 0: it is none of the method's. */
static int32_t number_of(const pfm_peft_options *method, const char *value)
{
    for (size_t i = 0; i < method->context_count; i++) {
        if (strcmp(method->contexts[i], value) == 0)
            return (int32_t)i + 1;
    }
    return 0;
}

/* *out = the row's value as text, which the caller frees; NULL: there is none. */
static pfm_status read_value(const pfm_row *row, const char *column, char **out, pfm_error *err)
{
    const json_t *value = json_object_get(row->extra, column);
    *out = NULL;
    if (value == NULL || json_is_null(value))
        return PFM_OK;
    if (json_is_array(value) || json_is_object(value))
        return pfm_error_set(err, PFM_ERROR_FORMAT,
                             "row %s: its column '%s' is a list or an object; experts are chosen by texts and numbers", row->id,
                             column);
    if (json_is_string(value))
        return json_string_length(value) == 0 ? PFM_OK : pfm_string_copy(json_string_value(value), out, err);
    *out = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    return *out != NULL ? PFM_OK : pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read row %s", row->id);
}

pfm_status pfm_context_of_row(const pfm_peft_options *method, const pfm_row *row, int32_t *out, pfm_error *err)
{
    char *value = NULL;
    *out = 0;
    if (!pfm_context_chooses(method))
        return PFM_OK;
    pfm_status status = read_value(row, method->context, &value, err);
    if (status == PFM_OK && value != NULL)
        *out = number_of(method, value);
    free(value);
    return status;
}

void pfm_contexts_order(const int32_t *contexts, size_t all, size_t *rows, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const size_t row = rows[i];
        size_t at = i;
        for (; at > 0 && contexts[rows[at - 1] % all] > contexts[row % all]; at--)
            rows[at] = rows[at - 1];
        rows[at] = row;
    }
}

/* Appends "CT, MRI, X-Ray". */
static pfm_status list_values(const pfm_peft_options *method, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = pfm_buffer_append_string(out, method->context_count == 0 ? "none" : "", err);
    for (size_t i = 0; status == PFM_OK && i < method->context_count; i++)
        status = pfm_buffer_append_format(out, err, "%s%s", i > 0 ? ", " : "", method->contexts[i]);
    return status;
}

pfm_status pfm_context_parse(const pfm_peft_options *method, const char *text, int32_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer known = {0};
    const char *value = strchr(text, '=');
    const size_t length = value == NULL ? strlen(text) : (size_t)(value - text);
    if (value == NULL || strlen(method->context) != length || memcmp(method->context, text, length) != 0)
        PFM_FAIL(PFM_ERROR_USAGE, "--context cannot be '%.80s'; the experts are chosen by %s, as in --context %s=VALUE", text,
                 method->context, method->context);
    *out = number_of(method, value + 1);
    if (*out == 0) {
        PFM_TRY(list_values(method, &known, err));
        PFM_FAIL(PFM_ERROR_USAGE,
                 "--context: '%.80s' was not learned; of %s there are %s, and where it is none of them leave "
                 "--context out",
                 value + 1, method->context, known.data);
    }
done:
    pfm_buffer_free(&known);
    return status;
}

/* ---- from the training rows ---- */

/* Values, each once, in the order of their bytes. */
typedef struct values {
    char **items;
    size_t count, capacity;
} values;

static void values_free(values *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
}

/* Takes the text, also on error. */
static pfm_status add_value(values *list, char *text, const pfm_recipe *recipe, pfm_error *err)
{
    size_t at = 0;
    while (at < list->count && strcmp(list->items[at], text) < 0)
        at++;
    if (at < list->count && strcmp(list->items[at], text) == 0) {
        free(text);
        return PFM_OK;
    }
    pfm_status status = PFM_OK;
    if (list->count == (size_t)recipe->peft.experts)
        status =
            pfm_error_set(err, PFM_ERROR_USAGE,
                          "the training rows have more than %d values of '%s'; raise peft.experts, which gives each one its "
                          "own, or choose another peft.context",
                          recipe->peft.experts, recipe->peft.context);
    if (status == PFM_OK)
        status = pfm_array_reserve(&list->items, &list->capacity, list->count + 1, sizeof *list->items, err);
    if (status != PFM_OK) {
        free(text);
        return status;
    }
    memmove(list->items + at + 1, list->items + at, (list->count - at) * sizeof *list->items);
    list->items[at] = text;
    list->count++;
    return PFM_OK;
}

static pfm_status add_rows(values *list, const pfm_recipe *stage, const char *data, bool *read, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dataset *dataset = NULL;
    if (!pfm_recipe_has_path(stage, data))
        return PFM_OK;
    PFM_TRY(pfm_recipe_load_training(stage, data, &dataset, err));
    for (size_t i = 0; i < dataset->count; i++) {
        char *text = NULL;
        PFM_TRY(read_value(&dataset->rows[i], stage->peft.context, &text, err));
        if (text != NULL)
            PFM_TRY(add_value(list, text, stage, err));
    }
    *read = true;
done:
    pfm_dataset_free(dataset);
    return status;
}

static pfm_status set_contexts(pfm_recipe *recipe, const values *found, pfm_error *err)
{
    static const char name[] = "peft.contexts";
    static const recipe_place place = {"the training rows", 0};
    const recipe_key *key = pfm_recipe_find_key(pfm_recipe_keys, name, sizeof name - 1);
    pfm_status status = PFM_OK;
    for (size_t i = 0; status == PFM_OK && i < found->count; i++)
        status = pfm_recipe_add_text(recipe, key, found->items[i], strlen(found->items[i]), &place, err);
    return status;
}

pfm_status pfm_contexts_find(pfm_recipe *recipe, const char *data, pfm_error *err)
{
    pfm_status status = PFM_OK;
    values found = {0};
    bool read = false;
    if (recipe->peft.context == NULL || recipe->peft.context_count > 0)
        return PFM_OK;
    for (size_t i = 0; i < pfm_recipe_count_stages(recipe); i++) {
        const pfm_recipe *stage = pfm_recipe_get_stage(recipe, i);
        if (stage->adapts && pfm_recipe_trains(stage, "peft"))
            PFM_TRY(add_rows(&found, stage, pfm_trainer_data(recipe, stage, data), &read, err));
    }
    if (read && found.count == 0)
        PFM_FAIL(PFM_ERROR_USAGE,
                 "no training row has the column '%s', which peft.context names; pefomed data lists the columns",
                 recipe->peft.context);
    PFM_TRY(set_contexts(recipe, &found, err));
    for (size_t i = 0; i < recipe->stage_count; i++)
        PFM_TRY(set_contexts(recipe->stages[i], &found, err));
done:
    values_free(&found);
    return status;
}
