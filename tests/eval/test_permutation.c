#include "eval/permutation.h"
#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;

enum { UNITS = 10 };

static void first_and_undefined(const void *user, const double *sums, double *values)
{
    (void)user;
    values[0] = sums[0];
    values[1] = sums[1] > 100 ? 1 : NAN;
}

static double p_of(const double *units, size_t count, pfm_threads *threads, double *undefined)
{
    double middle[2] = {0}, p[2];
    const pfm_permutation plan = {.middle = middle,
                                  .units = units,
                                  .count = count,
                                  .columns = 2,
                                  .values = 2,
                                  .statistics = first_and_undefined,
                                  .seed = 42,
                                  .threads = threads};
    assert_ok(pfm_permutation_run(&plan, p, &err));
    *undefined = p[1];
    return p[0];
}

/* Of ten differences all possible exchanges can be counted. */
static void test_exact(void **state)
{
    (void)state;
    static const double gaps[UNITS] = {0.3, -0.1, 0.25, 0.4, 0.05, -0.2, 0.35, 0.1, 0.15, 0.22};
    double units[UNITS * 2] = {0}, observed = 0, undefined = 0;
    size_t as_large = 0;
    for (int i = 0; i < UNITS; i++) {
        units[2 * i] = gaps[i];
        observed += gaps[i];
    }
    for (unsigned signs = 0; signs < 1u << UNITS; signs++) {
        double sum = 0;
        for (int i = 0; i < UNITS; i++)
            sum += signs >> i & 1 ? -gaps[i] : gaps[i];
        as_large += fabs(sum) >= observed - 1e-12;
    }
    double exact = (double)as_large / (1 << UNITS), p = p_of(units, UNITS, NULL, &undefined);
    assert_true(exact > 0.005 && exact < 0.1);
    assert_true(fabs(p - exact) < 4 * sqrt(exact / PFM_PERMUTATION_TRIALS));
    assert_true(isnan(undefined));
    pfm_threads *threads = NULL;
    assert_ok(pfm_threads_create(3, &threads, &err));
    assert_true(p_of(units, UNITS, threads, &undefined) == p);
    pfm_threads_free(threads);
}

/* Systems that are equal everywhere: every exchange is as large. One image: half of them at least. */
static void test_edges(void **state)
{
    (void)state;
    double zeros[UNITS * 2] = {0}, one[2] = {0.5, 0}, undefined = 0;
    assert_true(p_of(zeros, UNITS, NULL, &undefined) == 1);
    assert_true(p_of(one, 1, NULL, &undefined) == 1);
    double many[400];
    for (int i = 0; i < 200; i++) {
        many[2 * i] = 1;
        many[2 * i + 1] = 0;
    }
    assert_true(fabs(p_of(many, 200, NULL, &undefined) - 1.0 / (PFM_PERMUTATION_TRIALS + 1)) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exact), cmocka_unit_test(test_edges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
