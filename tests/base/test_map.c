#include "base/map.h"
#include "test.h"

static void test_many_keys(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    enum { COUNT = 5000 };
    static char keys[COUNT][16];
    pfm_map map = {0};
    int64_t value = 0;
    assert_false(pfm_map_get(&map, "x", 1, &value));
    for (int i = 0; i < COUNT; i++) {
        int length = snprintf(keys[i], sizeof keys[i], "key%d", i);
        assert_ok(pfm_map_set(&map, keys[i], (size_t)length, i, &err));
    }
    assert_ok(pfm_map_set(&map, "key7", 4, -7, &err));
    assert_int_equal(map.count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        assert_true(pfm_map_get(&map, keys[i], strlen(keys[i]), &value));
        assert_int_equal(value, i == 7 ? -7 : i);
    }
    assert_false(pfm_map_get(&map, "key", 3, NULL));
    assert_ok(pfm_map_set(&map, "", 0, 1, &err)); /* the empty string is a key */
    assert_true(pfm_map_get(&map, "", 0, &value));
    pfm_map_free(&map);
}

/* The published values of FNV-1a. */
static void a_name_has_a_number(void **state)
{
    (void)state;
    assert_true(pfm_name_number("", 0) == 0xcbf29ce484222325u);
    assert_true(pfm_name_number("a", 1) == 0xaf63dc4c8601ec8cu);
    assert_true(pfm_name_number("foobar", 6) == 0x85944171f73967e8u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_many_keys), cmocka_unit_test(a_name_has_a_number)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
