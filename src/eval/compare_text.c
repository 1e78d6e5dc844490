/* A comparison as a table for people. */
#include "base/try.h"
#include "eval/compare.h"
#include "eval/compare_cells.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_COLUMNS = 24 };

/* Rows of cells; a column is as wide as its widest cell, the first two stand at the left, all others at the right. */
typedef struct table {
    char *(*rows)[MAX_COLUMNS];
    size_t count, capacity, columns; /* empty cells are NULL */
} table;

static void release(table *t)
{
    for (size_t r = 0; r < t->count; r++) {
        for (size_t c = 0; c < MAX_COLUMNS; c++)
            free(t->rows[r][c]);
    }
    free(t->rows);
}

static pfm_status add_row(table *t, pfm_error *err)
{
    pfm_status status = pfm_array_reserve(&t->rows, &t->capacity, t->count + 1, sizeof *t->rows, err);
    if (status == PFM_OK)
        t->count++;
    return status;
}

/* Writes a cell of the last row. */
static pfm_status PFM_PRINTF(4, 5) put(table *t, size_t column, pfm_error *err, const char *format, ...)
{
    char text[1200];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (column >= MAX_COLUMNS)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "the table has room for %d columns", MAX_COLUMNS);
    if (column >= t->columns)
        t->columns = column + 1;
    return pfm_string_copy(text, &t->rows[t->count - 1][column], err);
}

static pfm_status pad(pfm_buffer *out, size_t width, pfm_error *err)
{
    return pfm_buffer_append_format(out, err, "%*s", (int)width, "");
}

static pfm_status print(const table *t, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t widths[MAX_COLUMNS] = {0};
    for (size_t r = 0; r < t->count; r++) {
        for (size_t c = 0; c < t->columns; c++) {
            size_t width = t->rows[r][c] == NULL ? 0 : pfm_cell_width(t->rows[r][c]);
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
    for (size_t r = 0; r < t->count; r++) {
        size_t skipped = 0; /* blanks are written before a cell, so that no line ends with any */
        for (size_t c = 0; c < t->columns; c++) {
            const char *text = t->rows[r][c] == NULL ? "" : t->rows[r][c];
            size_t blank = widths[c] - pfm_cell_width(text), left = c < 2 ? 0 : blank;
            if (text[0] == '\0') {
                skipped += widths[c] + 2;
                continue;
            }
            PFM_TRY(pad(out, skipped + left, err));
            PFM_TRY(pfm_buffer_append_string(out, text, err));
            skipped = blank - left + 2;
        }
        PFM_TRY(pfm_buffer_append_string(out, "\n", err));
    }
done:
    return status;
}

/* ---- cells ---- */

enum { NAME, METHOD, TRAINED, SHARE, RATE, TIME, PER_SAMPLE, MEMORY, FIGURES };

/* *out = the figures that a person sees, an array; the caller calls json_decref: those that some recipe has, without the recall
 * of words. */
static pfm_status list_shown(const json_t *result, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *figures = NULL, *shown = json_array(), *figure = NULL, *recipe = NULL;
    size_t i = 0, k = 0;
    PFM_TRY(pfm_cell_figures(result, &figures, err));
    json_array_foreach(figures, i, figure)
    {
        const char *name = json_string_value(figure);
        bool found = false;
        json_array_foreach(json_object_get(result, "recipes"), k, recipe) found |=
            !isnan(pfm_cell_figure(recipe, "scores", name, "mean"));
        if (found && strcmp(name, "recall_open") != 0)
            shown = pfm_json_add(shown, json_incref(figure));
    }
    if (shown == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the table");
    *out = shown;
    shown = NULL;
done:
    json_decref(figures);
    json_decref(shown);
    return status;
}

static pfm_status put_head(table *t, const json_t *result, const json_t *figures, pfm_error *err)
{
    static const char *const heads[FIGURES] = {"recipe", "method", "trained", "of all", "rate", "time", "s/sample", "memory"};
    pfm_status status = PFM_OK;
    size_t column = FIGURES, i = 0;
    json_t *figure = NULL;
    PFM_TRY(add_row(t, err));
    for (size_t c = 0; c < FIGURES; c++)
        PFM_TRY(put(t, c, err, "%s", heads[c]));
    json_array_foreach(figures, i, figure) PFM_TRY(put(t, column++, err, "%s", json_string_value(figure)));
    if (json_array_size(figures) > 0 && json_array_size(json_object_get(result, "recipes")) > 1)
        PFM_TRY(
            put(t, column, err, "%s against %s (95 %%)", pfm_cell_text(result, "headline"), pfm_cell_text(result, "baseline")));
done:
    return status;
}

static void format_time(double seconds, char out[32])
{
    long whole = lround(seconds);
    if (whole >= 3600)
        (void)snprintf(out, 32, "%ldh%02ldm", whole / 3600, whole / 60 % 60);
    else if (whole >= 60)
        (void)snprintf(out, 32, "%ldm%02lds", whole / 60, whole % 60);
    else
        (void)snprintf(out, 32, "%.1fs", seconds);
}

static pfm_status put_costs(table *t, const json_t *recipe, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char count[40], rate[40], time[32];
    double learning_rate = pfm_cell_number(recipe, "learning_rate"), bytes = pfm_cell_number(recipe, "peak_bytes");
    pfm_cell_count(pfm_cell_number(recipe, "trainable_parameters"), count);
    pfm_rate_format(learning_rate, rate);
    format_time(pfm_cell_number(recipe, "seconds"), time);
    bool large = bytes >= 1073741824.0;
    PFM_TRY(put(t, TRAINED, err, "%s", count));
    PFM_TRY(put(t, SHARE, err, "%.2f %%", pfm_cell_number(recipe, "trainable_share")));
    PFM_TRY(put(t, RATE, err, "%s", isnan(learning_rate) ? "own" : rate));
    PFM_TRY(put(t, TIME, err, "%s", time));
    PFM_TRY(put(t, PER_SAMPLE, err, "%.3g", pfm_cell_number(recipe, "seconds_per_sample")));
    PFM_TRY(put(t, MEMORY, err, "%.*f %s", large ? 2 : 0, bytes / (large ? 1073741824.0 : 1048576.0), large ? "GiB" : "MiB"));
done:
    return status;
}

static pfm_status put_figure(table *t, size_t column, const json_t *result, const json_t *recipe, const char *figure,
                             pfm_error *err)
{
    int decimals = pfm_cell_decimals(result, figure);
    double mean = pfm_cell_figure(recipe, "scores", figure, "mean"), sd = pfm_cell_figure(recipe, "scores", figure, "sd");
    if (isnan(mean))
        return put(t, column, err, "-");
    if (isnan(sd))
        return put(t, column, err, "%.*f", decimals, mean);
    return put(t, column, err, "%.*f ± %.*f", decimals, mean, decimals, sd);
}

static pfm_status put_difference(table *t, size_t column, const json_t *result, const json_t *recipe, pfm_error *err)
{
    const char *headline = pfm_cell_text(result, "headline");
    if (!json_is_object(json_object_get(recipe, "difference")))
        return PFM_OK;
    int decimals = pfm_cell_decimals(result, headline);
    double low = pfm_cell_bound(recipe, "difference", headline, 0), high = pfm_cell_bound(recipe, "difference", headline, 1);
    double mean = pfm_cell_figure(recipe, "difference", headline, "mean");
    if (isnan(mean))
        return put(t, column, err, "-");
    if (isnan(low))
        return put(t, column, err, "%+.*f", decimals, mean);
    return put(t, column, err, "%+.*f (%+.*f to %+.*f)", decimals, mean, decimals, low, decimals, high);
}

static pfm_status put_recipe(table *t, const json_t *result, const json_t *recipe, const json_t *figures, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t column = FIGURES, i = 0;
    json_t *figure = NULL;
    PFM_TRY(add_row(t, err));
    PFM_TRY(put(t, NAME, err, "%s", pfm_cell_text(recipe, "name")));
    PFM_TRY(put(t, METHOD, err, "%s", pfm_cell_text(recipe, "method")));
    if (pfm_cell_text(recipe, "error") != NULL) {
        PFM_TRY(put(t, TRAINED, err, "failed"));
        goto done;
    }
    PFM_TRY(put_costs(t, recipe, err));
    json_array_foreach(figures, i, figure) PFM_TRY(put_figure(t, column++, result, recipe, json_string_value(figure), err));
    PFM_TRY(put_difference(t, column, result, recipe, err));
done:
    return status;
}

/* A line that trained nothing: {"overall": 57.0, ...}, or null. */
static pfm_status put_reference(table *t, const json_t *result, const pfm_cell_reference *reference, const json_t *figures,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *values = json_object_get(result, reference->key);
    size_t column = FIGURES, i = 0;
    json_t *figure = NULL;
    if (!json_is_object(values))
        return PFM_OK;
    PFM_TRY(add_row(t, err));
    PFM_TRY(put(t, NAME, err, "%s", reference->name));
    json_array_foreach(figures, i, figure)
    {
        const char *text = json_string_value(figure);
        double value = pfm_cell_number(values, text);
        if (isnan(value))
            PFM_TRY(put(t, column++, err, "-"));
        else
            PFM_TRY(put(t, column++, err, "%.*f", pfm_cell_decimals(result, text), value));
    }
done:
    return status;
}

/* ---- what stands below the table ---- */

static pfm_status append_subject(const json_t *result, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *seeds = json_object_get(result, "seeds");
    char rows[40];
    if (pfm_cell_text(result, "headline") == NULL)
        return PFM_OK;
    pfm_cell_count(pfm_cell_number(result, "n"), rows);
    PFM_TRY(pfm_buffer_append_format(out, err, "\nscored: %s rows of %s of %s", rows, pfm_cell_text(result, "split"),
                                     pfm_cell_text(result, "dataset")));
    if (json_array_size(seeds) > 1)
        PFM_TRY(pfm_buffer_append_format(out, err, "; mean ± deviation of %zu seeds (from %lld)", json_array_size(seeds),
                                         (long long)json_integer_value(json_array_get(seeds, 0))));
    else
        PFM_TRY(
            pfm_buffer_append_format(out, err, "; one seed (%lld)", (long long)json_integer_value(json_array_get(seeds, 0))));
    PFM_TRY(pfm_buffer_append_format(out, err, "; intervals draw %s, the same for both\n", pfm_cell_units(result)));
    double threads = pfm_cell_number(result, "threads");
    PFM_TRY(pfm_buffer_append_format(out, err,
                                     "time: of the training's steps, on %.0f thread%s of %s; memory: the most after a step\n",
                                     threads, threads == 1 ? "" : "s", pfm_cell_text(result, "machine")));
done:
    return status;
}

/* "rates tried with seed 42, by overall on validate: lora 3e-4 70.1, 1e-3 72.3" */
static pfm_status append_rates(const json_t *result, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t i = 0, k = 0, told = 0;
    json_t *recipe = NULL, *rate = NULL;
    const char *headline = pfm_cell_text(result, "headline");
    json_array_foreach(json_object_get(result, "recipes"), i, recipe)
    {
        const json_t *rates = json_object_get(recipe, "learning_rates");
        if (json_array_size(rates) < 2 || headline == NULL || pfm_cell_text(recipe, "error") != NULL)
            continue;
        if (told++ == 0)
            PFM_TRY(pfm_buffer_append_format(out, err, "rates tried with seed %lld, %s on %s:\n",
                                             (long long)json_integer_value(json_array_get(json_object_get(result, "seeds"), 0)),
                                             headline, pfm_cell_text(result, "chosen_on")));
        PFM_TRY(pfm_buffer_append_format(out, err, "  %s:", pfm_cell_text(recipe, "name")));
        json_array_foreach(rates, k, rate)
        {
            char text[40];
            double score = pfm_cell_number(rate, "score");
            pfm_rate_format(pfm_cell_number(rate, "learning_rate"), text);
            PFM_TRY(pfm_buffer_append_format(out, err, "%s %s ", k > 0 ? "," : "", text));
            if (isnan(score))
                PFM_TRY(pfm_buffer_append_string(out, "-", err));
            else
                PFM_TRY(pfm_buffer_append_format(out, err, "%.*f", pfm_cell_decimals(result, headline), score));
        }
        PFM_TRY(pfm_buffer_append_string(out, "\n", err));
    }
done:
    return status;
}

static pfm_status append_remarks(const json_t *result, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t i = 0;
    json_t *recipe = NULL, *note = NULL;
    json_array_foreach(json_object_get(result, "recipes"), i, recipe)
    {
        if (pfm_cell_text(recipe, "error") != NULL)
            PFM_TRY(pfm_buffer_append_format(out, err, "failed: %s: %s\n", pfm_cell_text(recipe, "name"),
                                             pfm_cell_text(recipe, "error")));
    }
    json_array_foreach(json_object_get(result, "notes"), i, note)
        PFM_TRY(pfm_buffer_append_format(out, err, "note: %s\n", json_string_value(note)));
done:
    return status;
}

pfm_status pfm_comparison_text(const json_t *result, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    table t = {0};
    size_t i = 0;
    json_t *recipe = NULL, *figures = NULL;
    pfm_cell_reference references[PFM_CELL_REFERENCES];
    PFM_TRY(list_shown(result, &figures, err));
    PFM_TRY(put_head(&t, result, figures, err));
    json_array_foreach(json_object_get(result, "recipes"), i, recipe) PFM_TRY(put_recipe(&t, result, recipe, figures, err));
    pfm_cell_references(result, references);
    for (size_t r = 0; r < PFM_CELL_REFERENCES; r++)
        PFM_TRY(put_reference(&t, result, &references[r], figures, err));
    PFM_TRY(print(&t, out, err));
    PFM_TRY(append_subject(result, out, err));
    PFM_TRY(append_rates(result, out, err));
    PFM_TRY(append_remarks(result, out, err));
done:
    release(&t);
    json_decref(figures);
    return status;
}
