#include "golden.h"

static void test_damaged_files(void **state)
{
    (void)state;
    check_damage(".jpg", false);
}

static void test_grey_written_and_read_again(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    enum { WIDTH = 75, HEIGHT = 50 };
    static uint8_t grey[HEIGHT * WIDTH];
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        grey[i] = (uint8_t)(40 + 2 * (i % WIDTH) + i / WIDTH / 2);
    const char *path = test_path(test_scratch_folder(), "grey.jpg");
    pfm_image image;
    pfm_hash_hex first, second;
    assert_ok(pfm_image_write_grey_jpeg(grey, WIDTH, HEIGHT, 95, path, &err));
    assert_ok(pfm_hash_file(path, first, &err));
    assert_ok(pfm_image_load(path, &image, &err));
    assert_int_equal(image.width, WIDTH);
    assert_int_equal(image.height, HEIGHT);
    for (int i = 0; i < WIDTH * HEIGHT; i++) {
        assert_true(abs(image.rgb[3 * i] - grey[i]) <= 4);
        assert_true(image.rgb[3 * i] == image.rgb[3 * i + 1] && image.rgb[3 * i] == image.rgb[3 * i + 2]);
    }
    pfm_image_free(&image);
    assert_ok(pfm_image_write_grey_jpeg(grey, WIDTH, HEIGHT, 95, path, &err));
    assert_ok(pfm_hash_file(path, second, &err));
    assert_string_equal(first, second);
    assert_error(pfm_image_write_grey_jpeg(grey, WIDTH, HEIGHT, 101, path, &err), PFM_ERROR_USAGE, "quality 101");
    assert_error(pfm_image_write_grey_jpeg(grey, 70000, HEIGHT, 90, path, &err), PFM_ERROR_USAGE, "70000 x 50");
    assert_error(pfm_image_write_grey_jpeg(grey, WIDTH, HEIGHT, 90, "/proc/x.jpg", &err), PFM_ERROR_IO, "/proc/x.jpg");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_damaged_files),
                                       cmocka_unit_test(test_grey_written_and_read_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
