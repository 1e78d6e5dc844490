#include "base/chance.h"
#include "test.h"

static void digits_and_never_twice(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const size_t lengths[] = {8, 24, 32, 48, 64};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char first[65], second[65];
        assert_ok(pfm_chance_draw(first, lengths[i], &err));
        assert_ok(pfm_chance_draw(second, lengths[i], &err));
        assert_int_equal(strlen(first), lengths[i]);
        assert_int_equal(strspn(first, "0123456789abcdef"), lengths[i]);
        assert_int_equal(strlen(second), lengths[i]);
        if (lengths[i] >= 24) /* of fewer two may be equal once in a while */
            assert_string_not_equal(first, second);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(digits_and_never_twice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
