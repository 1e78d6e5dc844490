#include "base/file.h"
#include "eval/canvas.h"
#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;

static void draw(pfm_canvas *canvas, const void *user)
{
    const pfm_axis x = pfm_axis_create(0, 10, 60, 280), y = pfm_axis_create(-1, 1, 160, 20);
    (void)user;
    pfm_axis_draw_x(canvas, &x, 20, 160, "x");
    pfm_axis_draw_y(canvas, &y, 60, 280, "y");
    for (size_t i = 0; i < 8; i++)
        pfm_canvas_mark(canvas, i, 80 + 20.0 * (double)i, 90, 5, pfm_series_colour(i));
    assert_true(pfm_canvas_text_width(canvas, 12, "wwww") > 2 * pfm_canvas_text_width(canvas, 12, "w"));
}

/* The same calls give both files, each of its kind; no file where nothing can be drawn. */
static void test_files(void **state)
{
    (void)state;
    const char *folder = test_scratch_folder();
    pfm_buffer svg = {0}, png = {0};
    assert_ok(pfm_canvas_save_both(folder, "f", 300, 200, draw, NULL, &err));
    assert_ok(pfm_file_read(test_path(folder, "f.svg"), 0, &svg, &err));
    assert_ok(pfm_file_read(test_path(folder, "f.png"), 0, &png, &err));
    assert_non_null(strstr(svg.data, "<svg"));
    assert_non_null(strstr(svg.data, "</svg>"));
    assert_memory_equal(png.data, "\x89PNG\r\n\x1a\n", 8);
    assert_memory_equal(png.data + 16, "\0\0\x02\x58\0\0\x01\x90", 8); /* 600 by 400 */
    assert_true(png.size > 2000);
    pfm_buffer_free(&svg);
    pfm_buffer_free(&png);
    assert_error(pfm_canvas_save(test_path(folder, "f.pdf"), 300, 200, draw, NULL, &err), PFM_ERROR_USAGE, ".svg or .png");
    assert_error(pfm_canvas_save(test_path(folder, "g.png"), 300, 1e6, draw, NULL, &err), PFM_ERROR_UNSUPPORTED,
                 "fewer things");
    assert_false(pfm_path_exists(test_path(folder, "g.png")));
}

static double grey(pfm_colour c) { return 0.299 * (c >> 16 & 255) + 0.587 * (c >> 8 & 255) + 0.114 * (c & 255); }

/* The scale of the heat map gets darker all the way, so that it can be printed; text on it can be read. */
static void test_colours(void **state)
{
    (void)state;
    for (int i = 1; i <= 100; i++)
        assert_true(grey(pfm_scale_colour(i / 100.0)) < grey(pfm_scale_colour((i - 1) / 100.0)));
    for (int i = 0; i <= 100; i++)
        assert_true(fabs(grey(pfm_scale_colour(i / 100.0)) - grey(pfm_text_colour_on(pfm_scale_colour(i / 100.0)))) > 90);
    for (size_t i = 0; i < 7; i++) {
        for (size_t j = 0; j < i; j++)
            assert_true(pfm_series_colour(i) != pfm_series_colour(j));
    }
    assert_true(pfm_scale_colour(-1) == pfm_scale_colour(0) && pfm_scale_colour(2) == pfm_scale_colour(1));
}

static void test_axes(void **state)
{
    (void)state;
    int decimals = -1;
    pfm_axis axis = pfm_axis_create(0, 100, 0, 500);
    assert_true(pfm_axis_step(&axis, 5, &decimals) == 50 && decimals == 0);
    axis = pfm_axis_create(0.2, 0.25, 0, 500);
    assert_true(fabs(pfm_axis_step(&axis, 5, &decimals) - 0.02) < 1e-12 && decimals == 2);
    axis = pfm_axis_create(3, 3, 0, 500); /* one value */
    assert_true(axis.low < 3 && axis.high > 3 && pfm_axis_place(&axis, 3) == 250);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_files), cmocka_unit_test(test_colours),
                                       cmocka_unit_test(test_axes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
