#include "base/random.h"
#include "eval/bootstrap.h"
#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;

static void test_percentile(void **state)
{
    (void)state;
    double numbers[] = {1, 2, 4, 8};
    assert_true(pfm_percentile(numbers, 4, 0) == 1);
    assert_true(pfm_percentile(numbers, 4, 100) == 8);
    assert_true(pfm_percentile(numbers, 4, 50) == 3);
    assert_true(fabs(pfm_percentile(numbers, 4, 97.5) - 7.7) < 1e-12); /* numpy.percentile */
    assert_true(pfm_percentile(numbers, 1, 97.5) == 1);
    assert_true(isnan(pfm_percentile(numbers, 0, 50)));
}

/* The mean of column 0, and a ratio that is undefined where column 1 sums to nothing. */
static void mean_and_ratio(const void *user, const double *sums, double *values)
{
    values[0] = sums[0] / *(const double *)user;
    values[1] = sums[1] > 0 ? sums[0] / sums[1] : NAN;
}

enum { UNITS = 400 };

static pfm_bootstrap make_plan(const double *units, const double *count)
{
    return (pfm_bootstrap){.units = units,
                           .count = UNITS,
                           .columns = 2,
                           .values = 2,
                           .statistics = mean_and_ratio,
                           .user = count,
                           .samples = PFM_BOOTSTRAP_SAMPLES,
                           .seed = 42};
}

static void test_interval_of_a_mean(void **state)
{
    (void)state;
    static double units[UNITS * 2];
    double sum = 0, squares = 0, count = UNITS, low[2], high[2];
    pfm_random random = pfm_random_start(3, 0);
    for (int i = 0; i < UNITS; i++) {
        units[2 * i] = pfm_random_normal(&random);
        sum += units[2 * i];
        squares += units[2 * i] * units[2 * i];
    }
    pfm_bootstrap plan = make_plan(units, &count);
    assert_ok(pfm_bootstrap_run(&plan, low, high, &err));
    double mean = sum / UNITS, error = sqrt((squares / UNITS - mean * mean) / UNITS);
    assert_true(fabs(low[0] - (mean - 1.96 * error)) <
                0.25 * error); /* the normal interval, within the noise of 1,000 samples */
    assert_true(fabs(high[0] - (mean + 1.96 * error)) < 0.25 * error);
    assert_true(isnan(low[1]) && isnan(high[1]));
}

static void test_few_kinds_and_threads(void **state)
{
    (void)state;
    static double units[UNITS * 2];
    double count = UNITS, low[2], high[2], low_again[2], high_again[2];
    for (int i = 0; i < UNITS; i++) {
        units[2 * i] = i % 5 == 0;
        units[2 * i + 1] = i == 7; /* in about a third of the samples nobody draws this one */
    }
    pfm_bootstrap plan = make_plan(units, &count);
    assert_ok(pfm_bootstrap_run(&plan, low, high, &err));
    double error = sqrt(0.2 * 0.8 / UNITS);
    assert_true(fabs(low[0] - (0.2 - 1.96 * error)) < 0.25 * error);
    assert_true(fabs(high[0] - (0.2 + 1.96 * error)) < 0.25 * error);
    assert_true(low[1] >= 12 && high[1] <= 120); /* defined where drawn at least once */
    assert_ok(pfm_threads_create(3, &plan.threads, &err));
    assert_ok(pfm_bootstrap_run(&plan, low_again, high_again, &err));
    assert_memory_equal(low, low_again, sizeof low);
    assert_memory_equal(high, high_again, sizeof high);
    pfm_threads_free(plan.threads);
    plan.threads = NULL;
    plan.seed = 43;
    assert_ok(pfm_bootstrap_run(&plan, low_again, high_again, &err));
    assert_memory_not_equal(low, low_again, sizeof low);
}

static void test_edges(void **state)
{
    (void)state;
    double units[2] = {3, 4}, count = 1, low[2], high[2];
    pfm_bootstrap plan = make_plan(units, &count);
    plan.count = 1;
    assert_ok(pfm_bootstrap_run(&plan, low, high, &err));
    assert_true(low[0] == 3 && high[0] == 3 && low[1] == 0.75);
    plan.count = 0;
    assert_error(pfm_bootstrap_run(&plan, low, high, &err), PFM_ERROR_USAGE, "units");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_percentile), cmocka_unit_test(test_interval_of_a_mean),
                                       cmocka_unit_test(test_few_kinds_and_threads), cmocka_unit_test(test_edges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
