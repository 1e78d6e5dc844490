#include "base/file.h"
#include "base/json.h"
#include "pefomed/eval.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;
static pfm_context *context;

static const char *write_file(const char *name, const char *text)
{
    const char *path = test_path(test_scratch_folder(), name);
    assert_ok(pfm_file_write(path, text, strlen(text), &err));
    return path;
}

static json_t *score(const pfm_score_request *request)
{
    char *text = NULL;
    assert_ok(pfm_score(context, request, &text, &err));
    json_t *out = json_loads(text, 0, NULL);
    assert_non_null(out);
    free(text);
    return out;
}

#define PREDICTIONS                                                                                                            \
    "{\"id\":\"1\",\"image\":\"a\",\"question\":\"Is it CT?\",\"answer\":\"Yes\",\"prediction\":\"yes\"}\n"                    \
    "{\"id\":\"2\",\"image\":\"b\",\"question\":\"Where?\",\"answer\":\"Left\",\"prediction\":\"right\"}\n"

static void test_columns_and_training(void **state)
{
    (void)state;
    const char *files[] = {write_file("p.jsonl", PREDICTIONS)};
    const char *conditions[] = {"q_lang=en", "year=7"};
    pfm_score_request request = {
        .files = files, .file_count = 1, .profile = "vqa", .conditions = conditions, .condition_count = 2};
    request.rows =
        write_file("rows.json", "[{\"qid\":2,\"answer_type\":\"CLOSED\",\"answer\":\"ignored\",\"plane\":\"axial\"}]");
    request.training =
        write_file("training.json", "[{\"question\":\"where\",\"answer\":\"left.\",\"q_lang\":\"en\",\"year\":7},"
                                    "{\"question\":\"where\",\"answer\":\"right\",\"q_lang\":\"zh\",\"year\":7},"
                                    "{\"question\":\"where\",\"answer\":\"right\",\"q_lang\":\"zh\",\"year\":7}]");
    json_t *out = score(&request);
    assert_int_equal(json_integer_value(json_object_get(out, "n_closed")), 2);
    assert_true(json_number_value(json_object_get(json_object_get(out, "prior"), "overall")) == 50);
    assert_non_null(json_object_get(json_object_get(json_object_get(out, "by"), "plane"), "axial"));
    json_decref(out);
    char *text = NULL;
    conditions[0] = "q_lang=fr";
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_USAGE, "no training row meets");
    conditions[0] = "q_lang";
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_USAGE, "'q_lang' is no condition");
    conditions[0] = "q_lang=en";
    request.rows = write_file("other.json", "[{\"qid\":3,\"answer_type\":\"CLOSED\"}]");
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_MISMATCH, "p.jsonl: none of its ids");
    request.rows = write_file("other.json", "[{\"answer_type\":\"CLOSED\"}]");
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_FORMAT, "other.json row 1: a row that adds columns");
    request.rows = NULL;
    request.training = write_file("training.json", "[{\"question\":\"where\",\"q_lang\":\"en\",\"year\":7}]");
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_FORMAT, "training.json row 1: a training row needs");
}

static void test_several_files(void **state)
{
    (void)state;
    const char *files[] = {
        write_file("1.jsonl", PREDICTIONS),
        write_file("2.jsonl",
                   "{\"id\":2,\"image\":\"b\",\"question\":\"Where?\",\"answer\":\"Left\",\"prediction\":\"left\"}\n"
                   "{\"id\":1,\"image\":\"a\",\"question\":\"Is it CT?\",\"answer\":\"Yes\",\"prediction\":\"yes\"}")};
    pfm_score_request request = {
        .files = files, .file_count = 2, .against = files, .against_count = 1, .profile = "vqa", .dataset = "d"};
    json_t *out = score(&request);
    assert_true(json_number_value(json_object_get(out, "overall")) == 75);
    assert_true(json_number_value(json_object_get(json_object_get(json_object_get(out, "difference"), "overall"), "mean")) ==
                25);
    assert_string_equal(json_string_value(json_array_get(json_object_get(json_object_get(out, "difference"), "against"), 0)),
                        files[0]);
    assert_string_equal(json_string_value(json_object_get(out, "dataset")), "d");
    json_decref(out);
}

static void test_refusals(void **state)
{
    (void)state;
    char *text = NULL;
    const char *files[] = {write_file("p.jsonl", PREDICTIONS), write_file("q.jsonl", PREDICTIONS "{\"id\":3}")};
    pfm_score_request request = {.files = files, .file_count = 1};
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_USAGE, "either a profile");
    request.profile = "vqa2";
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_USAGE, "there is no profile 'vqa2'");
    request.metrics = "exact";
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_USAGE, "either a profile");
    request.profile = NULL;
    request.metrics = "blue";
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_USAGE, "there is no metric 'blue'");
    request.metrics = "exact";
    request.file_count = 2;
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_USAGE, "metrics are of one file");
    request.metrics = NULL;
    request.profile = "vqa";
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_FORMAT, "q.jsonl line 3: \"image\" is missing");
    request.file_count = 0;
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_USAGE, "name a predictions file");
    assert_null(text);
}

static void test_list(void **state)
{
    (void)state;
    char *text = NULL;
    assert_ok(pfm_score_list(&text, &err));
    json_t *out = json_loads(text, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(out, "profiles"), 0), "name")), "vqa");
    assert_true(json_array_size(json_object_get(out, "metrics")) >= 3);
    json_decref(out);
    free(text);
}

static int open_context(void **state)
{
    (void)state;
    pfm_context_options options = {.threads = 2, .seed = 42};
    return pfm_context_create(&options, &context, NULL) == PFM_OK ? 0 : -1;
}

static int close_context(void **state)
{
    (void)state;
    pfm_context_free(context);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_columns_and_training), cmocka_unit_test(test_several_files),
                                       cmocka_unit_test(test_refusals), cmocka_unit_test(test_list)};
    return cmocka_run_group_tests(tests, open_context, close_context);
}
