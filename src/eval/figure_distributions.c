/* How often each rater gave each score: a panel a rater, all on one scale; a judge's bars are hatched. */
#include "eval/agree_figures.h"
#include "eval/canvas.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TOP = 64, GAP = 26, PANEL_HEIGHT = 150, TITLE = 22, FOOT = 24, LEFT = 24, MOST_COLUMNS = 5 };

typedef struct panels {
    const json_t *result, *distributions;
    size_t raters, levels, columns, rows;
    double panel_width, width, height;
    double most; /* largest share of a level */
} panels;

static double total_of(const json_t *row)
{
    double total = 0;
    const char *level = NULL;
    json_t *count = NULL;
    json_object_foreach((json_t *)(uintptr_t)row, level, count) total += json_number_value(count);
    return total;
}

static void draw_bar(pfm_canvas *canvas, const panels *p, double x, double base, double width, double count, double total,
                     bool judge)
{
    char text[32];
    double height = total > 0 ? count / total / p->most * (PANEL_HEIGHT - TITLE - 14) : 0;
    pfm_colour colour = pfm_series_colour(judge);
    pfm_canvas_box(canvas, x, base - height, width, height, judge ? 0xffffff : colour, colour);
    if (judge)
        pfm_canvas_hatch(canvas, x, base - height, width, height, colour);
    (void)snprintf(text, sizeof text, "%.0f", count);
    if (pfm_canvas_text_width(canvas, 10, text) <= width + 3)
        pfm_canvas_text(canvas, x + width / 2, base - height - 4, 0, 10, PFM_INK, text);
}

static void draw_panel(pfm_canvas *canvas, const panels *p, size_t index, const char *name, const json_t *row)
{
    double x0 = LEFT + (double)(index % p->columns) * (p->panel_width + GAP);
    const size_t line = index / p->columns;
    double y0 = TOP + (double)line * (PANEL_HEIGHT + FOOT + GAP), base = y0 + PANEL_HEIGHT;
    const json_t *counts = json_object_get(json_object_get(p->result, "counts"), name);
    const json_t *mean = json_object_get(json_object_get(p->result, "wasm"), name);
    const char *kind = json_string_value(json_object_get(counts, "kind"));
    double slot = p->panel_width / (double)p->levels, total = total_of(row), next = x0, shown_until = x0 - 1e9;
    char text[80];
    const char *level = NULL;
    json_t *count = NULL;
    (void)snprintf(text, sizeof text, "mean %.2f, n %.0f", json_number_value(mean), total);
    double used = pfm_canvas_text_width(canvas, 11, text);
    pfm_canvas_text(canvas, x0 + p->panel_width, y0 + 10, 1, 11, PFM_FAINT, json_is_number(mean) ? text : "no score");
    pfm_canvas_text_within(canvas, x0, y0 + 10, -1, 13, PFM_INK, p->panel_width - used - 10, 0, name);
    json_object_foreach((json_t *)(uintptr_t)row, level, count)
    {
        double width = fmin(slot * 0.8, 60), middle = next + slot / 2, half = pfm_canvas_text_width(canvas, 11, level) / 2;
        draw_bar(canvas, p, middle - width / 2, base, width, json_number_value(count), total,
                 kind != NULL && strcmp(kind, "judge") == 0);
        if (middle - half > shown_until + 3) { /* a level whose number has no room goes without */
            pfm_canvas_text(canvas, middle, base + 15, 0, 11, PFM_INK, level);
            shown_until = middle + half;
        }
        next += slot;
    }
    pfm_canvas_line(canvas, x0, base, x0 + p->panel_width, base, PFM_INK, 1);
}

static void draw(pfm_canvas *canvas, const void *user)
{
    const panels *p = user;
    const char *name = NULL;
    json_t *row = NULL;
    size_t index = 0;
    pfm_canvas_text(canvas, LEFT, 26, -1, 16, PFM_INK, "Scores by rater");
    pfm_canvas_text(canvas, LEFT, 46, -1, 12, PFM_FAINT, "bars: share of a rater's scores, their number above; hatched: judge");
    json_object_foreach((json_t *)(uintptr_t)p->distributions, name, row) draw_panel(canvas, p, index++, name, row);
}

pfm_status pfm_figure_distributions(const json_t *result, const char *folder, pfm_error *err)
{
    panels p = {.result = result, .distributions = json_object_get(result, "distributions"), .most = 0};
    const char *name = NULL, *level = NULL;
    json_t *row = NULL, *count = NULL;
    p.raters = json_object_size(p.distributions);
    json_object_foreach((json_t *)(uintptr_t)p.distributions, name, row)
    {
        p.levels = json_object_size(row);
        double total = total_of(row);
        json_object_foreach(row, level, count) p.most = fmax(p.most, total > 0 ? json_number_value(count) / total : 0);
    }
    if (p.raters == 0 || p.levels == 0 || !(p.most > 0))
        return PFM_OK;
    p.columns = p.raters < 4 ? p.raters : p.raters == 4 ? 2 : p.raters <= 9 ? 3 : p.raters <= 16 ? 4 : MOST_COLUMNS;
    p.rows = (p.raters + p.columns - 1) / p.columns;
    p.panel_width = fmax(p.columns == 1 ? 420 : 250, 18.0 * (double)p.levels);
    p.width = 2 * LEFT + (double)p.columns * (p.panel_width + GAP) - GAP;
    p.height = TOP + (double)p.rows * (PANEL_HEIGHT + FOOT + GAP);
    return pfm_canvas_save_both(folder, "distributions", p.width, p.height, draw, &p, err);
}
