#include "eval/predictions.h"

#include "base/file.h"
#include "base/try.h"
#include "eval/text_store.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *pfm_place_format(const pfm_place *place, pfm_place_text out)
{
    if (place == NULL)
        (void)snprintf(out, sizeof(pfm_place_text), "a prediction");
    else if (place->path == NULL)
        (void)snprintf(out, sizeof(pfm_place_text), "prediction %zu", place->number);
    else
        (void)snprintf(out, sizeof(pfm_place_text), "%.240s %s %zu", place->path, place->unit, place->number);
    return out;
}

static pfm_status visit(json_t *row, const pfm_place *place, pfm_row_function function, void *user, pfm_error *err)
{
    if (!json_is_object(row)) {
        pfm_place_text text;
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: every row must be a JSON object", pfm_place_format(place, text));
    }
    return function(user, row, place, err);
}

static pfm_status visit_array(const json_t *rows, const char *path, pfm_row_function function, void *user, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (!json_is_array(rows) || json_array_size(rows) == 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s%sno rows: a JSON array of at least one object is needed", path == NULL ? "" : path,
                 path == NULL ? "" : ": ");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        pfm_place place = {path, "row", i + 1};
        PFM_TRY(visit(json_array_get(rows, i), &place, function, user, err));
    }
done:
    return status;
}

pfm_status pfm_rows_visit(const json_t *rows, pfm_row_function function, void *user, pfm_error *err)
{
    return visit_array(rows, NULL, function, user, err);
}

static size_t skip_blanks(const char *text, size_t begin, size_t end)
{
    while (begin < end && strchr(" \t\r\n", text[begin]) != NULL && text[begin] != '\0')
        begin++;
    return begin;
}

static pfm_status visit_lines(const char *path, const char *text, size_t size, pfm_row_function function, void *user,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_place place = {path, "line", 0};
    json_t *row = NULL;
    size_t rows = 0;
    for (size_t begin = 0; begin < size;) {
        const char *newline = memchr(text + begin, '\n', size - begin);
        size_t end = newline == NULL ? size : (size_t)(newline - text);
        place.number++;
        if (skip_blanks(text, begin, end) < end) {
            json_error_t reason;
            row = json_loadb(text + begin, end - begin, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &reason);
            if (row == NULL)
                PFM_FAIL(PFM_ERROR_FORMAT, "%s line %zu: not JSON: %s", path, place.number, reason.text);
            PFM_TRY(visit(row, &place, function, user, err));
            json_decref(row);
            row = NULL;
            rows++;
        }
        begin = end + 1;
    }
    if (rows == 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s holds no rows: JSON lines (or a JSON array) of objects are needed", path);
done:
    json_decref(row);
    return status;
}

pfm_status pfm_rows_read_text(const char *path, const char *text, size_t size, pfm_row_function function, void *user,
                              pfm_error *err)
{
    json_t *array = NULL;
    pfm_status status = PFM_OK;
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) { /* the mark that some editors put before UTF-8 */
        text += 3;
        size -= 3;
    }
    size_t first = skip_blanks(text, 0, size);
    if (first < size && text[first] == '[') {
        json_error_t reason;
        array = json_loadb(text, size, JSON_REJECT_DUPLICATES, &reason);
        if (array == NULL)
            PFM_FAIL(PFM_ERROR_FORMAT, "%s line %d: not JSON: %s", path, reason.line, reason.text);
        PFM_TRY(visit_array(array, path, function, user, err));
    } else {
        PFM_TRY(visit_lines(path, text, size, function, user, err));
    }
done:
    json_decref(array);
    return status;
}

pfm_status pfm_rows_read(const char *path, pfm_row_function function, void *user, pfm_error *err)
{
    pfm_mapping file = {0};
    pfm_status status = pfm_mapping_open(path, &file, err);
    if (status == PFM_OK)
        status = pfm_rows_read_text(path, (const char *)file.data, file.size, function, user, err);
    pfm_mapping_close(&file);
    return status;
}

const char *pfm_json_text(const json_t *value, pfm_number_text scratch)
{
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_integer(value)) {
        (void)snprintf(scratch, sizeof(pfm_number_text), "%lld", (long long)json_integer_value(value));
        return scratch;
    }
    if (!json_is_real(value))
        return NULL;
    double number = json_real_value(value);
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(scratch, sizeof(pfm_number_text), "%.*g", digits, number);
        if (strtod(scratch, NULL) == number)
            break;
    }
    if (strpbrk(scratch, "e.") == NULL) /* 2.0 is not the text 2 */
        (void)strncat(scratch, ".0", sizeof(pfm_number_text) - strlen(scratch) - 1);
    return scratch;
}

pfm_status pfm_answer_kind_read(const json_t *row, const pfm_place *place, pfm_answer_kind *out, pfm_error *err)
{
    static const struct {
        const char *name;
        pfm_answer_kind kind;
    } names[] = {{"open", PFM_KIND_OPEN},
                 {"closed", PFM_KIND_CLOSED},
                 {"yes/no", PFM_KIND_CLOSED},
                 {"other", PFM_KIND_OPEN},
                 {"number", PFM_KIND_OPEN}};
    const json_t *value = json_object_get(row, "answer_type");
    *out = PFM_KIND_UNKNOWN;
    if (value == NULL || json_is_null(value))
        return PFM_OK;
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    while (isspace((unsigned char)*text))
        text++;
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        length--;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strlen(names[i].name) == length && strncasecmp(names[i].name, text, length) == 0) {
            *out = names[i].kind;
            return PFM_OK;
        }
    }
    pfm_place_text where;
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: \"answer_type\" must be OPEN or CLOSED", pfm_place_format(place, where));
}

pfm_answer_kind pfm_answer_kind_infer(const char *normalised_answer)
{
    bool closed = strcmp(normalised_answer, "yes") == 0 || strcmp(normalised_answer, "no") == 0;
    return closed ? PFM_KIND_CLOSED : PFM_KIND_OPEN;
}

static pfm_status check_text(const json_t *row, const char *key, bool number_allowed, bool real_allowed, const pfm_place *place,
                             pfm_error *err)
{
    const json_t *value = json_object_get(row, key);
    if (json_is_string(value) || (number_allowed && json_is_integer(value)) || (real_allowed && json_is_real(value)))
        return PFM_OK;
    pfm_place_text where;
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: \"%s\" %s; a prediction has id, image, question, answer and prediction",
                         pfm_place_format(place, where), key,
                         value == NULL     ? "is missing"
                         : !number_allowed ? "must be a string"
                         : real_allowed    ? "must be a string or a number"
                                           : "must be a string or a whole number");
}

pfm_status pfm_prediction_check(const json_t *row, const pfm_place *place, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_place_text where;
    pfm_answer_kind kind;
    PFM_TRY(check_text(row, "id", true, false, place, err));
    if (!json_is_null(json_object_get(row, "image")))
        PFM_TRY(check_text(row, "image", true, false, place, err));
    PFM_TRY(check_text(row, "question", false, false, place, err));
    PFM_TRY(check_text(row, "answer", true, true, place, err));
    PFM_TRY(check_text(row, "prediction", true, true, place, err));
    PFM_TRY(pfm_answer_kind_read(row, place, &kind, err));
    const json_t *correct = json_object_get(row, "correct"), *probability = json_object_get(row, "probability");
    if (correct != NULL && !json_is_boolean(correct))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: \"correct\" must be true or false", pfm_place_format(place, where));
    if (probability == NULL || json_is_null(probability))
        goto done;
    double value = json_number_value(probability);
    if (!json_is_number(probability) || !(value >= 0 && value <= 1 + 1e-6))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: \"probability\" must be a number from 0 to 1, or null", pfm_place_format(place, where));
done:
    return status;
}

enum { MOST_REFERENCES = 1000 };

/* `references`: texts, and as many `weights` where there are any, one of them above 0; a `reference` beside them is one of
 * them. */
static pfm_status check_references(const json_t *row, const json_t *list, const pfm_place *place, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_place_text where;
    pfm_number_text number;
    const json_t *weights = json_object_get(row, "weights"), *one = json_object_get(row, "reference");
    double largest = 0;
    bool has_one = one == NULL;
    if (json_array_size(list) == 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: \"references\" must be a list of at least one text", pfm_place_format(place, where));
    if (json_array_size(list) > MOST_REFERENCES)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s: \"references\" has %zu texts, at most %d are compared",
                 pfm_place_format(place, where), json_array_size(list), MOST_REFERENCES);
    if (weights != NULL && (!json_is_array(weights) || json_array_size(weights) != json_array_size(list)))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: \"weights\" must be a list of %zu numbers, one for each of \"references\"",
                 pfm_place_format(place, where), json_array_size(list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (pfm_json_text(json_array_get(list, i), number) == NULL)
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: number %zu of \"references\" is no text", pfm_place_format(place, where), i + 1);
        if (weights != NULL && !json_is_number(json_array_get(weights, i)))
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: number %zu of \"weights\" is no number", pfm_place_format(place, where), i + 1);
        double weight = weights == NULL ? 1 : json_number_value(json_array_get(weights, i));
        largest = weight > largest ? weight : largest;
        has_one |= json_equal(json_array_get(list, i), one);
    }
    if (largest <= 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: no number of \"weights\" is above 0", pfm_place_format(place, where));
    if (!has_one)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: \"reference\" is none of \"references\"; keep one of the two",
                 pfm_place_format(place, where));
done:
    return status;
}

pfm_status pfm_report_check(const json_t *row, const pfm_place *place, pfm_error *err)
{
    pfm_place_text where;
    pfm_number_text number;
    pfm_status status = PFM_OK;
    const json_t *reference = json_object_get(row, "reference"), *list = json_object_get(row, "references");
    if (reference == NULL)
        reference = json_object_get(row, "answer");
    if (list != NULL)
        PFM_TRY(check_references(row, list, place, err));
    else if (pfm_json_text(reference, number) == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: \"reference\" (or \"answer\") %s", pfm_place_format(place, where),
                 reference == NULL ? "is missing" : "must be a string");
    if (pfm_json_text(json_object_get(row, "prediction"), number) == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: \"prediction\" is missing or no string", pfm_place_format(place, where));
done:
    return status;
}

typedef struct collector {
    json_t *rows; /* NULL: rows are checked only */
    pfm_intern ids;
    size_t count;
} collector;

static pfm_status collect(void *user, json_t *row, const pfm_place *place, pfm_error *err)
{
    collector *into = user;
    pfm_status status = PFM_OK;
    pfm_number_text number;
    pfm_place_text where;
    size_t index = 0;
    if (json_object_get(row, "reference") != NULL || json_object_get(row, "references") != NULL) {
        PFM_TRY(check_text(row, "id", true, false, place, err));
        PFM_TRY(pfm_report_check(row, place, err));
    } else {
        PFM_TRY(pfm_prediction_check(row, place, err));
    }
    const char *id = pfm_json_text(json_object_get(row, "id"), number);
    PFM_TRY(pfm_intern_add(&into->ids, id, strlen(id), &index, err));
    if (index != into->count)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: the id %s is that of row %zu already; ids must differ", pfm_place_format(place, where),
                 id, index + 1);
    into->count++;
    if (into->rows != NULL && json_array_append(into->rows, row) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not keep a prediction");
done:
    return status;
}

pfm_status pfm_predictions_load(const char *path, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    collector into = {.rows = json_array()};
    if (into.rows == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", path);
    PFM_TRY(pfm_rows_read(path, collect, &into, err));
    *out = into.rows;
    into.rows = NULL;
done:
    json_decref(into.rows);
    pfm_intern_free(&into.ids);
    return status;
}

pfm_status pfm_predictions_save(const char *path, const json_t *predictions, pfm_error *err)
{
    pfm_status status = PFM_OK;
    collector into = {0};
    pfm_buffer text = {0};
    PFM_TRY(pfm_rows_visit(predictions, collect, &into, err));
    for (size_t i = 0; i < json_array_size(predictions); i++) {
        PFM_TRY(pfm_json_append(&text, json_array_get(predictions, i), err));
        PFM_TRY(pfm_buffer_append(&text, "\n", 1, err));
    }
    PFM_TRY(pfm_file_write(path, text.data, text.size, err));
done:
    pfm_buffer_free(&text);
    pfm_intern_free(&into.ids);
    return status;
}
