/* Which slices are wanted: "all", "8", "3,10,20", "40-60/5". */
#include "base/try.h"
#include "image/series.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DIGITS = 9 };

/* Reads a whole number from 1 and passes over it. */
static bool read_number(const char **text, size_t *out)
{
    size_t digits = 0;
    *out = 0;
    for (; isdigit((unsigned char)**text) && digits < MOST_DIGITS; digits++)
        *out = *out * 10 + (size_t)(*(*text)++ - '0');
    return digits > 0 && !isdigit((unsigned char)**text) && *out > 0;
}

static void skip_blanks(const char **text)
{
    while (**text == ' ' || **text == '\t')
        (*text)++;
}

/* "40-60/5": from, to, step; of one number both are it. *ranged: it was a range. */
static bool read_range(const char **text, size_t range[3], bool *ranged)
{
    skip_blanks(text);
    if (!read_number(text, &range[0]))
        return false;
    range[1] = range[0];
    range[2] = 1;
    *ranged = **text == '-';
    if (*ranged) {
        (*text)++;
        if (!read_number(text, &range[1]) || range[1] < range[0])
            return false;
        if (**text == '/') {
            (*text)++;
            if (!read_number(text, &range[2]))
                return false;
        }
    }
    skip_blanks(text);
    return true;
}

static bool is_all(const char *slices) { return slices == NULL || strcmp(slices, "all") == 0; }

/* How many, where one number stands alone; else 0. */
static size_t count_of(const char *slices)
{
    size_t range[3];
    bool ranged = false;
    return read_range(&slices, range, &ranged) && *slices == '\0' && !ranged ? range[0] : 0;
}

size_t pfm_slices_asked(const char *slices) { return is_all(slices) ? 0 : count_of(slices); }

pfm_status pfm_slices_check(const char *slices, pfm_error *err)
{
    const char *text = slices;
    size_t range[3];
    bool ranged;
    if (is_all(slices))
        return PFM_OK;
    for (;;) {
        if (!read_range(&text, range, &ranged) || (*text != ',' && *text != '\0'))
            return pfm_error_set(err, PFM_ERROR_USAGE,
                                 "'%.60s' says no slices; give how many (8, evenly spaced), their numbers from 1 (3,10,20), a "
                                 "range (40-60, 40-60/5), or all",
                                 slices);
        if (*text++ == '\0')
            return PFM_OK;
    }
}

static pfm_status take(size_t *chosen, bool *taken, size_t *count, size_t number, size_t total, const char *name,
                       pfm_error *err)
{
    if (number > total)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s has %zu slice%s, which count from 1; there is no slice %zu", name, total,
                             total == 1 ? "" : "s", number);
    if (taken[number - 1])
        return pfm_error_set(err, PFM_ERROR_USAGE, "slice %zu of %s is chosen twice; name it once", number, name);
    taken[number - 1] = true;
    chosen[(*count)++] = number - 1;
    return PFM_OK;
}

pfm_status pfm_slices_choose(const char *slices, size_t total, const char *name, size_t **chosen, size_t *count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t *out = NULL;
    bool *taken = NULL;
    *count = 0;
    PFM_TRY(pfm_slices_check(slices, err));
    PFM_TRY(pfm_allocate(total, sizeof *out, &out, err));
    PFM_TRY(pfm_allocate(total, sizeof *taken, &taken, err));
    const size_t wanted = is_all(slices) ? total : count_of(slices);
    if (wanted > 0) {
        *count = wanted < total ? wanted : total;
        for (size_t i = 0; i < *count; i++)
            out[i] = (2 * i + 1) * total / (2 * *count); /* the middle of each of so many equal parts */
    } else {
        for (const char *text = slices; *text != '\0'; text += *text == ',') {
            size_t range[3] = {0};
            bool ranged;
            (void)read_range(&text, range, &ranged); /* as checked */
            for (size_t number = range[0]; number <= range[1]; number += range[2])
                PFM_TRY(take(out, taken, count, number, total, name, err));
        }
    }
    *chosen = out;
    out = NULL;
done:
    free(taken);
    free(out);
    return status;
}
