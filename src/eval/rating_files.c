#include "eval/rating_files.h"

#include "base/file.h"
#include "base/try.h"
#include "data/records.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- rows ---- */

static pfm_status take_row(void *user, json_t *row, const pfm_place *place, pfm_error *err)
{
    pfm_rating_rows *out = user;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_array_reserve(&out->items, &out->capacity, out->count + 1, sizeof *out->items, err));
    if (json_array_append(out->owner, row) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not keep a row");
    out->items[out->count++] = (pfm_rating_row){.object = row, .place = *place};
done:
    return status;
}

static pfm_status load_table(const char *path, const pfm_buffer *text, pfm_rating_rows *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_records records = {0};
    char separator = ',';
    if (text->data == NULL || text->data[strspn(text->data, " \t\r\n\xef\xbb\xbf")] == '\0')
        PFM_FAIL(PFM_ERROR_FORMAT, "%s is empty", path);
    PFM_TRY(pfm_spreadsheet_parse(text->data == NULL ? "" : text->data, text->size, path, &separator, &records, err));
    if (records.count == 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s holds no rows: a table with a line of names and rows, or JSON lines, is needed", path);
    for (size_t i = 0; i < records.count; i++) {
        const pfm_place place = {path, "line", records.lines[i]};
        PFM_TRY(take_row(out, records.items[i], &place, err));
        out->items[out->count - 1].decimal_comma = separator != ',';
    }
done:
    pfm_records_free(&records);
    return status;
}

pfm_status pfm_rating_rows_load(const char *path, pfm_rating_rows *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    out->owner = json_array();
    if (out->owner == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", path);
    PFM_TRY(pfm_file_read(path, 0, &text, err));
    const char *begin = text.data == NULL ? "" : text.data;
    begin += strncmp(begin, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    begin += strspn(begin, " \t\r\n");
    if (*begin == '{' || *begin == '[')
        PFM_TRY(pfm_rows_read(path, take_row, out, err));
    else
        PFM_TRY(load_table(path, &text, out, err));
done:
    pfm_buffer_free(&text);
    if (status != PFM_OK)
        pfm_rating_rows_free(out);
    return status;
}

void pfm_rating_rows_free(pfm_rating_rows *rows)
{
    json_decref(rows->owner);
    free(rows->items);
    *rows = (pfm_rating_rows){0};
}

/* ---- cells ---- */

const char *pfm_rating_text_of(const json_t *row, const char *column, pfm_rating_text scratch)
{
    pfm_number_text number;
    const char *text = pfm_json_text(json_object_get(row, column), number);
    if (text == NULL)
        return NULL;
    text += strspn(text, " \t\r\n");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
        length--;
    if (length == 0 || length >= sizeof(pfm_rating_text))
        return NULL;
    memcpy(scratch, text, length);
    scratch[length] = '\0';
    return scratch;
}

static bool stands_for_none(const char *text)
{
    static const char *const words[] = {"na", "n/a", "null", "nan", "none", "-"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasecmp(text, words[i]) == 0)
            return true;
    }
    return false;
}

static bool read_number(const char *text, bool decimal_comma, double *out)
{
    char copy[64];
    size_t length = strlen(text);
    if (length >= sizeof copy)
        return false;
    memcpy(copy, text, length + 1);
    char *comma = decimal_comma && strchr(copy, '.') == NULL ? strchr(copy, ',') : NULL;
    if (comma != NULL)
        *comma = '.';
    if (copy[strspn(copy, "+-.0123456789eE")] != '\0')
        return false;
    char *end = NULL;
    *out = strtod(copy, &end);
    return end != copy && *end == '\0' && isfinite(*out);
}

pfm_status pfm_rating_score_read(const pfm_rating_row *row, const char *column, pfm_rating_state *state, double *score,
                                 pfm_error *err)
{
    pfm_place_text where;
    pfm_rating_text text;
    const json_t *value = json_object_get(row->object, column);
    *state = PFM_RATING_MISSING;
    *score = NAN;
    if (value == NULL || json_is_null(value) ||
        (json_is_string(value) && json_string_value(value)[strspn(json_string_value(value), " \t\r\n")] == '\0'))
        return PFM_OK;
    *state = PFM_RATING_OK;
    if (json_is_number(value)) {
        *score = json_number_value(value);
        return PFM_OK;
    }
    const char *cell = json_is_string(value) ? pfm_rating_text_of(row->object, column, text) : NULL;
    if (cell != NULL && stands_for_none(cell))
        *state = PFM_RATING_MISSING;
    else if (cell == NULL || !read_number(cell, row->decimal_comma, score))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: \"%s\" is no number: %.60s", pfm_place_format(&row->place, where),
                             column, cell == NULL ? "(a value of another kind)" : cell);
    return PFM_OK;
}

static pfm_status need_text(const pfm_rating_row *row, const char *column, const char *what, pfm_rating_text scratch,
                            const char **out, pfm_error *err)
{
    pfm_place_text where;
    *out = pfm_rating_text_of(row->object, column, scratch);
    if (*out != NULL)
        return PFM_OK;
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: \"%s\" is missing, empty or longer than %zu bytes; %s",
                         pfm_place_format(&row->place, where), column, sizeof(pfm_rating_text) - 1, what);
}

/* ---- kinds of files ---- */

typedef struct file_reader {
    pfm_ratings *ratings;
    const pfm_rating_options *options;
    const char *path;
    const char *name; /* given, or NULL */
    const pfm_rating_rows *rows;
} file_reader;

static bool has(const json_t *row, const char *column) { return json_object_get(row, column) != NULL; }

static pfm_status read_ratings(const file_reader *f, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < f->rows->count; i++) {
        const pfm_rating_row *row = &f->rows->items[i];
        static const char needs[] = "a rating has item, rater and score";
        pfm_rating_text item_text, rater_text, original_text;
        pfm_rating_state state;
        const char *item = NULL, *rater = NULL, *original = pfm_rating_text_of(row->object, "duplicate_of", original_text);
        double score = 0;
        size_t column = 0;
        PFM_TRY(need_text(row, "item", needs, item_text, &item, err));
        PFM_TRY(need_text(row, "rater", needs, rater_text, &rater, err));
        PFM_TRY(pfm_rating_score_read(row, "score", &state, &score, err));
        PFM_TRY(pfm_ratings_column(f->ratings, PFM_RATING_PERSON, 0, rater, f->path, &column, err));
        if (original != NULL)
            PFM_TRY(pfm_ratings_column(f->ratings, PFM_RATING_DUPLICATE, column, rater, f->path, &column, err));
        PFM_TRY(pfm_ratings_add(f->ratings, column, original != NULL ? original : item, state, score, &row->place, err));
    }
done:
    return status;
}

pfm_status pfm_rating_file_name(const char *path, char **out, pfm_error *err)
{
    static const char *const endings[] = {".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".txt", ".verdicts"};
    const char *name = pfm_path_name(path);
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t ending = strlen(endings[i]);
        if (length > ending && memcmp(name + length - ending, endings[i], ending) == 0)
            length -= ending;
    }
    return pfm_string_copy_n(name, length, out, err);
}

static pfm_status read_state(const pfm_rating_row *row, pfm_rating_state *state, double *score, pfm_error *err)
{
    pfm_rating_text text;
    pfm_place_text where;
    const char *word = pfm_rating_text_of(row->object, "status", text);
    pfm_status status = pfm_rating_score_read(row, "score", state, score, err);
    if (status != PFM_OK)
        return status;
    if (word != NULL && strcmp(word, "ok") == 0 && *state == PFM_RATING_OK)
        return PFM_OK;
    if (word != NULL && strcmp(word, "unparsable") == 0)
        *state = PFM_RATING_UNPARSABLE;
    else if (word != NULL && strcmp(word, "failed") == 0)
        *state = PFM_RATING_FAILED;
    else
        return pfm_error_set(err, PFM_ERROR_FORMAT,
                             "%s: a verdict has \"status\" ok with a number as \"score\", unparsable or failed",
                             pfm_place_format(&row->place, where));
    return PFM_OK;
}

static pfm_status read_verdicts(const file_reader *f, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *of_file = NULL;
    PFM_TRY(pfm_rating_file_name(f->path, &of_file, err));
    for (size_t i = 0; i < f->rows->count; i++) {
        const pfm_rating_row *row = &f->rows->items[i];
        pfm_rating_text id_text, judge_text, repeat_text;
        pfm_rating_state state;
        const char *id = NULL, *judge = f->name, *repeat = pfm_rating_text_of(row->object, "repeat", repeat_text);
        double score = 0;
        size_t column = 0, parent = 0;
        PFM_TRY(need_text(row, "id", "a verdict has id, repeat, score and status", id_text, &id, err));
        PFM_TRY(read_state(row, &state, &score, err));
        if (judge == NULL)
            judge = pfm_rating_text_of(row->object, "judge", judge_text);
        PFM_TRY(pfm_ratings_column(f->ratings, PFM_RATING_JUDGE, 0, judge == NULL ? of_file : judge, f->path, &parent, err));
        PFM_TRY(
            pfm_ratings_column(f->ratings, PFM_RATING_REPEAT, parent, repeat == NULL ? "0" : repeat, f->path, &column, err));
        if (strcmp(f->ratings->columns[parent].file, f->path) != 0)
            PFM_FAIL(PFM_ERROR_USAGE, "%s and %s hold verdicts of one name, %s; write NAME=FILE to tell them apart",
                     f->ratings->columns[parent].file, f->path, f->ratings->columns[parent].name);
        PFM_TRY(pfm_ratings_add(f->ratings, column, id, state, score, &row->place, err));
    }
done:
    free(of_file);
    return status;
}

static const char *id_column(const json_t *row) { return has(row, "id") ? "id" : "qid"; }

/* What a row says besides numbers. */
static bool is_described(const char *column)
{
    static const char *const others[] = {"id",     "qid",       "image",      "images",  "question",   "answer",
                                         "report", "reference", "prediction", "patient", "references", "weights"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strcmp(column, others[i]) == 0)
            return true;
    }
    return false;
}

/* Whether a column holds numbers alone, true and false as 1 and 0 among them, and at least one. */
static bool is_numeric(const pfm_rating_rows *rows, const char *column)
{
    bool any = false;
    for (size_t i = 0; i < rows->count; i++) {
        pfm_rating_state state;
        double number = 0;
        const json_t *value = json_object_get(rows->items[i].object, column);
        if (!json_is_boolean(value) && pfm_rating_score_read(&rows->items[i], column, &state, &number, NULL) != PFM_OK)
            return false;
        any |= json_is_boolean(value) || state == PFM_RATING_OK;
    }
    return any;
}

static pfm_status read_metric(const file_reader *f, const char *name, const char *column, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t into = 0;
    if (pfm_ratings_has(f->ratings, PFM_RATING_METRIC, name))
        PFM_FAIL(PFM_ERROR_USAGE, "%s: there is a metric %s already; write NAME=FILE to tell them apart", f->path, name);
    PFM_TRY(pfm_ratings_column(f->ratings, PFM_RATING_METRIC, 0, name, f->path, &into, err));
    for (size_t i = 0; i < f->rows->count; i++) {
        const pfm_rating_row *row = &f->rows->items[i];
        const json_t *value = json_object_get(row->object, column);
        pfm_rating_text id_text;
        pfm_rating_state state = PFM_RATING_OK;
        const char *id = NULL;
        double number = json_is_true(value);
        PFM_TRY(need_text(row, id_column(row->object), "a row with numbers of metrics has an id", id_text, &id, err));
        if (!json_is_boolean(value))
            PFM_TRY(pfm_rating_score_read(row, column, &state, &number, err));
        PFM_TRY(pfm_ratings_add(f->ratings, into, id, state, number, &row->place, err));
    }
done:
    return status;
}

/* A file with one column of numbers is named by NAME=, one with several has NAME before theirs. */
static pfm_status read_metrics(const file_reader *f, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *column = NULL, *numbers[PFM_RATINGS_MOST_METRICS];
    json_t *value = NULL;
    char *name = NULL;
    size_t count = 0;
    json_t *columns = json_object();
    for (size_t i = 0; columns != NULL && i < f->rows->count; i++)
        (void)json_object_update_missing(columns, (json_t *)(uintptr_t)f->rows->items[i].object);
    json_object_foreach(columns, column, value)
    {
        if (is_described(column) || !is_numeric(f->rows, column))
            continue;
        if (count == PFM_RATINGS_MOST_METRICS)
            PFM_FAIL(PFM_ERROR_USAGE, "%s: more than %d columns of numbers", f->path, PFM_RATINGS_MOST_METRICS);
        numbers[count++] = column;
    }
    if (count == 0)
        PFM_FAIL(
            PFM_ERROR_FORMAT,
            "%s: no column holds numbers alone; a file has item, rater and score, or id, score and status, or id and numbers",
            f->path);
    for (size_t i = 0; i < count; i++) {
        if (f->name != NULL)
            PFM_TRY(pfm_string_format(&name, err, "%s%s%s", f->name, count == 1 ? "" : ".", count == 1 ? "" : numbers[i]));
        PFM_TRY(read_metric(f, name == NULL ? numbers[i] : name, numbers[i], err));
        free(name);
        name = NULL;
    }
done:
    free(name);
    json_decref(columns);
    return status;
}

/* {id: number}. */
static pfm_status read_map(const file_reader *f, const json_t *map, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_place place = {f->path, "number", 0};
    const char *id = NULL;
    json_t *value = NULL;
    char *name = NULL;
    size_t column = 0;
    PFM_TRY(f->name != NULL ? pfm_string_copy(f->name, &name, err) : pfm_rating_file_name(f->path, &name, err));
    if (pfm_ratings_has(f->ratings, PFM_RATING_METRIC, name))
        PFM_FAIL(PFM_ERROR_USAGE, "%s: there is a metric %s already; write NAME=FILE to tell them apart", f->path, name);
    PFM_TRY(pfm_ratings_column(f->ratings, PFM_RATING_METRIC, 0, name, f->path, &column, err));
    json_object_foreach((json_t *)(uintptr_t)map, id, value)
        PFM_TRY(pfm_ratings_add(f->ratings, column, id, json_is_null(value) ? PFM_RATING_MISSING : PFM_RATING_OK,
                                json_number_value(value), &place, err));
done:
    free(name);
    return status;
}

static bool is_map(const json_t *document)
{
    const char *id = NULL;
    json_t *value = NULL;
    bool numbers = json_object_size(document) > 0 && !has(document, "score") && !has(document, "id") && !has(document, "qid");
    json_object_foreach((json_t *)(uintptr_t)document, id, value) numbers &= json_is_number(value) || json_is_null(value);
    return numbers;
}

/* ---- filled sheets ---- */

static pfm_status check_shown(const pfm_rating_row *row, const json_t *known, const char *code, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_place_text where;
    const char *column = NULL;
    json_t *digest = NULL;
    json_object_foreach(json_object_get(known, "shown"), column, digest)
    {
        const json_t *cell = json_object_get(row->object, column);
        bool same = false;
        if (cell == NULL)
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: the sheet has lost its column \"%s\"; give the rater the sheet again",
                     pfm_place_format(&row->place, where), column);
        if (json_is_string(cell))
            PFM_TRY(pfm_sheet_cell_check(json_string_value(cell), json_string_value(digest), &same, err));
        if (!same)
            PFM_FAIL(PFM_ERROR_MISMATCH, "%s: \"%s\" of %s is not what the sheet had; the score may be of another text",
                     pfm_place_format(&row->place, where), column, code);
    }
done:
    return status;
}

static pfm_status add_sheet_row(const file_reader *f, const pfm_rating_row *row, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_sheet_key *key = f->options->key;
    pfm_place_text where;
    pfm_rating_text code_text;
    pfm_rating_state state;
    const char *code = NULL;
    char *item = NULL;
    double score = 0;
    size_t column = 0;
    PFM_TRY(need_text(row, PFM_SHEET_CODE, "a row of a sheet begins with its code", code_text, &code, err));
    const json_t *known = pfm_sheet_key_find(key, code);
    if (known == NULL)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s: no sheet of %s has a row %s", pfm_place_format(&row->place, where),
                 f->options->key_path, code);
    PFM_TRY(check_shown(row, known, code, err));
    if (!has(row->object, PFM_SHEET_SCORE))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: the sheet has lost its column \"score\"", pfm_place_format(&row->place, where));
    PFM_TRY(pfm_rating_score_read(row, PFM_SHEET_SCORE, &state, &score, err));
    if (state == PFM_RATING_OK && !(score >= key->low && score <= key->high && score == floor(score)))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: the score %g of %s is not on the scale, whole numbers from %g to %g",
                 pfm_place_format(&row->place, where), score, code, key->low, key->high);
    const char *system = json_string_value(json_object_get(known, "system"));
    const char *id = json_string_value(json_object_get(known, "id")),
               *rater = json_string_value(json_object_get(known, "rater"));
    if (f->options->system != NULL && strcmp(system, f->options->system) != 0)
        goto done;
    bool plain = key->system_count == 1 || f->options->system != NULL;
    PFM_TRY(pfm_string_format(&item, err, "%s%s%s", plain ? "" : system, plain ? "" : "/", id));
    PFM_TRY(pfm_ratings_column(f->ratings, PFM_RATING_PERSON, 0, rater, f->path, &column, err));
    if (json_is_true(json_object_get(known, "duplicate")))
        PFM_TRY(pfm_ratings_column(f->ratings, PFM_RATING_DUPLICATE, column, rater, f->path, &column, err));
    PFM_TRY(pfm_ratings_add(f->ratings, column, item, state, score, &row->place, err));
done:
    free(item);
    return status;
}

static pfm_status read_sheet(const file_reader *f, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (f->options->key == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "%s looks like a filled sheet (item and score, no rater); give its key file with --key",
                 f->path);
    for (size_t i = 0; i < f->rows->count; i++)
        PFM_TRY(add_sheet_row(f, &f->rows->items[i], err));
done:
    return status;
}

pfm_status pfm_ratings_read_sheet(pfm_ratings *ratings, const json_t *sheet, const char *name,
                                  const pfm_rating_options *options, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_rating_rows rows = {.owner = json_array()};
    const file_reader f = {.ratings = ratings, .options = options, .path = name, .rows = &rows};
    if (rows.owner == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", name);
    PFM_TRY(pfm_rows_visit(sheet, take_row, &rows, err));
    PFM_TRY(read_sheet(&f, err));
done:
    pfm_rating_rows_free(&rows);
    return status;
}

/* ---- which is which ---- */

static pfm_status read_rows(file_reader *f, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_rating_rows rows = {0};
    PFM_TRY(pfm_rating_rows_load(f->path, &rows, err));
    f->rows = &rows;
    const json_t *first = rows.items[0].object;
    if (f->name != NULL && (has(first, "rater") || has(first, PFM_SHEET_CODE)))
        PFM_FAIL(PFM_ERROR_USAGE, "%s holds ratings, which name their raters themselves; write it without %s=", f->path,
                 f->name);
    if (has(first, "rater"))
        PFM_TRY(read_ratings(f, err));
    else if (has(first, "id") && has(first, "status") && has(first, "score"))
        PFM_TRY(read_verdicts(f, err));
    else if (has(first, PFM_SHEET_CODE) && (has(first, PFM_SHEET_SCORE) || f->options->key != NULL))
        PFM_TRY(read_sheet(f, err));
    else if (has(first, "id") || has(first, "qid"))
        PFM_TRY(read_metrics(f, err));
    else
        PFM_FAIL(
            PFM_ERROR_FORMAT,
            "%s: has neither item, rater and score (ratings) nor id, score and status (verdicts) nor id and numbers (metrics)",
            f->path);
done:
    f->rows = NULL;
    pfm_rating_rows_free(&rows);
    return status;
}

pfm_status pfm_ratings_read(pfm_ratings *ratings, const char *word, const pfm_rating_options *options, pfm_error *err)
{
    pfm_status status = PFM_OK;
    file_reader f = {.ratings = ratings, .options = options, .path = word};
    const char *equals = pfm_path_exists(word) ? NULL : strchr(word, '=');
    const char *kept = NULL;
    json_t *document = NULL;
    if (equals != NULL && equals > word) {
        PFM_TRY(pfm_text_store_add(&ratings->texts, word, (size_t)(equals - word), &kept, err));
        f.name = kept;
        f.path = equals + 1;
    }
    if (pfm_json_load(f.path, &document, NULL) == PFM_OK && is_map(document))
        PFM_TRY(read_map(&f, document, err));
    else
        PFM_TRY(read_rows(&f, err));
done:
    json_decref(document);
    return status;
}
