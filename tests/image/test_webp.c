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

/* On a larger canvas the first picture lies where the file says, and what it does not cover is black. */
static void test_a_picture_beside_the_canvas_corner(void **state)
{
    (void)state;
    enum { CANVAS = 24, FRAME = 52, X = 2, Y = 4 }; /* where the file has the canvas' sides and the first picture's place */
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer file = {0};
    pfm_image own, moved;
    assert_ok(pfm_file_read(golden_path("webp_moving.webp"), 1 << 20, &file, &err));
    assert_ok(pfm_image_decode(file.data, file.size, "own", &own, &err));
    assert_memory_equal(file.data + FRAME - 8, "ANMF", 4);
    file.data[CANVAS] = 39;     /* 40 wide */
    file.data[CANVAS + 3] = 29; /* 30 high */
    file.data[FRAME] = X / 2;
    file.data[FRAME + 3] = Y / 2;
    assert_ok(pfm_image_decode(file.data, file.size, "moved", &moved, &err));
    assert_int_equal(moved.width, 40);
    assert_int_equal(moved.height, 30);
    for (int y = 0; y < moved.height; y++)
        for (int x = 0; x < moved.width; x++) {
            const bool inside = x >= X && x < X + own.width && y >= Y && y < Y + own.height;
            const uint8_t black[3] = {0},
                          *wanted = inside ? own.rgb + 3 * ((size_t)(y - Y) * (size_t)own.width + (size_t)(x - X)) : black;
            assert_memory_equal(moved.rgb + 3 * ((size_t)y * (size_t)moved.width + (size_t)x), wanted, 3);
        }
    pfm_image_free(&own);
    pfm_image_free(&moved);
    pfm_buffer_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_damaged_files), cmocka_unit_test(test_animations),
                                       cmocka_unit_test(test_a_picture_beside_the_canvas_corner)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
