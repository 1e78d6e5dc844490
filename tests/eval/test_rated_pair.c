#include "base/json.h"
#include "base/random.h"
#include "eval/rated_pair.h"
#include "eval/resample.h"
#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;

static double *take(const json_t *list, size_t count)
{
    double *out = calloc(count + 1, sizeof *out);
    assert_non_null(out);
    for (size_t i = 0; i < count; i++)
        out[i] = json_is_null(json_array_get(list, i)) ? NAN : json_number_value(json_array_get(list, i));
    return out;
}

static void measure(const double *a, const double *b, size_t items, const double *levels, size_t level_count,
                    const uint32_t *counts, double *values)
{
    pfm_rated_pair pair = {0};
    assert_ok(pfm_rated_pair_create(a, b, items, levels, level_count, &pair, &err));
    void *scratch = calloc(1, pfm_rated_pair_scratch(&pair));
    uint32_t *once = calloc(items + 1, sizeof *once);
    for (size_t i = 0; i < items; i++)
        once[i] = 1;
    pfm_rated_pair_measure(&pair, counts == NULL ? once : counts, scratch, values);
    free(scratch);
    free(once);
    pfm_rated_pair_free(&pair);
}

static void check(const char *name, const json_t *want, const char *key, double value)
{
    const json_t *figure = json_object_get(want, key);
    assert_non_null(figure);
    if (json_is_null(figure) ? !isnan(value) : !(fabs(value - json_number_value(figure)) <= 1e-9))
        fail_msg("%s: %s is %.17g, not %.17g", name, key, value, json_is_null(figure) ? NAN : json_number_value(figure));
}

/* What scikit-learn and scipy say, script/vectors/eval_agreement.py. */
static void test_golden(void **state)
{
    (void)state;
    json_t *cases = NULL;
    size_t c = 0, pairs = 0;
    json_t *one = NULL;
    assert_ok(pfm_json_load(PFM_SOURCE_DIR "/tests/eval/golden/agreement.json", &cases, &err));
    json_array_foreach(cases, c, one)
    {
        const json_t *scores = json_object_get(one, "scores"), *levels = json_object_get(one, "levels");
        size_t raters = json_array_size(scores), items = json_array_size(json_array_get(scores, 0)), at = 0;
        double *scale = json_is_array(levels) ? take(levels, json_array_size(levels)) : NULL;
        for (size_t a = 0; a < raters; a++) {
            for (size_t b = a + 1; b < raters; b++, at++) {
                double *x = take(json_array_get(scores, a), items), *y = take(json_array_get(scores, b), items), values[16];
                const json_t *want = json_array_get(json_object_get(one, "pairs"), at);
                measure(x, y, items, scale, json_array_size(levels), NULL, values);
                for (size_t m = 0; pfm_rated_measures[m] != NULL; m++)
                    check(json_string_value(json_object_get(one, "name")), want, pfm_rated_measures[m]->name, values[m]);
                pairs++;
                free(x);
                free(y);
            }
        }
        free(scale);
    }
    assert_true(pairs > 80);
    json_decref(cases);
}

/* An item that counts thrice is three items. */
static void test_counts(void **state)
{
    (void)state;
    enum { ITEMS = 40 };
    double a[ITEMS], b[ITEMS], many_a[3 * ITEMS], many_b[3 * ITEMS], counted[16], repeated[16];
    const double levels[] = {0, 1, 2, 3, 4};
    uint32_t counts[ITEMS];
    for (uint64_t seed = 0; seed < 30; seed++) {
        pfm_random random = pfm_random_start(seed, 1);
        size_t n = 0;
        for (size_t i = 0; i < ITEMS; i++) {
            a[i] = pfm_random_below(&random, 10) == 0 ? NAN : (double)pfm_random_below(&random, 5);
            b[i] = seed % 2 == 0 || isnan(a[i]) ? (double)pfm_random_below(&random, 5) : a[i];
            counts[i] = (uint32_t)pfm_random_below(&random, 4);
            for (uint32_t k = 0; k < counts[i]; k++, n++) {
                many_a[n] = a[i];
                many_b[n] = b[i];
            }
        }
        measure(a, b, ITEMS, levels, 5, counts, counted);
        measure(many_a, many_b, n, levels, 5, NULL, repeated);
        for (size_t m = 0; m < pfm_rated_measure_count(); m++)
            assert_true(isnan(counted[m]) ? isnan(repeated[m]) : fabs(counted[m] - repeated[m]) < 1e-12);
    }
}

/* Whose scores come first changes nothing. */
static void test_symmetry(void **state)
{
    (void)state;
    const double a[] = {0, 1, 2, 2, 4, NAN, 1}, b[] = {1, 1, 3, 2, NAN, 2, 0};
    double one[16], other[16];
    measure(a, b, 7, NULL, 0, NULL, one);
    measure(b, a, 7, NULL, 0, NULL, other);
    for (size_t m = 0; m < pfm_rated_measure_count(); m++)
        assert_true(fabs(one[m] - other[m]) < 1e-15);
}

typedef struct normal_mean {
    const double *numbers;
    size_t count;
} normal_mean;

static void compute_mean(const void *user, const uint32_t *counts, void *scratch, double *values)
{
    (void)scratch;
    const normal_mean *of = user;
    double sum = 0, n = 0;
    for (size_t i = 0; i < of->count; i++) {
        sum += counts[i] * of->numbers[i];
        n += counts[i];
    }
    values[0] = sum / n;
    values[1] = NAN;
}

/* The interval of a mean is its standard error's, whatever the number of threads; of what is undefined there is none. */
static void test_intervals(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    double numbers[COUNT], value[2], low[2], high[2], again_low[2], again_high[2], sum = 0, squares = 0;
    pfm_random random = pfm_random_start(3, 0);
    for (size_t i = 0; i < COUNT; i++) {
        numbers[i] = pfm_random_normal(&random);
        sum += numbers[i];
        squares += numbers[i] * numbers[i];
    }
    const normal_mean user = {numbers, COUNT};
    pfm_resampled_figures figures = {
        .compute = compute_mean, .user = &user, .values = 2, .value = value, .low = low, .high = high};
    pfm_resample_options options = {.items = COUNT, .samples = 1000, .seed = 42};
    assert_ok(pfm_resample_run(&figures, 1, &options, &err));
    double error = sqrt((squares / COUNT - sum / COUNT * sum / COUNT) / COUNT);
    assert_true(fabs(value[0] - sum / COUNT) < 1e-12 && isnan(value[1]) && isnan(low[1]));
    assert_true(fabs((high[0] - low[0]) / (2 * 1.96 * error) - 1) < 0.1);
    assert_true(low[0] < value[0] && value[0] < high[0]);
    assert_ok(pfm_threads_create(3, &options.threads, &err));
    figures.low = again_low;
    figures.high = again_high;
    assert_ok(pfm_resample_run(&figures, 1, &options, &err));
    assert_true(low[0] == again_low[0] && high[0] == again_high[0]);
    pfm_threads_free(options.threads);
    options = (pfm_resample_options){.items = 0, .samples = 1000};
    assert_error(pfm_resample_run(&figures, 1, &options, &err), PFM_ERROR_USAGE, "intervals need between 1");
    const volatile int stop = 1;
    options = (pfm_resample_options){.items = COUNT, .samples = 10, .interrupt = &stop};
    assert_error(pfm_resample_run(&figures, 1, &options, &err), PFM_ERROR_INTERRUPTED, "stopped");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_counts),
                                       cmocka_unit_test(test_symmetry), cmocka_unit_test(test_intervals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
