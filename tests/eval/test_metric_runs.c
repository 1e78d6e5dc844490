#include "base/random.h"
#include "eval/metric_runs.h"
#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;
static const char names[] = "bleu1,rouge_l,cider,f1_token";

enum { ROWS = 60, IMAGES = 20 };

/* Reports of four words, of which a share is predicted rightly. */
static json_t *make_reports(uint64_t seed, double accuracy, bool backwards)
{
    static const char *const words[] = {"left", "lung", "mass", "clear", "heart", "large"};
    json_t *rows = json_array();
    pfm_random random = pfm_random_start(seed, 0);
    for (int i = 0; i < ROWS; i++) {
        char reference[80] = "", prediction[80] = "";
        for (int w = 0; w < 4; w++) {
            const char *right = words[(i + w * 5) % 6];
            (void)strcat(strcat(reference, " "), right);
            (void)strcat(strcat(prediction, " "), pfm_random_uniform(&random) < accuracy ? right : "no");
        }
        json_t *row =
            json_pack("{s:i,s:i,s:s,s:s}", "id", i, "image", i % IMAGES, "reference", reference, "prediction", prediction);
        assert_non_null(row);
        if (backwards)
            json_array_insert_new(rows, 0, row);
        else
            json_array_append_new(rows, row);
    }
    return rows;
}

static void add(pfm_answer_runs *system, json_t *rows)
{
    assert_ok(pfm_answer_runs_add_rows(system, rows, true, &err));
    json_decref(rows);
}

static double figure(const json_t *out, const char *name)
{
    const json_t *value = json_object_get(json_object_get(out, "metrics"), name);
    assert_true(json_is_real(value));
    return json_number_value(value);
}

static double bound(const json_t *out, const char *name, size_t index)
{
    return json_number_value(json_array_get(json_object_get(json_object_get(out, "ci95"), name), index));
}

/* Of one run it is what score says of it, to the last bit. */
static void test_one_run(void **state)
{
    (void)state;
    pfm_answer_runs system = {0};
    json_t *out = NULL, *score = NULL;
    add(&system, make_reports(1, 0.6, false));
    assert_ok(pfm_answer_runs_finish(&system, &err));
    assert_ok(pfm_score_metric_runs(&system, NULL, names, 42, NULL, &out, &err));
    assert_ok(pfm_score_metrics(&system.runs[0], names, 42, NULL, &score, &err));
    assert_true(json_equal(json_object_get(out, "metrics"), json_object_get(score, "metrics")));
    assert_true(json_equal(json_object_get(out, "ci95"), json_object_get(score, "ci95")));
    assert_true(figure(out, "bleu1") > 0.3 && figure(out, "bleu1") < 0.9);
    json_decref(out);
    json_decref(score);
    pfm_answer_runs_free(&system);
}

/* The mean over runs, whose rows stand in different orders; the difference is that of the means. */
static void test_difference(void **state)
{
    (void)state;
    pfm_answer_runs a = {0}, b = {0};
    json_t *of_a = NULL, *of_b = NULL, *gap = NULL, *single = NULL;
    double mean = 0;
    for (int r = 0; r < 3; r++)
        add(&a, make_reports((uint64_t)r, 0.8, r == 1));
    add(&b, make_reports(9, 0.4, true));
    assert_ok(pfm_answer_runs_finish(&a, &err));
    assert_ok(pfm_answer_runs_finish(&b, &err));
    assert_ok(pfm_score_metric_runs(&a, NULL, names, 42, NULL, &of_a, &err));
    assert_ok(pfm_score_metric_runs(&b, NULL, names, 42, NULL, &of_b, &err));
    assert_ok(pfm_score_metric_runs(&a, &b, names, 42, NULL, &gap, &err));
    for (size_t r = 0; r < 3; r++) {
        assert_ok(pfm_score_metrics(&a.runs[r], names, 42, NULL, &single, &err));
        mean += figure(single, "cider") / 3;
        json_decref(single);
    }
    assert_true(fabs(figure(of_a, "cider") - mean) < 1e-12);
    static const char *const each[] = {"bleu1", "rouge_l", "cider", "f1_token"};
    for (size_t i = 0; i < 4; i++) {
        double difference = figure(of_a, each[i]) - figure(of_b, each[i]);
        assert_true(fabs(figure(gap, each[i]) - difference) < 1e-12);
        assert_true(bound(gap, each[i], 0) < difference && difference < bound(gap, each[i], 1));
        assert_true(bound(gap, each[i], 0) > 0);
    }
    json_decref(of_a);
    json_decref(of_b);
    json_decref(gap);
    pfm_answer_runs_free(&a);
    pfm_answer_runs_free(&b);
}

/* Rows are matched by id, of each run: a system differs from the same answers in another order by nothing, in every sample. */
static void test_order(void **state)
{
    (void)state;
    pfm_answer_runs a = {0}, b = {0};
    json_t *out = NULL;
    for (int r = 0; r < 2; r++) {
        add(&a, make_reports((uint64_t)r, 0.6, false));
        add(&b, make_reports((uint64_t)r, 0.6, r == 1));
    }
    assert_ok(pfm_answer_runs_finish(&a, &err));
    assert_ok(pfm_answer_runs_finish(&b, &err));
    assert_ok(pfm_score_metric_runs(&a, &b, names, 42, NULL, &out, &err));
    assert_true(fabs(figure(out, "bleu1")) < 1e-12);
    assert_true(fabs(bound(out, "bleu1", 0)) < 1e-12 && fabs(bound(out, "bleu1", 1)) < 1e-12);
    json_decref(out);
    out = NULL;
    assert_ok(pfm_score_metric_runs(&b, &a, names, 42, NULL, &out, &err));
    assert_true(fabs(bound(out, "cider", 0)) < 1e-12 && fabs(bound(out, "cider", 1)) < 1e-12);
    json_decref(out);
    pfm_answer_runs_free(&a);
    pfm_answer_runs_free(&b);
}

static json_t *score_texts(pfm_answer_runs *a, pfm_answer_runs *b)
{
    pfm_metric_selection chosen = {0};
    json_t *out = NULL;
    assert_ok(pfm_metrics_select(names, &chosen, &err));
    const pfm_metric_plan plan = {.chosen = &chosen, .seed = 42};
    assert_ok(pfm_score_texts(a, b, &plan, &out, &err));
    return out;
}

static const json_t *difference_of(const json_t *out, const char *name)
{
    return json_object_get(json_object_get(json_object_get(out, "difference"), "metrics"), name);
}

/* What is clearly better has a small p, what is by chance better a large one; of two runs against one there is none. */
static void test_p(void **state)
{
    (void)state;
    pfm_answer_runs good = {0}, bad = {0}, same = {0};
    for (int r = 0; r < 2; r++) {
        add(&good, make_reports((uint64_t)r, 0.8, r == 1));
        add(&bad, make_reports((uint64_t)r + 7, 0.4, false));
    }
    add(&same, make_reports(5, 0.8, true));
    assert_ok(pfm_answer_runs_finish(&good, &err));
    assert_ok(pfm_answer_runs_finish(&bad, &err));
    assert_ok(pfm_answer_runs_finish(&same, &err));
    json_t *out = score_texts(&good, &bad);
    for (const char *const *name = (const char *const[]){"bleu1", "rouge_l", "cider", "f1_token", NULL}; *name != NULL;
         name++) {
        const json_t *figure_of = difference_of(out, *name);
        double p = json_number_value(json_object_get(figure_of, "p"));
        assert_true(p > 0 && p < 0.01);
        assert_true(json_number_value(json_array_get(json_object_get(figure_of, "ci95"), 0)) > 0);
    }
    json_decref(out);
    out = score_texts(&same, &good);
    assert_true(json_is_null(json_object_get(difference_of(out, "bleu1"), "p")));
    json_decref(out);
    pfm_answer_runs_free(&good);
    pfm_answer_runs_free(&bad);
    pfm_answer_runs_free(&same);
}

static void refuse_references(const char *first, const char *second)
{
    pfm_answer_runs a = {0};
    add(&a, json_loads(first, 0, NULL));
    add(&a, json_loads(second, 0, NULL));
    assert_error(pfm_answer_runs_finish(&a, &err), PFM_ERROR_MISMATCH, "give different answers to the id 1");
    pfm_answer_runs_free(&a);
}

static void test_other_references(void **state)
{
    (void)state;
#define ROW(list) "[{\"id\":1,\"prediction\":\"p\"," list "}]"
    refuse_references(ROW("\"references\":[\"a\",\"b\"]"), ROW("\"references\":[\"a\"]"));
    refuse_references(ROW("\"references\":[\"a\",\"b\"]"), ROW("\"references\":[\"a\",\"c\"]"));
    refuse_references(ROW("\"references\":[\"a\"],\"weights\":[0.5]"), ROW("\"references\":[\"a\"]"));
}

static void test_refusals(void **state)
{
    (void)state;
    pfm_answer_runs a = {0}, b = {0};
    json_t *out = NULL, *rows = make_reports(1, 0.5, false);
    add(&a, make_reports(1, 0.5, false));
    json_array_remove(rows, 5);
    add(&b, rows);
    assert_ok(pfm_answer_runs_finish(&a, &err));
    assert_ok(pfm_answer_runs_finish(&b, &err));
    assert_error(pfm_score_metric_runs(&a, &b, names, 42, NULL, &out, &err), PFM_ERROR_MISMATCH, "lacks it");
    assert_error(pfm_score_metric_runs(&a, NULL, "blue1", 42, NULL, &out, &err), PFM_ERROR_USAGE, "did you mean 'bleu1'");
    pfm_answer_runs_free(&a);
    pfm_answer_runs_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_run), cmocka_unit_test(test_difference),       cmocka_unit_test(test_order),
        cmocka_unit_test(test_p),       cmocka_unit_test(test_other_references), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
