/* Resized positions against torch (script/vectors/vit.py). */
#include "test.h"

#include "models/vision/vit_positions.h"
#include "models/vit_fixture.h"

#include <math.h>

static void positions_as_torch(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    FILE *file = fopen(test_path(vit_golden, "vit_positions.txt"), "r");
    assert_non_null(file);
    int from, grid, antialias, lines = 0;
    while (fscanf(file, "%d %d %d", &from, &grid, &antialias) == 3) {
        float old[64], out[64];
        for (int i = 0; i < from * from; i++)
            old[i] = (float)sin(i);
        assert_ok(pfm_vit_resize_positions(old, from, grid, 1, antialias != 0, out, &err));
        for (int i = 0; i < grid * grid; i++) {
            float wanted;
            assert_int_equal(fscanf(file, "%f", &wanted), 1);
            assert_float_equal(out[i], wanted, 2e-6);
        }
        lines++;
    }
    fclose(file);
    assert_int_equal(lines, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(positions_as_torch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
