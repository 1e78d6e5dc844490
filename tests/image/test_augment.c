/* Changed pictures: the same bytes everywhere, within what the header promises. */
#include "base/hash.h"
#include "pefomed/image.h"
#include "test.h"

#include <math.h>

enum { WIDTH = 97, HEIGHT = 64, VARIANTS = 200 };

/* Grey 60 with a bright square of 8 pixels a side around (x, y). */
static pfm_image square_at(int x, int y)
{
    pfm_image image = {.width = WIDTH, .height = HEIGHT, .rgb = malloc(WIDTH * HEIGHT * 3)};
    assert_non_null(image.rgb);
    memset(image.rgb, 60, WIDTH * HEIGHT * 3);
    for (int row = y - 4; row < y + 4; row++)
        memset(image.rgb + ((size_t)row * WIDTH + (size_t)x - 4) * 3, 200, 24);
    return image;
}

/* The middle of what is bright. */
static void find_square(const pfm_image *image, double *x, double *y)
{
    double weight = 0;
    *x = *y = 0;
    for (int row = 0; row < HEIGHT; row++)
        for (int column = 0; column < WIDTH; column++) {
            double value = image->rgb[((size_t)row * WIDTH + (size_t)column) * 3];
            double bright = value > 128 ? value : 0;
            weight += bright;
            *x += bright * column;
            *y += bright * row;
        }
    assert_true(weight > 0);
    *x /= weight;
    *y /= weight;
}

static void a_change_is_small_and_never_a_mirror(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_image left = square_at(24, 32);
    double x, y, most_x = 0, most_y = 0;
    uint8_t darkest = 255, brightest = 0;
    find_square(&left, &x, &y);
    for (uint32_t variant = 1; variant <= VARIANTS; variant++) {
        pfm_image out = {0};
        double moved_x, moved_y;
        assert_ok(pfm_image_augment(&left, variant, "left", &out, &err));
        assert_true(out.width == WIDTH && out.height == HEIGHT);
        find_square(&out, &moved_x, &moved_y);
        most_x = fmax(most_x, fabs(moved_x - x));
        most_y = fmax(most_y, fabs(moved_y - y));
        darkest = out.rgb[0] < darkest ? out.rgb[0] : darkest;
        brightest = out.rgb[0] > brightest ? out.rgb[0] : brightest;
        pfm_image_free(&out);
    }
    assert_true(most_x > 4 && most_x < 0.05 * WIDTH * 1.12 + 0.1 * 24 + 2); /* moved by 5%, scaled by a tenth of the way */
    assert_true(most_y > 4 && most_y < 0.05 * HEIGHT * 1.12 + 24 * sin(8 * 0.0174533) * 1.12 + 2);
    assert_true(darkest < 55 && darkest >= 60 * 0.85 * 0.8 && brightest > 65 && brightest <= 60 * 1.15 * 1.3);
    pfm_image_free(&left);
}

static void the_bytes_are_for_ever(void **state)
{
    (void)state;
    static const char *const wanted[] = {"3e3e894a823ed6797f7795dd27d2b725b6e1d19ffc961782e629863f8e2fedac",
                                         "660213f74a73c5446d86e87de939c0f18e0f48b375d1e68b164d504f44898b56",
                                         "0c703aec38b52e447ea3a1118aec7fa5f1835c44ada3943262d9fc0e9e90877b"};
    pfm_error err = PFM_ERROR_INIT;
    pfm_image image = square_at(40, 20);
    for (uint32_t variant = 1; variant <= 3; variant++) {
        pfm_image out = {0}, again = {0};
        pfm_hash_hex hash;
        assert_ok(pfm_image_augment(&image, variant, "image", &out, &err));
        assert_ok(pfm_image_augment(&image, variant, "image", &again, &err));
        assert_memory_equal(out.rgb, again.rgb, WIDTH * HEIGHT * 3);
        assert_ok(pfm_hash_bytes(out.rgb, WIDTH * HEIGHT * 3, hash, &err));
        assert_string_equal(hash, wanted[variant - 1]);
        pfm_image_free(&out);
        pfm_image_free(&again);
    }
    pfm_image_free(&image);
}

static void the_smallest_pictures(void **state)
{
    (void)state;
    static const int sizes[][2] = {{1, 1}, {2, 1}, {1, 3}, {2, 2}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (uint32_t variant = 1; variant < 20; variant++) {
            pfm_error err = PFM_ERROR_INIT;
            const size_t bytes = (size_t)(sizes[i][0] * sizes[i][1] * 3);
            pfm_image image = {.width = sizes[i][0], .height = sizes[i][1], .rgb = malloc(bytes)}, out = {0};
            assert_non_null(image.rgb);
            memset(image.rgb, 100, bytes);
            assert_ok(pfm_image_augment(&image, variant, "small", &out, &err));
            for (size_t b = 0; b < bytes; b++)
                assert_true(out.rgb[b] >= 84 && out.rgb[b] <= 116); /* nothing but the light changes */
            pfm_image_free(&image);
            pfm_image_free(&out);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_change_is_small_and_never_a_mirror),
                                       cmocka_unit_test(the_bytes_are_for_ever), cmocka_unit_test(the_smallest_pictures)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
