/* Which pictures look alike. */
#include "data/near.h"

#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 200 };

/* Some bright shapes on black, as a scan has them; `shape` makes different ones. `gain` brightens, `border` pixels are cut off
 * each side, `size` is that of the result. */
static pfm_near make(int shape, double gain, double border, int size)
{
    pfm_image image = {.width = size, .height = size, .rgb = malloc((size_t)size * (size_t)size * 3)};
    pfm_near near;
    assert_non_null(image.rgb);
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++) {
            const double u = (border + (x + 0.5) * (SIDE - 2 * border) / size) / SIDE;
            const double v = (border + (y + 0.5) * (SIDE - 2 * border) / size) / SIDE;
            double grey = 0;
            for (int i = 0; i < 9; i++) {
                const double a = 0.2 + 0.6 * fmod(0.37 * (i + 1) * (shape + 1), 1),
                             b = 0.2 + 0.6 * fmod(0.61 * (i + 2) * (shape + 2), 1);
                const double far = hypot(u - a, (v - b) * (1 + i % 3)), radius = 0.05 + 0.02 * (i % 4);
                grey += far < radius ? 30 + 25 * (i % 5) : 0;
            }
            grey = fmin(grey * gain, 255);
            memset(image.rgb + 3 * ((size_t)y * (size_t)size + (size_t)x), (int)grey, 3);
        }
    pfm_near_of_image(&image, &near);
    pfm_image_free(&image);
    return near;
}

static bool is_near(const pfm_near *a, const pfm_near *b)
{
    return pfm_near_may_be(a, b) && pfm_near_likeness(a, b) >= PFM_NEAR_LEAST;
}

static void test_copies(void **state)
{
    (void)state;
    const struct {
        double gain, border;
        int size;
    } copies[] = {{1, 0, 200}, {1, 0, 97}, {1, 0, 401}, {0.7, 0, 200}, {1.2, 0, 150}, {1, 3, 200}};
    for (int shape = 0; shape < 10; shape++) {
        const pfm_near own = make(shape, 1, 0, 200);
        for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) {
            const pfm_near copy = make(shape, copies[i].gain, copies[i].border, copies[i].size);
            if (!is_near(&own, &copy))
                fail_msg("copy %zu of picture %d is not found: %f", i, shape, pfm_near_likeness(&own, &copy));
        }
    }
}

static void test_others(void **state)
{
    (void)state;
    for (int a = 0; a < 10; a++)
        for (int b = a + 1; b < 10; b++) {
            const pfm_near one = make(a, 1, 0, 200), other = make(b, 1, 0, 200);
            if (is_near(&one, &other))
                fail_msg("pictures %d and %d are no copies: %f", a, b, pfm_near_likeness(&one, &other));
        }
}

/* What shows nothing is like nothing; one pixel is a picture too. */
static void test_flat(void **state)
{
    (void)state;
    const pfm_near black = make(0, 0, 0, 200), again = make(1, 0, 0, 1);
    assert_true(black.flat && again.flat);
    assert_false(pfm_near_may_be(&black, &again));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_flat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
