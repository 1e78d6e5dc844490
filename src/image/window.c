#include "image/window.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* In Hounsfield units, as radiologists set them. */
static const struct {
    const char *name;
    double center, width;
} presets[] = {
    {"lung", -600, 1500},     {"bone", 400, 1800}, {"brain", 40, 80},  {"abdomen", 50, 400},
    {"mediastinum", 50, 350}, {"liver", 30, 150},  {"stroke", 40, 40},
};

const char *pfm_window_preset(size_t number, double *center, double *width)
{
    if (number >= sizeof presets / sizeof *presets)
        return NULL;
    *center = presets[number].center;
    *width = presets[number].width;
    return presets[number].name;
}

static const char *const functions[] = {"LINEAR", "LINEAR_EXACT", "SIGMOID"};

const char *pfm_window_function_name(pfm_window_function function) { return functions[function]; }

bool pfm_window_find_function(const char *name, pfm_window_function *out)
{
    for (int i = 0; i < 3; i++) {
        if (strcasecmp(name, functions[i]) == 0) {
            *out = (pfm_window_function)i;
            return true;
        }
    }
    return false;
}

bool pfm_window_is_good(const pfm_window *window)
{
    return isfinite(window->center) && isfinite(window->width) &&
           (window->function == PFM_WINDOW_LINEAR ? window->width >= 1 : window->width > 0);
}

static pfm_status refuse(const char *text, pfm_error *err)
{
    return pfm_error_set(
        err, PFM_ERROR_USAGE,
        "a window cannot be '%.60s'; it is CENTER,WIDTH as in 40,400 (with ,sigmoid or ,linear_exact behind, if "
        "so), lung, bone, brain, abdomen, mediastinum, liver or stroke (in Hounsfield units), file (its own), "
        "file:N or lut:N (of several, from 0), percentile or full",
        text);
}

/* "file:N", "lut:N". */
static bool read_index(const char *text, const char *name, int *out)
{
    const size_t length = strlen(name);
    char *end = NULL;
    if (strncasecmp(text, name, length) != 0 || text[length] != ':' || text[length + 1] < '0' || text[length + 1] > '9')
        return false;
    const long value = strtol(text + length + 1, &end, 10);
    *out = (int)value;
    return *end == '\0' && value <= 10000;
}

/* "CENTER,WIDTH[,FUNCTION]" */
static bool read_numbers(const char *text, pfm_window *out)
{
    char *end = NULL;
    out->center = strtod(text, &end);
    if (end == text || *end != ',')
        return false;
    const char *second = end + 1;
    out->width = strtod(second, &end);
    if (end == second || (*end != '\0' && *end != ','))
        return false;
    return *end == '\0' || pfm_window_find_function(end + 1, &out->function);
}

pfm_status pfm_window_parse(const char *text, pfm_window *out, pfm_error *err)
{
    *out = (pfm_window){0};
    if (text == NULL || text[0] == '\0' || strcasecmp(text, "file") == 0)
        return PFM_OK;
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
        if (strcasecmp(text, presets[i].name) == 0) {
            *out = (pfm_window){
                .choice = PFM_WINDOW_NAMED, .name = presets[i].name, .center = presets[i].center, .width = presets[i].width};
            return PFM_OK;
        }
    }
    if (strcasecmp(text, "percentile") == 0 || strcasecmp(text, "full") == 0)
        out->choice = strcasecmp(text, "full") == 0 ? PFM_WINDOW_FULL : PFM_WINDOW_PERCENTILE;
    else if (read_index(text, "file", &out->index))
        out->choice = PFM_WINDOW_OF_FILE;
    else if (read_index(text, "lut", &out->index) || strcasecmp(text, "lut") == 0)
        out->choice = PFM_WINDOW_LUT;
    else if (!read_numbers(text, out))
        return refuse(text, err);
    else
        out->choice = PFM_WINDOW_GIVEN;
    if (out->choice == PFM_WINDOW_GIVEN && !pfm_window_is_good(out))
        return pfm_error_set(err, PFM_ERROR_USAGE, "the window '%.60s' has no width; it must be %s", text,
                             out->function == PFM_WINDOW_LINEAR ? "at least 1" : "above 0");
    return PFM_OK;
}

double pfm_window_apply(const pfm_window *window, double value)
{
    double center = window->center, width = window->width;
    if (window->function == PFM_WINDOW_SIGMOID)
        return 1 / (1 + exp(-4 * (value - center) / width));
    if (window->function == PFM_WINDOW_LINEAR) {
        center -= 0.5;
        width -= 1;
    }
    if (!(value > center - width / 2)) /* also what is no number */
        return 0;
    if (value > center + width / 2)
        return 1;
    return (value - center) / width + 0.5;
}
