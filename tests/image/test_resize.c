#include "golden.h"

/* Every golden file as it is and at every size, against Pillow. */
static void test_the_bytes_are_pillows(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    int count = 0;
    const golden_result *results = golden_results(&count);
    pfm_image own = {0}, resized;
    for (int i = 0; i < count; i++) {
        const golden_result *r = &results[i];
        if (i == 0 || strcmp(r->file, results[i - 1].file) != 0) {
            pfm_image_free(&own);
            assert_ok(pfm_image_load(golden_path(r->file), &own, &err));
            assert_golden(&own, r);
        }
        assert_ok(pfm_image_resize_bicubic(&own, r->width, r->height, &resized, &err));
        assert_golden(&resized, r);
        pfm_image_free(&resized);
    }
    pfm_image_free(&own);
    assert_true(count > 300);
}

static void test_a_flat_picture_stays_flat(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const int sizes[][2] = {{1, 1}, {7, 3}, {3, 200}, {200, 3}, {64, 64}};
    pfm_image flat, out;
    assert_ok(pfm_image_create(41, 67, "flat", &flat, &err));
    memset(flat.rgb, 255, 41 * 67 * 3);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_ok(pfm_image_resize_bicubic(&flat, sizes[i][0], sizes[i][1], &out, &err));
        for (int j = 0; j < out.width * out.height * 3; j++)
            assert_int_equal(out.rgb[j], 255);
        pfm_image_free(&out);
    }
    pfm_image_free(&flat);
}

static void test_sizes_that_cannot_be(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_image in, out;
    assert_ok(pfm_image_create(2, 2, "small", &in, &err));
    assert_error(pfm_image_resize_bicubic(&in, 0, 5, &out, &err), PFM_ERROR_USAGE, "0 x 5");
    assert_error(pfm_image_resize_bicubic(&in, 5, -5, &out, &err), PFM_ERROR_USAGE, "5 x -5");
    assert_error(pfm_image_resize_bicubic(&in, 100000, 100000, &out, &err), PFM_ERROR_USAGE, "100000 x 100000");
    assert_null(out.rgb);
    pfm_image_free(&in);
}

/* Extremes of shape: no overflow (the sanitizers watch), and white stays white. */
static void test_long_strips(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const int sizes[][4] = {{100000, 1, 3, 1}, {1, 100000, 1, 3}, {100000, 2, 2, 5}, {2, 100000, 5, 2}, {2, 2, 1000, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        pfm_image in, out;
        assert_ok(pfm_image_create(sizes[i][0], sizes[i][1], "strip", &in, &err));
        memset(in.rgb, 255, (size_t)in.width * (size_t)in.height * 3);
        assert_ok(pfm_image_resize_bicubic(&in, sizes[i][2], sizes[i][3], &out, &err));
        assert_int_equal(out.rgb[0], 255);
        assert_int_equal(out.rgb[(size_t)out.width * (size_t)out.height * 3 - 1], 255);
        pfm_image_free(&in);
        pfm_image_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_bytes_are_pillows),
                                       cmocka_unit_test(test_a_flat_picture_stays_flat),
                                       cmocka_unit_test(test_sizes_that_cannot_be), cmocka_unit_test(test_long_strips)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
