/* A study with known noise: 100 reports, three raters, two judges. */
#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "pefomed/agree.h"
#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;
static pfm_context *context;
enum { REPORTS = 100, RATERS = 3, JUDGES = 2, REPEATS = 4 };

/* A rater says the truth plus noise; both are normal, so that two raters of the variances a and b correlate by
 * 1 / sqrt((1 + a) (1 + b)), and alpha of equal raters is 1 / (1 + a). */
static const double rater_noise = 0.5, judge_noise[JUDGES] = {0.3, 2.0}, judge_bias = 0.4;

static void write_study(uint64_t seed)
{
    pfm_buffer ratings = {0}, verdicts[JUDGES] = {{0}};
    pfm_random random = pfm_random_start(seed, 0);
    for (int i = 0; i < REPORTS; i++) {
        double truth = pfm_random_normal(&random);
        for (int r = 0; r < RATERS; r++)
            assert_ok(pfm_buffer_append_format(&ratings, &err, "{\"item\":\"%d\",\"rater\":\"r%d\",\"score\":%.17g}\n", i, r,
                                               truth + sqrt(rater_noise) * pfm_random_normal(&random)));
        for (int j = 0; j < JUDGES; j++) {
            double bias = judge_bias + truth + sqrt(judge_noise[j]) * pfm_random_normal(&random);
            for (int k = 0; k < REPEATS; k++)
                assert_ok(pfm_buffer_append_format(&verdicts[j], &err,
                                                   "{\"id\":\"%d\",\"repeat\":%d,\"score\":%.17g,\"status\":\"ok\"}\n", i, k,
                                                   bias + 0.1 * pfm_random_normal(&random)));
        }
    }
    const char *folder = test_scratch_folder();
    assert_ok(pfm_file_write(test_path(folder, "ratings.jsonl"), ratings.data, ratings.size, &err));
    assert_ok(pfm_file_write(test_path(folder, "good.verdicts.jsonl"), verdicts[0].data, verdicts[0].size, &err));
    assert_ok(pfm_file_write(test_path(folder, "poor.verdicts.jsonl"), verdicts[1].data, verdicts[1].size, &err));
    pfm_buffer_free(&ratings);
    pfm_buffer_free(&verdicts[0]);
    pfm_buffer_free(&verdicts[1]);
}

static json_t *run_study(double offset, double scale)
{
    char paths[3][400], *text = NULL;
    static const char *const names[] = {"ratings.jsonl", "good.verdicts.jsonl", "poor.verdicts.jsonl"};
    const char *files[3];
    for (int i = 0; i < 3; i++) {
        (void)snprintf(paths[i], sizeof paths[i], "%s", test_path(test_scratch_folder(), names[i]));
        files[i] = paths[i];
    }
    const pfm_agree_request request = {.files = files, .file_count = 3, .offset = offset, .scale = scale};
    assert_ok(pfm_agree(context, &request, &text, &err));
    json_t *out = json_loads(text, 0, NULL);
    assert_non_null(out);
    free(text);
    return out;
}

static const json_t *find_pair(const json_t *list, const char *a_key, const char *a, const char *b_key, const char *b)
{
    size_t i = 0;
    json_t *row = NULL;
    json_array_foreach(list, i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, a_key)), a) == 0 &&
            strcmp(json_string_value(json_object_get(row, b_key)), b) == 0)
            return row;
    }
    fail_msg("no pair %s, %s", a, b);
    return NULL;
}

static bool covers(const json_t *interval, double value)
{
    return json_number_value(json_array_get(interval, 0)) <= value && value <= json_number_value(json_array_get(interval, 1));
}

static bool pair_covers(const json_t *row, const char *measure, double value)
{
    return covers(json_object_get(json_object_get(row, "ci95"), measure), value);
}

/* Over many studies the intervals hold what is known about as often as they say: 95 of 100, fewer for a bootstrap of so few
 * items. */
static void test_recovers(void **state)
{
    (void)state;
    enum { STUDIES = 20 };
    double alpha = 1 / (1 + rater_noise), people = 1 / (1 + rater_noise);
    double judge[JUDGES];
    int held[5] = {0};
    for (int j = 0; j < JUDGES; j++) /* the mean of the repeats against the mean of the people */
        judge[j] = 1 / sqrt((1 + judge_noise[j] + 0.01 / REPEATS) * (1 + rater_noise / RATERS));
    for (uint64_t seed = 1; seed <= STUDIES; seed++) {
        write_study(seed);
        json_t *out = run_study(0, 1);
        const json_t *pairs = json_object_get(out, "pairs"), *mean = json_object_get(out, "against_mean");
        held[0] += covers(json_object_get(json_object_get(json_object_get(out, "ci95"), "krippendorff"), "interval"), alpha);
        held[1] += pair_covers(find_pair(pairs, "a", "r0", "b", "r1"), "pearson", people);
        held[2] += pair_covers(find_pair(mean, "rater", "good", "mean", "mean of people"), "pearson", judge[0]);
        held[3] += pair_covers(find_pair(mean, "rater", "poor", "mean", "mean of people"), "pearson", judge[1]);
        held[4] += covers(json_object_get(json_object_get(json_object_get(out, "ci95"), "wasm"), "good"), judge_bias);
        json_decref(out);
    }
    for (int f = 0; f < 5; f++) {
        if (held[f] < STUDIES * 80 / 100)
            fail_msg("figure %d was in its interval in %d of %d studies", f, held[f], STUDIES);
    }
}

static double wasm(const json_t *out, const char *rater)
{
    return json_number_value(json_object_get(json_object_get(out, "wasm"), rater));
}

static void test_result(void **state)
{
    (void)state;
    write_study(1);
    json_t *plain = run_study(0, 1), *moved = run_study(1, -25);
    assert_int_equal(json_integer_value(json_object_get(plain, "n_items")), REPORTS);
    assert_int_equal(json_array_size(json_object_get(plain, "raters")), RATERS + JUDGES);
    assert_int_equal(json_array_size(json_object_get(plain, "pairs")), 10);
    assert_int_equal(json_array_size(json_object_get(plain, "against_mean")), RATERS + JUDGES);
    assert_true(fabs(wasm(moved, "good") - (1 - 25 * wasm(plain, "good"))) < 1e-9);
    const json_t *interval = json_object_get(json_object_get(json_object_get(moved, "ci95"), "wasm"), "good");
    assert_true(covers(interval, wasm(moved, "good")));
    assert_non_null(strstr(json_string_value(json_object_get(moved, "signature")), "wasm[scale:-25,offset:1]"));
    const json_t *own = json_object_get(json_object_get(plain, "consistency"), "good");
    assert_int_equal(json_integer_value(json_object_get(own, "repeats")), REPEATS);
    assert_true(fabs(json_number_value(json_object_get(own, "mean_sd")) - 0.1 * 0.9213) < 0.01); /* of four, in small samples */
    assert_true(json_is_null(json_object_get(find_pair(json_object_get(plain, "pairs"), "a", "r0", "b", "good"), "cohen")));
    assert_true(json_is_null(json_object_get(plain, "distributions"))); /* 700 different scores */
    json_decref(plain);
    json_decref(moved);
}

static int setup(void **state)
{
    (void)state;
    const pfm_context_options options = {.threads = 2, .seed = 42};
    assert_ok(pfm_context_create(&options, &context, &err));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pfm_context_free(context);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_recovers), cmocka_unit_test(test_result)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
