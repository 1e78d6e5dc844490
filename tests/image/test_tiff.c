#include "golden.h"

static void test_damaged_files(void **state)
{
    (void)state;
    check_damage(".tif", true);
}

static void test_pages(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_image first, second;
    pfm_image_applied applied;
    const char *path = golden_path("tiff_pages.tif");
    assert_ok(pfm_image_convert(path, &(pfm_image_options){0}, &first, &applied, &err));
    assert_ok(pfm_image_convert(path, &(pfm_image_options){.frame = 1}, &second, &applied, &err));
    assert_int_equal(applied.frames, 3);
    assert_int_equal(applied.frame, 1);
    for (size_t i = 0; i < (size_t)first.width * (size_t)first.height * 3; i++)
        assert_int_equal(first.rgb[i] + second.rgb[i], 255);
    pfm_image_free(&first);
    pfm_image_free(&second);
    assert_error(pfm_image_convert(path, &(pfm_image_options){.frame = 3}, &first, &applied, &err), PFM_ERROR_USAGE,
                 "has 3 pages (they count from 0); there is no frame 3");
    assert_error(pfm_image_convert(path, &(pfm_image_options){.window = "40,400"}, &first, &applied, &err), PFM_ERROR_USAGE,
                 "finished picture");
}

static void test_values_and_windows(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_image image;
    pfm_image_applied applied;
    static const char *const files[] = {"tiff_grey16.tif", "grey16.png"};
    for (size_t i = 0; i < 2; i++) {
        const char *path = golden_path(files[i]);
        assert_ok(pfm_image_convert(path, &(pfm_image_options){0}, &image, &applied, &err));
        assert_string_equal(applied.window, "percentile");
        pfm_image_free(&image);
        assert_ok(pfm_image_convert(path, &(pfm_image_options){.window = "-5,10"}, &image, &applied, &err));
        assert_int_equal(image.rgb[0], 255); /* all values lie above */
        pfm_image_free(&image);
        assert_error(pfm_image_convert(path, &(pfm_image_options){.window = "lung"}, &image, &applied, &err), PFM_ERROR_USAGE,
                     "Hounsfield");
        assert_error(pfm_image_convert(path, &(pfm_image_options){.window = "file:0"}, &image, &applied, &err), PFM_ERROR_USAGE,
                     "no window of its own");
        assert_error(pfm_image_convert(path, &(pfm_image_options){.window = "lut"}, &image, &applied, &err), PFM_ERROR_USAGE,
                     "only DICOM");
    }
}

/* The entry of a tag below 0x0200 in the first directory of a file that begins with "MM" and has it. */
static unsigned char *find_entry(const pfm_buffer *file, unsigned tag)
{
    unsigned char *bytes = (unsigned char *)file->data, *entry = bytes + (bytes[6] << 8 | bytes[7]) + 2;
    while ((unsigned)(entry[0] << 8 | entry[1]) != tag)
        entry += 12;
    return entry;
}

/* More values than are read, by the directory alone. */
static void test_too_many_values(void **state)
{
    (void)state;
    static const char sides[] =
        "\x01\0\0\4\0\0\0\1\0\0\x20\0\1\1\0\4\0\0\0\1\0\0\x20"; /* ImageWidth, ImageLength: LONG, 8192 */
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer file = {0};
    assert_ok(pfm_file_read(golden_path("tiff_grey16.tif"), 0, &file, &err));
    memcpy(find_entry(&file, 0x0100), sides, sizeof sides);
    assert_refused(file.data, file.size, "many.tif", "33554432");
    pfm_buffer_free(&file);
}

/* Where the file says that low is light, values become the other way round. */
static void test_white_is_low(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer file = {0};
    pfm_image plain, turned;
    assert_ok(pfm_file_read(golden_path("tiff_grey16.tif"), 1 << 20, &file, &err));
    assert_ok(pfm_image_decode(file.data, file.size, "plain", &plain, &err));
    unsigned char *photometric = find_entry(&file, 0x0106);
    assert_int_equal(photometric[9], 1); /* BlackIsZero */
    photometric[9] = 0;
    assert_ok(pfm_image_decode(file.data, file.size, "turned", &turned, &err));
    for (size_t i = 0; i < (size_t)plain.width * (size_t)plain.height * 3; i++)
        assert_in_range(plain.rgb[i] + turned.rgb[i], 254, 256); /* each is rounded by itself */
    pfm_image_free(&plain);
    pfm_image_free(&turned);
    pfm_buffer_free(&file);
}

/* The first directory's next one is itself. */
static void test_pages_in_a_circle(void **state)
{
    (void)state;
    unsigned char circle[] = "II*\0\10\0\0\0\1\0\0\1\3\0\1\0\0\0\5\0\0\0\10\0\0\0....";
    assert_refused(circle, sizeof circle - 1, "circle.tif", "run in a circle");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_damaged_files),     cmocka_unit_test(test_pages),
                                       cmocka_unit_test(test_too_many_values),   cmocka_unit_test(test_values_and_windows),
                                       cmocka_unit_test(test_pages_in_a_circle), cmocka_unit_test(test_white_is_low)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
