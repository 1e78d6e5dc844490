/* Values for a window of one's own, and PNG in memory. */
#include "image/image.h"
#include "image/window.h"

#include "base/file.h"
#include "test.h"

static void read_golden(const char *name, pfm_buffer *out)
{
    pfm_error err = PFM_ERROR_INIT;
    *out = (pfm_buffer){0};
    assert_ok(pfm_file_read(test_path(PFM_SOURCE_DIR "/tests/image/golden/dicom", name), 0, out, &err));
}

/* Through the window that was applied, values are the picture that the file itself gives. */
static void test_values_are_those_of_the_picture(void **state)
{
    (void)state;
    static const char *const names[] = {"signed12.dcm", "linear.dcm",       "sigmoid.dcm",
                                        "inverted.dcm", "modality_lut.dcm", "jpegls.dcm"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_buffer bytes;
        pfm_image image;
        pfm_image_applied applied, again;
        pfm_image_values values;
        const pfm_image_file file = {.path = names[i]};
        read_golden(names[i], &bytes);
        assert_ok(pfm_image_decode_file(bytes.data, bytes.size, &file, NULL, &image, &applied, &err));
        assert_ok(pfm_image_decode_values(bytes.data, bytes.size, &file, &values, &again, &err));
        assert_non_null(values.data);
        assert_int_equal(values.width, image.width);
        assert_int_equal(values.height, image.height);
        pfm_window window = {.center = applied.center, .width = applied.width};
        assert_true(pfm_window_find_function(applied.function, &window.function));
        for (size_t p = 0; p < (size_t)image.width * (size_t)image.height; p++) {
            const double share = pfm_window_apply(&window, values.data[p]);
            const int grey = (int)((values.inverted ? 1 - share : share) * 255 + 0.5);
            assert_true(abs(grey - image.rgb[3 * p]) <= (applied.has_modality_lut ? 1 : 0));
        }
        pfm_image_values_free(&values);
        pfm_image_free(&image);
        pfm_buffer_free(&bytes);
    }
}

static void test_a_finished_picture_has_none(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer bytes;
    pfm_image_values values;
    pfm_image_applied applied;
    const pfm_image_file file = {.path = "rgb.dcm"}, missing = {.path = "rgb.dcm", .frame = 7};
    read_golden("rgb.dcm", &bytes);
    assert_ok(pfm_image_decode_values(bytes.data, bytes.size, &file, &values, &applied, &err));
    assert_null(values.data);
    assert_false(applied.has_values);
    assert_int_not_equal(pfm_image_decode_values(bytes.data, bytes.size, &missing, &values, &applied, &err), PFM_OK);
    assert_null(values.data);
    pfm_buffer_free(&bytes);
}

static void test_png_in_memory(void **state)
{
    (void)state;
    enum { WIDE = 37, HIGH = 21 };
    for (int grey = 0; grey < 2; grey++) {
        pfm_error err = PFM_ERROR_INIT;
        uint8_t rgb[WIDE * HIGH * 3];
        pfm_buffer png = {0};
        pfm_image back;
        for (size_t i = 0; i < sizeof rgb; i++)
            rgb[i] = (uint8_t)((grey ? i / 3 : i) * 31 % 251);
        assert_ok(pfm_image_append_png(&(pfm_image){WIDE, HIGH, rgb}, "it", &png, &err));
        assert_int_equal(png.data[25], grey ? 0 : 2); /* the colour type */
        assert_ok(pfm_image_decode(png.data, png.size, "it", &back, &err));
        assert_int_equal(back.width, WIDE);
        assert_memory_equal(back.rgb, rgb, sizeof rgb);
        pfm_image_free(&back);
        pfm_buffer_free(&png);
    }
}

static void test_presets(void **state)
{
    (void)state;
    double center, width;
    size_t count = 0;
    for (const char *name; (name = pfm_window_preset(count, &center, &width)) != NULL; count++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_window window;
        assert_ok(pfm_window_parse(name, &window, &err));
        assert_true(window.choice == PFM_WINDOW_NAMED && window.center == center && window.width == width);
    }
    assert_int_equal(count, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values_are_those_of_the_picture),
                                       cmocka_unit_test(test_a_finished_picture_has_none), cmocka_unit_test(test_png_in_memory),
                                       cmocka_unit_test(test_presets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
