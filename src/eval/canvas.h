/* Drawing of figures: lines, boxes, marks and text, in pixels from the upper left corner, as SVG and as PNG from the same calls
 * (cairo draws). A canvas that failed draws nothing more; pfm_canvas_save tells. */
#ifndef PFM_EVAL_CANVAS_H
#define PFM_EVAL_CANVAS_H

#include "base/memory.h"

#include <stdbool.h>

typedef struct pfm_canvas pfm_canvas;

typedef unsigned int pfm_colour; /* 0xRRGGBB */
#define PFM_CLEAR 0xff000000u    /* draws nothing */
#define PFM_INK 0x222222u
#define PFM_FAINT 0x666666u
#define PFM_GRID 0xdcdcdcu

/* Draws a figure of width x height. */
typedef void (*pfm_canvas_draw)(pfm_canvas *canvas, const void *user);

/* Writes path, SVG or PNG (twice the pixels) by its ending, the whole file or nothing. USAGE for another ending. */
pfm_status pfm_canvas_save(const char *path, double width, double height, pfm_canvas_draw draw, const void *user,
                           pfm_error *err) PFM_MUST_CHECK;
/* Writes folder/name.svg and folder/name.png. */
pfm_status pfm_canvas_save_both(const char *folder, const char *name, double width, double height, pfm_canvas_draw draw,
                                const void *user, pfm_error *err) PFM_MUST_CHECK;

/* Colours that the colour-blind tell apart (Okabe and Ito, Color Universal Design, 2008; without its yellow, which paper
 * loses). Series repeat them with other marks and dashes. */
pfm_colour pfm_series_colour(size_t series);
/* From white (0) to dark blue (1), ever darker, so that it reads in grey (ColorBrewer's Blues: Harrower and Brewer, 2003). */
pfm_colour pfm_scale_colour(double share);
/* White or ink, whichever reads on this ground. */
pfm_colour pfm_text_colour_on(pfm_colour ground);

void pfm_canvas_line(pfm_canvas *canvas, double x1, double y1, double x2, double y2, pfm_colour colour, double width);
/* dash: 0 solid, further numbers other patterns. xy [count, 2] */
void pfm_canvas_path(pfm_canvas *canvas, const double *xy, size_t count, pfm_colour colour, double width, size_t dash);
void pfm_canvas_box(pfm_canvas *canvas, double x, double y, double width, double height, pfm_colour fill, pfm_colour stroke);
/* Lines from lower left to upper right over a box, so that it differs without colour. */
void pfm_canvas_hatch(pfm_canvas *canvas, double x, double y, double width, double height, pfm_colour colour);
/* A mark of a series: circle, square, triangle, diamond, and these hollow. */
void pfm_canvas_mark(pfm_canvas *canvas, size_t series, double x, double y, double radius, pfm_colour colour);
void pfm_canvas_disc(pfm_canvas *canvas, double x, double y, double radius, pfm_colour colour, double opacity);

/* Text at a baseline; align -1 begins at x, 0 is centred, 1 ends there. */
void pfm_canvas_text(pfm_canvas *canvas, double x, double y, int align, double size, pfm_colour colour, const char *text);
/* The same, turned so that it reads upwards (degrees against the clock). */
void pfm_canvas_text_turned(pfm_canvas *canvas, double x, double y, int align, double size, pfm_colour colour, double degrees,
                            const char *text);
/* The same, cut in the middle with an ellipsis where it is wider than `width`. */
void pfm_canvas_text_within(pfm_canvas *canvas, double x, double y, int align, double size, pfm_colour colour, double width,
                            double degrees, const char *text);
double pfm_canvas_text_width(pfm_canvas *canvas, double size, const char *text);

/* ---- axes ---- */

typedef struct pfm_axis {
    double low, high; /* of values */
    double from, to;  /* pixels */
} pfm_axis;
double pfm_axis_place(const pfm_axis *axis, double value);
/* Low and high a little beyond the values, never equal. */
pfm_axis pfm_axis_create(double low, double high, double from, double to);
/* 1, 2 or 5 times a power of ten, so that about `wanted` fit; *decimals = what their texts need. */
double pfm_axis_step(const pfm_axis *axis, double wanted, int *decimals);
/* Grid lines and numbers below (x) or left of (y) an area, and the axis' name. */
void pfm_axis_draw_x(pfm_canvas *canvas, const pfm_axis *axis, double top, double bottom, const char *name);
void pfm_axis_draw_y(pfm_canvas *canvas, const pfm_axis *axis, double left, double right, const char *name);

#endif
