/* F1 of CheXbert's labels against scikit-learn, from a checkpoint laid out like the published one. */
#include "base/context.h"
#include "eval/metric.h"
#include "eval/networks.h"
#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;

static pfm_context *open_context(void)
{
    pfm_context *context = NULL;
    const pfm_context_options options = {.threads = 2, .seed = 1, .home = test_scratch_folder()};
    assert_ok(pfm_context_create(&options, &context, &err));
    return context;
}

/* Rows of as many references as said, copied more often than the network takes at once. */
static json_t *make_rows(json_t *texts, int references, int copies)
{
    json_t *rows = json_array();
    const size_t count = json_array_size(texts);
    for (size_t i = 0; i < (size_t)copies * count; i++) {
        json_t *list = json_array();
        for (int r = 0; r < references; r++)
            assert_int_equal(json_array_append(list, json_array_get(texts, (i + (size_t)r) % count)), 0);
        json_t *row =
            json_pack("{s:o,s:O}", "references", list, "prediction", json_array_get(texts, (i + (size_t)references) % count));
        assert_int_equal(json_array_append_new(rows, row), 0);
    }
    return rows;
}

static void check(pfm_score_networks *networks, json_t *rows, json_t *want)
{
    char names[1024] = "";
    const char *name = NULL;
    json_t *figure = NULL, *out = NULL;
    pfm_answer_set set = {.reports = true, .networks = networks};
    assert_int_equal(json_object_size(want), 8);
    json_object_foreach(want, name, figure)
    {
        (void)strcat(names, names[0] == '\0' ? "" : ",");
        (void)strcat(names, name);
    }
    assert_ok(pfm_rows_visit(rows, pfm_answer_set_add, &set, &err));
    assert_ok(pfm_score_metrics(&set, names, 42, networks->context->threads, &out, &err));
    json_object_foreach(want, name, figure)
    {
        const double got = json_number_value(json_object_get(json_object_get(out, "metrics"), name));
        if (!(fabs(got - json_number_value(figure)) < 1e-12))
            fail_msg("%s: %.15g instead of %.15g", name, got, json_number_value(figure));
    }
    assert_non_null(
        strstr(json_string_value(json_object_get(out, "signature")), "chexbert.f1-micro|findings:14|doubt:uncertain.sha256:"));
    json_decref(out);
    pfm_answer_set_free(&set);
}

static void test_against_scikit_learn(void **state)
{
    (void)state;
    json_t *want = NULL, *golden = NULL;
    pfm_context *context = open_context();
    pfm_score_networks networks = {.context = context, .chexbert = PFM_SOURCE_DIR "/tests/models/golden/chexbert"};
    assert_ok(pfm_json_load(PFM_SOURCE_DIR "/tests/eval/golden/chexbert.json", &want, &err));
    assert_ok(pfm_json_load(PFM_SOURCE_DIR "/tests/models/golden/chexbert.json", &golden, &err));
    for (int references = 1; references <= 2; references++) {
        for (int copies = 1; copies <= 16; copies += 15) {
            json_t *rows = make_rows(json_object_get(golden, "texts"), references, copies);
            check(&networks, rows, json_object_get(want, references == 1 ? "one" : "two"));
            json_decref(rows);
        }
    }
    pfm_score_networks_close(&networks);
    json_decref(golden);
    json_decref(want);
    pfm_context_free(context);
}

static void test_without_a_checkpoint(void **state)
{
    (void)state;
    pfm_context *context = open_context();
    pfm_score_networks none = {.context = context}, wrong = {.context = context, .chexbert = "nowhere/chexbert.pth"};
    json_t *rows = json_loads("[{\"reference\":\"a\",\"prediction\":\"b\"}]", 0, NULL), *out = NULL;
    pfm_answer_set set = {.reports = true, .networks = &none};
    assert_ok(pfm_rows_visit(rows, pfm_answer_set_add, &set, &err));
    assert_error(pfm_score_metrics(&set, "chexbert_f1_micro", 42, NULL, &out, &err), PFM_ERROR_USAGE,
                 "--chexbert chexbert.pth");
    set.networks = &wrong;
    assert_error(pfm_score_metrics(&set, "chexbert_f1_micro", 42, NULL, &out, &err), PFM_ERROR_IO, "nowhere");
    assert_null(out);
    pfm_answer_set_free(&set);
    json_decref(rows);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_scikit_learn),
                                       cmocka_unit_test(test_without_a_checkpoint)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
