#include "golden.h"

/* Every fit and filter, against Pillow and torch doing what the published processors do. */
static void test_the_bytes_are_the_processors(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char file[64], fit[16], filter[16];
    golden_result wanted;
    int size, count = 0;
    FILE *list = fopen(golden_path("image_fits.txt"), "r");
    assert_non_null(list);
    while (fscanf(list, "%63s %15s %15s %d %64s", file, fit, filter, &size, wanted.hash) == 5) {
        pfm_image own, out;
        const pfm_image_fit how = {.fit = fit, .filter = filter, .fill = {10, 100, 200}};
        assert_ok(pfm_image_load(golden_path(file), &own, &err));
        assert_ok(pfm_image_fit_square(&own, &how, size, &out, &err));
        (void)snprintf(wanted.file, sizeof wanted.file, "%.20s %s %s", file, fit, filter);
        wanted.width = wanted.height = size;
        assert_golden(&out, &wanted);
        pfm_image_free(&own);
        pfm_image_free(&out);
        count++;
    }
    (void)fclose(list);
    assert_int_equal(count, 420);
}

/* The middle of a picture whose whole would not fit into memory. */
static void test_crops_of_long_strips(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_image strip, out;
    assert_ok(pfm_image_create(1, 500000, "strip", &strip, &err));
    memset(strip.rgb, 200, 1500000);
    assert_ok(pfm_image_fit_square(&strip, &(pfm_image_fit){.fit = "crop"}, 448, &out, &err));
    assert_int_equal(out.rgb[448 * 448 * 3 - 1], 200);
    pfm_image_free(&out);
    assert_error(pfm_image_fit_square(&strip, &(pfm_image_fit){.fit = "pad"}, 448, &out, &err), PFM_ERROR_FORMAT,
                 "padded picture");
    assert_null(out.rgb);
    assert_error(pfm_image_fit_square(&strip, &(pfm_image_fit){0}, 0, &out, &err), PFM_ERROR_USAGE, "0 x 0");
    pfm_image_free(&strip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_bytes_are_the_processors),
                                       cmocka_unit_test(test_crops_of_long_strips)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
