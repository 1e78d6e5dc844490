/* Who gets which text, and in which order. */
#include "eval/sheets.h"

#include "base/random.h"
#include "base/try.h"
#include "eval/ratings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const pfm_sheet_columns[PFM_SHEET_SHOWN][4] = {
    {"images", "image", NULL}, {"question", NULL}, {"references", "reference", "answer", NULL}, {"prediction", NULL}};

typedef struct sheet_text {
    size_t system;
    char *id;
    char *shown[PFM_SHEET_SHOWN];
} sheet_text;

typedef struct sheet_row {
    size_t text;
    bool duplicate;
} sheet_row;

typedef struct sheet_drawer {
    const pfm_sheets_plan *plan;
    pfm_sheets_drawn *out;
    json_t *systems; /* [{"name","file","n"}] */
    sheet_text *texts;
    size_t text_count, text_capacity;
    bool used[PFM_SHEET_SHOWN]; /* some text has it */
    sheet_row **rows;           /* [raters][row_counts] */
    size_t *row_counts;
    json_t *key_rows;
} sheet_drawer;

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

static pfm_status add_text(sheet_drawer *m, size_t system, const json_t *row, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_number_text number;
    PFM_TRY(pfm_array_reserve(&m->texts, &m->text_capacity, m->text_count + 1, sizeof *m->texts, err));
    sheet_text *text = &m->texts[m->text_count++];
    text->system = system;
    PFM_TRY(pfm_string_copy(pfm_json_text(json_object_get(row, "id"), number), &text->id, err));
    for (size_t i = 0; i < PFM_SHEET_SHOWN; i++) {
        PFM_TRY(take_text(row, pfm_sheet_columns[i], &text->shown[i], err));
        m->used[i] |= text->shown[i][0] != '\0';
    }
done:
    return status;
}

static pfm_status add_system(sheet_drawer *m, size_t number, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *system = json_array_get(m->plan->systems, number), *rows = json_object_get(system, "rows");
    const char *name = json_string_value(json_object_get(system, "name"));
    size_t i = 0;
    json_t *row = NULL;
    json_array_foreach(m->systems, i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0)
            PFM_FAIL(PFM_ERROR_USAGE, "two predictions files are named %s; write NAME=FILE to tell the systems apart", name);
    }
    if (json_array_append_new(m->systems, json_pack("{s:s,s:O,s:I}", "name", name, "file", json_object_get(system, "file"), "n",
                                                    (json_int_t)json_array_size(rows))) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not name a system");
    json_array_foreach((json_t *)(uintptr_t)rows, i, row) PFM_TRY(add_text(m, number, row, err));
done:
    return status;
}

/* ---- who rates what ---- */

/* Texts are dealt like cards, system by system in a shuffled order: `per_text` raters in turn for each. So a rater's texts of a
 * system, and all together, differ by at most one from another's. */
static pfm_status deal(sheet_drawer *m, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t raters = (size_t)m->plan->raters, per_text = (size_t)m->plan->per_text, next = 0;
    size_t *order = NULL;
    PFM_TRY(pfm_allocate(m->text_count, sizeof *order, &order, err));
    for (size_t r = 0; r < raters; r++)
        PFM_TRY(pfm_allocate(2 * m->text_count + 1, sizeof **m->rows, &m->rows[r], err));
    for (size_t s = 0; s < json_array_size(m->plan->systems); s++) {
        size_t count = 0;
        for (size_t t = 0; t < m->text_count; t++) {
            if (m->texts[t].system == s)
                order[count++] = t;
        }
        pfm_random random = pfm_random_start(m->plan->seed, 0x73680000u + s);
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
static pfm_status arrange(sheet_drawer *m, size_t rater, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t count = m->row_counts[rater], half = (count + 1) / 2;
    size_t planted = (size_t)(m->plan->duplicates / 100 * (double)count + 0.5);
    sheet_row *rows = m->rows[rater], *mixed = NULL;
    size_t *order = NULL;
    pfm_random random = pfm_random_start(m->plan->seed, 0x6f720000u + rater);
    planted = m->plan->duplicates > 0 && planted == 0 && count > 1 ? 1 : planted;
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
    m->out->duplicates += planted;
done:
    free(mixed);
    free(order);
    return status;
}

/* ---- sheets and key ---- */

static pfm_status append_key(sheet_drawer *m, const sheet_row *row, size_t rater, const char *code, pfm_error *err)
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
    const json_t *system = json_array_get(m->plan->systems, text->system);
    json_t *known = json_pack("{s:s,s:s,s:s,s:O,s:b,s:O}", "item", code, "rater", name, "id", text->id, "system",
                              json_object_get(system, "name"), "duplicate", row->duplicate, "shown", shown);
    if (known == NULL || json_array_append_new(m->key_rows, known) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the key");
done:
    json_decref(shown);
    return status;
}

static pfm_status append_row(const sheet_drawer *m, const sheet_row *row, const char *code, json_t *sheet, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *line = json_object();
    PFM_TRY(pfm_json_take(line, PFM_SHEET_CODE, json_string(code), err));
    for (size_t i = 0; i < PFM_SHEET_SHOWN; i++) {
        if (m->used[i])
            PFM_TRY(pfm_json_take(line, pfm_sheet_shown[i], json_string(m->texts[row->text].shown[i]), err));
    }
    PFM_TRY(pfm_json_take(line, PFM_SHEET_SCORE, json_null(), err));
    PFM_TRY(pfm_json_take(line, PFM_SHEET_COMMENT, json_string(""), err));
    if (json_array_append(sheet, line) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not draw a sheet");
done:
    json_decref(line);
    return status;
}

static pfm_status add_sheet(sheet_drawer *m, size_t rater, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char code[48];
    json_t *sheet = json_array();
    if (sheet == NULL || json_array_append_new(m->out->sheets, sheet) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not draw a sheet");
    for (size_t i = 0; i < m->row_counts[rater]; i++) {
        (void)snprintf(code, sizeof code, "r%zu-%04zu", rater + 1, i + 1);
        PFM_TRY(append_row(m, &m->rows[rater][i], code, sheet, err));
        PFM_TRY(append_key(m, &m->rows[rater][i], rater, code, err));
    }
done:
    return status;
}

/* A text that names its system opens the blinding; how many do. */
static size_t count_telling(const sheet_drawer *m)
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

static pfm_status write_key(sheet_drawer *m, pfm_error *err)
{
    const pfm_rubric *rubric = m->plan->rubric;
    m->out->key =
        json_pack("{s:s,s:s,s:[i,i],s:I,s:O,s:O}", "format", "pefomed-sheets-key-1", "rubric", rubric->name, "scale",
                  rubric->low, rubric->high, "seed", (json_int_t)m->plan->seed, "systems", m->systems, "rows", m->key_rows);
    return m->out->key != NULL ? PFM_OK : pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not write the key");
}

/* ---- the whole ---- */

pfm_status pfm_sheets_check(const pfm_rubric *rubric, int raters, int per_text, double duplicates, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (rubric->verdict != PFM_RUBRIC_SCORE)
        PFM_FAIL(
            PFM_ERROR_USAGE,
            "the rubric %.60s asks for counts by type, and a sheet has one score a text; choose likert-report, correct or a "
            "file of your own with --rubric",
            rubric->name);
    if (rubric->high - rubric->low >= PFM_RATINGS_MOST_LEVELS)
        PFM_FAIL(PFM_ERROR_USAGE, "the scale of the rubric %.60s, %d to %d, has more than the %d levels that agree compares",
                 rubric->name, rubric->low, rubric->high, PFM_RATINGS_MOST_LEVELS);
    if (raters < 1 || raters > PFM_RATINGS_MOST_RATERS || per_text < 1 || per_text > raters)
        PFM_FAIL(PFM_ERROR_USAGE, "each text can have 1 to %d of the raters, not %d (--raters, --per-text)", raters, per_text);
    if (!(duplicates >= 0 && duplicates <= 50))
        PFM_FAIL(PFM_ERROR_USAGE, "0 to 50 per cent of the texts can be shown twice, not %g", duplicates);
done:
    return status;
}

static pfm_status draw(sheet_drawer *m, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t raters = (size_t)m->plan->raters;
    pfm_sheets_drawn *out = m->out;
    PFM_TRY(pfm_sheets_check(m->plan->rubric, m->plan->raters, m->plan->per_text, m->plan->duplicates, err));
    for (size_t i = 0; i < json_array_size(m->plan->systems); i++)
        PFM_TRY(add_system(m, i, err));
    PFM_TRY(pfm_allocate(raters, sizeof *m->rows, &m->rows, err));
    PFM_TRY(pfm_allocate(raters, sizeof *m->row_counts, &m->row_counts, err));
    PFM_TRY(deal(m, err));
    for (size_t r = 0; r < raters; r++) {
        if (m->row_counts[r] == 0)
            PFM_FAIL(PFM_ERROR_USAGE,
                     "%zu texts for %d raters each leave rater %zu without any; ask fewer people or --per-text more",
                     m->text_count, m->plan->per_text, r + 1);
        PFM_TRY(arrange(m, r, err));
        out->least = r == 0 || m->row_counts[r] < out->least ? m->row_counts[r] : out->least;
        out->most = m->row_counts[r] > out->most ? m->row_counts[r] : out->most;
    }
    for (size_t r = 0; r < raters; r++)
        PFM_TRY(add_sheet(m, r, err));
    PFM_TRY(write_key(m, err));
    out->texts = m->text_count;
    out->telling = count_telling(m);
done:
    return status;
}

pfm_status pfm_sheets_draw(const pfm_sheets_plan *plan, pfm_sheets_drawn *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sheet_drawer m = {.plan = plan, .out = out, .systems = json_array(), .key_rows = json_array()};
    *out = (pfm_sheets_drawn){.sheets = json_array()};
    if (m.systems == NULL || m.key_rows == NULL || out->sheets == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not begin sheets");
    PFM_TRY(draw(&m, err));
done:
    for (size_t t = 0; t < m.text_count; t++) {
        free(m.texts[t].id);
        for (size_t i = 0; i < PFM_SHEET_SHOWN; i++)
            free(m.texts[t].shown[i]);
    }
    for (int r = 0; m.rows != NULL && r < plan->raters; r++)
        free(m.rows[r]);
    free(m.rows);
    free(m.row_counts);
    free(m.texts);
    json_decref(m.systems);
    json_decref(m.key_rows);
    if (status != PFM_OK)
        pfm_sheets_drawn_free(out);
    return status;
}

void pfm_sheets_drawn_free(pfm_sheets_drawn *drawn)
{
    json_decref(drawn->sheets);
    json_decref(drawn->key);
    *drawn = (pfm_sheets_drawn){0};
}
