#include "golden.h"
#include "image/orientation.h"

/* That the pixels are upright the golden files show; here what is said of it, and that it is one with the bytes. */
static void test_what_is_told(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const kinds[] = {"turned8.jpg", "turned8.png", "turned8.webp", "turned8.tif"};
    for (size_t i = 0; i < 4; i++) {
        pfm_image image;
        pfm_image_applied applied;
        pfm_buffer bytes = {0};
        char *json = NULL;
        assert_ok(pfm_image_load_shown(golden_path(kinds[i]), NULL, &image, &applied, &err));
        assert_int_equal(applied.orientation, 8);
        assert_int_equal(image.width, 7);
        assert_ok(pfm_image_applied_json(&applied, &json, &err));
        assert_non_null(strstr(json, "\"orientation\":8"));
        assert_ok(pfm_file_read(golden_path(kinds[i]), 0, &bytes, &err));
        assert_int_equal(pfm_image_orientation(bytes.data, bytes.size), i < 3 ? 8 : 1); /* TIFF's is its pages' own affair */
        free(json);
        pfm_buffer_free(&bytes);
        pfm_image_free(&image);
    }
}

static void test_exif_that_says_nothing(void **state)
{
    (void)state;
    unsigned char good[] = "MM\0*\0\0\0\10\0\2\1\0\0\3\0\0\0\1\0\1\0\0\1\x12\0\3\0\0\0\1\0\6\0\0";
    const size_t size = sizeof good - 1;
    assert_int_equal(pfm_orientation_of_exif(good, size), 6);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(pfm_orientation_of_exif(good, cut), 1);
    good[31] = 9;
    assert_int_equal(pfm_orientation_of_exif(good, size), 1);
    good[31] = 0;
    assert_int_equal(pfm_orientation_of_exif(good, size), 1);
    good[31] = 3;
    good[29] = 2; /* two numbers */
    assert_int_equal(pfm_orientation_of_exif(good, size), 1);
    good[29] = 1;
    good[4] = 0xFF; /* the directory lies beyond the end */
    assert_int_equal(pfm_orientation_of_exif(good, size), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_told), cmocka_unit_test(test_exif_that_says_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
