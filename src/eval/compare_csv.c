/* A comparison as a CSV file (RFC 4180, a point in numbers, lines end with a newline alone). */
#include "base/try.h"
#include "eval/compare.h"
#include "eval/compare_cells.h"

#include <math.h>
#include <string.h>

static const char *const facts[] = {"trainable_parameters", "total_parameters", "trainable_share",
                                    "learning_rate",        "samples",          "seconds",
                                    "seconds_per_sample",   "peak_bytes"};
enum { FACTS = sizeof facts / sizeof *facts };

/* The columns of a figure: what is behind its name, and where it comes from. */
static const struct {
    const char *suffix, *part, *key; /* key NULL: a bound of the interval */
    size_t bound;
} columns[] = {{"", "scores", "mean", 0},
               {"_sd", "scores", "sd", 0},
               {"_low", "scores", NULL, 0},
               {"_high", "scores", NULL, 1},
               {"_difference", "difference", "mean", 0},
               {"_difference_low", "difference", NULL, 0},
               {"_difference_high", "difference", NULL, 1}};
enum { COLUMNS = sizeof columns / sizeof *columns };

/* A text, in quotes where it needs them; NULL is an empty cell. */
static pfm_status append_text(pfm_buffer *out, const char *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (text == NULL || strpbrk(text, ",\"\r\n") == NULL)
        return pfm_buffer_append_string(out, text == NULL ? "" : text, err);
    PFM_TRY(pfm_buffer_append_string(out, "\"", err));
    for (; *text != '\0'; text++)
        PFM_TRY(pfm_buffer_append(out, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1, err));
    PFM_TRY(pfm_buffer_append_string(out, "\"", err));
done:
    return status;
}

/* A comma and the number; nothing behind the comma where there is none. */
static pfm_status append_number(pfm_buffer *out, double value, pfm_error *err)
{
    if (isnan(value))
        return pfm_buffer_append_string(out, ",", err);
    return pfm_buffer_append_format(out, err, ",%.10g", value);
}

static pfm_status append_head(const json_t *figures, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t i = 0;
    json_t *figure = NULL;
    PFM_TRY(pfm_buffer_append_string(out, "recipe,method,error", err));
    for (size_t f = 0; f < FACTS; f++)
        PFM_TRY(pfm_buffer_append_format(out, err, ",%s", facts[f]));
    json_array_foreach(figures, i, figure)
    {
        for (size_t c = 0; c < COLUMNS; c++)
            PFM_TRY(pfm_buffer_append_format(out, err, ",%s%s", json_string_value(figure), columns[c].suffix));
    }
    PFM_TRY(pfm_buffer_append_string(out, "\n", err));
done:
    return status;
}

static pfm_status append_recipe(const json_t *recipe, const json_t *figures, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t i = 0;
    json_t *figure = NULL;
    PFM_TRY(append_text(out, pfm_cell_text(recipe, "name"), err));
    PFM_TRY(pfm_buffer_append_string(out, ",", err));
    PFM_TRY(append_text(out, pfm_cell_text(recipe, "method"), err));
    PFM_TRY(pfm_buffer_append_string(out, ",", err));
    PFM_TRY(append_text(out, pfm_cell_text(recipe, "error"), err));
    for (size_t f = 0; f < FACTS; f++)
        PFM_TRY(append_number(out, pfm_cell_number(recipe, facts[f]), err));
    json_array_foreach(figures, i, figure)
    {
        const char *name = json_string_value(figure);
        for (size_t c = 0; c < COLUMNS; c++)
            PFM_TRY(append_number(out,
                                  columns[c].key != NULL ? pfm_cell_figure(recipe, columns[c].part, name, columns[c].key)
                                                         : pfm_cell_bound(recipe, columns[c].part, name, columns[c].bound),
                                  err));
    }
    PFM_TRY(pfm_buffer_append_string(out, "\n", err));
done:
    return status;
}

/* What trained nothing: its figures alone. */
static pfm_status append_reference(const json_t *result, const char *key, const json_t *figures, pfm_buffer *out,
                                   pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *values = json_object_get(result, key);
    size_t i = 0;
    json_t *figure = NULL;
    if (!json_is_object(values))
        return PFM_OK;
    PFM_TRY(pfm_buffer_append_format(out, err, "%s,,", key));
    for (size_t f = 0; f < FACTS; f++)
        PFM_TRY(append_number(out, NAN, err));
    json_array_foreach(figures, i, figure)
    {
        for (size_t c = 0; c < COLUMNS; c++)
            PFM_TRY(append_number(out, c == 0 ? pfm_cell_number(values, json_string_value(figure)) : NAN, err));
    }
    PFM_TRY(pfm_buffer_append_string(out, "\n", err));
done:
    return status;
}

pfm_status pfm_comparison_csv(const json_t *result, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t i = 0;
    json_t *recipe = NULL, *figures = NULL;
    pfm_cell_reference references[PFM_CELL_REFERENCES];
    PFM_TRY(pfm_cell_figures(result, &figures, err));
    PFM_TRY(append_head(figures, out, err));
    json_array_foreach(json_object_get(result, "recipes"), i, recipe) PFM_TRY(append_recipe(recipe, figures, out, err));
    pfm_cell_references(result, references);
    for (size_t r = 0; r < PFM_CELL_REFERENCES; r++)
        PFM_TRY(append_reference(result, references[r].key, figures, out, err));
done:
    json_decref(figures);
    return status;
}
