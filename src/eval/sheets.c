/* Blinded sheets for people, as files (sheets_draw.c says who rates what). A sheet names no system; the key, which does, lies
 * apart and can be read by its owner alone. */
#include "eval/sheets.h"

#include "base/context.h"
#include "base/file.h"
#include "base/try.h"
#include "eval/rating_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct sheet_maker {
    const pfm_sheets_request *request;
    const pfm_context *context;
    pfm_rubric *rubric;
    json_t *systems; /* as pfm_sheets_plan has them */
    pfm_sheets_drawn drawn;
    char *key_path;
} sheet_maker;

static pfm_status add_system(sheet_maker *m, const char *word, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *rows = NULL;
    char *name = NULL;
    const char *equals = pfm_path_exists(word) ? NULL : strchr(word, '='), *path = equals == NULL ? word : equals + 1;
    PFM_TRY(equals == NULL ? pfm_rating_file_name(path, &name, err)
                           : pfm_string_copy_n(word, (size_t)(equals - word), &name, err));
    PFM_TRY(pfm_predictions_load(path, &rows, err));
    if (json_array_append_new(m->systems, json_pack("{s:s,s:s,s:O}", "name", name, "file", path, "rows", rows)) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not name a system");
done:
    json_decref(rows);
    free(name);
    return status;
}

/* ---- writing ---- */

pfm_status pfm_sheet_append_csv(const json_t *rows, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t r = 0;
    json_t *row = NULL;
    const json_t *first = json_array_get(rows, 0);
    PFM_TRY(pfm_buffer_append_string(out, "\xef\xbb\xbf" PFM_SHEET_CODE, err)); /* spreadsheets take it for UTF-8 */
    for (size_t i = 0; i < PFM_SHEET_SHOWN; i++) {
        if (json_object_get(first, pfm_sheet_shown[i]) != NULL)
            PFM_TRY(pfm_buffer_append_format(out, err, ",%s", pfm_sheet_shown[i]));
    }
    PFM_TRY(pfm_buffer_append_string(out, "," PFM_SHEET_SCORE "," PFM_SHEET_COMMENT "\r\n", err));
    json_array_foreach((json_t *)(uintptr_t)rows, r, row)
    {
        const json_t *score = json_object_get(row, PFM_SHEET_SCORE);
        const char *comment = json_string_value(json_object_get(row, PFM_SHEET_COMMENT));
        PFM_TRY(pfm_buffer_append_string(out, json_string_value(json_object_get(row, PFM_SHEET_CODE)), err));
        for (size_t i = 0; i < PFM_SHEET_SHOWN; i++) {
            const char *shown = json_string_value(json_object_get(row, pfm_sheet_shown[i]));
            if (shown == NULL)
                continue;
            PFM_TRY(pfm_buffer_append_string(out, ",", err));
            PFM_TRY(pfm_sheet_append_cell(out, shown, err));
        }
        PFM_TRY(pfm_buffer_append_string(out, ",", err));
        if (json_is_integer(score))
            PFM_TRY(pfm_buffer_append_format(out, err, "%lld", (long long)json_integer_value(score)));
        PFM_TRY(pfm_buffer_append_string(out, ",", err));
        if (comment != NULL && comment[0] != '\0')
            PFM_TRY(pfm_sheet_append_cell(out, comment, err));
        PFM_TRY(pfm_buffer_append_string(out, "\r\n", err));
    }
done:
    return status;
}

static pfm_status save(const sheet_maker *m, size_t rater, const char *ending, const pfm_buffer *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char name[48];
    char *path = NULL;
    (void)snprintf(name, sizeof name, "rater-%zu.%s", rater + 1, ending);
    PFM_TRY(pfm_path_join(m->request->out, name, &path, err));
    if (pfm_path_exists(path))
        PFM_FAIL(PFM_ERROR_USAGE, "%s is there already and may be filled in; choose another folder for --out", path);
    if (text != NULL)
        PFM_TRY(pfm_file_write(path, text->data, text->size, err));
done:
    free(path);
    return status;
}

static pfm_status write_sheet(const sheet_maker *m, size_t rater, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer csv = {0}, lines = {0};
    const json_t *rows = json_array_get(m->drawn.sheets, rater);
    PFM_TRY(pfm_sheet_append_csv(rows, &csv, err));
    for (size_t i = 0; i < json_array_size(rows); i++) {
        PFM_TRY(pfm_json_append(&lines, json_array_get(rows, i), err));
        PFM_TRY(pfm_buffer_append_string(&lines, "\n", err));
    }
    PFM_TRY(save(m, rater, "csv", &csv, err));
    PFM_TRY(save(m, rater, "jsonl", &lines, err));
done:
    pfm_buffer_free(&csv);
    pfm_buffer_free(&lines);
    return status;
}

static size_t length_without_slash(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    return length;
}

/* What the raters are told: what a judge is told by the same rubric. */
static pfm_status write_instructions(const sheet_maker *m, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    char *path = NULL;
    PFM_TRY(pfm_rubric_instructions(m->rubric, &text, err));
    PFM_TRY(
        pfm_buffer_append_format(&text, err,
                                 "Give each row a whole number from %d to %d in the column score. Leave it empty where you "
                                 "cannot tell. The column comment\nis for what you like. Keep all other columns as they are.\n",
                                 m->rubric->low, m->rubric->high));
    PFM_TRY(
        pfm_string_format(&path, err, "%.*s.instructions.txt", (int)length_without_slash(m->request->out), m->request->out));
    PFM_TRY(pfm_file_write(path, text.data, text.size, err));
done:
    free(path);
    pfm_buffer_free(&text);
    return status;
}

/* Readable by its owner alone, from before it holds anything. */
static pfm_status write_key(const sheet_maker *m, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_atomic_file file = {0};
    char *text = NULL;
    text = json_dumps(m->drawn.key, JSON_INDENT(1));
    if (text == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the key");
    PFM_TRY(pfm_atomic_file_begin(m->key_path, &file, err));
    if (fchmod(file.descriptor, 0600) != 0)
        PFM_FAIL(PFM_ERROR_IO, "cannot keep %s from other users: %s", m->key_path, strerror(errno));
    PFM_TRY(pfm_atomic_file_write(&file, text, strlen(text), err));
    PFM_TRY(pfm_atomic_file_commit(&file, err));
done:
    pfm_atomic_file_abort(&file);
    free(text);
    return status;
}

/* ---- the whole ---- */

static pfm_status check_request(sheet_maker *m, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_sheets_request *r = m->request;
    PFM_TRY(pfm_rubric_load(r->rubric, &m->rubric, err));
    PFM_TRY(pfm_sheets_check(m->rubric, r->raters, r->per_text, r->duplicates, err));
    if (r->key != NULL)
        PFM_TRY(pfm_string_copy(r->key, &m->key_path, err));
    else
        PFM_TRY(pfm_string_format(&m->key_path, err, "%.*s.key.json", (int)length_without_slash(r->out), r->out));
    if (pfm_path_exists(m->key_path))
        PFM_FAIL(PFM_ERROR_USAGE, "%s is there already and may open other sheets; choose another --out or --key", m->key_path);
    for (int i = 0; i < r->raters; i++) {
        PFM_TRY(save(m, (size_t)i, "csv", NULL, err));
        PFM_TRY(save(m, (size_t)i, "jsonl", NULL, err));
    }
done:
    return status;
}

static pfm_status make(sheet_maker *m, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_sheets_request *r = m->request;
    for (size_t i = 0; i < r->file_count; i++)
        PFM_TRY(add_system(m, r->files[i], err));
    const pfm_sheets_plan plan = {.rubric = m->rubric,
                                  .systems = m->systems,
                                  .raters = r->raters,
                                  .per_text = r->per_text,
                                  .duplicates = r->duplicates,
                                  .seed = pfm_context_seed(m->context)};
    PFM_TRY(pfm_sheets_draw(&plan, &m->drawn, err));
    PFM_TRY(pfm_folder_create(r->out, err));
    for (size_t i = 0; i < (size_t)r->raters; i++)
        PFM_TRY(write_sheet(m, i, err));
    PFM_TRY(write_instructions(m, err));
    PFM_TRY(write_key(m, err));
done:
    return status;
}

static pfm_status describe(const sheet_maker *m, char **json_out, pfm_error *err)
{
    const pfm_sheets_drawn *d = &m->drawn;
    json_t *out = json_pack("{s:i,s:i,s:I,s:O,s:[I,I],s:I,s:s,s:[i,i],s:s,s:s,s:I}", "raters", m->request->raters, "per_text",
                            m->request->per_text, "texts", (json_int_t)d->texts, "systems", json_object_get(d->key, "systems"),
                            "rows_per_sheet", (json_int_t)d->least, (json_int_t)d->most, "duplicates",
                            (json_int_t)d->duplicates, "rubric", m->rubric->name, "scale", m->rubric->low, m->rubric->high,
                            "out", m->request->out, "key", m->key_path, "texts_that_name_their_system", (json_int_t)d->telling);
    *json_out = out == NULL ? NULL : json_dumps(out, JSON_INDENT(2));
    json_decref(out);
    if (d->telling > 0)
        pfm_log(m->context, PFM_LOG_WARNING, "%zu texts hold the name of their system: raters could tell", d->telling);
    return *json_out != NULL ? PFM_OK : pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not describe the sheets");
}

pfm_status pfm_sheets(pfm_context *context, const pfm_sheets_request *request, char **json_out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sheet_maker m = {.request = request, .context = context, .systems = json_array()};
    if (m.systems == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not begin sheets");
    PFM_TRY(check_request(&m, err));
    PFM_TRY(make(&m, err));
    PFM_TRY(describe(&m, json_out, err));
done:
    pfm_sheets_drawn_free(&m.drawn);
    free(m.key_path);
    pfm_rubric_free(m.rubric);
    json_decref(m.systems);
    return status;
}
