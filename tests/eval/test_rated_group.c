#include "base/json.h"
#include "base/random.h"
#include "eval/rated_group.h"
#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;

static void measure(const double *const *columns, size_t raters, size_t items, const uint32_t *counts, double *values)
{
    pfm_rated_group group = {0};
    assert_ok(pfm_rated_group_create(columns, raters, items, &group, &err));
    void *scratch = calloc(1, pfm_rated_group_scratch(&group));
    uint32_t *once = calloc(items + 1, sizeof *once);
    for (size_t i = 0; i < items; i++)
        once[i] = 1;
    pfm_rated_group_measure(&group, counts == NULL ? once : counts, scratch, values);
    free(scratch);
    free(once);
    pfm_rated_group_free(&group);
}

static void check(const char *name, const char *key, const json_t *want, double value)
{
    assert_non_null(want);
    if (json_is_null(want) ? !isnan(value) : !(fabs(value - json_number_value(want)) <= 1e-9))
        fail_msg("%s: %s is %.17g, not %.17g", name, key, value, json_is_null(want) ? NAN : json_number_value(want));
}

/* What krippendorff and statsmodels say, script/vectors/eval_agreement.py. */
static void test_golden(void **state)
{
    (void)state;
    json_t *cases = NULL, *one = NULL;
    size_t c = 0;
    assert_ok(pfm_json_load(PFM_SOURCE_DIR "/tests/eval/golden/agreement.json", &cases, &err));
    json_array_foreach(cases, c, one)
    {
        const json_t *scores = json_object_get(one, "scores");
        const char *name = json_string_value(json_object_get(one, "name"));
        size_t raters = json_array_size(scores), items = json_array_size(json_array_get(scores, 0));
        const double *columns[16];
        double *numbers = calloc(raters * items, sizeof *numbers), values[PFM_GROUP_VALUES];
        for (size_t r = 0; r < raters; r++) {
            columns[r] = numbers + r * items;
            for (size_t i = 0; i < items; i++) {
                const json_t *score = json_array_get(json_array_get(scores, r), i);
                numbers[r * items + i] = json_is_null(score) ? NAN : json_number_value(score);
            }
        }
        measure(columns, raters, items, NULL, values);
        for (size_t l = 0; l < PFM_LEVEL_COUNT; l++)
            check(name, pfm_rated_level_names[l],
                  json_object_get(json_object_get(one, "krippendorff"), pfm_rated_level_names[l]), values[l]);
        check(name, "fleiss", json_object_get(one, "fleiss"), values[PFM_GROUP_FLEISS]);
        free(numbers);
    }
    assert_int_equal(c, 17);
    json_decref(cases);
}

/* An item that counts thrice is three items. */
static void test_counts(void **state)
{
    (void)state;
    enum { ITEMS = 30, RATERS = 3, MOST = 3 * ITEMS };
    static double once[RATERS][ITEMS], many[RATERS][MOST];
    const double *columns[RATERS], *repeated[RATERS];
    uint32_t counts[ITEMS];
    double a[PFM_GROUP_VALUES], b[PFM_GROUP_VALUES];
    pfm_random random = pfm_random_start(9, 0);
    size_t n = 0;
    for (size_t i = 0; i < ITEMS; i++) {
        counts[i] = (uint32_t)pfm_random_below(&random, 4);
        for (size_t r = 0; r < RATERS; r++) {
            once[r][i] = pfm_random_below(&random, 5) == 0 ? NAN : (double)pfm_random_below(&random, 5);
            for (uint32_t k = 0; k < counts[i]; k++)
                many[r][n + k] = once[r][i];
        }
        n += counts[i];
    }
    for (size_t r = 0; r < RATERS; r++) {
        columns[r] = once[r];
        repeated[r] = many[r];
    }
    measure(columns, RATERS, ITEMS, counts, a);
    measure(repeated, RATERS, n, NULL, b);
    for (size_t v = 0; v < PFM_GROUP_VALUES; v++)
        assert_true(fabs(a[v] - b[v]) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
