#include "base/random.h"
#include "test.h"

/* The known answers of the Random123 distribution (kat_vectors, philox4x32 10). */
static void test_philox_known_answers(void **state)
{
    (void)state;
    uint32_t zero[4] = {0}, ones[4] = {~0u, ~0u, ~0u, ~0u}, out[4];
    pfm_philox(0, zero, out);
    const uint32_t wanted_zero[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    assert_memory_equal(out, wanted_zero, sizeof out);
    pfm_philox(~(uint64_t)0, ones, out);
    const uint32_t wanted_ones[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    assert_memory_equal(out, wanted_ones, sizeof out);
}

static void test_streams(void **state)
{
    (void)state;
    pfm_random a = pfm_random_start(42, 1), b = pfm_random_start(42, 1), c = pfm_random_start(42, 2);
    int same = 0;
    double sum = 0, squares = 0;
    for (int i = 0; i < 10000; i++) {
        uint32_t x = pfm_random_u32(&a);
        assert_int_equal(x, pfm_random_u32(&b));
        same += x == pfm_random_u32(&c);
        double n = pfm_random_normal(&a);
        (void)pfm_random_normal(&b);
        sum += n;
        squares += n * n;
        assert_true(pfm_random_below(&a, 7) < 7);
        (void)pfm_random_below(&b, 7);
    }
    assert_true(same < 3);
    assert_true(sum / 10000 > -0.05 && sum / 10000 < 0.05);
    assert_true(squares / 10000 > 0.95 && squares / 10000 < 1.05);
}

static void test_a_shuffle_is_a_permutation(void **state)
{
    (void)state;
    size_t items[100];
    bool seen[100] = {false};
    for (size_t i = 0; i < 100; i++)
        items[i] = i;
    pfm_random random = pfm_random_start(1, 1);
    pfm_random_shuffle(&random, items, 100);
    size_t fixed = 0;
    for (size_t i = 0; i < 100; i++) {
        fixed += items[i] == i;
        assert_false(seen[items[i]]);
        seen[items[i]] = true;
    }
    assert_true(fixed < 10);
}

/* The C++ standard's: the 10000th number of its default seed. */
static void test_mt19937_known_answer(void **state)
{
    (void)state;
    pfm_mersenne mersenne;
    uint32_t last = 0;
    pfm_mersenne_start(&mersenne, 5489);
    for (int i = 0; i < 10000; i++)
        last = pfm_mersenne_u32(&mersenne);
    assert_int_equal(last, 4123659995u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_philox_known_answers), cmocka_unit_test(test_streams),
                                       cmocka_unit_test(test_a_shuffle_is_a_permutation),
                                       cmocka_unit_test(test_mt19937_known_answer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
