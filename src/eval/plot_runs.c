/* Learning curves of runs side by side, from their logs. */
#include "base/file.h"
#include "base/try.h"
#include "eval/canvas.h"
#include "eval/predictions.h"
#include "eval/rating_files.h"
#include "pefomed/agree.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 860, HEIGHT = 500, LEFT = 84, TOP = 56, BOTTOM = 436, MOST_RUNS = 24, POINTS = 250, LINE = 16 };

typedef struct curve {
    char *name, *path;
    double *xy; /* [count, 2] */
    size_t count, capacity, lines;
    double last_x;
} curve;

typedef struct plot {
    const char *column, *against;
    curve curves[MOST_RUNS];
    size_t count;
    double right;
    int smooth;
} plot;

/* ---- logs ---- */

typedef struct reading {
    plot *of;
    curve *into;
} reading;

static pfm_status take_line(void *user, json_t *row, const pfm_place *place, pfm_error *err)
{
    const reading *r = user;
    curve *into = r->into;
    pfm_place_text where;
    const json_t *x = json_object_get(row, r->of->against), *y = json_object_get(row, r->of->column);
    pfm_status status = PFM_OK;
    into->lines++;
    if (y == NULL || json_is_null(y))
        goto done;
    if (!json_is_number(x) || !json_is_number(y))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: \"%s\" and \"%s\" must be numbers", pfm_place_format(place, where), r->of->against,
                 r->of->column);
    if (!isfinite(json_number_value(y)))
        goto done;
    PFM_TRY(pfm_array_reserve(&into->xy, &into->capacity, into->count + 1, 2 * sizeof *into->xy, err));
    into->xy[2 * into->count] = json_number_value(x);
    into->xy[2 * into->count++ + 1] = json_number_value(y);
done:
    return status;
}

/* A point in place of every `every`: their means. */
static void smooth(curve *c, size_t every)
{
    size_t points = 0;
    for (size_t first = 0; first < c->count; first += every) {
        size_t count = c->count - first < every ? c->count - first : every;
        double x = 0, y = 0;
        for (size_t i = first; i < first + count; i++) {
            x += c->xy[2 * i] / (double)count;
            y += c->xy[2 * i + 1] / (double)count;
        }
        c->xy[2 * points] = x;
        c->xy[2 * points++ + 1] = y;
    }
    c->count = points;
}

static pfm_status read_curve(plot *p, const char *word, pfm_error *err)
{
    pfm_status status = PFM_OK;
    curve *c = &p->curves[p->count++];
    const reading r = {.of = p, .into = c};
    const char *equals = pfm_path_exists(word) ? NULL : strchr(word, '='), *path = equals == NULL ? word : equals + 1;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    PFM_TRY(pfm_string_copy_n(path, length, &c->path, err));
    PFM_TRY(equals == NULL ? pfm_rating_file_name(c->path, &c->name, err)
                           : pfm_string_copy_n(word, (size_t)(equals - word), &c->name, err));
    if (pfm_path_is_folder(c->path)) {
        char *folder = c->path;
        c->path = NULL;
        status = pfm_path_join(folder, "log.jsonl", &c->path, err);
        free(folder);
        PFM_TRY(status);
    }
    PFM_TRY(pfm_rows_read(c->path, take_line, (void *)(uintptr_t)&r, err));
    if (c->count == 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: no line has a number \"%s\"", c->path, p->column);
done:
    return status;
}

/* Runs of one name are told apart by their folders' ends: seed-1 of a/seed-1 and b/seed-1 become a/seed-1 and b/seed-1. */
static pfm_status name_apart(plot *p, const pfm_plot_request *request, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bool twice[MOST_RUNS] = {false};
    for (size_t i = 0; i < p->count; i++) {
        for (size_t j = 0; j < p->count; j++)
            twice[i] |= i != j && strcmp(p->curves[i].name, p->curves[j].name) == 0;
    }
    for (size_t i = 0; i < p->count; i++) {
        if (!twice[i])
            continue;
        char *name = NULL;
        PFM_TRY(pfm_string_copy(request->runs[i], &name, err));
        free(p->curves[i].name);
        p->curves[i].name = name;
    }
done:
    return status;
}

/* ---- drawing ---- */

typedef struct tag {
    size_t curve;
    double y; /* of the curve's end, then of the name */
} tag;

static int compare_tags(const void *a, const void *b)
{
    const tag *x = a, *y = b;
    return x->y != y->y ? (x->y > y->y) - (x->y < y->y) : (x->curve > y->curve) - (x->curve < y->curve);
}

/* Names stand in the order of the curves' ends, pushed apart, all within the area. */
static void place_tags(tag *tags, size_t count)
{
    qsort(tags, count, sizeof *tags, compare_tags);
    for (size_t i = 0; i < count; i++)
        tags[i].y = fmax(tags[i].y, i == 0 ? TOP + 4 : tags[i - 1].y + LINE);
    for (size_t i = count; i-- > 0;)
        tags[i].y = fmin(tags[i].y, BOTTOM - (double)(count - 1 - i) * LINE);
}

static void draw_curve(pfm_canvas *canvas, const plot *p, size_t number, const pfm_axis *x, const pfm_axis *y, double *room)
{
    const curve *c = &p->curves[number];
    pfm_colour colour = pfm_series_colour(number);
    for (size_t i = 0; i < c->count; i++) {
        room[2 * i] = pfm_axis_place(x, c->xy[2 * i]);
        room[2 * i + 1] = pfm_axis_place(y, c->xy[2 * i + 1]);
    }
    pfm_canvas_path(canvas, room, c->count, colour, 1.7, number % 5);
    size_t every = c->count / 6 + 1;
    for (size_t i = (number * every / (p->count + 1)) % every; i < c->count; i += every) /* marks of curves do not meet */
        pfm_canvas_mark(canvas, number, room[2 * i], room[2 * i + 1], 4, colour);
}

static void find_axes(const plot *p, pfm_axis *x, pfm_axis *y)
{
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (size_t c = 0; c < p->count; c++) {
        for (size_t i = 0; i < 2 * p->curves[c].count; i++) {
            low[i % 2] = fmin(low[i % 2], p->curves[c].xy[i]);
            high[i % 2] = fmax(high[i % 2], p->curves[c].xy[i]);
        }
    }
    *x = pfm_axis_create(low[0], high[0], LEFT, p->right);
    *y = pfm_axis_create(low[1], high[1], BOTTOM, TOP);
}

static void draw(pfm_canvas *canvas, const void *user)
{
    const plot *p = user;
    pfm_axis x, y;
    tag tags[MOST_RUNS];
    double room[2 * (POINTS + 1)];
    char text[120];
    find_axes(p, &x, &y);
    (void)snprintf(text, sizeof text, "Learning curves: %.40s by %.20s", p->column, p->against);
    pfm_canvas_text(canvas, LEFT, 26, -1, 16, PFM_INK, text);
    (void)snprintf(text, sizeof text, "a point is the mean of %d lines of the log", p->smooth);
    if (p->smooth > 1)
        pfm_canvas_text(canvas, LEFT, 44, -1, 12, PFM_FAINT, text);
    pfm_axis_draw_x(canvas, &x, TOP, BOTTOM, p->against);
    pfm_axis_draw_y(canvas, &y, LEFT, p->right, p->column);
    pfm_canvas_box(canvas, LEFT, TOP, p->right - LEFT, BOTTOM - TOP, PFM_CLEAR, 0x999999);
    for (size_t c = 0; c < p->count; c++) {
        draw_curve(canvas, p, c, &x, &y, room);
        tags[c] = (tag){.curve = c, .y = pfm_axis_place(&y, p->curves[c].xy[2 * p->curves[c].count - 1])};
    }
    place_tags(tags, p->count);
    for (size_t i = 0; i < p->count; i++) {
        const curve *c = &p->curves[tags[i].curve];
        double end_x = pfm_axis_place(&x, c->xy[2 * c->count - 2]), end_y = pfm_axis_place(&y, c->xy[2 * c->count - 1]);
        pfm_colour colour = pfm_series_colour(tags[i].curve);
        const double sample[] = {p->right + 18, tags[i].y, p->right + 50, tags[i].y};
        if (end_x > p->right - 60) /* to a curve that ends earlier the line would cross all others */
            pfm_canvas_line(canvas, end_x, end_y, p->right + 14, tags[i].y, 0xbbbbbb, 0.8);
        pfm_canvas_path(canvas, sample, 2, colour, 1.7, tags[i].curve % 5);
        pfm_canvas_mark(canvas, tags[i].curve, p->right + 34, tags[i].y, 4, colour);
        pfm_canvas_text_within(canvas, p->right + 56, tags[i].y + 4.5, -1, 12, PFM_INK, WIDTH - p->right - 64, 0, c->name);
    }
}

/* ---- the whole ---- */

static pfm_status check_request(const pfm_plot_request *request, plot *p, pfm_error *err)
{
    static const char *const axes[] = {"step", "epoch", "samples", "tokens", "seconds"};
    bool known = false;
    for (size_t i = 0; i < sizeof axes / sizeof *axes; i++)
        known |= strcmp(p->against, axes[i]) == 0;
    if (!known)
        return pfm_error_set(err, PFM_ERROR_USAGE, "curves are drawn against step, epoch, samples, tokens or seconds, not %s",
                             p->against);
    if (request->run_count == 0 || request->run_count > MOST_RUNS)
        return pfm_error_set(err, PFM_ERROR_USAGE, "1 to %d runs are drawn at once, not %zu", MOST_RUNS, request->run_count);
    if (request->out == NULL || request->smooth < 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "name the figure's file (--out FILE.svg) and smooth over 1 line or more");
    return PFM_OK;
}

static void choose_smoothing(plot *p, int asked)
{
    size_t longest = 0, name = 0;
    for (size_t c = 0; c < p->count; c++) {
        longest = p->curves[c].count > longest ? p->curves[c].count : longest;
        name = strlen(p->curves[c].name) > name ? strlen(p->curves[c].name) : name;
    }
    size_t needed = (longest + POINTS - 1) / POINTS; /* more points than pixels tell nothing */
    size_t every = asked > 0 ? (size_t)asked : longest > 400 ? longest / 100 : needed;
    p->smooth = (int)(every > needed ? every : needed);
    p->right = WIDTH - fmax(110, fmin(270, 70 + 7.6 * (double)name));
    for (size_t c = 0; c < p->count; c++)
        smooth(&p->curves[c], (size_t)p->smooth);
}

static pfm_status describe(const plot *p, const char *out, char **json_out, pfm_error *err)
{
    json_t *list = json_array();
    for (size_t c = 0; c < p->count; c++)
        list =
            pfm_json_add(list, json_pack("{s:s,s:s,s:I,s:f}", "name", p->curves[c].name, "log", p->curves[c].path, "lines",
                                         (json_int_t)p->curves[c].lines, "last", p->curves[c].xy[2 * p->curves[c].count - 1]));
    json_t *document = json_pack("{s:s,s:s,s:s,s:i,s:o}", "out", out, "column", p->column, "against", p->against, "smooth",
                                 p->smooth, "runs", list);
    *json_out = document == NULL ? NULL : json_dumps(document, JSON_INDENT(2));
    json_decref(document);
    return *json_out != NULL ? PFM_OK : pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not describe the figure");
}

pfm_status pfm_plot(const pfm_plot_request *request, char **json_out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    plot p = {.column = request->column == NULL ? "loss" : request->column,
              .against = request->against == NULL ? "step" : request->against};
    PFM_TRY(check_request(request, &p, err));
    for (size_t i = 0; i < request->run_count; i++)
        PFM_TRY(read_curve(&p, request->runs[i], err));
    PFM_TRY(name_apart(&p, request, err));
    choose_smoothing(&p, request->smooth);
    PFM_TRY(pfm_canvas_save(request->out, WIDTH, HEIGHT, draw, &p, err));
    PFM_TRY(describe(&p, request->out, json_out, err));
done:
    for (size_t c = 0; c < p.count; c++) {
        free(p.curves[c].name);
        free(p.curves[c].path);
        free(p.curves[c].xy);
    }
    return status;
}
