#include "eval/answer_set.h"

#include "base/try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *text, const char *tail)
{
    size_t length = strlen(text), size = strlen(tail);
    return length >= size && strcmp(text + length - size, tail) == 0;
}

static bool names_a_row(const char *name)
{
    static const char *const names[] = {"id",      "qid",        "image",       "images",      "question",
                                        "answer",  "prediction", "reference",   "answer_type", "correct",
                                        "seconds", "tokens",     "probability", "references",  "weights"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return ends_with(name, "_id") || ends_with(name, "_name");
}

static bool is_wanted(const pfm_answer_set *set, const char *name)
{
    for (const char *const *column = pfm_score_profile_or_vqa(set->profile)->columns; column != NULL && *column != NULL;
         column++) {
        if (strcmp(*column, name) == 0)
            return true;
    }
    return false;
}

bool pfm_answer_column_splits(const pfm_answer_column *column) { return !column->left_out && column->values.count > 0; }

static void leave_out(pfm_answer_column *column)
{
    column->left_out = true;
    free(column->codes);
    column->codes = NULL;
    column->coded = column->capacity = 0;
    pfm_intern_free(&column->values);
}

/* The column's place; `guess` is where it was in the row before, for rows name their columns in the same order. */
static pfm_status find_column(pfm_answer_set *set, const char *name, size_t guess, size_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (guess < set->column_count && strcmp(set->columns[guess].name, name) == 0) {
        *out = guess;
        return PFM_OK;
    }
    for (size_t i = 0; i < set->column_count; i++) {
        if (strcmp(set->columns[i].name, name) == 0) {
            *out = i;
            return PFM_OK;
        }
    }
    PFM_TRY(pfm_array_reserve(&set->columns, &set->column_capacity, set->column_count + 1, sizeof *set->columns, err));
    pfm_answer_column *column = &set->columns[set->column_count];
    PFM_TRY(pfm_text_store_add(&set->texts, name, strlen(name), &column->name, err));
    column->left_out = names_a_row(name);
    column->wanted = is_wanted(set, name);
    *out = set->column_count++;
done:
    return status;
}

/* "63", "063Y", 63: the decade; anything else stays as it is. */
static pfm_status append_decade(pfm_buffer *out, const char *text, pfm_error *err)
{
    char *end = NULL;
    double years = strtod(text, &end);
    bool number = end != text && (*end == '\0' || ((*end == 'Y' || *end == 'y') && end[1] == '\0'));
    if (!number || !(years >= 0 && years < 1000))
        return pfm_buffer_append_string(out, text, err);
    int decade = (int)years / 10 * 10;
    return pfm_buffer_append_format(out, err, "%d-%d", decade, decade + 9);
}

/* *out->size is 0 where the value is no name of a group. */
static pfm_status value_text(const char *column, const json_t *value, pfm_buffer *out, pfm_error *err)
{
    pfm_number_text number;
    pfm_buffer_clear(out);
    const char *text = json_is_boolean(value) ? (json_is_true(value) ? "true" : "false") : pfm_json_text(value, number);
    if (text == NULL)
        return PFM_OK;
    text += strspn(text, " \t\r\n");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
        length--;
    pfm_status status = pfm_buffer_append(out, text, length, err);
    if (status == PFM_OK && strcmp(column, "age") == 0 && length < 16) {
        char copy[16];
        memcpy(copy, out->data, length + 1);
        pfm_buffer_clear(out);
        status = append_decade(out, copy, err);
    }
    return status;
}

static pfm_status add_value(pfm_answer_set *set, pfm_answer_column *column, const json_t *value, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t index = 0;
    if (column->left_out)
        return PFM_OK;
    PFM_TRY(value_text(column->name, value, &set->value, err));
    if (set->value.size == 0)
        return PFM_OK;
    if (set->value.size > PFM_ANSWER_MAX_VALUE_BYTES && !column->wanted) {
        leave_out(column);
        return PFM_OK;
    }
    PFM_TRY(pfm_intern_add(&column->values, set->value.data, set->value.size, &index, err));
    if (index >= (column->wanted ? PFM_ANSWER_MOST_VALUES : PFM_ANSWER_MAX_VALUES)) {
        leave_out(column);
        return PFM_OK;
    }
    PFM_TRY(pfm_array_reserve(&column->codes, &column->capacity, set->count + 1, sizeof *column->codes, err));
    column->codes[set->count] = (uint16_t)(index + 1);
    column->coded = set->count + 1;
done:
    return status;
}

static pfm_status add_columns(pfm_answer_set *set, json_t *row, pfm_error *err)
{
    const char *key = NULL;
    json_t *value = NULL;
    size_t position = 0;
    json_object_foreach(row, key, value)
    {
        size_t column = 0;
        pfm_status status = find_column(set, key, position++, &column, err);
        if (status == PFM_OK)
            status = add_value(set, &set->columns[column], value, err);
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

/* Right where it is right by one of the references; the recall is the best one. */
static pfm_status judge_by(pfm_answer_set *set, pfm_answer_row *row, const char *reference, const json_t *columns,
                           pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_score_profile *profile = pfm_score_profile_or_vqa(set->profile);
    PFM_TRY(pfm_vqa_normalise(reference, &set->answer, err));
    size_t size = set->answer.size;
    bool correct = size == set->prediction.size && (size == 0 || memcmp(set->answer.data, set->prediction.data, size) == 0);
    if (profile->reduce != NULL)
        PFM_TRY(pfm_score_profile_correct(profile, row->prediction, reference, columns, &correct, err));
    row->correct |= correct;
    PFM_TRY(pfm_word_list_split(&set->answer_words, size == 0 ? NULL : set->answer.data, err));
    pfm_word_list_sort(&set->answer_words);
    row->recall = fmax(row->recall, pfm_word_list_recall(&set->answer_words, &set->prediction_words));
done:
    return status;
}

static pfm_status judge(pfm_answer_set *set, pfm_answer_row *row, const json_t *columns, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_score_profile *profile = pfm_score_profile_or_vqa(set->profile);
    PFM_TRY(pfm_vqa_normalise(row->prediction, &set->prediction, err));
    PFM_TRY(pfm_word_list_split(&set->prediction_words, set->prediction.size == 0 ? NULL : set->prediction.data, err));
    pfm_word_list_sort(&set->prediction_words);
    for (size_t r = row->reference_count; r-- > 0;) /* the first one last: the kind is inferred from it */
        PFM_TRY(judge_by(set, row, pfm_answer_references(set, row)[r], columns, err));
    row->guess = profile->guess != NULL ? profile->guess(columns) : NAN;
    row->kind_given = row->kind != PFM_KIND_UNKNOWN;
    if (!row->kind_given)
        row->kind = pfm_answer_kind_infer(set->answer.size == 0 ? "" : set->answer.data);
done:
    return status;
}

static pfm_status keep_text(pfm_answer_set *set, const json_t *row, const char *key, const char **out, pfm_error *err)
{
    pfm_number_text number;
    const char *text = pfm_json_text(json_object_get(row, key), number);
    *out = NULL;
    return text == NULL ? PFM_OK : pfm_text_store_add(&set->texts, text, strlen(text), out, err);
}

static pfm_status add_reference(pfm_answer_set *set, pfm_answer_row *row, const json_t *text, const json_t *weight,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_number_text number;
    const char *reference = pfm_json_text(text, number);
    PFM_TRY(
        pfm_array_reserve(&set->references, &set->reference_capacity, set->reference_count + 1, sizeof *set->references, err));
    PFM_TRY(pfm_array_reserve(&set->weights, &set->weight_capacity, set->reference_count + 1, sizeof *set->weights, err));
    PFM_TRY(pfm_text_store_add(&set->texts, reference, strlen(reference), &set->references[set->reference_count], err));
    set->weights[set->reference_count++] = weight != NULL ? json_number_value(weight) : 1;
    row->reference_count++;
done:
    return status;
}

/* The list `references` with its `weights`, else the reference, else the answer; the row was checked. */
static pfm_status add_references(pfm_answer_set *set, pfm_answer_row *row, const json_t *json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *list = set->reports ? json_object_get(json, "references") : NULL;
    const json_t *weights = json_object_get(json, "weights"), *one = json_object_get(json, "reference");
    row->first_reference = set->reference_count;
    if (list == NULL)
        PFM_TRY(add_reference(set, row, set->reports && one != NULL ? one : json_object_get(json, "answer"), NULL, err));
    for (size_t i = 0; i < json_array_size(list); i++)
        PFM_TRY(add_reference(set, row, json_array_get(list, i), json_array_get(weights, i), err));
    row->answer = set->references[row->first_reference];
done:
    return status;
}

pfm_status pfm_answer_set_judge(pfm_answer_set *set, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < set->count && status == PFM_OK; i++) {
        pfm_answer_row *row = &set->rows[i];
        row->correct = false;
        row->recall = 0;
        if (!row->kind_given)
            row->kind = PFM_KIND_UNKNOWN;
        status = judge(set, row, NULL, err);
    }
    return status;
}

static pfm_status add_numbers(pfm_answer_set *set, const json_t *row, const pfm_place *place, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_place_text where;
    const pfm_answer_numbers *columns = &set->number_columns;
    const char *id = set->ids.texts[set->count];
    PFM_TRY(pfm_array_reserve(&set->numbers, &set->number_capacity, (set->count + 1) * columns->count + 1, sizeof *set->numbers,
                              err));
    for (size_t c = 0; c < columns->count; c++) {
        bool own = columns->sources[c] == NULL;
        const json_t *value = json_object_get(own ? row : columns->sources[c], own ? columns->names[c] : id);
        if (!json_is_number(value))
            PFM_FAIL(PFM_ERROR_FORMAT,
                     "%s: there is no number \"%s\" %s the id %s; every prediction needs one to be scored by it",
                     pfm_place_format(place, where), columns->names[c], own ? "in the row of" : "in its file for", id);
        set->numbers[set->count * columns->count + c] = json_number_value(value);
    }
done:
    return status;
}

/* Gives the row its id and image. A report without an id gets its number, without an image its id. */
static pfm_status place_row(pfm_answer_set *set, const json_t *row, const pfm_place *place, uint32_t *image, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_number_text number, image_number, made;
    pfm_place_text where;
    size_t index = 0;
    (void)snprintf(made, sizeof made, "%zu", set->count + 1);
    const char *id = pfm_json_text(json_object_get(row, "id"), number);
    const char *name = pfm_json_text(json_object_get(row, "image"), image_number);
    if (id == NULL)
        id = made;
    PFM_TRY(pfm_intern_add(&set->ids, id, strlen(id), &index, err));
    if (index != set->count)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: the id %s is that of row %zu already; ids must differ", pfm_place_format(place, where),
                 id, index + 1);
    const size_t known = set->images.count;
    PFM_TRY(pfm_intern_add(&set->images, name != NULL ? name : id, strlen(name != NULL ? name : id), &index, err));
    set->shown += name != NULL && index == known;
    if (index >= UINT32_MAX)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s: more images than can be counted", pfm_place_format(place, where));
    *image = (uint32_t)index;
done:
    return status;
}

pfm_status pfm_answer_set_add(void *user, json_t *json, const pfm_place *place, pfm_error *err)
{
    pfm_answer_set *set = user;
    pfm_status status = PFM_OK;
    if (set->reports)
        PFM_TRY(pfm_report_check(json, place, err));
    else
        PFM_TRY(pfm_prediction_check(json, place, err));
    pfm_answer_row row = {.probability = NAN, .kind = PFM_KIND_UNKNOWN};
    PFM_TRY(pfm_array_reserve(&set->rows, &set->capacity, set->count + 1, sizeof *set->rows, err));
    PFM_TRY(place_row(set, json, place, &row.image, err));
    PFM_TRY(keep_text(set, json, "question", &row.question, err));
    PFM_TRY(add_references(set, &row, json, err));
    PFM_TRY(keep_text(set, json, "prediction", &row.prediction, err));
    PFM_TRY(pfm_answer_kind_read(json, place, &row.kind, err));
    PFM_TRY(judge(set, &row, json, err));
    const json_t *probability = json_object_get(json, "probability");
    if (json_is_number(probability))
        row.probability = fmin(json_number_value(probability), 1);
    PFM_TRY(add_columns(set, json, err));
    PFM_TRY(add_numbers(set, json, place, err));
    set->kinds_given += row.kind_given;
    set->probabilities += !isnan(row.probability);
    set->rows[set->count++] = row;
done:
    return status;
}

void pfm_answer_set_free(pfm_answer_set *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->column_count; i++) {
        pfm_intern_free(&set->columns[i].values);
        free(set->columns[i].codes);
    }
    free(set->columns);
    free(set->rows);
    free(set->references);
    free(set->weights);
    free(set->numbers);
    pfm_intern_free(&set->ids);
    pfm_intern_free(&set->images);
    pfm_text_store_free(&set->texts);
    pfm_buffer_free(&set->answer);
    pfm_buffer_free(&set->prediction);
    pfm_buffer_free(&set->value);
    pfm_word_list_free(&set->answer_words);
    pfm_word_list_free(&set->prediction_words);
    *set = (pfm_answer_set){0};
}
