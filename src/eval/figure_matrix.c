/* How each rater agrees with each other one: a cell a pair, the darker the better, its value in it. */
#include "base/try.h"
#include "eval/agree_figures.h"
#include "eval/canvas.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct matrix {
    const json_t *result, *raters;
    const char *measure;
    size_t count;
    double *values; /* [count, count], NaN for none */
    double cell, left, top, bottom;
} matrix;

static size_t number_of(const matrix *m, const json_t *name)
{
    for (size_t i = 0; i < m->count; i++) {
        if (json_equal(json_array_get(m->raters, i), name))
            return i;
    }
    return 0;
}

static double share_known(const matrix *m, const char *measure)
{
    size_t i = 0, known = 0;
    json_t *pair = NULL;
    json_array_foreach(json_object_get(m->result, "pairs"), i, pair) known += json_is_number(json_object_get(pair, measure));
    return (double)known;
}

/* Kappa, unless a judge's mean of repeats lies between the levels: then correlation, which any number has. */
static const char *choose_measure(const matrix *m)
{
    const char *level = json_string_value(json_object_get(m->result, "level"));
    const char *kappa = level != NULL && strcmp(level, "nominal") == 0 ? "cohen" : "kappa_quadratic";
    return share_known(m, kappa) >= share_known(m, "pearson") ? kappa : "pearson";
}

static void fill(matrix *m)
{
    size_t i = 0;
    json_t *pair = NULL;
    for (i = 0; i < m->count * m->count; i++)
        m->values[i] = NAN;
    json_array_foreach(json_object_get(m->result, "pairs"), i, pair)
    {
        size_t a = number_of(m, json_object_get(pair, "a")), b = number_of(m, json_object_get(pair, "b"));
        const json_t *value = json_object_get(pair, m->measure);
        m->values[a * m->count + b] = m->values[b * m->count + a] = json_is_number(value) ? json_number_value(value) : NAN;
    }
}

static void draw_cell(pfm_canvas *canvas, const matrix *m, size_t row, size_t column)
{
    double x = m->left + (double)column * m->cell, y = m->top + (double)row * m->cell;
    double value = m->values[row * m->count + column];
    pfm_colour ground = row == column || isnan(value) ? 0xffffff : pfm_scale_colour(value);
    char text[16] = "";
    pfm_canvas_box(canvas, x, y, m->cell, m->cell, ground, 0xbbbbbb);
    if (row == column)
        pfm_canvas_hatch(canvas, x + 0.5, y + 0.5, m->cell - 1, m->cell - 1, 0xdddddd);
    else if (m->cell >= 34)
        (void)snprintf(text, sizeof text, isnan(value) ? "-" : "%.2f", value);
    else if (m->cell >= 18 && !isnan(value))
        (void)snprintf(text, sizeof text, "%.0f", 100 * value);
    pfm_canvas_text(canvas, x + m->cell / 2, y + m->cell / 2 + 4.5, 0,
                    m->cell >= 44   ? 13
                    : m->cell >= 34 ? 11
                                    : 8.5,
                    pfm_text_colour_on(ground), text);
}

static void draw_scale(pfm_canvas *canvas, double x, double y, double height)
{
    enum { STEPS = 50 };
    char text[8];
    for (int i = 0; i < STEPS; i++)
        pfm_canvas_box(canvas, x, y + height * i / STEPS, 14, height / STEPS + 0.6, pfm_scale_colour(1 - (i + 0.5) / STEPS),
                       PFM_CLEAR);
    pfm_canvas_box(canvas, x, y, 14, height, PFM_CLEAR, 0xbbbbbb);
    for (int i = 0; i <= 4; i++) {
        (void)snprintf(text, sizeof text, i == 0 ? "1" : i == 4 ? "\xe2\x89\xa4 0" : "%.2f", 1 - i / 4.0);
        pfm_canvas_text(canvas, x + 20, y + height * i / 4 + 4, -1, 11, PFM_INK, text);
    }
}

static void draw(pfm_canvas *canvas, const void *user)
{
    const matrix *m = user;
    double size = m->cell * (double)m->count, letters = fmin(13, m->cell * 0.75);
    char text[120];
    (void)snprintf(text, sizeof text, "Agreement of each two raters: %s",
                   strcmp(m->measure, "cohen") == 0     ? "Cohen's kappa"
                   : strcmp(m->measure, "pearson") == 0 ? "Pearson's correlation"
                                                        : "quadratic kappa");
    pfm_canvas_text(canvas, 16, 26, -1, 16, PFM_INK, text);
    pfm_canvas_text(canvas, 16, 46, -1, 12, PFM_FAINT,
                    strcmp(m->measure, "pearson") == 0 && m->cell >= 34 ? "1: on a straight line; 0: nothing in common"
                    : m->cell >= 34                                     ? "1: always the same; 0: as by chance"
                    : m->cell >= 18                                     ? "in hundredths"
                                                                        : "darker: better; the numbers are in agreement.json");
    for (size_t row = 0; row < m->count; row++) {
        const char *name = json_string_value(json_array_get(m->raters, row));
        for (size_t column = 0; column < m->count; column++)
            draw_cell(canvas, m, row, column);
        double middle = ((double)row + 0.5) * m->cell;
        pfm_canvas_text_within(canvas, m->left - 8, m->top + middle + letters / 3, 1, letters, PFM_INK, m->left - 20, 0, name);
        pfm_canvas_text_within(canvas, m->left + middle + letters / 3, m->top + size + 8, 1, letters, PFM_INK, m->bottom - 12,
                               90, name);
    }
    draw_scale(canvas, m->left + size + 22, m->top, fmax(size, 90));
}

pfm_status pfm_figure_matrix(const json_t *result, const char *folder, pfm_error *err)
{
    pfm_status status = PFM_OK;
    matrix m = {.result = result, .raters = json_object_get(result, "raters"), .top = 64};
    m.count = json_array_size(m.raters);
    size_t longest = 0;
    for (size_t i = 0; i < m.count; i++) {
        size_t length = json_string_length(json_array_get(m.raters, i));
        longest = length > longest ? length : longest;
    }
    if (m.count < 2)
        goto done;
    m.measure = choose_measure(&m);
    m.cell = m.count <= 12 ? 56 : m.count <= 20 ? 40 : m.count <= 40 ? 22 : 12;
    m.left = fmax(60, fmin(190, 24 + 8.2 * (double)longest));
    m.bottom = fmax(50, fmin(170, 20 + 8.2 * (double)longest));
    PFM_TRY(pfm_allocate(m.count * m.count, sizeof *m.values, &m.values, err));
    fill(&m);
    double size = m.cell * (double)m.count;
    PFM_TRY(pfm_canvas_save_both(folder, "agreement", fmax(m.left + size + 84, 430), m.top + fmax(size, 90) + m.bottom + 10,
                                 draw, &m, err));
done:
    free(m.values);
    return status;
}
