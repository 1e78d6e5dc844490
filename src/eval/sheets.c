/* Blinded sheets for people: every text gets the same number of raters, every rater as many texts of each system (give or take
 * one), in an order of their own. A sheet names no system; the key, which does, lies apart and can be read by its owner alone.
 */
#include "base/context.h"
#include "base/file.h"
#include "base/random.h"
#include "base/try.h"
#include "eval/predictions.h"
#include "eval/rating_files.h"
#include "eval/rubric.h"
#include "pefomed/agree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct sheet_text {
    size_t system;
    char *id;
    char *shown[PFM_SHEET_SHOWN];
} sheet_text;

typedef struct sheet_row {
    size_t text;
    bool duplicate;
} sheet_row;

typedef struct sheet_maker {
    const pfm_sheets_request *request;
    const pfm_context *context;
    pfm_rubric *rubric;
    json_t *systems; /* [{"name","file","n"}] */
    sheet_text *texts;
    size_t text_count, text_capacity;
    bool used[PFM_SHEET_SHOWN]; /* some text has it */
    sheet_row **rows;           /* [raters][row_counts] */
    size_t *row_counts;
    size_t duplicates, most, least;
    json_t *key_rows;
    char *key_path;
} sheet_maker;

/* ---- texts ---- */

/* The first of these columns that a row has, as text; several references one below the other. */
static pfm_status take_text(const json_t *row, const char *const *columns, char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_number_text number;
    pfm_buffer list = {0};
    const char *text = NULL;
    for (; *columns != NULL && text == NULL; columns++) {
        const json_t *value = json_object_get(row, *columns);
        text = pfm_json_text(value, number);
        for (size_t i = 0; i < json_array_size(value); i++) {
            const char *item = pfm_json_text(json_array_get(value, i), number);
            PFM_TRY(pfm_buffer_append_format(&list, err, "%s%s", i > 0 ? "\n" : "", item == NULL ? "" : item));
            text = list.data;
        }
    }
    PFM_TRY(pfm_string_copy(text == NULL ? "" : text, out, err));
done:
    pfm_buffer_free(&list);
    return status;
}

static pfm_status add_text(sheet_maker *m, size_t system, const json_t *row, pfm_error *err)
{
    static const char *const columns[PFM_SHEET_SHOWN][4] = {
        {"images", "image", NULL}, {"question", NULL}, {"references", "reference", "answer", NULL}, {"prediction", NULL}};
    pfm_status status = PFM_OK;
    pfm_number_text number;
    PFM_TRY(pfm_array_reserve(&m->texts, &m->text_capacity, m->text_count + 1, sizeof *m->texts, err));
    sheet_text *text = &m->texts[m->text_count++];
    text->system = system;
    PFM_TRY(pfm_string_copy(pfm_json_text(json_object_get(row, "id"), number), &text->id, err));
    for (size_t i = 0; i < PFM_SHEET_SHOWN; i++) {
        PFM_TRY(take_text(row, columns[i], &text->shown[i], err));
        m->used[i] |= text->shown[i][0] != '\0';
    }
done:
    return status;
}

static pfm_status add_system(sheet_maker *m, const char *word, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *rows = NULL;
    char *name = NULL;
    const char *equals = pfm_path_exists(word) ? NULL : strchr(word, '='), *path = equals == NULL ? word : equals + 1;
    size_t i = 0, system = json_array_size(m->systems);
    json_t *row = NULL;
    PFM_TRY(equals == NULL ? pfm_rating_file_name(path, &name, err)
                           : pfm_string_copy_n(word, (size_t)(equals - word), &name, err));
    json_array_foreach(m->systems, i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0)
            PFM_FAIL(PFM_ERROR_USAGE, "two predictions files are named %s; write NAME=FILE to tell the systems apart", name);
    }
    PFM_TRY(pfm_predictions_load(path, &rows, err));
    if (json_array_append_new(
            m->systems, json_pack("{s:s,s:s,s:I}", "name", name, "file", path, "n", (json_int_t)json_array_size(rows))) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not name a system");
    json_array_foreach(rows, i, row) PFM_TRY(add_text(m, system, row, err));
done:
    json_decref(rows);
    free(name);
    return status;
}

/* ---- who rates what ---- */

/* Texts are dealt like cards, system by system in a shuffled order: `per_text` raters in turn for each. So a rater's texts of a
 * system, and all together, differ by at most one from another's. */
static pfm_status deal(sheet_maker *m, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t raters = (size_t)m->request->raters, per_text = (size_t)m->request->per_text, next = 0;
    size_t *order = NULL;
    PFM_TRY(pfm_allocate(m->text_count, sizeof *order, &order, err));
    for (size_t r = 0; r < raters; r++)
        PFM_TRY(pfm_allocate(2 * m->text_count + 1, sizeof **m->rows, &m->rows[r], err));
    for (size_t s = 0; s < json_array_size(m->systems); s++) {
        size_t count = 0;
        for (size_t t = 0; t < m->text_count; t++) {
            if (m->texts[t].system == s)
                order[count++] = t;
        }
        pfm_random random = pfm_random_start(pfm_context_seed(m->context), 0x73680000u + s);
        pfm_random_shuffle(&random, order, count);
        for (size_t i = 0; i < count; i++) {
            for (size_t k = 0; k < per_text; k++, next++) {
                size_t r = next % raters;
                m->rows[r][m->row_counts[r]++] = (sheet_row){.text = order[i]};
            }
        }
    }
done:
    free(order);
    return status;
}

/* A rater's order. Duplicates repeat texts of the first half, in the second half, so that memory helps little. */
static pfm_status arrange(sheet_maker *m, size_t rater, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t count = m->row_counts[rater], half = (count + 1) / 2;
    size_t planted = (size_t)(m->request->duplicates / 100 * (double)count + 0.5);
    sheet_row *rows = m->rows[rater], *mixed = NULL;
    size_t *order = NULL;
    pfm_random random = pfm_random_start(pfm_context_seed(m->context), 0x6f720000u + rater);
    planted = m->request->duplicates > 0 && planted == 0 && count > 1 ? 1 : planted;
    PFM_TRY(pfm_allocate(2 * count + 1, sizeof *mixed, &mixed, err));
    PFM_TRY(pfm_allocate(2 * count + 1, sizeof *order, &order, err));
    for (size_t i = 0; i < count; i++)
        order[i] = i;
    pfm_random_shuffle(&random, order, count);
    for (size_t i = 0; i < count; i++)
        mixed[i] = rows[order[i]];
    for (size_t i = 0; i < half; i++)
        order[i] = i;
    pfm_random_shuffle(&random, order, half);
    for (size_t i = 0; i < planted && i < half; i++)
        mixed[count + i] = (sheet_row){.text = mixed[order[i]].text, .duplicate = true};
    planted = planted < half ? planted : half;
    size_t behind = count + planted - half;
    for (size_t i = 0; i < behind; i++)
        order[i] = half + i;
    pfm_random_shuffle(&random, order, behind);
    memcpy(rows, mixed, half * sizeof *rows);
    for (size_t i = 0; i < behind; i++)
        rows[half + i] = mixed[order[i]];
    m->row_counts[rater] = count + planted;
    m->duplicates += planted;
done:
    free(mixed);
    free(order);
    return status;
}

/* ---- writing ---- */

static pfm_status append_cell(pfm_buffer *out, const char *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *guarded = NULL;
    PFM_TRY(pfm_sheet_cell_guard(text, &guarded, err));
    PFM_TRY(pfm_buffer_append_string(out, "\"", err));
    for (const char *c = guarded; *c != '\0'; c++)
        PFM_TRY(pfm_buffer_append(out, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1, err));
    PFM_TRY(pfm_buffer_append_string(out, "\"", err));
done:
    free(guarded);
    return status;
}

static pfm_status append_key(sheet_maker *m, const sheet_row *row, size_t rater, const char *code, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const sheet_text *text = &m->texts[row->text];
    pfm_sheet_digest digest;
    char name[32];
    json_t *shown = json_object();
    (void)snprintf(name, sizeof name, "rater-%zu", rater + 1);
    for (size_t i = 0; i < PFM_SHEET_SHOWN; i++) {
        if (!m->used[i])
            continue;
        PFM_TRY(pfm_sheet_digest_of(text->shown[i], digest, err));
        PFM_TRY(pfm_json_take(shown, pfm_sheet_shown[i], json_string(digest), err));
    }
    const json_t *system = json_array_get(m->systems, text->system);
    json_t *known = json_pack("{s:s,s:s,s:s,s:O,s:b,s:O}", "item", code, "rater", name, "id", text->id, "system",
                              json_object_get(system, "name"), "duplicate", row->duplicate, "shown", shown);
    if (known == NULL || json_array_append_new(m->key_rows, known) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the key");
done:
    json_decref(shown);
    return status;
}

static pfm_status append_row(sheet_maker *m, const sheet_row *row, const char *code, pfm_buffer *csv, pfm_buffer *lines,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    const sheet_text *text = &m->texts[row->text];
    json_t *line = json_object();
    PFM_TRY(pfm_buffer_append_string(csv, code, err));
    PFM_TRY(pfm_json_take(line, PFM_SHEET_CODE, json_string(code), err));
    for (size_t i = 0; i < PFM_SHEET_SHOWN; i++) {
        if (!m->used[i])
            continue;
        PFM_TRY(pfm_buffer_append_string(csv, ",", err));
        PFM_TRY(append_cell(csv, text->shown[i], err));
        PFM_TRY(pfm_json_take(line, pfm_sheet_shown[i], json_string(text->shown[i]), err));
    }
    PFM_TRY(pfm_buffer_append_string(csv, ",,\r\n", err));
    PFM_TRY(pfm_json_take(line, PFM_SHEET_SCORE, json_null(), err));
    PFM_TRY(pfm_json_take(line, PFM_SHEET_COMMENT, json_string(""), err));
    PFM_TRY(pfm_json_append(lines, line, err));
    PFM_TRY(pfm_buffer_append_string(lines, "\n", err));
done:
    json_decref(line);
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

static pfm_status write_sheet(sheet_maker *m, size_t rater, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer csv = {0}, lines = {0};
    char code[48];
    PFM_TRY(pfm_buffer_append_string(&csv, "\xef\xbb\xbf" PFM_SHEET_CODE, err)); /* spreadsheets take it for UTF-8 */
    for (size_t i = 0; i < PFM_SHEET_SHOWN; i++) {
        if (m->used[i])
            PFM_TRY(pfm_buffer_append_format(&csv, err, ",%s", pfm_sheet_shown[i]));
    }
    PFM_TRY(pfm_buffer_append_string(&csv, "," PFM_SHEET_SCORE "," PFM_SHEET_COMMENT "\r\n", err));
    for (size_t i = 0; i < m->row_counts[rater]; i++) {
        (void)snprintf(code, sizeof code, "r%zu-%04zu", rater + 1, i + 1);
        PFM_TRY(append_row(m, &m->rows[rater][i], code, &csv, &lines, err));
        PFM_TRY(append_key(m, &m->rows[rater][i], rater, code, err));
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
static pfm_status write_instructions(sheet_maker *m, pfm_error *err)
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
static pfm_status write_key(sheet_maker *m, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_atomic_file file = {0};
    char *text = NULL;
    json_t *key = json_pack("{s:s,s:s,s:[i,i],s:I,s:O,s:O}", "format", "pefomed-sheets-key-1", "rubric", m->rubric->name,
                            "scale", m->rubric->low, m->rubric->high, "seed", (json_int_t)pfm_context_seed(m->context),
                            "systems", m->systems, "rows", m->key_rows);
    text = key == NULL ? NULL : json_dumps(key, JSON_INDENT(1));
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
    json_decref(key);
    return status;
}

/* ---- the whole ---- */

static pfm_status check_request(sheet_maker *m, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_sheets_request *r = m->request;
    PFM_TRY(pfm_rubric_load(r->rubric, &m->rubric, err));
    if (m->rubric->verdict != PFM_RUBRIC_SCORE)
        PFM_FAIL(
            PFM_ERROR_USAGE,
            "the rubric %.60s asks for counts by type, and a sheet has one score a text; choose likert-report, correct or a "
            "file of your own with --rubric",
            m->rubric->name);
    if (m->rubric->high - m->rubric->low >= PFM_RATINGS_MOST_LEVELS)
        PFM_FAIL(PFM_ERROR_USAGE, "the scale of the rubric %.60s, %d to %d, has more than the %d levels that agree compares",
                 m->rubric->name, m->rubric->low, m->rubric->high, PFM_RATINGS_MOST_LEVELS);
    if (r->raters < 1 || r->raters > PFM_RATINGS_MOST_RATERS || r->per_text < 1 || r->per_text > r->raters)
        PFM_FAIL(PFM_ERROR_USAGE, "each text can have 1 to %d of the raters, not %d (--raters, --per-text)", r->raters,
                 r->per_text);
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

/* A text that names its system opens the blinding; how many do. */
static size_t count_telling(const sheet_maker *m)
{
    size_t telling = 0;
    for (size_t t = 0; t < m->text_count; t++) {
        const char *name = json_string_value(json_object_get(json_array_get(m->systems, m->texts[t].system), "name"));
        bool tells = false;
        for (size_t i = 0; i < PFM_SHEET_SHOWN && strlen(name) >= 3; i++)
            tells |= strcasestr(m->texts[t].shown[i], name) != NULL;
        telling += tells;
    }
    return telling;
}

static pfm_status make(sheet_maker *m, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t raters = (size_t)m->request->raters;
    for (size_t i = 0; i < m->request->file_count; i++)
        PFM_TRY(add_system(m, m->request->files[i], err));
    PFM_TRY(pfm_allocate(raters, sizeof *m->rows, &m->rows, err));
    PFM_TRY(pfm_allocate(raters, sizeof *m->row_counts, &m->row_counts, err));
    PFM_TRY(deal(m, err));
    for (size_t r = 0; r < raters; r++) {
        if (m->row_counts[r] == 0)
            PFM_FAIL(PFM_ERROR_USAGE,
                     "%zu texts for %d raters each leave rater %zu without any; ask fewer people or --per-text more",
                     m->text_count, m->request->per_text, r + 1);
        PFM_TRY(arrange(m, r, err));
        m->least = r == 0 || m->row_counts[r] < m->least ? m->row_counts[r] : m->least;
        m->most = m->row_counts[r] > m->most ? m->row_counts[r] : m->most;
    }
    PFM_TRY(pfm_folder_create(m->request->out, err));
    for (size_t r = 0; r < raters; r++)
        PFM_TRY(write_sheet(m, r, err));
    PFM_TRY(write_instructions(m, err));
    PFM_TRY(write_key(m, err));
done:
    return status;
}

static pfm_status describe(const sheet_maker *m, char **json_out, pfm_error *err)
{
    size_t telling = count_telling(m);
    json_t *out = json_pack("{s:i,s:i,s:I,s:O,s:[I,I],s:I,s:s,s:[i,i],s:s,s:s,s:I}", "raters", m->request->raters, "per_text",
                            m->request->per_text, "texts", (json_int_t)m->text_count, "systems", m->systems, "rows_per_sheet",
                            (json_int_t)m->least, (json_int_t)m->most, "duplicates", (json_int_t)m->duplicates, "rubric",
                            m->rubric->name, "scale", m->rubric->low, m->rubric->high, "out", m->request->out, "key",
                            m->key_path, "texts_that_name_their_system", (json_int_t)telling);
    *json_out = out == NULL ? NULL : json_dumps(out, JSON_INDENT(2));
    json_decref(out);
    if (telling > 0)
        pfm_log(m->context, PFM_LOG_WARNING, "%zu texts hold the name of their system: raters could tell", telling);
    return *json_out != NULL ? PFM_OK : pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not describe the sheets");
}

pfm_status pfm_sheets(pfm_context *context, const pfm_sheets_request *request, char **json_out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sheet_maker m = {.request = request, .context = context, .systems = json_array(), .key_rows = json_array()};
    if (m.systems == NULL || m.key_rows == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not begin sheets");
    PFM_TRY(check_request(&m, err));
    PFM_TRY(make(&m, err));
    PFM_TRY(describe(&m, json_out, err));
done:
    for (size_t t = 0; t < m.text_count; t++) {
        free(m.texts[t].id);
        for (size_t i = 0; i < PFM_SHEET_SHOWN; i++)
            free(m.texts[t].shown[i]);
    }
    for (int r = 0; m.rows != NULL && r < request->raters; r++)
        free(m.rows[r]);
    free(m.rows);
    free(m.row_counts);
    free(m.texts);
    free(m.key_path);
    pfm_rubric_free(m.rubric);
    json_decref(m.systems);
    json_decref(m.key_rows);
    return status;
}
