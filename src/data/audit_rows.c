#include "data/dataset_audit.h"

#include "base/json.h"
#include "base/map.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

/* A column with more values than this is an identifier or a text, and is not broken down. */
enum { MOST_VALUES = 60, MOST_EXAMPLES = 20 };

static pfm_status no_memory(pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not write the report");
}

/* object[key] += 1 */
static pfm_status count(json_t *object, const char *key, pfm_error *err)
{
    json_int_t before = json_integer_value(json_object_get(object, key));
    return json_object_set_new(object, key, json_integer(before + 1)) != 0 ? no_memory(err) : PFM_OK;
}

/* ---- counts ---- */

/* Counts the values of one column: columns[name][value] += 1; a column that is no kind of row becomes null. */
static pfm_status count_value(json_t *columns, const char *name, const json_t *value, pfm_error *err)
{
    json_t *values = json_object_get(columns, name);
    if (values == NULL) {
        values = json_object();
        if (json_object_set_new(columns, name, values) != 0)
            return no_memory(err);
    }
    if (json_is_null(values) || json_is_null(value))
        return PFM_OK;
    char *number = NULL;
    const char *text = json_string_value(value);
    if (text == NULL && json_is_number(value))
        text = number = json_dumps(value, JSON_ENCODE_ANY);
    bool kind = text != NULL && strlen(text) <= 60 && json_object_size(values) <= MOST_VALUES;
    pfm_status status = PFM_OK;
    if (kind)
        status = count(values, text, err);
    else if (json_object_set_new(columns, name, json_null()) != 0)
        status = no_memory(err);
    free(number);
    return status;
}

static pfm_status add_columns(const pfm_dataset *split, const char *language_column, json_t *entry, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *columns = json_object(), *kept = json_object();
    if (columns == NULL || kept == NULL) {
        status = no_memory(err);
        goto done;
    }
    for (size_t i = 0; i < split->count; i++) {
        const char *name;
        json_t *value;
        json_object_foreach(split->rows[i].extra, name, value)
        {
            if (language_column == NULL || strcmp(name, language_column) != 0)
                PFM_TRY(count_value(columns, name, value, err));
        }
    }
    const char *name;
    json_t *values;
    json_object_foreach(columns, name, values)
    {
        size_t kinds = json_object_size(values);
        if (json_is_object(values) && kinds > 0 && kinds <= MOST_VALUES && (kinds < split->count || kinds == 1) &&
            json_object_set(kept, name, values) != 0) {
            status = no_memory(err);
            goto done;
        }
    }
    status = pfm_json_take(entry, "by", kept, err);
    kept = NULL;
done:
    json_decref(columns);
    json_decref(kept);
    return status;
}

static pfm_status add_distinct(const pfm_dataset *split, json_t *entry, size_t *empty, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *answers = json_object(), *ids = json_array();
    pfm_map patients = {0};
    char *text = NULL;
    if (answers == NULL || ids == NULL) {
        status = no_memory(err);
        goto done;
    }
    for (size_t i = 0; i < split->count; i++) {
        const pfm_row *row = &split->rows[i];
        free(text);
        text = NULL;
        PFM_TRY(pfm_answer_prepare(row->answer, true, &text, err));
        if (text[0] == '\0' && json_array_append_new(ids, json_string(row->id)) != 0) {
            status = no_memory(err);
            goto done;
        }
        PFM_TRY(count(answers, text, err));
        if (row->patient != NULL)
            PFM_TRY(pfm_map_set(&patients, row->patient, strlen(row->patient), 1, err));
    }
    PFM_TRY(
        pfm_json_take(entry, "patients", patients.count == 0 ? json_null() : json_integer((json_int_t)patients.count), err));
    PFM_TRY(pfm_json_take(entry, "answers", json_integer((json_int_t)json_object_size(answers)), err));
    *empty = json_array_size(ids);
    PFM_TRY(pfm_json_take(entry, "empty_answers", json_incref(ids), err));
done:
    json_decref(ids);
    free(text);
    pfm_map_free(&patients);
    json_decref(answers);
    return status;
}

static size_t count_texts(const audit *state, size_t s)
{
    size_t count = 0;
    for (size_t i = 0; i < state->splits[s]->image_count; i++)
        count += audit_has_text(&state->images[state->image_of[s][i]]);
    return count;
}

static pfm_status add_split(audit *state, size_t s, json_t *list, pfm_error *err)
{
    const pfm_dataset *split = state->splits[s];
    pfm_status status = PFM_OK;
    size_t closed = 0, empty = 0;
    json_t *entry = json_object(), *languages = json_object();
    if (entry == NULL || languages == NULL) {
        status = no_memory(err);
        goto done;
    }
    for (size_t i = 0; i < split->count; i++) {
        const json_t *language =
            json_object_get(split->rows[i].extra, state->language_column == NULL ? "" : state->language_column);
        closed += split->rows[i].answer_type == PFM_ANSWER_CLOSED;
        if (json_is_string(language))
            PFM_TRY(count(languages, json_string_value(language), err));
    }
    PFM_TRY(pfm_json_take(entry, "name", json_string(split->split), err));
    PFM_TRY(pfm_json_take(entry, "questions", json_integer((json_int_t)split->count), err));
    PFM_TRY(pfm_json_take(entry, "images", json_integer((json_int_t)split->image_count), err));
    PFM_TRY(pfm_json_take(entry, "text_like", json_integer((json_int_t)count_texts(state, s)), err));
    PFM_TRY(pfm_json_take(entry, "left_out", json_integer((json_int_t)split->left_out), err));
    PFM_TRY(pfm_json_take(entry, "left_out_why", split->left_out_why == NULL ? json_null() : json_string(split->left_out_why),
                          err));
    PFM_TRY(add_distinct(split, entry, &empty, err));
    PFM_TRY(pfm_json_take(entry, "closed", json_integer((json_int_t)closed), err));
    PFM_TRY(pfm_json_take(entry, "open", json_integer((json_int_t)(split->count - closed)), err));
    PFM_TRY(pfm_json_take(entry, "languages", json_incref(languages), err));
    PFM_TRY(add_columns(split, state->language_column, entry, err));
    if (json_array_append(list, entry) != 0)
        status = no_memory(err);
    state->problems += empty;
done:
    json_decref(entry);
    json_decref(languages);
    return status;
}

pfm_status pfm_audit_add_splits(audit *state, json_t *document, pfm_error *err)
{
    json_t *list = json_array();
    pfm_status status = list == NULL ? no_memory(err) : PFM_OK;
    for (size_t s = 0; status == PFM_OK && s < state->split_count; s++)
        status = add_split(state, s, list, err);
    if (status == PFM_OK)
        return pfm_json_take(document, "splits", list, err);
    json_decref(list);
    return status;
}

/* ---- repeated questions ---- */

typedef struct repeats {
    json_t *groups; /* "split, file, language, words" -> the distinct answers, in lower case */
    json_t *examples;
    size_t repeated, conflicting;
} repeats;

/* *out = what makes a question the same as another. */
static pfm_status question_key(const audit *state, size_t s, const pfm_row *row, char **out, pfm_error *err)
{
    char *words = NULL;
    const json_t *language = json_object_get(row->extra, state->language_column == NULL ? "" : state->language_column);
    pfm_buffer images = {0};
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_answer_prepare(row->question, true, &words, err));
    for (size_t k = 0; k < row->image_count; k++)
        PFM_TRY(pfm_buffer_append_format(&images, err, "%zu,", audit_image_of(state, s, &row->images[k])));
    status = pfm_string_format(out, err, "%zu %s %s %s", s, images.data != NULL ? images.data : "",
                               json_is_string(language) ? json_string_value(language) : "", words);
done:
    pfm_buffer_free(&images);
    free(words);
    return status;
}

static pfm_status add_example(repeats *found, const pfm_dataset *split, const pfm_row *row, json_t *answers, pfm_error *err)
{
    if (json_array_size(found->examples) >= MOST_EXAMPLES)
        return PFM_OK;
    json_t *example =
        json_pack("{s:s, s:s?, s:s, s:O}", "split", split->split, "image", row->image_count > 0 ? row->images[0].name : NULL,
                  "question", row->question, "answers", answers);
    return json_array_append_new(found->examples, example) != 0 ? no_memory(err) : PFM_OK;
}

static pfm_status add_question(repeats *found, const audit *state, size_t s, const pfm_row *row, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *key = NULL, *answer = NULL;
    bool known = false;
    PFM_TRY(question_key(state, s, row, &key, err));
    PFM_TRY(pfm_answer_prepare(row->answer, true, &answer, err));
    json_t *answers = json_object_get(found->groups, key);
    bool first = answers == NULL;
    if (first) {
        answers = json_array();
        if (json_object_set_new(found->groups, key, answers) != 0) {
            status = no_memory(err);
            goto done;
        }
    }
    for (size_t i = 0; i < json_array_size(answers); i++)
        known = known || strcmp(json_string_value(json_array_get(answers, i)), answer) == 0;
    if (!known && json_array_append_new(answers, json_string(answer)) != 0) {
        status = no_memory(err);
        goto done;
    }
    found->repeated += !first;
    if (!first && !known && json_array_size(answers) == 2) {
        found->conflicting++;
        PFM_TRY(add_example(found, state->splits[s], row, answers, err));
    }
done:
    free(key);
    free(answer);
    return status;
}

pfm_status pfm_audit_add_questions(audit *state, json_t *document, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *object = json_object();
    repeats found = {.groups = json_object(), .examples = json_array()};
    if (object == NULL || found.groups == NULL || found.examples == NULL) {
        status = no_memory(err);
        goto done;
    }
    for (size_t s = 0; s < state->split_count; s++) {
        for (size_t i = 0; i < state->splits[s]->count; i++)
            PFM_TRY(add_question(&found, state, s, &state->splits[s]->rows[i], err));
    }
    PFM_TRY(pfm_json_take(object, "repeated", json_integer((json_int_t)found.repeated), err));
    PFM_TRY(pfm_json_take(object, "conflicting", json_integer((json_int_t)found.conflicting), err));
    PFM_TRY(pfm_json_take(object, "examples", json_incref(found.examples), err));
    PFM_TRY(pfm_json_take(document, "questions", json_incref(object), err));
    state->problems += found.conflicting;
done:
    json_decref(object);
    json_decref(found.groups);
    json_decref(found.examples);
    return status;
}
