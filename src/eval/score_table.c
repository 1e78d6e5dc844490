#include "eval/score_table.h"

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
    static const char *const names[] = {"id",        "qid",         "image",   "question", "answer", "prediction",
                                        "reference", "answer_type", "correct", "seconds",  "tokens", "probability"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return ends_with(name, "_id") || ends_with(name, "_name");
}

bool pfm_score_column_splits(const pfm_score_column *column) { return !column->left_out && column->values.count > 0; }

static void leave_out(pfm_score_column *column)
{
    column->left_out = true;
    free(column->codes);
    column->codes = NULL;
    column->coded = column->capacity = 0;
    pfm_intern_free(&column->values);
}

/* The column's place; `guess` is where it was in the row before, for rows name their columns in the same order. */
static pfm_status find_column(pfm_score_table *table, const char *name, size_t guess, size_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (guess < table->column_count && strcmp(table->columns[guess].name, name) == 0) {
        *out = guess;
        return PFM_OK;
    }
    for (size_t i = 0; i < table->column_count; i++) {
        if (strcmp(table->columns[i].name, name) == 0) {
            *out = i;
            return PFM_OK;
        }
    }
    PFM_TRY(pfm_array_reserve(&table->columns, &table->column_capacity, table->column_count + 1, sizeof *table->columns, err));
    pfm_score_column *column = &table->columns[table->column_count];
    PFM_TRY(pfm_text_store_add(&table->texts, name, strlen(name), &column->name, err));
    column->left_out = names_a_row(name);
    *out = table->column_count++;
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

static pfm_status add_value(pfm_score_table *table, pfm_score_column *column, const json_t *value, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t index = 0;
    if (column->left_out)
        return PFM_OK;
    PFM_TRY(value_text(column->name, value, &table->value, err));
    if (table->value.size == 0)
        return PFM_OK;
    if (table->value.size > PFM_SCORE_MAX_VALUE_BYTES) {
        leave_out(column);
        return PFM_OK;
    }
    PFM_TRY(pfm_intern_add(&column->values, table->value.data, table->value.size, &index, err));
    if (index >= PFM_SCORE_MAX_VALUES) {
        leave_out(column);
        return PFM_OK;
    }
    PFM_TRY(pfm_array_reserve(&column->codes, &column->capacity, table->count + 1, sizeof *column->codes, err));
    column->codes[table->count] = (uint16_t)(index + 1);
    column->coded = table->count + 1;
done:
    return status;
}

static pfm_status add_columns(pfm_score_table *table, json_t *row, pfm_error *err)
{
    const char *key = NULL;
    json_t *value = NULL;
    size_t position = 0;
    json_object_foreach(row, key, value)
    {
        size_t column = 0;
        pfm_status status = find_column(table, key, position++, &column, err);
        if (status == PFM_OK)
            status = add_value(table, &table->columns[column], value, err);
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

static pfm_status judge(pfm_score_table *table, pfm_score_row *row, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_vqa_normalise(row->answer, &table->answer, err));
    PFM_TRY(pfm_vqa_normalise(row->prediction, &table->prediction, err));
    size_t size = table->answer.size;
    row->correct =
        size == table->prediction.size && (size == 0 || memcmp(table->answer.data, table->prediction.data, size) == 0);
    row->kind_given = row->kind != PFM_KIND_UNKNOWN;
    if (!row->kind_given)
        row->kind = pfm_answer_kind_infer(size == 0 ? "" : table->answer.data);
    PFM_TRY(pfm_words_split(&table->answer_words, size == 0 ? NULL : table->answer.data, err));
    PFM_TRY(pfm_words_split(&table->prediction_words, table->prediction.size == 0 ? NULL : table->prediction.data, err));
    pfm_words_sort(&table->answer_words);
    pfm_words_sort(&table->prediction_words);
    row->recall = pfm_words_recall(&table->answer_words, &table->prediction_words);
done:
    return status;
}

static pfm_status keep_text(pfm_score_table *table, const json_t *row, const char *key, const char **out, pfm_error *err)
{
    pfm_number_text number;
    const char *text = pfm_json_text(json_object_get(row, key), number);
    *out = NULL;
    return text == NULL ? PFM_OK : pfm_text_store_add(&table->texts, text, strlen(text), out, err);
}

/* Gives the row its id and image. A report without an id gets its number, without an image its id. */
static pfm_status place_row(pfm_score_table *table, const json_t *row, const pfm_place *place, uint32_t *image, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_number_text number, image_number, made;
    pfm_place_text where;
    size_t index = 0;
    (void)snprintf(made, sizeof made, "%zu", table->count + 1);
    const char *id = pfm_json_text(json_object_get(row, "id"), number);
    const char *name = pfm_json_text(json_object_get(row, "image"), image_number);
    if (id == NULL)
        id = made;
    PFM_TRY(pfm_intern_add(&table->ids, id, strlen(id), &index, err));
    if (index != table->count)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: the id %s is that of row %zu already; ids must differ", pfm_place_format(place, where),
                 id, index + 1);
    if (name == NULL)
        name = id;
    PFM_TRY(pfm_intern_add(&table->images, name, strlen(name), &index, err));
    if (index >= UINT32_MAX)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s: more images than can be counted", pfm_place_format(place, where));
    *image = (uint32_t)index;
done:
    return status;
}

static pfm_status check_report(const json_t *row, const pfm_place *place, pfm_error *err)
{
    pfm_place_text where;
    pfm_number_text number;
    const json_t *reference = json_object_get(row, "reference");
    if (reference == NULL)
        reference = json_object_get(row, "answer");
    if (pfm_json_text(reference, number) == NULL)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: \"reference\" (or \"answer\") %s", pfm_place_format(place, where),
                             reference == NULL ? "is missing" : "must be a string");
    if (pfm_json_text(json_object_get(row, "prediction"), number) == NULL)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: \"prediction\" is missing or no string",
                             pfm_place_format(place, where));
    return PFM_OK;
}

pfm_status pfm_score_table_add(void *user, json_t *json, const pfm_place *place, pfm_error *err)
{
    pfm_score_table *table = user;
    pfm_status status = PFM_OK;
    if (table->reports)
        PFM_TRY(check_report(json, place, err));
    else
        PFM_TRY(pfm_prediction_check(json, place, err));
    pfm_score_row row = {.probability = NAN, .kind = PFM_KIND_UNKNOWN};
    PFM_TRY(pfm_array_reserve(&table->rows, &table->capacity, table->count + 1, sizeof *table->rows, err));
    PFM_TRY(place_row(table, json, place, &row.image, err));
    bool report = table->reports && json_object_get(json, "reference") != NULL;
    PFM_TRY(keep_text(table, json, "question", &row.question, err));
    PFM_TRY(keep_text(table, json, report ? "reference" : "answer", &row.answer, err));
    PFM_TRY(keep_text(table, json, "prediction", &row.prediction, err));
    PFM_TRY(pfm_answer_kind_read(json, place, &row.kind, err));
    PFM_TRY(judge(table, &row, err));
    const json_t *probability = json_object_get(json, "probability");
    if (json_is_number(probability))
        row.probability = fmin(json_number_value(probability), 1);
    PFM_TRY(add_columns(table, json, err));
    table->kinds_given += row.kind_given;
    table->probabilities += !isnan(row.probability);
    table->rows[table->count++] = row;
done:
    return status;
}

void pfm_score_table_free(pfm_score_table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < table->column_count; i++) {
        pfm_intern_free(&table->columns[i].values);
        free(table->columns[i].codes);
    }
    free(table->columns);
    free(table->rows);
    pfm_intern_free(&table->ids);
    pfm_intern_free(&table->images);
    pfm_text_store_free(&table->texts);
    pfm_buffer_free(&table->answer);
    pfm_buffer_free(&table->prediction);
    pfm_buffer_free(&table->value);
    pfm_words_free(&table->answer_words);
    pfm_words_free(&table->prediction_words);
    *table = (pfm_score_table){0};
}
