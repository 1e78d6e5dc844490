#include "eval/compare_cells.h"

#include "base/try.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

double pfm_cell_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

const char *pfm_cell_text(const json_t *object, const char *key) { return json_string_value(json_object_get(object, key)); }

static const json_t *figure_of(const json_t *recipe, const char *part, const char *figure)
{
    return json_object_get(json_object_get(recipe, part), figure);
}

double pfm_cell_figure(const json_t *recipe, const char *part, const char *figure, const char *key)
{
    return pfm_cell_number(figure_of(recipe, part, figure), key);
}

double pfm_cell_bound(const json_t *recipe, const char *part, const char *figure, size_t bound)
{
    const json_t *value = json_array_get(json_object_get(figure_of(recipe, part, figure), "ci95"), bound);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

pfm_status pfm_cell_figures(const json_t *result, json_t **out, pfm_error *err)
{
    size_t i = 0;
    json_t *recipe = NULL, *figure = NULL, *names = json_array();
    const char *name = NULL;
    json_array_foreach(json_object_get(result, "recipes"), i, recipe)
    {
        json_object_foreach(json_object_get(recipe, "scores"), name, figure) names = pfm_json_add(names, json_string(name));
        if (names == NULL || json_array_size(names) > 0)
            break;
    }
    *out = names;
    return names != NULL ? PFM_OK : pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not write the table");
}

const char *pfm_cell_units(const json_t *result) { return pfm_cell_number(result, "n_images") == 0 ? "rows" : "images"; }

void pfm_cell_references(const json_t *result, pfm_cell_reference out[PFM_CELL_REFERENCES])
{
    bool text_alone = pfm_cell_number(result, "n_images") == 0;
    out[0] = (pfm_cell_reference){"untrained", "untrained"};
    out[1] = (pfm_cell_reference){"prior", text_alone ? "prior" : "prior, no image seen"};
    out[2] = (pfm_cell_reference){"chance", "chance"};
}

int pfm_cell_decimals(const json_t *result, const char *figure)
{
    size_t i = 0;
    json_t *recipe = NULL;
    double most = 0;
    json_array_foreach(json_object_get(result, "recipes"), i, recipe) most =
        fmax(most, pfm_cell_figure(recipe, "scores", figure, "mean"));
    bool percent = pfm_cell_text(result, "headline") != NULL && strcmp(pfm_cell_text(result, "headline"), "overall") == 0;
    return percent || most > 1.5 ? 1 : 3;
}

size_t pfm_cell_width(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80; /* not a byte that goes on */
    return width;
}

void pfm_cell_count(double count, char out[40])
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%.0f", count), at = 0;
    for (int i = 0; i < length && at < 38; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
}
