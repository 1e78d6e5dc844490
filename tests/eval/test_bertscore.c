/* BERTScore against the package bert-score, with small encoders of each family. */
#include "base/context.h"
#include "eval/metric.h"
#include "eval/networks.h"
#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;
static const char golden[] = PFM_SOURCE_DIR "/tests/eval/golden/bertscore.json";
static const char all_three[] = "bertscore_p,bertscore_r,bertscore_f1";

static pfm_context *open_context(int threads)
{
    pfm_context *context = NULL;
    const pfm_context_options options = {.threads = threads, .seed = 1, .home = test_scratch_folder()};
    assert_ok(pfm_context_create(&options, &context, &err));
    return context;
}

static double figure(const json_t *out, const char *name)
{
    return json_number_value(json_object_get(json_object_get(out, "metrics"), name));
}

/* rows NULL: all; else one alone. */
static json_t *score(pfm_score_networks *networks, json_t *rows, pfm_threads *threads)
{
    json_t *out = NULL;
    pfm_answer_set set = {.reports = true, .networks = networks};
    assert_ok(pfm_rows_visit(rows, pfm_answer_set_add, &set, &err));
    assert_ok(pfm_score_metrics(&set, all_three, 42, threads, &out, &err));
    pfm_answer_set_free(&set);
    return out;
}

static void compare(const json_t *out, const double want[3], const char *what)
{
    static const char *const names[] = {"bertscore_p", "bertscore_r", "bertscore_f1"};
    for (size_t f = 0; f < 3; f++) {
        if (!(fabs(figure(out, names[f]) - want[f]) < 1e-6))
            fail_msg("%s, %s: %.9g instead of %.9g", what, names[f], figure(out, names[f]), want[f]);
    }
}

static void check_network(const char *name, json_t *rows, const json_t *scores)
{
    char path[512];
    double mean[3] = {0};
    const int layer = name[strlen(name) - 1] - '0';
    const size_t count = json_array_size(rows);
    (void)snprintf(path, sizeof path, "%s/tests/models/golden/text_%.*s", PFM_SOURCE_DIR, (int)strlen(name) - 2, name);
    pfm_context *context = open_context(2);
    pfm_score_networks networks = {.context = context, .bert = path, .bert_layer = layer};
    for (size_t i = 0; i < count; i++) {
        double want[3];
        json_t *one = json_array();
        assert_int_equal(json_array_append(one, json_array_get(rows, i)), 0);
        for (size_t f = 0; f < 3; f++) {
            want[f] = json_number_value(json_array_get(json_array_get(scores, i), f));
            mean[f] += want[f] / (double)count;
        }
        json_t *out = score(&networks, one, NULL);
        compare(out, want, name);
        json_decref(out);
        json_decref(one);
    }
    json_t *out = score(&networks, rows, context->threads);
    compare(out, mean, name);
    const char *signature = json_string_value(json_object_get(out, "signature"));
    (void)snprintf(path, sizeof path, "no-baseline.f32.bert:text_%.*s.sha256:", (int)strlen(name) - 2, name);
    assert_non_null(strstr(signature, path));
    (void)snprintf(path, sizeof path, ".layer%d]", layer);
    assert_non_null(strstr(signature, path));
    json_decref(out);
    pfm_score_networks_close(&networks);
    pfm_context_free(context);
}

static void test_against_bert_score(void **state)
{
    (void)state;
    json_t *document = NULL, *scores = NULL;
    const char *name = NULL;
    assert_ok(pfm_json_load(golden, &document, &err));
    assert_int_equal(json_object_size(json_object_get(document, "scores")), 4);
    json_object_foreach(json_object_get(document, "scores"), name, scores)
        check_network(name, json_object_get(document, "rows"), scores);
    json_decref(document);
}

/* More pairs than one run of the encoder takes, among them the longest: the same as each alone, with any number of threads. */
static void test_many_rows(void **state)
{
    (void)state;
    json_t *document = NULL, *first = NULL, *rows = json_array();
    assert_ok(pfm_json_load(golden, &document, &err));
    const json_t *source = json_object_get(document, "rows");
    for (size_t i = 0; i < 20 * json_array_size(source); i++)
        assert_int_equal(json_array_append(rows, json_array_get(source, i % json_array_size(source))), 0);
    for (int threads = 1; threads <= 3; threads++) {
        pfm_context *context = open_context(threads);
        pfm_score_networks networks = {.context = context, .bert = PFM_SOURCE_DIR "/tests/models/golden/text_bert"};
        json_t *once = score(&networks, json_object_get(document, "rows"), context->threads);
        json_t *out = score(&networks, rows, context->threads);
        assert_true(fabs(figure(out, "bertscore_f1") - figure(once, "bertscore_f1")) < 1e-14);
        if (first == NULL)
            first = json_incref(out);
        assert_true(json_equal(first, out));
        json_decref(out);
        json_decref(once);
        pfm_score_networks_close(&networks);
        pfm_context_free(context);
    }
    json_decref(first);
    json_decref(rows);
    json_decref(document);
}

static void test_without_a_network(void **state)
{
    (void)state;
    pfm_context *context = open_context(1);
    pfm_score_networks missing = {.context = context}, unknown = {.context = context, .bert = "all-minilm-l6-v3"};
    json_t *rows = json_loads("[{\"reference\":\"a\",\"prediction\":\"b\"}]", 0, NULL), *out = NULL;
    pfm_answer_set set = {.reports = true};
    assert_ok(pfm_rows_visit(rows, pfm_answer_set_add, &set, &err));
    assert_error(pfm_score_metrics(&set, "bertscore_f1", 42, NULL, &out, &err), PFM_ERROR_USAGE, "by pefomed score alone");
    set.networks = &missing;
    assert_error(pfm_score_metrics(&set, "bertscore_f1", 42, NULL, &out, &err), PFM_ERROR_IO, "pefomed fetch all-minilm-l6-v2");
    set.networks = &unknown;
    assert_error(pfm_score_metrics(&set, "bertscore_f1", 42, NULL, &out, &err), PFM_ERROR_IO,
                 "did you mean 'all-minilm-l6-v2'");
    assert_null(out);
    pfm_answer_set_free(&set);
    json_decref(rows);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_bert_score),
        cmocka_unit_test(test_many_rows),
        cmocka_unit_test(test_without_a_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
