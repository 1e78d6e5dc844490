/* What agrees with people how well: a line a metric, judge and person, with intervals, the best first. */
#include "base/try.h"
#include "eval/agree_figures.h"
#include "eval/canvas.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOP = 76, ROW = 26, FOOT = 56, RIGHT = 24 };

typedef struct line {
    const char *name;
    size_t kind; /* 0 person, 1 judge, 2 metric: series of marks */
    double value, low, high;
} line;

typedef struct lines {
    line *items;
    size_t count;
    const char *people;
    double left, width, height, low, high;
} lines;

static void add(lines *l, const json_t *row, const char *name, size_t kind)
{
    const json_t *value = json_object_get(row, "spearman"), *ci = json_object_get(json_object_get(row, "ci95"), "spearman");
    if (!json_is_number(value))
        return;
    line at = {.name = name, .kind = kind, .value = json_number_value(value)};
    at.low = json_is_array(ci) ? json_number_value(json_array_get(ci, 0)) : at.value;
    at.high = json_is_array(ci) ? json_number_value(json_array_get(ci, 1)) : at.value;
    l->low = fmin(l->low, at.low);
    l->high = fmax(l->high, at.high);
    l->items[l->count++] = at;
}

static int compare_lines(const void *a, const void *b)
{
    const line *x = a, *y = b;
    return (x->value < y->value) - (x->value > y->value);
}

static const char *kind_of(const json_t *result, const char *rater)
{
    const char *kind = json_string_value(json_object_get(json_object_get(json_object_get(result, "counts"), rater), "kind"));
    return kind == NULL ? "mean" : kind;
}

static void collect(lines *l, const json_t *result)
{
    size_t i = 0;
    json_t *row = NULL;
    json_array_foreach(json_object_get(result, "against_mean"), i, row)
    {
        const char *rater = json_string_value(json_object_get(row, "rater"));
        add(l, row, rater, strcmp(kind_of(result, rater), "judge") == 0);
    }
    if (l->people == NULL) { /* one person: judges against them are among the pairs */
        json_array_foreach(json_object_get(result, "pairs"), i, row)
        {
            const char *a = json_string_value(json_object_get(row, "a")), *b = json_string_value(json_object_get(row, "b"));
            bool a_judges = strcmp(kind_of(result, a), "judge") == 0, b_judges = strcmp(kind_of(result, b), "judge") == 0;
            if (a_judges != b_judges)
                add(l, row, a_judges ? a : b, 1);
        }
    }
    json_array_foreach(json_object_get(result, "metrics"), i, row)
    {
        const char *rater = json_string_value(json_object_get(row, "rater"));
        const char *wanted = l->people == NULL ? "person" : "mean";
        if (strcmp(kind_of(result, rater), wanted) == 0)
            add(l, row, json_string_value(json_object_get(row, "metric")), 2);
    }
    qsort(l->items, l->count, sizeof *l->items, compare_lines);
}

static void draw(pfm_canvas *canvas, const void *user)
{
    const lines *l = user;
    static const char *const kinds[] = {"person (against the others)", "judge", "metric"};
    double bottom = TOP + ROW * (double)l->count, key = 16;
    pfm_axis axis = pfm_axis_create(fmin(0, l->low), fmin(1, fmax(l->high, 0.1)), l->left, l->width - RIGHT);
    pfm_canvas_text(canvas, 16, 26, -1, 16, PFM_INK, "Agreement with people: Spearman's correlation");
    for (size_t k = 0; k < 3; k++) {
        pfm_canvas_mark(canvas, k, key + 5, 46, 5, pfm_series_colour(k));
        pfm_canvas_text(canvas, key + 15, 50, -1, 12, PFM_FAINT, kinds[k]);
        key += 32 + pfm_canvas_text_width(canvas, 12, kinds[k]);
    }
    pfm_axis_draw_x(canvas, &axis, TOP, bottom, "correlation, with 95 % intervals");
    pfm_canvas_line(canvas, pfm_axis_place(&axis, 0), TOP, pfm_axis_place(&axis, 0), bottom, PFM_FAINT, 1);
    for (size_t i = 0; i < l->count; i++) {
        const line *at = &l->items[i];
        double y = TOP + ROW * ((double)i + 0.5);
        pfm_colour colour = pfm_series_colour(at->kind);
        pfm_canvas_text_within(canvas, l->left - 12, y + 4.5, 1, 13, PFM_INK, l->left - 24, 0, at->name);
        pfm_canvas_line(canvas, pfm_axis_place(&axis, at->low), y, pfm_axis_place(&axis, at->high), y, colour, 1.8);
        pfm_canvas_mark(canvas, at->kind, pfm_axis_place(&axis, at->value), y, 5.5, colour);
    }
    pfm_canvas_box(canvas, l->left, TOP, l->width - RIGHT - l->left, bottom - TOP, PFM_CLEAR, 0x999999);
}

pfm_status pfm_figure_against(const json_t *result, const char *folder, pfm_error *err)
{
    pfm_status status = PFM_OK;
    lines l = {.width = 760};
    size_t people = 0, longest = 0;
    const char *name = NULL;
    json_t *row = NULL;
    json_object_foreach(json_object_get(result, "counts"), name, row) people += strcmp(kind_of(result, name), "person") == 0;
    l.people = people > 1 ? "mean of people" : NULL;
    PFM_TRY(pfm_allocate(json_array_size(json_object_get(result, "against_mean")) +
                             json_array_size(json_object_get(result, "metrics")) +
                             json_array_size(json_object_get(result, "pairs")),
                         sizeof *l.items, &l.items, err));
    if (people > 0)
        collect(&l, result);
    if (l.count == 0)
        goto done;
    for (size_t i = 0; i < l.count; i++)
        longest = strlen(l.items[i].name) > longest ? strlen(l.items[i].name) : longest;
    l.left = fmax(90, fmin(260, 30 + 8.2 * (double)longest));
    l.height = TOP + ROW * (double)l.count + FOOT;
    PFM_TRY(pfm_canvas_save_both(folder, "against-people", l.width, l.height, draw, &l, err));
done:
    free(l.items);
    return status;
}
