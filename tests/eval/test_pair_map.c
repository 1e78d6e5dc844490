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
    pfm_pair_map_free(&map);
}

/* Behind the last round the first comes again: what it finds must not be what was never there. */
static void test_last_round(void **state)
{
    (void)state;
    pfm_pair_map map = {0};
    uint32_t number = 7;
    assert_ok(pfm_pair_map_add(&map, 1, 1, &number, &err));
    map.round = UINT32_MAX;
    pfm_pair_map_clear(&map);
    assert_ok(pfm_pair_map_add(&map, 7, 7, &number, &err));
    assert_int_equal(number, 0);
    assert_false(pfm_pair_map_find(&map, 0, 0, &number) || pfm_pair_map_find(&map, 1, 1, &number));
    pfm_pair_map_free(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers), cmocka_unit_test(test_last_round)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
