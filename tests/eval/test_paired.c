#include "base/random.h"
#include "eval/paired.h"
#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;
static const pfm_score_options options = {.seed = 42};

enum { ROWS = 900, IMAGES = 90 };

/* Row i is right where the seed says. The kinds given are not those that the answers would suggest. */
static json_t *make_rows(uint64_t seed, double accuracy, bool kinds, bool backwards)
{
    json_t *rows = json_array();
    pfm_random random = pfm_random_start(seed, 0);
    for (int i = 0; i < ROWS; i++) {
        bool right = pfm_random_uniform(&random) < accuracy, closed = i % 6 == 0;
        json_t *row =
            json_pack("{s:i,s:i,s:s,s:s,s:s}", "id", i, "image", i % IMAGES, "question", "q", "answer",
                      i % 3 == 1 ? "yes" : "left lung", "prediction", right ? (i % 3 == 1 ? "yes" : "left lung") : "lung");
        assert_non_null(row);
        if (kinds)
            json_object_set_new(row, "answer_type", json_string(closed ? "CLOSED" : "OPEN"));
        if (backwards)
            json_array_insert_new(rows, 0, row);
        else
            json_array_append_new(rows, row);
    }
    return rows;
}

static double figure(const json_t *out, const char *name, const char *part)
{
    return json_number_value(json_object_get(json_object_get(out, name), part));
}

static void test_difference(void **state)
{
    (void)state;
    json_t *a = make_rows(1, 0.8, true, false), *b = make_rows(2, 0.6, false, true), *out = NULL, *of_a = NULL;
    assert_ok(pfm_score_difference_of_rows(a, b, &options, &out, &err));
    assert_ok(pfm_score_vqa(a, NULL, &options, &of_a, &err));
    static const char *const names[] = {"overall", "closed", "open", "recall_open"};
    for (int i = 0; i < 4; i++) {
        double mean = figure(out, names[i], "mean"), gap = figure(out, names[i], "a") - figure(out, names[i], "b");
        assert_true(fabs(mean - gap) < 1e-9);
        assert_true(fabs(figure(out, names[i], "a") - json_number_value(json_object_get(of_a, names[i]))) < 1e-9);
    }
    /* Independent answers of accuracies p and q: the difference's variance is (p(1-p) + q(1-q)) / n. */
    json_t *interval = json_object_get(json_object_get(out, "overall"), "ci95");
    double low = json_number_value(json_array_get(interval, 0)), high = json_number_value(json_array_get(interval, 1));
    double error = 100 * sqrt((0.8 * 0.2 + 0.6 * 0.4) / ROWS), mean = figure(out, "overall", "mean");
    assert_true(fabs(mean - 20) < 4 * error);
    assert_true(fabs((high - low) / (2 * 1.96 * error) - 1) < 0.25);
    assert_true(low < mean && mean < high);
    assert_true(figure(out, "overall", "p") < 0.001 && figure(out, "closed", "p") < 0.05);
    json_decref(out);
    json_decref(of_a);
    json_decref(a);
    json_decref(b);
}

/* Rows are matched by id, whatever their order: a system differs from itself by nothing, in every sample. */
static void test_order(void **state)
{
    (void)state;
    json_t *a = make_rows(1, 0.8, true, false), *b = make_rows(1, 0.8, true, true), *out = NULL;
    assert_ok(pfm_score_difference_of_rows(a, b, &options, &out, &err));
    json_t *interval = json_object_get(json_object_get(out, "overall"), "ci95");
    assert_true(json_number_value(json_array_get(interval, 0)) == 0 && json_number_value(json_array_get(interval, 1)) == 0);
    json_decref(out);
    json_decref(a);
    json_decref(b);
}

/* The mean of seeds against another system: the gaps of the means, and the kinds that only the other one has. */
static void test_runs(void **state)
{
    (void)state;
    pfm_answer_runs a = {0}, b = {0};
    json_t *runs[3], *other = make_rows(9, 0.7, true, true), *out = NULL, *score = NULL;
    double mean = 0;
    for (int r = 0; r < 3; r++) {
        runs[r] = make_rows((uint64_t)r + 1, 0.7, false, r == 1);
        assert_ok(pfm_answer_runs_add_rows(&a, runs[r], false, &err));
    }
    assert_ok(pfm_answer_runs_finish(&a, &err));
    assert_ok(pfm_answer_runs_add_rows(&b, other, false, &err));
    assert_ok(pfm_answer_runs_finish(&b, &err));
    assert_ok(pfm_score_difference(&a, &b, &options, &out, &err));
    assert_ok(pfm_score_vqa_system(&a, NULL, &options, &score, &err));
    assert_int_equal(json_integer_value(json_object_get(score, "n_closed")), ROWS / 6);
    json_t *list = json_object_get(score, "runs");
    assert_int_equal(json_array_size(list), 3);
    for (size_t r = 0; r < 3; r++)
        mean += json_number_value(json_object_get(json_array_get(list, r), "closed")) / 3;
    assert_true(fabs(mean - json_number_value(json_object_get(score, "closed"))) < 1e-9);
    assert_true(fabs(figure(out, "closed", "a") - mean) < 1e-9);
    double first = json_number_value(json_object_get(json_array_get(list, 0), "overall"));
    double second = json_number_value(json_object_get(json_array_get(list, 1), "overall"));
    double third = json_number_value(json_object_get(json_array_get(list, 2), "overall"));
    double centre = (first + second + third) / 3;
    double sd = sqrt((pow(first - centre, 2) + pow(second - centre, 2) + pow(third - centre, 2)) / 2);
    assert_true(fabs(json_number_value(json_object_get(json_object_get(score, "sd"), "overall")) - sd) < 1e-9);
    for (int r = 0; r < 3; r++)
        json_decref(runs[r]);
    json_decref(other);
    json_decref(out);
    json_decref(score);
    pfm_answer_runs_free(&a);
    pfm_answer_runs_free(&b);
}

static void test_refusals(void **state)
{
    (void)state;
    json_t *a = make_rows(1, 0.5, true, false), *b = make_rows(1, 0.5, true, false), *out = NULL;
    json_array_remove(b, 5);
    assert_error(pfm_score_difference_of_rows(a, b, &options, &out, &err), PFM_ERROR_MISMATCH,
                 "the first has the id 5, the second lacks it");
    assert_error(pfm_score_difference_of_rows(b, a, &options, &out, &err), PFM_ERROR_MISMATCH,
                 "the second has the id 5, the first lacks it");
    json_array_insert(b, 5, json_array_get(a, 5));
    json_object_set_new(json_array_get(b, 6), "answer", json_string("Left  lung!"));
    assert_ok(pfm_score_difference_of_rows(a, b, &options, &out, &err));
    json_decref(out);
    json_object_set_new(json_array_get(b, 6), "answer", json_string("right lung"));
    assert_error(pfm_score_difference_of_rows(a, b, &options, &out, &err), PFM_ERROR_MISMATCH, "different answers to the id 6");
    json_decref(a);
    json_decref(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_difference), cmocka_unit_test(test_order),
                                       cmocka_unit_test(test_runs), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
