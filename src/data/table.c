/* A table of one's own: a CSV or JSON-lines file with the columns image (or images), question, answer (or report) and, where
 * there are, patient, split, answer_type, id and series (which of a folder); image files, or folders that hold a series, are
 * relative to it. Several images are a list in JSON and names
 * separated by ';' in CSV; a row whose images are an empty list, in CSV an empty cell in a table without the column image, is
 * text alone. Without a validation split one is held back. */
#include "data/format.h"

#include "base/file.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const pfm_columns columns = {.id = "id",
                                    .image = "image",
                                    .images = "images",
                                    .question = "question",
                                    .answer = "answer",
                                    .report = "report",
                                    .answer_type = "answer_type",
                                    .patient = "patient",
                                    .series = "series",
                                    .may_show_nothing = true};

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcasecmp(text + a - b, end) == 0;
}

/* Empty cells of the columns that we know are absent values. */
static void drop_empty(json_t *object)
{
    static const char *const optional[] = {"id",          "images",  "question", "answer", "report",
                                           "answer_type", "patient", "split",    "series"};
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++) {
        const char *text = json_string_value(json_object_get(object, optional[i]));
        if (text != NULL && text[0] == '\0')
            (void)json_object_del(object, optional[i]);
    }
}

static pfm_status check_columns(const json_t *object, const char *file, pfm_error *err)
{
    if (json_object_get(object, "image") == NULL && json_object_get(object, "images") == NULL)
        return pfm_error_set(err, PFM_ERROR_FORMAT,
                             "%s: has no column 'image'; a table has image (or images), question and answer (or report)", file);
    if (json_object_get(object, "report") != NULL)
        return PFM_OK;
    const char *missing = json_object_get(object, "question") == NULL ? "question"
                          : json_object_get(object, "answer") == NULL ? "answer"
                                                                      : NULL;
    if (missing != NULL)
        return pfm_error_set(err, PFM_ERROR_FORMAT,
                             "%s: has no column '%s'; a table has image, question and answer (or report)", file, missing);
    return PFM_OK;
}

/* "a.png; b.png" becomes a list; blanks around the names are not theirs. Where the images could not stand in the column image,
 * an empty cell is an empty list. */
static pfm_status split_images(json_t *object, pfm_error *err)
{
    const char *text = json_string_value(json_object_get(object, "images"));
    if (text == NULL || (text[0] == '\0' && json_object_get(object, "image") != NULL))
        return PFM_OK;
    json_t *list = json_array();
    bool good = list != NULL, more = text[0] != '\0';
    while (good && more) {
        text += strspn(text, " \t");
        size_t length = strcspn(text, ";"), end = length;
        while (end > 0 && strchr(" \t", text[end - 1]) != NULL)
            end--;
        good = json_array_append_new(list, json_stringn(text, end)) == 0;
        more = text[length] == ';';
        text += length + more;
    }
    good = good && json_object_set(object, "images", list) == 0;
    json_decref(list);
    return good ? PFM_OK : pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read a list of images");
}

static pfm_status load_records(const char *path, pfm_records *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    if (pfm_path_is_folder(path))
        PFM_FAIL(PFM_ERROR_IO, "%s is a folder; 'table' takes a CSV or JSON-lines file", path);
    PFM_TRY(pfm_file_read(path, 0, &text, err));
    size_t first = text.data == NULL ? 0 : strspn(text.data, " \t\r\n");
    bool lines = ends_with(path, ".jsonl") || ends_with(path, ".ndjson") || ends_with(path, ".json");
    if (lines || (!ends_with(path, ".csv") && text.data != NULL && text.data[first] == '{'))
        PFM_TRY(pfm_json_lines_parse(text.data, text.size, path, out, err));
    else {
        char separator;
        PFM_TRY(pfm_spreadsheet_parse(text.data == NULL ? "" : text.data, text.size, path, &separator, out, err));
        if (out->count > 0)
            PFM_TRY(check_columns(out->items[0], path, err));
        for (size_t i = 0; i < out->count; i++)
            PFM_TRY(split_images(out->items[i], err));
    }
    for (size_t i = 0; i < out->count; i++)
        drop_empty(out->items[i]);
done:
    pfm_buffer_free(&text);
    return status;
}

/* *out = the record's split, "train" where none is said; borrowed. */
static pfm_status split_of(const json_t *object, const pfm_row_place *place, const char **out, pfm_error *err)
{
    pfm_status status = pfm_row_get_text(object, "split", place, out, err);
    if (status == PFM_OK)
        *out = *out == NULL ? "train" : pfm_split_canonical(*out);
    return status;
}

static pfm_status add_splits(const pfm_records *records, const char *path, const pfm_dataset_options *options, pfm_names *out,
                             bool *made, pfm_error *err)
{
    pfm_row_place place = {.file = path, .unit = "line"};
    for (size_t i = 0; i < records->count; i++) {
        const char *split = NULL;
        place.number = records->lines[i];
        pfm_status status = split_of(records->items[i], &place, &split, err);
        if (status == PFM_OK)
            status = pfm_names_add(out, split, err);
        if (status != PFM_OK)
            return status;
    }
    *made = options->validate_share > 0 && pfm_names_has(out, "train") && !pfm_names_has(out, "validate");
    return *made ? pfm_names_add(out, "validate", err) : PFM_OK;
}

static pfm_status list_splits(const char *path, const pfm_dataset_options *options, pfm_names *out, pfm_error *err)
{
    pfm_records records = {0};
    bool made = false;
    pfm_status status = load_records(path, &records, err);
    if (status == PFM_OK)
        status = add_splits(&records, path, options, out, &made, err);
    pfm_records_free(&records);
    return status;
}

/* *out = the folder of a file; "" where it names none. */
static pfm_status folder_of(const char *path, char **out, pfm_error *err)
{
    return pfm_string_copy_n(path, (size_t)(pfm_path_name(path) - path), out, err);
}

/* By patient where any row knows its, unless the options say how. */
static pfm_status hold_out(pfm_rows *rows, const char *split, const pfm_dataset_options *options, const char *path,
                           pfm_error *err)
{
    pfm_dataset_options own = *options;
    bool any = false;
    for (size_t i = 0; i < rows->count; i++)
        any = any || rows->items[i].patient != NULL;
    if (any && (own.validate_by == NULL || strcmp(own.validate_by, "auto") == 0))
        own.validate_by = "patient";
    return pfm_rows_hold_out(rows, split, &own, path, err);
}

static pfm_status read(const char *path, const char *split, const pfm_dataset_options *options, pfm_rows *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_records records = {0};
    pfm_names splits = {0};
    char *folder = NULL;
    bool made = false;
    PFM_TRY(load_records(path, &records, err));
    PFM_TRY(add_splits(&records, path, options, &splits, &made, err));
    made = made && (strcmp(split, "train") == 0 || strcmp(split, "validate") == 0);
    PFM_TRY(folder_of(path, &folder, err));
    pfm_row_place place = {.file = path, .unit = "line", .split = made ? "train" : split, .image_folder = folder};
    for (size_t i = 0; i < records.count; i++) {
        const char *own = NULL;
        pfm_row row = {0};
        place.number = records.lines[i];
        PFM_TRY(split_of(records.items[i], &place, &own, err));
        if (strcmp(own, place.split) != 0)
            continue;
        PFM_TRY(pfm_row_read(records.items[i], &columns, &place, &row, err));
        (void)json_object_del(row.extra, "split"); /* absent is fine */
        PFM_TRY(pfm_rows_take(out, &row, err));
    }
    PFM_TRY(pfm_rows_find_patients(out, err));
    if (made)
        PFM_TRY(hold_out(out, split, options, path, err));
done:
    free(folder);
    pfm_names_free(&splits);
    pfm_records_free(&records);
    return status;
}

const pfm_dataset_format pfm_dataset_table = {.name = "table", .list_splits = list_splits, .read = read};
