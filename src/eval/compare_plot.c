/* A comparison as a picture: score against trained parameters, SVG. Written as text, and not by the canvas that draws other
 * figures: names and numbers are to be found in the file, and cairo makes outlines of them. */
#include "base/try.h"
#include "eval/canvas.h"
#include "eval/compare.h"
#include "eval/compare_cells.h"
#include "eval/compare_labels.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 860, HEIGHT = 520, LEFT = 72, RIGHT = 700, TOP = 64, BOTTOM = 452 };
static const double letter = 7.4, line_height = 16; /* of text in 13 pixels, rather too much than too little */

typedef struct point {
    const char *name;
    double parameters, mean, low, high; /* low, high: equal to mean where there is no interval */
    bool baseline;
} point;

/* What trained nothing: a line across, where it is not far from all points. */
typedef struct reference {
    const char *name;
    double value;
} reference;

typedef struct plot {
    const json_t *result;
    const char *figure;
    int decimals;
    point *points;
    pfm_label *labels;
    size_t count;
    reference references[PFM_CELL_REFERENCES];
    size_t reference_count;
    double x_low, x_high; /* log10 of parameters */
    double y_low, y_high;
    pfm_buffer *out;
} plot;

static double x_of(const plot *p, double parameters)
{
    return LEFT + (log10(parameters) - p->x_low) / (p->x_high - p->x_low) * (RIGHT - LEFT);
}

static double y_of(const plot *p, double value)
{
    return BOTTOM - (value - p->y_low) / (p->y_high - p->y_low) * (BOTTOM - TOP);
}

/* ---- what there is to draw ---- */

static pfm_status take_points(plot *p, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *recipes = json_object_get(p->result, "recipes");
    const char *baseline = pfm_cell_text(p->result, "baseline");
    size_t i = 0;
    json_t *recipe = NULL;
    PFM_TRY(pfm_allocate(json_array_size(recipes), sizeof *p->points, &p->points, err));
    PFM_TRY(pfm_allocate(json_array_size(recipes), sizeof *p->labels, &p->labels, err));
    json_array_foreach(recipes, i, recipe)
    {
        point at = {.name = pfm_cell_text(recipe, "name"),
                    .parameters = pfm_cell_number(recipe, "trainable_parameters"),
                    .mean = pfm_cell_figure(recipe, "scores", p->figure, "mean"),
                    .low = pfm_cell_bound(recipe, "scores", p->figure, 0),
                    .high = pfm_cell_bound(recipe, "scores", p->figure, 1)};
        if (!(at.parameters >= 1) || isnan(at.mean))
            continue;
        if (isnan(at.low) || isnan(at.high))
            at.low = at.high = at.mean;
        at.baseline = baseline != NULL && strcmp(at.name, baseline) == 0;
        p->points[p->count++] = at;
    }
done:
    return status;
}

static void take_references(plot *p)
{
    pfm_cell_reference known[PFM_CELL_REFERENCES];
    pfm_cell_references(p->result, known);
    for (size_t i = 0; i < PFM_CELL_REFERENCES; i++) {
        double value = pfm_cell_number(json_object_get(p->result, known[i].key), p->figure);
        if (!isnan(value))
            p->references[p->reference_count++] = (reference){known[i].key, value};
    }
}

/* Axes around all points and their bars, and references no farther from them than they are from each other. */
static void choose_axes(plot *p)
{
    p->x_low = p->y_low = INFINITY;
    p->x_high = p->y_high = -INFINITY;
    for (size_t i = 0; i < p->count; i++) {
        p->x_low = fmin(p->x_low, log10(p->points[i].parameters));
        p->x_high = fmax(p->x_high, log10(p->points[i].parameters));
        p->y_low = fmin(p->y_low, p->points[i].low);
        p->y_high = fmax(p->y_high, p->points[i].high);
    }
    double least = p->decimals == 1 ? 2 : 0.02, span = fmax(p->y_high - p->y_low, least), low = p->y_low, high = p->y_high;
    for (size_t i = 0; i < p->reference_count; i++) {
        double value = p->references[i].value;
        if (value > low - span && value < high + span) {
            p->y_low = fmin(p->y_low, value);
            p->y_high = fmax(p->y_high, value);
        }
    }
    double x_margin = fmax(0.08 * (p->x_high - p->x_low), 0.15), y_margin = 0.08 * fmax(p->y_high - p->y_low, least);
    p->x_low -= x_margin;
    p->x_high += x_margin;
    p->y_low -= y_margin;
    p->y_high += y_margin;
}

/* ---- drawing ---- */

static pfm_status append_escaped(pfm_buffer *out, const char *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (; *text != '\0'; text++) {
        const char *entity = *text == '&'   ? "&amp;"
                             : *text == '<' ? "&lt;"
                             : *text == '>' ? "&gt;"
                             : *text == '"' ? "&quot;"
                                            : NULL;
        bool hidden = (unsigned char)*text < 0x20; /* XML knows few of these */
        PFM_TRY(entity != NULL ? pfm_buffer_append_string(out, entity, err)
                               : pfm_buffer_append(out, hidden ? " " : text, 1, err));
    }
done:
    return status;
}

static pfm_status draw_text(const plot *p, double x, double y, const char *attributes, const char *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_buffer_append_format(p->out, err, "<text x=\"%.1f\" y=\"%.1f\"%s>", x, y, attributes));
    PFM_TRY(append_escaped(p->out, text, err));
    PFM_TRY(pfm_buffer_append_string(p->out, "</text>\n", err));
done:
    return status;
}

static pfm_status draw_line(const plot *p, double x1, double y1, double x2, double y2, const char *attributes, pfm_error *err)
{
    return pfm_buffer_append_format(p->out, err, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x1, y1, x2, y2,
                                    attributes);
}

/* "20 k", "1 M", "7 G" of a digit times a power of ten. */
static void format_parameters(double count, char out[32])
{
    static const char *const units[] = {"", " k", " M", " G", " T"};
    size_t unit = 0;
    for (; count >= 1000 && unit < 4; unit++)
        count /= 1000;
    (void)snprintf(out, 32, "%.0f%s", count, units[unit]);
}

/* Whether a digit times a power of ten has a line: all within a decade, else 1, 2 and 5; and a name: beyond three decades 1
 * alone. */
static bool has_line(const plot *p, int digit) { return digit == 1 || digit == 2 || digit == 5 || p->x_high - p->x_low < 1; }
static bool has_name(const plot *p, int digit) { return digit == 1 || p->x_high - p->x_low <= 3; }

static pfm_status draw_x_axis(const plot *p, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (int power = (int)floor(p->x_low); power <= (int)ceil(p->x_high); power++) {
        for (int digit = 1; digit <= 9; digit++) {
            char text[32];
            double count = digit * pow(10, power), x = x_of(p, count);
            if (!has_line(p, digit) || count < 1 || x < LEFT || x > RIGHT)
                continue;
            PFM_TRY(draw_line(p, x, TOP, x, BOTTOM, digit == 1 ? "stroke=\"#d8d8d8\"" : "stroke=\"#efefef\"", err));
            if (!has_name(p, digit))
                continue;
            format_parameters(count, text);
            PFM_TRY(draw_text(p, x, BOTTOM + 20, " text-anchor=\"middle\"", text, err));
        }
    }
    PFM_TRY(
        draw_text(p, (LEFT + RIGHT) / 2.0, BOTTOM + 46, " text-anchor=\"middle\"", "trained parameters (logarithmic)", err));
done:
    return status;
}

static pfm_status draw_y_axis(const plot *p, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_axis axis = {.low = p->y_low, .high = p->y_high};
    int decimals = 0;
    const double step = pfm_axis_step(&axis, 6, &decimals);
    char text[80], name[80];
    for (long k = lround(ceil(p->y_low / step)); (double)k * step <= p->y_high; k++) {
        (void)snprintf(text, sizeof text, "%.*f", decimals, (double)k * step);
        PFM_TRY(draw_line(p, LEFT, y_of(p, (double)k * step), RIGHT, y_of(p, (double)k * step), "stroke=\"#e4e4e4\"", err));
        PFM_TRY(draw_text(p, LEFT - 8, y_of(p, (double)k * step) + 4.5, " text-anchor=\"end\"", text, err));
    }
    (void)snprintf(text, sizeof text, " text-anchor=\"middle\" transform=\"rotate(-90 22 %d)\"", (TOP + BOTTOM) / 2);
    (void)snprintf(name, sizeof name, "%s%s", p->figure, p->decimals == 1 ? ", %" : "");
    PFM_TRY(draw_text(p, 22, (TOP + BOTTOM) / 2.0, text, name, err));
done:
    return status;
}

/* The lowest free place for a line of text at or above y; places: of the texts before it. */
static double find_place(const double *places, size_t count, double y)
{
    for (size_t i = 0; i < count; i++) {
        if (fabs(y - places[i]) < line_height - 0.01) {
            y = places[i] - line_height;
            i = SIZE_MAX; /* once more from the first */
        }
    }
    return y;
}

/* Names stand right of the area, one above the other; what is beyond the axis says its value and where it would be. */
static pfm_status draw_references(const plot *p, pfm_error *err)
{
    pfm_status status = PFM_OK;
    double places[PFM_CELL_REFERENCES];
    for (size_t i = 0; i < p->reference_count; i++) {
        const reference *r = &p->references[i];
        bool below = r->value < p->y_low;
        bool above = r->value > p->y_high;
        double y = below ? BOTTOM : above ? TOP : y_of(p, r->value);
        char text[120];
        places[i] = find_place(places, i, y);
        if (!below && !above)
            PFM_TRY(draw_line(p, LEFT, y, RIGHT, y, "stroke=\"#777\" stroke-dasharray=\"5 4\"", err));
        (void)snprintf(text, sizeof text, "%s %.*f%s", r->name, p->decimals, r->value,
                       below   ? " (below)"
                       : above ? " (above)"
                               : "");
        PFM_TRY(draw_text(p, RIGHT + 8, places[i] + 4.5, " fill=\"#555\"", text, err));
    }
done:
    return status;
}

/* A name has its point's colour; the eye tells these apart (after Okabe and Ito), also on paper. */
static const char *colour_of(size_t index)
{
    static const char *const colours[] = {"#0072b2", "#c04a00", "#00805d", "#a04585",
                                          "#7a6000", "#3a8fc4", "#6a3fa0", "#444444"};
    return colours[index % (sizeof colours / sizeof *colours)];
}

static pfm_status draw_bar(const plot *p, size_t index, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const point *at = &p->points[index];
    const pfm_label *label = &p->labels[index];
    char stroke[80];
    (void)snprintf(stroke, sizeof stroke, "stroke=\"%s\" stroke-width=\"1.5\"", colour_of(index));
    if (at->low < at->high) {
        PFM_TRY(draw_line(p, label->x, label->low, label->x, label->high, stroke, err));
        PFM_TRY(draw_line(p, label->x - 4, label->low, label->x + 4, label->low, stroke, err));
        PFM_TRY(draw_line(p, label->x - 4, label->high, label->x + 4, label->high, stroke, err));
    }
done:
    return status;
}

static pfm_status draw_name(const plot *p, size_t index, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_label *label = &p->labels[index];
    const pfm_box *box = &label->box;
    char text[160];
    if (label->far_away)
        PFM_TRY(draw_line(p, label->x, label->y, fmin(fmax(label->x, box->left), box->right),
                          fmin(fmax(label->y, box->top), box->bottom), "stroke=\"#999\"", err));
    (void)snprintf(text, sizeof text, " fill=\"%s\" text-anchor=\"middle\"", colour_of(index));
    PFM_TRY(draw_text(p, (box->left + box->right) / 2, box->bottom - 4, text, p->points[index].name, err));
done:
    return status;
}

/* The baseline is a square. */
static pfm_status draw_mark(const plot *p, size_t index, pfm_error *err)
{
    const pfm_label *label = &p->labels[index];
    const char *colour = colour_of(index);
    if (p->points[index].baseline)
        return pfm_buffer_append_format(
            p->out, err, "<rect x=\"%.1f\" y=\"%.1f\" width=\"10\" height=\"10\" fill=\"%s\" stroke=\"#fff\"/>\n", label->x - 5,
            label->y - 5, colour);
    return pfm_buffer_append_format(p->out, err, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"%s\" stroke=\"#fff\"/>\n",
                                    label->x, label->y, colour);
}

/* Bars lie below names and marks. */
static pfm_status draw_points(const plot *p, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < p->count; i++)
        PFM_TRY(draw_bar(p, i, err));
    for (size_t i = 0; i < p->count; i++)
        PFM_TRY(draw_name(p, i, err));
    for (size_t i = 0; i < p->count; i++)
        PFM_TRY(draw_mark(p, i, err));
done:
    return status;
}

static void place_labels(plot *p)
{
    const pfm_box area = {LEFT, TOP, RIGHT, BOTTOM};
    for (size_t i = 0; i < p->count; i++) {
        const point *at = &p->points[i];
        p->labels[i] = (pfm_label){.x = x_of(p, at->parameters),
                                   .y = y_of(p, at->mean),
                                   .low = y_of(p, at->low),
                                   .high = y_of(p, at->high),
                                   .width = letter * (double)pfm_cell_width(at->name),
                                   .height = line_height};
    }
    pfm_labels_place(p->labels, p->count, &area);
}

static pfm_status draw_title(const plot *p, pfm_error *err)
{
    char text[300];
    size_t seeds = json_array_size(json_object_get(p->result, "seeds"));
    const char *dataset = pfm_cell_text(p->result, "dataset"), *split = pfm_cell_text(p->result, "split");
    (void)snprintf(text, sizeof text, "%s on %s of %s", p->figure, split, dataset == NULL ? "the data" : dataset);
    pfm_status status = draw_text(p, LEFT, 26, " font-size=\"16\"", text, err);
    (void)snprintf(text, sizeof text, "mean of %zu seed%s; bars: 95 %% intervals over %s; square: the baseline", seeds,
                   seeds == 1 ? "" : "s", pfm_cell_units(p->result));
    return status == PFM_OK ? draw_text(p, LEFT, 46, " fill=\"#555\"", text, err) : status;
}

static pfm_status draw(const plot *p, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(
        pfm_buffer_append_format(p->out, err,
                                 "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
                                 "font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n"
                                 "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
                                 WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT));
    PFM_TRY(draw_title(p, err));
    PFM_TRY(draw_x_axis(p, err));
    PFM_TRY(draw_y_axis(p, err));
    PFM_TRY(pfm_buffer_append_format(p->out, err,
                                     "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#888\"/>\n",
                                     LEFT, TOP, RIGHT - LEFT, BOTTOM - TOP));
    PFM_TRY(draw_references(p, err));
    PFM_TRY(draw_points(p, err));
    PFM_TRY(pfm_buffer_append_string(p->out, "</svg>\n", err));
done:
    return status;
}

pfm_status pfm_comparison_plot(const json_t *result, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    plot p = {.result = result, .figure = pfm_cell_text(result, "headline"), .out = out};
    if (p.figure == NULL)
        return PFM_OK;
    p.decimals = pfm_cell_decimals(result, p.figure);
    PFM_TRY(take_points(&p, err));
    take_references(&p);
    if (p.count == 0)
        goto done;
    choose_axes(&p);
    place_labels(&p);
    PFM_TRY(draw(&p, err));
done:
    free(p.points);
    free(p.labels);
    return status;
}
