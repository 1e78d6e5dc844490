#include "eval/pair_map.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;

static void test_numbers(void **state)
{
    (void)state;
    pfm_pair_map map = {0};
    uint32_t number = 7;
    assert_false(pfm_pair_map_find(&map, 1, 2, &number));
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 1000; i++) {
            assert_ok(pfm_pair_map_add(&map, i / 7, i % 7 + round, &number, &err));
            assert_int_equal(number, i);
        }
        for (uint32_t i = 0; i < 1000; i++) {
            assert_true(pfm_pair_map_find(&map, i / 7, i % 7 + round, &number));
            assert_int_equal(number, i);
            assert_ok(pfm_pair_map_add(&map, i / 7, i % 7 + round, &number, &err));
            assert_int_equal(number, i);
        }
        assert_false(pfm_pair_map_find(&map, 3, 100, &number));
        pfm_pair_map_clear(&map);
        assert_false(pfm_pair_map_find(&map, 0, round, &number));
    }
    map.round = UINT32_MAX; /* the last round: what it leaves must not come back in a later one */
    assert_ok(pfm_pair_map_add(&map, 5, 5, &number, &err));
    pfm_pair_map_clear(&map);
    assert_false(pfm_pair_map_find(&map, 5, 5, &number));
    assert_int_equal(map.count, 0);
    pfm_pair_map_free(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
