#include "data/format.h"

#include "base/file.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- lists ---- */

enum { MOST_NAMES = 1000 };

bool pfm_names_has(const pfm_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i], name) == 0)
            return true;
    }
    return false;
}

pfm_status pfm_names_add(pfm_names *names, const char *name, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (pfm_names_has(names, name))
        return PFM_OK;
    if (names->count == MOST_NAMES) /* a list is searched from end to end */
        PFM_FAIL(PFM_ERROR_FORMAT, "more than %d different names of splits or languages; the last is '%.60s'", MOST_NAMES,
                 name);
    PFM_TRY(pfm_array_reserve(&names->items, &names->capacity, names->count + 1, sizeof *names->items, err));
    PFM_TRY(pfm_string_copy(name, &names->items[names->count], err));
    names->count++;
done:
    return status;
}

pfm_status pfm_names_append(const pfm_names *names, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (names->count == 0)
        PFM_TRY(pfm_buffer_append_string(out, "none", err));
    for (size_t i = 0; i < names->count; i++)
        PFM_TRY(pfm_buffer_append_format(out, err, "%s%s", i > 0 ? ", " : "", names->items[i]));
done:
    return status;
}

void pfm_names_free(pfm_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (pfm_names){0};
}

void pfm_row_free(pfm_row *row)
{
    free(row->id);
    for (size_t i = 0; i < row->image_count; i++) {
        free(row->images[i].name);
        free(row->images[i].path);
        free(row->images[i].key);
    }
    free(row->images);
    free(row->question);
    free(row->ungrounded);
    free(row->answer);
    free(row->patient);
    free(row->series);
    json_decref(row->extra);
    *row = (pfm_row){0};
}

void pfm_rows_free(pfm_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        pfm_row_free(&rows->items[i]);
    free(rows->items);
    *rows = (pfm_rows){0};
}

pfm_status pfm_rows_take(pfm_rows *rows, pfm_row *row, pfm_error *err)
{
    pfm_status status = pfm_array_reserve(&rows->items, &rows->capacity, rows->count + 1, sizeof *rows->items, err);
    if (status != PFM_OK) {
        pfm_row_free(row);
        return status;
    }
    rows->items[rows->count++] = *row;
    *row = (pfm_row){0};
    return PFM_OK;
}

const char *pfm_split_canonical(const char *name)
{
    static const char *const same[] = {"val", "valid", "validation", "dev"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        if (strcmp(name, same[i]) == 0)
            return "validate";
    }
    return name;
}

/* ---- one row ---- */

static const json_t *get(const json_t *object, const char *column)
{
    const json_t *value = column == NULL ? NULL : json_object_get(object, column);
    return json_is_null(value) ? NULL : value;
}

static pfm_status refuse(const pfm_row_place *place, const char *column, const char *reason, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s %s %zu: \"%s\" %s", place->file, place->unit, place->number, column,
                         reason);
}

pfm_status pfm_row_get_text(const json_t *object, const char *column, const pfm_row_place *place, const char **out,
                            pfm_error *err)
{
    const json_t *value = get(object, column);
    *out = json_string_value(value);
    if (value != NULL && *out == NULL)
        return refuse(place, column, "must be a text", err);
    return PFM_OK;
}

pfm_status pfm_row_copy_scalar(const json_t *object, const char *column, const pfm_row_place *place, char **out, pfm_error *err)
{
    const json_t *value = get(object, column);
    *out = NULL;
    if (value == NULL)
        return PFM_OK;
    if (json_is_string(value))
        return pfm_string_copy(json_string_value(value), out, err);
    if (!json_is_number(value))
        return refuse(place, column, "must be a text or a number", err);
    for (unsigned digits = 1; *out == NULL && digits <= 17; digits++) { /* the shortest text that is the same number */
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
        json_t *back = text == NULL ? NULL : json_loads(text, JSON_DECODE_ANY, NULL);
        if (digits == 17 || (back != NULL && json_equal(back, value)))
            *out = text;
        else
            free(text);
        json_decref(back);
    }
    if (*out == NULL)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", place->file);
    return PFM_OK;
}

static pfm_status copy_required(const json_t *object, const char *column, const pfm_row_place *place, char **out,
                                pfm_error *err)
{
    pfm_status status = pfm_row_copy_scalar(object, column, place, out, err);
    if (status == PFM_OK && *out == NULL)
        return refuse(place, column, "is missing; every row needs it", err);
    return status;
}

/* Takes the name, also on error. */
static pfm_status take_image(pfm_row *row, char *name, const char *column, const pfm_row_place *place, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    if (name[0] == '\0') {
        status = refuse(place, column, "is empty; every row needs it", err);
        goto done;
    }
    PFM_TRY(pfm_path_join(place->image_folder, name, &path, err));
    size_t capacity = row->image_count;
    PFM_TRY(pfm_array_reserve(&row->images, &capacity, row->image_count + 1, sizeof *row->images, err));
    row->images[row->image_count++] = (pfm_row_image){.name = name, .path = path};
    name = path = NULL;
done:
    free(name);
    free(path);
    return status;
}

/* The images of the list; `first` NULL, or the name that the row gives as its image. */
static pfm_status read_image_list(const json_t *list, const char *first, const pfm_columns *columns, const pfm_row_place *place,
                                  pfm_row *row, pfm_error *err)
{
    size_t count = json_array_size(list);
    if (json_is_array(list) && count == 0 && columns->may_show_nothing && (first == NULL || first[0] == '\0'))
        return PFM_OK;
    if (!json_is_array(list) || count == 0)
        return refuse(place, columns->images, "must be a list of at least one image", err);
    if (count > PFM_ROW_MOST_IMAGES)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s %s %zu: \"%s\" holds %zu images; %d are the most", place->file,
                             place->unit, place->number, columns->images, count, PFM_ROW_MOST_IMAGES);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        char *name = NULL;
        if (text == NULL || text[0] == '\0')
            return refuse(place, columns->images, "must hold names of images, none of them empty", err);
        pfm_status status = pfm_string_copy(text, &name, err);
        if (status == PFM_OK)
            status = take_image(row, name, columns->images, place, err);
        if (status != PFM_OK)
            return status;
    }
    if (first != NULL && first[0] != '\0' && strcmp(first, row->images[0].name) != 0)
        return pfm_error_set(
            err, PFM_ERROR_FORMAT,
            "%s %s %zu: \"%s\" is %.80s and \"%s\" begins with %.80s; they must be the same, or only one given", place->file,
            place->unit, place->number, columns->image, first, columns->images, row->images[0].name);
    return PFM_OK;
}

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcasecmp(text + a - b, end) == 0;
}

pfm_status pfm_row_find_image(pfm_row_image *image, pfm_error *err)
{
    static const char *const endings[] = {"", ".jpg", ".jpeg", ".png"};
    pfm_status status = PFM_OK;
    char *path = NULL;
    bool ended = false;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        free(path);
        path = NULL;
        PFM_TRY(pfm_string_format(&path, err, "%s%s", image->path, endings[i]));
        if (pfm_path_exists(path))
            goto done;
        ended |= i > 0 && ends_with(image->path, endings[i]);
    }
    free(path);
    path = NULL;
    PFM_TRY(pfm_string_format(&path, err, "%s%s", image->path, ended ? "" : ".jpg"));
done:
    if (status == PFM_OK) {
        free(image->path);
        image->path = path;
    }
    return status;
}

static pfm_status read_images(const json_t *object, const pfm_columns *columns, const pfm_row_place *place, pfm_row *row,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *name = NULL;
    const json_t *list = get(object, columns->images);
    if (columns->images == NULL && columns->image == NULL)
        return PFM_OK;
    if (list == NULL && columns->image == NULL)
        return refuse(place, columns->images, "is missing; every row needs it", err);
    if (list == NULL) {
        PFM_TRY(copy_required(object, columns->image, place, &name, err));
        return take_image(row, name, columns->image, place, err);
    }
    PFM_TRY(pfm_row_copy_scalar(object, columns->image, place, &name, err));
    status = read_image_list(list, name, columns, place, row, err);
done:
    free(name);
    return status;
}

/* Compares the text, blanks around it apart, with a lower-case word. */
static bool is_word(const char *text, const char *word)
{
    text += strspn(text, " \t\r\n.");
    size_t length = strlen(word);
    return strncasecmp(text, word, length) == 0 && text[length + strspn(text + length, " \t\r\n.")] == '\0';
}

static pfm_status read_answer_type(const json_t *object, const pfm_columns *columns, const pfm_row_place *place, pfm_row *row,
                                   pfm_error *err)
{
    const char *text = NULL;
    pfm_status status = pfm_row_get_text(object, columns->answer_type, place, &text, err);
    if (status != PFM_OK)
        return status;
    if (text != NULL && is_word(text, "closed"))
        row->answer_type = PFM_ANSWER_CLOSED;
    else if (text != NULL && is_word(text, "open"))
        row->answer_type = PFM_ANSWER_OPEN;
    else if (text != NULL && !is_word(text, ""))
        return refuse(place, columns->answer_type, "must be OPEN or CLOSED", err);
    else if (columns->needs_answer_type)
        return refuse(place, columns->answer_type, "is missing; it must be OPEN or CLOSED", err);
    else
        row->answer_type = is_word(row->answer, "yes") || is_word(row->answer, "no") ? PFM_ANSWER_CLOSED : PFM_ANSWER_OPEN;
    return PFM_OK;
}

static pfm_status read_question_and_answer(const json_t *object, const pfm_columns *columns, const pfm_row_place *place,
                                           pfm_row *row, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bool report = columns->answer == NULL || (get(object, columns->report) != NULL && get(object, columns->answer) == NULL);
    const char *missing = columns->question != NULL ? columns->question : columns->answer;
    PFM_TRY(copy_required(object, report ? columns->report : columns->answer, place, &row->answer, err));
    if (columns->question == NULL || (report && get(object, columns->question) == NULL))
        PFM_TRY(pfm_string_copy("", &row->question, err));
    else
        PFM_TRY(copy_required(object, columns->question, place, &row->question, err));
    if (row->image_count == 0 && row->question[0] == '\0')
        status = refuse(place, missing != NULL ? missing : columns->report,
                        "asks nothing and the row shows no image; every row needs one of them", err);
done:
    return status;
}

static bool is_used(const pfm_columns *columns, const char *name)
{
    const char *const used[] = {columns->id,     columns->image,       columns->images,  columns->question, columns->answer,
                                columns->report, columns->answer_type, columns->patient, columns->series};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) {
        if (used[i] != NULL && strcmp(used[i], name) == 0)
            return true;
    }
    return false;
}

/* Not json_copy, which leaves members out where memory ends. */
static pfm_status read_extra(const json_t *object, const pfm_columns *columns, pfm_row *row, pfm_error *err)
{
    const char *name = NULL;
    json_t *value = NULL;
    row->extra = json_object();
    bool good = row->extra != NULL;
    json_object_foreach((json_t *)(uintptr_t)object, name, value) /* the macro reads only, but takes no const */
        good = good && (is_used(columns, name) || json_object_set(row->extra, name, value) == 0);
    return good ? PFM_OK : pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read a row");
}

static pfm_status refuse_value(const pfm_columns *columns, const pfm_row_place *place, pfm_error *err)
{
    const char *const needed[] = {columns->image != NULL ? columns->image : columns->images, columns->question,
                                  columns->answer != NULL ? columns->answer : columns->report};
    pfm_status status = PFM_OK;
    pfm_buffer names = {0};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (needed[i] != NULL)
            PFM_TRY(pfm_buffer_append_format(&names, err, "%s\"%s\"", names.size > 0 ? ", " : "", needed[i]));
    }
    PFM_FAIL(PFM_ERROR_FORMAT, "%s %s %zu: must be a JSON object with the columns %s", place->file, place->unit, place->number,
             names.data);
done:
    pfm_buffer_free(&names);
    return status;
}

pfm_status pfm_row_read(const json_t *object, const pfm_columns *columns, const pfm_row_place *place, pfm_row *out,
                        pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_row row = {0};
    if (!json_is_object(object))
        return refuse_value(columns, place, err);
    PFM_TRY(pfm_row_copy_scalar(object, columns->id, place, &row.id, err));
    if (row.id == NULL)
        PFM_TRY(pfm_string_format(&row.id, err, "%s-%zu", place->split, place->number));
    PFM_TRY(read_images(object, columns, place, &row, err));
    PFM_TRY(read_question_and_answer(object, columns, place, &row, err));
    PFM_TRY(read_answer_type(object, columns, place, &row, err));
    PFM_TRY(pfm_row_copy_scalar(object, columns->patient, place, &row.patient, err));
    PFM_TRY(pfm_row_copy_scalar(object, columns->series, place, &row.series, err));
    PFM_TRY(read_extra(object, columns, &row, err));
    *out = row;
    row = (pfm_row){0};
done:
    pfm_row_free(&row);
    return status;
}
