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

#define REPORTS(a, b)                                                                                                          \
    "{\"id\":1,\"reference\":\"the lungs are clear\",\"prediction\":\"" a "\",\"f1\":0.25,\"answer\":\"x\"}\n"                 \
    "{\"id\":2,\"reference\":\"no effusion is seen\",\"prediction\":\"" b "\",\"f1\":1}\n"

static double figure(const json_t *document, const char *name)
{
    return json_number_value(json_object_get(json_object_get(document, "metrics"), name));
}

/* Numbers made elsewhere are metrics: of a column, of an object, of rows. */
static void test_numbers(void **state)
{
    (void)state;
    char *text = NULL, map[400], rows[400];
    const char *files[] = {write_file("r.jsonl", REPORTS("the lungs are clear", "no"))};
    (void)snprintf(map, sizeof map, "rad=%s", write_file("map.json", "{\"1\":0.5,\"2\":1.5}"));
    (void)snprintf(rows, sizeof rows, "green=%s", write_file("rows.jsonl", "{\"id\":2,\"green\":3}\n{\"id\":1,\"green\":4}"));
    const char *columns[] = {"f1", map, rows};
    pfm_score_request request = {.files = files, .file_count = 1, .columns = columns, .column_count = 3, .metrics = "exact"};
    json_t *out = score(&request);
    assert_true(figure(out, "f1") == 0.625 && figure(out, "rad") == 1 && figure(out, "green") == 3.5);
    assert_true(figure(out, "exact") == 50);
    assert_non_null(strstr(json_string_value(json_object_get(out, "signature")), "f1[column.mean]"));
    json_decref(out);
    request.column_count = 1;
    request.metrics = NULL;
    static const char *const wrong[][2] = {{"f2", "r.jsonl line 1: there is no number \"f2\" in the row of the id 1"},
                                           {"answer", "there is no number \"answer\""},
                                           {"=x", "'=x' names no column"},
                                           {"bleu1", "the column bleu1 has the name of a metric"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        columns[0] = wrong[i][0];
        assert_error(pfm_score(context, &request, &text, &err), i < 2 ? PFM_ERROR_FORMAT : PFM_ERROR_USAGE, wrong[i][1]);
    }
    columns[0] = map;
    (void)write_file("map.json", "{\"1\":0.5}");
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_FORMAT,
                 "there is no number \"rad\" in its file for the id 2");
    (void)write_file("map.json", "{\"id\":1,\"rad\":0.5}\n{\"id\":1,\"rad\":2}");
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_FORMAT, "line 2: the id 1 is there already");
    (void)write_file("map.json", "{\"id\":1,\"rad\":\"x\"}");
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_FORMAT, "needs \"id\" (or \"qid\") and a number \"rad\"");
    request.against = files;
    request.against_count = 1;
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_USAGE, "belongs to one predictions file");
}

/* Two systems by metrics and by a profile's file; one system against itself does not differ. */
static void test_texts_against(void **state)
{
    (void)state;
    char *text = NULL, profile[400];
    const char *files[] = {write_file("r.jsonl", REPORTS("the lungs are clear", "no effusion"))};
    const char *against[] = {write_file("s.jsonl", REPORTS("no idea", "no effusion is seen"))};
    pfm_score_request request = {
        .files = files, .file_count = 1, .against = against, .against_count = 1, .metrics = "bleu1,rouge_l"};
    json_t *out = score(&request), *difference = json_object_get(out, "difference");
    json_t *bleu = json_object_get(json_object_get(difference, "metrics"), "bleu1");
    double a = json_number_value(json_object_get(bleu, "a")), b = json_number_value(json_object_get(bleu, "b"));
    assert_true(a == figure(out, "bleu1") && b > 0.47 && b < 0.48);
    assert_true(json_number_value(json_object_get(bleu, "mean")) == a - b);
    assert_true(json_number_value(json_object_get(bleu, "p")) > 0.4);
    assert_string_equal(json_string_value(json_array_get(json_object_get(difference, "against"), 0)), against[0]);
    assert_int_equal(json_array_size(json_object_get(bleu, "ci95")), 2);
    json_decref(out);
    request.against = files;
    out = score(&request);
    bleu = json_object_get(json_object_get(json_object_get(out, "difference"), "metrics"), "rouge_l");
    assert_true(json_number_value(json_object_get(bleu, "mean")) == 0 && json_number_value(json_object_get(bleu, "p")) == 1);
    json_decref(out);
    (void)snprintf(profile, sizeof profile, "%s",
                   write_file("two.yaml", "definition: d\nmetrics: [exact]\nreferences: [first_words: 2]\n"));
    request.profile = profile;
    request.against_count = 0;
    out = score(&request);
    assert_string_equal(json_string_value(json_object_get(out, "profile")), "two");
    assert_true(figure(out, "exact") == 50); /* "no effusion" is now the whole reference */
    assert_non_null(strstr(json_string_value(json_object_get(out, "signature")), "|references:first_words:2|"));
    assert_int_equal(strncmp(json_string_value(json_object_get(out, "signature")), "two|exact[", 10), 0);
    json_decref(out);
    request.training = files[0];
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_USAGE, "nothing here learns from training rows");
}

static void test_refusals(void **state)
{
    (void)state;
    char *text = NULL;
    const char *files[] = {write_file("p.jsonl", PREDICTIONS), write_file("q.jsonl", PREDICTIONS "{\"id\":3}")};
    pfm_score_request request = {.files = files, .file_count = 1};
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_USAGE, "give a profile");
    request.profile = "vqa2";
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_USAGE, "there is no profile 'vqa2'");
    request.metrics = "exact";
    request.profile = "vqa";
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_USAGE, "do not go with the profile vqa");
    request.profile = NULL;
    request.metrics = "blue";
    assert_error(pfm_score(context, &request, &text, &err), PFM_ERROR_USAGE, "there is no metric 'blue'");
    request.metrics = NULL;
    request.file_count = 2;
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_and_training), cmocka_unit_test(test_several_files), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_texts_against),        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_list)};
    return cmocka_run_group_tests(tests, open_context, close_context);
}
