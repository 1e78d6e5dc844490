#include "golden.h"

static void test_damaged_files(void **state)
{
    (void)state;
    check_damage(".webp", true);
}

static void test_animations(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_image image;
    pfm_image_applied applied;
    const char *path = golden_path("webp_moving.webp");
    assert_ok(pfm_image_convert(path, &(pfm_image_options){0}, &image, &applied, &err));
    assert_string_equal(applied.kind, "WebP");
    assert_int_equal(applied.frames, 1);
    pfm_image_free(&image);
    assert_error(pfm_image_convert(path, &(pfm_image_options){.frame = 1}, &image, &applied, &err), PFM_ERROR_USAGE,
                 "no frame 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_damaged_files), cmocka_unit_test(test_animations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
