#include "eval/vqa.h"
#include "test.h"

#include <math.h>
#include <unistd.h>

static pfm_error err = PFM_ERROR_INIT;
static const pfm_score_options options = {.dataset = "made-up", .split = "validate", .seed = 42};

/* Every number and null of `want` must stand at the same place of `got`, to 1e-9. */
static void assert_covers(const json_t *got, const json_t *want, const char *name)
{
    const char *key = NULL;
    json_t *value = NULL;
    size_t i = 0;
    if (json_is_object(want)) {
        json_object_foreach((json_t *)(uintptr_t)want, key, value) assert_covers(json_object_get(got, key), value, key);
    } else if (json_is_array(want)) {
        assert_int_equal(json_array_size(got), json_array_size(want));
        json_array_foreach(want, i, value) assert_covers(json_array_get(got, i), value, name);
    } else if (json_is_number(want)) {
        if (!json_is_number(got) || fabs(json_number_value(got) - json_number_value(want)) > 1e-9)
            fail_msg("%s: %.17g instead of %.17g", name, json_number_value(got), json_number_value(want));
    } else if (!json_equal(got, want)) {
        fail_msg("%s differs", name);
    }
}

static void test_golden(void **state)
{
    (void)state;
    json_t *golden = NULL, *out = NULL;
    assert_ok(pfm_json_load(PFM_SOURCE_DIR "/tests/eval/golden/vqa.json", &golden, &err));
    json_t *want = json_object_get(golden, "want");
    json_object_del(want, "f1_token");
    assert_ok(pfm_score_vqa(json_object_get(golden, "predictions"), json_object_get(golden, "training"), &options, &out, &err));
    assert_covers(out, want, "");
    assert_string_equal(json_string_value(json_object_get(out, "dataset")), "made-up");
    assert_string_equal(json_string_value(json_object_get(out, "probe")), "none");
    assert_non_null(strstr(json_string_value(json_object_get(out, "signature")), "kinds:given"));
    json_t *by = json_object_get(out, "by");
    assert_int_equal(json_object_size(by), json_object_size(json_object_get(want, "by"))); /* no column too many */
    json_t *interval = json_object_get(json_object_get(out, "ci95"), "overall");
    double low = json_number_value(json_array_get(interval, 0)), high = json_number_value(json_array_get(interval, 1));
    double overall = json_number_value(json_object_get(out, "overall"));
    assert_true(low < overall && overall < high && high - low > 5 && high - low < 40);
    json_decref(out);
    json_decref(golden);
}

static json_t *rows_from(const char *text)
{
    json_t *rows = json_loads(text, 0, NULL);
    assert_non_null(rows);
    return rows;
}

static void test_without(void **state)
{
    (void)state;
    json_t *out = NULL;
    json_t *rows =
        rows_from("[{\"id\":1,\"image\":\"a\",\"question\":\"q\",\"answer\":\"Yes.\",\"prediction\":\"no\",\"correct\":true},"
                  "{\"id\":2,\"image\":\"a\",\"question\":\"q\",\"answer\":\"NO\",\"prediction\":\"no\"}]");
    assert_ok(pfm_score_vqa(rows, NULL, &options, &out, &err));
    assert_int_equal(json_integer_value(json_object_get(out, "n_closed")), 2);
    assert_true(json_number_value(json_object_get(out, "overall")) == 50); /* the file's own `correct` is not believed */
    static const char *const nulls[] = {"open", "recall_open", "prior", "calibration"};
    for (size_t i = 0; i < 4; i++)
        assert_true(json_is_null(json_object_get(out, nulls[i])));
    assert_true(json_is_null(json_object_get(json_object_get(out, "ci95"), "open")));
    assert_non_null(strstr(json_string_value(json_object_get(out, "signature")), "kinds:inferred"));
    json_decref(out);
    json_object_set_new(json_array_get(rows, 0), "answer_type", json_string("OPEN"));
    assert_ok(pfm_score_vqa(rows, NULL, &options, &out, &err));
    assert_int_equal(json_integer_value(json_object_get(out, "n_open")), 1);
    assert_non_null(strstr(json_string_value(json_object_get(out, "signature")), "kinds:mixed"));
    json_decref(out);
    json_object_del(json_array_get(rows, 1), "answer");
    out = NULL;
    assert_error(pfm_score_vqa(rows, NULL, &options, &out, &err), PFM_ERROR_FORMAT, "prediction 2: \"answer\" is missing");
    json_decref(rows);
    rows = json_array();
    assert_error(pfm_score_vqa(rows, NULL, &options, &out, &err), PFM_ERROR_FORMAT, "no rows");
    json_decref(rows);
}

/* Columns by which a score is split: few values that name kinds of rows. */
static void test_columns(void **state)
{
    (void)state;
    json_t *rows = json_array(), *out = NULL;
    for (int i = 0; i < 60; i++) {
        json_t *row =
            json_pack("{s:i,s:i,s:s,s:s,s:s,s:s,s:i,s:[i],s:s,s:i,s:n,s:i}", "id", i, "image", i, "question", "q", "answer",
                      "a", "prediction", i % 2 ? "a" : "b", "device", i % 3 ? " Siemens" : "GE", "many", i, "triple", i, "note",
                      "a sentence that goes on for more than the sixty-four bytes which a value may have", "img_id", 1, "empty",
                      "levels", i % 40);
        assert_non_null(row);
        if (i == 5)
            json_object_set_new(row, "late", json_true());
        json_array_append_new(rows, row);
    }
    assert_ok(pfm_score_vqa(rows, NULL, &options, &out, &err));
    json_t *by = json_object_get(out, "by");
    assert_int_equal(json_object_size(by), 4);
    assert_int_equal(json_object_size(json_object_get(by, "levels")), 40);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json_object_get(by, "device"), "Siemens"), "n")), 40);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json_object_get(by, "late"), "true"), "n")), 1);
    assert_non_null(json_object_get(by, "answer_type"));
    json_decref(out);
    json_decref(rows);
}

static void test_peer(void **state)
{
    (void)state;
    skip_without_data();
    char path[4200];
    (void)snprintf(path, sizeof path, "%s/../peer/predictions_validate.json", test_data_folder());
    pfm_answer_runs system = {0};
    json_t *extra = json_object(), *rows = NULL, *out = NULL;
    if (pfm_json_load(test_path(test_data_folder(), "slake/validate.json"), &rows, NULL) != PFM_OK || access(path, R_OK) != 0) {
        print_message("skipped: no SLAKE or no peer's predictions\n");
        skip();
    }
    size_t i = 0;
    json_t *row = NULL;
    json_array_foreach(rows, i, row)
    {
        char id[32];
        (void)snprintf(id, sizeof id, "%lld", (long long)json_integer_value(json_object_get(row, "qid")));
        json_object_set(extra, id, row);
    }
    assert_ok(pfm_answer_runs_add_file(&system, path, extra, false, &err));
    assert_ok(pfm_answer_runs_finish(&system, &err));
    assert_ok(pfm_score_vqa_system(&system, NULL, &options, &out, &err));
    assert_int_equal(json_integer_value(json_object_get(out, "n")), 1043);
    assert_true(fabs(json_number_value(json_object_get(out, "overall")) - 73.2) < 0.05);
    assert_true(fabs(json_number_value(json_object_get(out, "closed")) - 72.7) < 0.05);
    assert_true(fabs(json_number_value(json_object_get(out, "open")) - 73.4) < 0.05);
    size_t wrong = 0; /* the peer judged its own answers */
    json_t *theirs = NULL;
    assert_ok(pfm_json_load(path, &theirs, &err));
    for (i = 0; i < system.runs[0].count; i++)
        wrong += system.runs[0].rows[i].correct != json_is_true(json_object_get(json_array_get(theirs, i), "correct"));
    assert_int_equal(wrong, 0);
    json_decref(theirs);
    json_decref(out);
    json_decref(extra);
    json_decref(rows);
    pfm_answer_runs_free(&system);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_without),
                                       cmocka_unit_test(test_columns), cmocka_unit_test(test_peer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
