#include "eval/metric.h"
#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;

static double number(const json_t *out, const char *name)
{
    return json_number_value(json_object_get(json_object_get(out, "metrics"), name));
}

static void test_golden(void **state)
{
    (void)state;
    json_t *golden = NULL, *out = NULL;
    assert_ok(pfm_json_load(PFM_SOURCE_DIR "/tests/eval/golden/vqa.json", &golden, &err));
    json_t *want = json_object_get(golden, "want");
    pfm_answer_set set = {.reports = true};
    assert_ok(pfm_rows_visit(json_object_get(golden, "predictions"), pfm_answer_set_add, &set, &err));
    assert_ok(pfm_score_metrics(&set, "f1_token,exact,recall_open", 42, NULL, &out, &err));
    assert_true(fabs(number(out, "f1_token") - json_number_value(json_object_get(want, "f1_token"))) < 1e-12);
    assert_true(fabs(number(out, "exact") - json_number_value(json_object_get(want, "overall"))) < 1e-9);
    assert_true(fabs(number(out, "recall_open") - json_number_value(json_object_get(want, "recall_open"))) < 1e-9);
    assert_int_equal(json_integer_value(json_object_get(out, "n")), 97);
    assert_int_equal(json_object_size(json_object_get(out, "metrics")), 3);
    json_t *interval = json_object_get(json_object_get(out, "ci95"), "exact");
    assert_true(json_number_value(json_array_get(interval, 0)) < number(out, "exact"));
    assert_true(json_number_value(json_array_get(interval, 1)) > number(out, "exact"));
    json_decref(out);
    json_decref(golden);
    pfm_answer_set_free(&set);
}

static const char all_lexical[] = "bleu1,bleu2,bleu3,bleu4,rouge_l,cider,ciderd,cider_plain,sacrebleu,sacrebleu1,chrf,rouge1,"
                                  "rouge2,rougeL,meteor_nltk,deltableu,deltableu_zh";

/* Every figure of every case as the reference packages give it. */
static void test_text(void **state)
{
    (void)state;
    json_t *cases = NULL, *item = NULL, *value = NULL;
    size_t c = 0;
    const char *name = NULL;
    assert_ok(pfm_json_load(PFM_SOURCE_DIR "/tests/eval/golden/text.json", &cases, &err));
    assert_true(json_array_size(cases) > 10);
    json_array_foreach(cases, c, item)
    {
        pfm_answer_set set = {.reports = true};
        json_t *out = NULL;
        assert_ok(pfm_rows_visit(json_object_get(item, "rows"), pfm_answer_set_add, &set, &err));
        assert_ok(pfm_score_metrics(&set, all_lexical, 42, NULL, &out, &err));
        json_object_foreach(json_object_get(item, "want"), name, value)
        {
            if (fabs(number(out, name) - json_number_value(value)) > 1e-12)
                fail_msg("case %zu, %s: %.17g instead of %.17g", c, name, number(out, name), json_number_value(value));
        }
        json_decref(out);
        pfm_answer_set_free(&set);
    }
    json_decref(cases);
}

/* Equal to one of several references is right; the signature says how many there are. */
static void test_references(void **state)
{
    (void)state;
    pfm_answer_set set = {.reports = true};
    json_t *out = NULL;
    json_t *rows = json_loads("[{\"references\":[\"No acute disease.\",\"normal\"],\"prediction\":\"Normal\"},"
                              "{\"reference\":\"clear\",\"prediction\":\"no\"}]",
                              0, NULL);
    assert_ok(pfm_rows_visit(rows, pfm_answer_set_add, &set, &err));
    assert_ok(pfm_score_metrics(&set, "exact,f1_token,recall_open", 42, NULL, &out, &err));
    assert_true(fabs(number(out, "exact") - 50) < 1e-12 && fabs(number(out, "f1_token") - 0.5) < 1e-12);
    assert_true(fabs(number(out, "recall_open") - 50) < 1e-12);
    assert_non_null(strstr(json_string_value(json_object_get(out, "signature")), "|refs:1-2|"));
    json_decref(out);
    json_decref(rows);
    pfm_answer_set_free(&set);
}

static void test_reports(void **state)
{
    (void)state;
    pfm_answer_set set = {.reports = true};
    json_t *out = NULL;
    json_t *rows = json_loads("[{\"reference\":\"No acute disease.\",\"prediction\":\"no disease\",\"answer\":\"x\"},"
                              "{\"answer\":\"Yes\",\"prediction\":\"yes\"}]",
                              0, NULL);
    assert_ok(pfm_rows_visit(rows, pfm_answer_set_add, &set, &err));
    assert_ok(pfm_score_metrics(&set, "f1_token", 42, NULL, &out, &err));
    assert_true(fabs(number(out, "f1_token") - (0.8 + 1) / 2) < 1e-12);
    assert_int_equal(set.images.count, 2);
    json_decref(out);
    pfm_answer_set_free(&set);
    set.reports = true;
    json_object_del(json_array_get(rows, 1), "answer");
    assert_error(pfm_rows_visit(rows, pfm_answer_set_add, &set, &err), PFM_ERROR_FORMAT,
                 "prediction 2: \"reference\" (or \"answer\") is missing");
    json_object_del(json_array_get(rows, 0), "prediction");
    pfm_answer_set_free(&set);
    set.reports = true;
    assert_error(pfm_rows_visit(rows, pfm_answer_set_add, &set, &err), PFM_ERROR_FORMAT,
                 "prediction 1: \"prediction\" is missing");
    json_decref(rows);
    pfm_answer_set_free(&set);
}

static void test_names(void **state)
{
    (void)state;
    assert_ok(pfm_metrics_check("exact", &err));
    assert_ok(pfm_metrics_check("f1_token,exact", &err));
    assert_error(pfm_metrics_check("exakt", &err), PFM_ERROR_USAGE, "no metric 'exakt'; did you mean 'exact'?");
    assert_error(pfm_metrics_check("exact,,f1_token", &err), PFM_ERROR_USAGE, "no metric ''");
    assert_error(pfm_metrics_check("", &err), PFM_ERROR_USAGE, "there are exact, recall_open");
    assert_error(pfm_metrics_check("zzz", &err), PFM_ERROR_USAGE, "no metric 'zzz'; there are exact");
    assert_error(pfm_metrics_check("exact,exact", &err), PFM_ERROR_USAGE, "'exact' is named twice");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_text),
                                       cmocka_unit_test(test_references), cmocka_unit_test(test_reports),
                                       cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
