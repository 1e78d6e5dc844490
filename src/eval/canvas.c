#include "eval/canvas.h"

#include "base/file.h"
#include "base/try.h"

#include <cairo-svg.h>
#include <cairo.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pfm_canvas {
    cairo_t *cairo;
    double width, height;
};

enum { PNG_SCALE = 2, MOST_PIXELS = 16000 };

/* What fontconfig keeps for the process it links by offsets, which the leak checker of a build with sanitizers does not follow.
 */
#ifdef __SANITIZE_ADDRESS__
const char *__lsan_default_suppressions(void);                                      /* NOLINT: the checker's names */
const char *__lsan_default_options(void);                                           /* NOLINT */
const char *__lsan_default_suppressions(void) { return "leak:libfontconfig.so\n"; } /* NOLINT */
const char *__lsan_default_options(void) { return "print_suppressions=0"; }         /* NOLINT */
#endif

/* ---- files ---- */

static cairo_status_t take_bytes(void *into, const unsigned char *bytes, unsigned int count)
{
    return pfm_buffer_append(into, bytes, count, NULL) == PFM_OK ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_NO_MEMORY;
}

static cairo_status_t draw_on(cairo_surface_t *surface, double scale, double width, double height, pfm_canvas_draw draw,
                              const void *user)
{
    pfm_canvas canvas = {.cairo = cairo_create(surface), .width = width, .height = height};
    cairo_scale(canvas.cairo, scale, scale);
    cairo_select_font_face(canvas.cairo, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    pfm_canvas_box(&canvas, 0, 0, width, height, 0xffffff, PFM_CLEAR);
    draw(&canvas, user);
    cairo_status_t drawn = cairo_status(canvas.cairo);
    cairo_destroy(canvas.cairo);
    return drawn;
}

static cairo_status_t make(bool svg, double width, double height, pfm_canvas_draw draw, const void *user, pfm_buffer *bytes)
{
    cairo_surface_t *surface =
        svg ? cairo_svg_surface_create_for_stream(take_bytes, bytes, width, height)
            : cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)ceil(width * PNG_SCALE), (int)ceil(height * PNG_SCALE));
    cairo_status_t made = cairo_surface_status(surface);
    if (made == CAIRO_STATUS_SUCCESS)
        made = draw_on(surface, svg ? 1 : PNG_SCALE, width, height, draw, user);
    if (made == CAIRO_STATUS_SUCCESS && !svg)
        made = cairo_surface_write_to_png_stream(surface, take_bytes, bytes);
    cairo_surface_finish(surface);
    if (made == CAIRO_STATUS_SUCCESS)
        made = cairo_surface_status(surface);
    cairo_surface_destroy(surface);
    return made;
}

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);
    return a > b && strcmp(text + a - b, end) == 0;
}

pfm_status pfm_canvas_save(const char *path, double width, double height, pfm_canvas_draw draw, const void *user,
                           pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer bytes = {0};
    bool svg = ends_with(path, ".svg");
    if (!svg && !ends_with(path, ".png"))
        PFM_FAIL(PFM_ERROR_USAGE, "a figure is a file .svg or .png, not %s", path);
    if (!(width > 0 && height > 0 && width * PNG_SCALE <= MOST_PIXELS && height * PNG_SCALE <= MOST_PIXELS))
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s would be %.0f by %.0f pixels; draw fewer things at once", path, width, height);
    cairo_status_t made = make(svg, width, height, draw, user, &bytes);
    if (made != CAIRO_STATUS_SUCCESS)
        PFM_FAIL(made == CAIRO_STATUS_NO_MEMORY ? PFM_ERROR_NO_MEMORY : PFM_ERROR_UNSUPPORTED, "could not draw %s: %s", path,
                 cairo_status_to_string(made));
    PFM_TRY(pfm_file_write(path, bytes.data, bytes.size, err));
done:
    pfm_buffer_free(&bytes);
    return status;
}

pfm_status pfm_canvas_save_both(const char *folder, const char *name, double width, double height, pfm_canvas_draw draw,
                                const void *user, pfm_error *err)
{
    static const char *const endings[] = {".svg", ".png"};
    pfm_status status = PFM_OK;
    char *file = NULL, *path = NULL;
    for (size_t i = 0; i < 2; i++) {
        PFM_TRY(pfm_string_format(&file, err, "%s%s", name, endings[i]));
        PFM_TRY(pfm_path_join(folder, file, &path, err));
        PFM_TRY(pfm_canvas_save(path, width, height, draw, user, err));
        free(file);
        free(path);
        file = path = NULL;
    }
done:
    free(file);
    free(path);
    return status;
}

/* ---- colours ---- */

pfm_colour pfm_series_colour(size_t series)
{
    static const pfm_colour colours[] = {0x0072b2, 0xd55e00, 0x009e73, 0xcc79a7, 0xe69f00, 0x56b4e9, 0x000000};
    return colours[series % (sizeof colours / sizeof *colours)];
}

static int channel(pfm_colour colour, int shift) { return (int)(colour >> shift & 0xff); }

pfm_colour pfm_scale_colour(double share)
{
    static const pfm_colour stops[] = {0xf7fbff, 0xc6dbef, 0x6baed6, 0x2171b5, 0x08306b};
    double place = fmax(0, fmin(1, share)) * 4;
    int stop = (int)fmin(3, floor(place));
    pfm_colour mixed = 0;
    for (int shift = 16; shift >= 0; shift -= 8) {
        double from = channel(stops[stop], shift), to = channel(stops[stop + 1], shift);
        mixed |= (pfm_colour)lround(from + (to - from) * (place - stop)) << shift;
    }
    return mixed;
}

pfm_colour pfm_text_colour_on(pfm_colour ground)
{
    double light = 0.299 * channel(ground, 16) + 0.587 * channel(ground, 8) + 0.114 * channel(ground, 0);
    return light < 140 ? 0xffffff : PFM_INK;
}

static void use(cairo_t *cairo, pfm_colour colour, double opacity)
{
    cairo_set_source_rgba(cairo, channel(colour, 16) / 255.0, channel(colour, 8) / 255.0, channel(colour, 0) / 255.0, opacity);
}

/* ---- shapes ---- */

static void set_dash(cairo_t *cairo, size_t dash)
{
    static const double patterns[][4] = {{0, 0, 0, 0}, {7, 3, 7, 3}, {2, 3, 2, 3}, {9, 3, 2, 3}, {14, 4, 14, 4}};
    dash %= sizeof patterns / sizeof *patterns;
    cairo_set_dash(cairo, patterns[dash], dash == 0 ? 0 : 4, 0);
}

void pfm_canvas_line(pfm_canvas *canvas, double x1, double y1, double x2, double y2, pfm_colour colour, double width)
{
    const double xy[] = {x1, y1, x2, y2};
    pfm_canvas_path(canvas, xy, 2, colour, width, 0);
}

void pfm_canvas_path(pfm_canvas *canvas, const double *xy, size_t count, pfm_colour colour, double width, size_t dash)
{
    cairo_new_path(canvas->cairo);
    for (size_t i = 0; i < count; i++)
        cairo_line_to(canvas->cairo, xy[2 * i], xy[2 * i + 1]);
    use(canvas->cairo, colour, 1);
    cairo_set_line_width(canvas->cairo, width);
    cairo_set_line_join(canvas->cairo, CAIRO_LINE_JOIN_ROUND);
    set_dash(canvas->cairo, dash);
    cairo_stroke(canvas->cairo);
    set_dash(canvas->cairo, 0);
}

void pfm_canvas_box(pfm_canvas *canvas, double x, double y, double width, double height, pfm_colour fill, pfm_colour stroke)
{
    cairo_new_path(canvas->cairo);
    cairo_rectangle(canvas->cairo, x, y, width, height);
    if (fill != PFM_CLEAR) {
        use(canvas->cairo, fill, 1);
        cairo_fill_preserve(canvas->cairo);
    }
    if (stroke != PFM_CLEAR) {
        use(canvas->cairo, stroke, 1);
        cairo_set_line_width(canvas->cairo, 1);
        cairo_stroke_preserve(canvas->cairo);
    }
    cairo_new_path(canvas->cairo);
}

void pfm_canvas_hatch(pfm_canvas *canvas, double x, double y, double width, double height, pfm_colour colour)
{
    enum { APART = 6 };
    cairo_save(canvas->cairo);
    cairo_rectangle(canvas->cairo, x, y, width, height);
    cairo_clip(canvas->cairo);
    for (int i = 0; i * APART < width + height; i++) {
        const double begin = x - height + i * APART;
        pfm_canvas_line(canvas, begin, y + height, begin + height, y, colour, 1.2);
    }
    cairo_restore(canvas->cairo);
}

void pfm_canvas_mark(pfm_canvas *canvas, size_t series, double x, double y, double radius, pfm_colour colour)
{
    static const double corners[][8] = {{0},
                                        {-.9, -.9, .9, -.9, .9, .9, -.9, .9},
                                        {0, -1.2, 1.1, .8, -1.1, .8, 0, -1.2},
                                        {0, -1.25, 1.25, 0, 0, 1.25, -1.25, 0}};
    size_t shape = series % 4;
    cairo_new_path(canvas->cairo);
    if (shape == 0) {
        cairo_arc(canvas->cairo, x, y, radius, 0, 2 * M_PI);
    } else {
        for (size_t i = 0; i < 4; i++)
            cairo_line_to(canvas->cairo, x + radius * corners[shape][2 * i], y + radius * corners[shape][2 * i + 1]);
        cairo_close_path(canvas->cairo);
    }
    use(canvas->cairo, series % 8 < 4 ? colour : 0xffffff, 1);
    cairo_fill_preserve(canvas->cairo);
    use(canvas->cairo, series % 8 < 4 ? 0xffffff : colour, 1);
    cairo_set_line_width(canvas->cairo, series % 8 < 4 ? 0.8 : 1.6);
    cairo_stroke(canvas->cairo);
}

void pfm_canvas_disc(pfm_canvas *canvas, double x, double y, double radius, pfm_colour colour, double opacity)
{
    cairo_new_path(canvas->cairo);
    cairo_arc(canvas->cairo, x, y, radius, 0, 2 * M_PI);
    use(canvas->cairo, colour, opacity);
    cairo_fill(canvas->cairo);
}

/* ---- text ---- */

double pfm_canvas_text_width(pfm_canvas *canvas, double size, const char *text)
{
    cairo_text_extents_t extents;
    cairo_set_font_size(canvas->cairo, size);
    cairo_text_extents(canvas->cairo, text, &extents);
    return extents.x_advance;
}

void pfm_canvas_text_turned(pfm_canvas *canvas, double x, double y, int align, double size, pfm_colour colour, double degrees,
                            const char *text)
{
    double width = pfm_canvas_text_width(canvas, size, text);
    cairo_save(canvas->cairo);
    cairo_translate(canvas->cairo, x, y);
    cairo_rotate(canvas->cairo, -degrees * M_PI / 180);
    use(canvas->cairo, colour, 1);
    cairo_new_path(canvas->cairo);
    cairo_move_to(canvas->cairo, align < 0 ? 0 : align == 0 ? -width / 2 : -width, 0);
    cairo_show_text(canvas->cairo, text);
    cairo_restore(canvas->cairo);
    cairo_new_path(canvas->cairo);
}

void pfm_canvas_text(pfm_canvas *canvas, double x, double y, int align, double size, pfm_colour colour, const char *text)
{
    pfm_canvas_text_turned(canvas, x, y, align, size, colour, 0, text);
}

static size_t begin_of_letter(const char *text, size_t place)
{
    while (place > 0 && ((unsigned char)text[place] & 0xc0) == 0x80)
        place--;
    return place;
}

/* What tells names apart often stands at their ends: both stay. */
void pfm_canvas_text_within(pfm_canvas *canvas, double x, double y, int align, double size, pfm_colour colour, double width,
                            double degrees, const char *text)
{
    char cut[256];
    size_t length = strlen(text), kept = length < 200 ? length : 200;
    if (length <= 200 && pfm_canvas_text_width(canvas, size, text) <= width) {
        pfm_canvas_text_turned(canvas, x, y, align, size, colour, degrees, text);
        return;
    }
    do {
        kept--;
        size_t head = begin_of_letter(text, kept - kept / 2), tail = begin_of_letter(text, length - kept / 2);
        (void)snprintf(cut, sizeof cut, "%.*s\xe2\x80\xa6%s", (int)head, text, text + tail);
    } while (kept > 2 && pfm_canvas_text_width(canvas, size, cut) > width);
    pfm_canvas_text_turned(canvas, x, y, align, size, colour, degrees, cut);
}

/* ---- axes ---- */

double pfm_axis_place(const pfm_axis *axis, double value)
{
    return axis->from + (value - axis->low) / (axis->high - axis->low) * (axis->to - axis->from);
}

pfm_axis pfm_axis_create(double low, double high, double from, double to)
{
    double span = high - low, margin = span > 0 ? span * 0.05 : fabs(low) > 0 ? fabs(low) * 0.1 : 1;
    return (pfm_axis){.low = low - margin, .high = high + margin, .from = from, .to = to};
}

double pfm_axis_step(const pfm_axis *axis, double wanted, int *decimals)
{
    double rough = (axis->high - axis->low) / wanted, power = pow(10, floor(log10(rough))), times = rough / power;
    double step = power * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
    *decimals = step >= 1 ? 0 : (int)ceil(-log10(step) - 1e-9);
    return step;
}

/* 1500000 as 1.5M: long numbers run into each other. */
static void format_number(double value, double step, int decimals, char out[40])
{
    static const struct {
        double size;
        const char *name;
    } units[] = {{1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
    for (size_t i = 0; i < 3; i++) {
        if (fabs(value) >= 1e4 && fabs(value) >= units[i].size && step >= units[i].size / 100) {
            (void)snprintf(out, 40, "%.4g%s", value / units[i].size, units[i].name);
            return;
        }
    }
    if (decimals > 6)
        (void)snprintf(out, 40, "%.3g", value);
    else
        (void)snprintf(out, 40, "%.*f", decimals, fabs(value) < step / 1e6 ? 0 : value);
}

/* Across an area: begin and end are what the grid's lines go between, y: the axis stands upright. */
static void draw_axis(pfm_canvas *canvas, const pfm_axis *axis, bool y, double begin, double end)
{
    int decimals = 0;
    const double step = pfm_axis_step(axis, fmax(2, fabs(axis->to - axis->from) / (y ? 60 : 80)), &decimals);
    const int64_t first = (int64_t)ceil(axis->low / step), last = (int64_t)floor(axis->high / step);
    char text[40];
    for (int64_t i = first; i <= last; i++) { /* the multiples of the step that the axis holds */
        const double value = (double)i * step, at = pfm_axis_place(axis, value);
        format_number(value, step, decimals, text);
        pfm_canvas_line(canvas, y ? begin : at, y ? at : begin, y ? end : at, y ? at : end, PFM_GRID, 1);
        pfm_canvas_text(canvas, y ? begin - 8 : at, y ? at + 4.5 : end + 18, y ? 1 : 0, 12, PFM_INK, text);
    }
}

void pfm_axis_draw_x(pfm_canvas *canvas, const pfm_axis *axis, double top, double bottom, const char *name)
{
    draw_axis(canvas, axis, false, top, bottom);
    pfm_canvas_text_within(canvas, (axis->from + axis->to) / 2, bottom + 40, 0, 13, PFM_INK, axis->to - axis->from + 60, 0,
                           name);
}

void pfm_axis_draw_y(pfm_canvas *canvas, const pfm_axis *axis, double left, double right, const char *name)
{
    draw_axis(canvas, axis, true, left, right);
    pfm_canvas_text_within(canvas, left - 58, (axis->from + axis->to) / 2, 0, 13, PFM_INK, axis->from - axis->to + 40, 90,
                           name);
}
