#include "base/file.h"
#include "eval/predictions.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;

#define ROW(id) "{\"id\":\"" id "\",\"image\":\"a.jpg\",\"question\":\"q\",\"answer\":\"yes\",\"prediction\":\"no\"}\n"

static const char *write_file(const char *text)
{
    const char *path = test_path(test_scratch_folder(), "p.jsonl");
    assert_ok(pfm_file_write(path, text, strlen(text), &err));
    return path;
}

static size_t load(const char *text)
{
    json_t *rows = NULL;
    assert_ok(pfm_predictions_load(write_file(text), &rows, &err));
    size_t count = json_array_size(rows);
    json_decref(rows);
    return count;
}

static void test_forms(void **state)
{
    (void)state;
    assert_int_equal(load(ROW("1") "\r\n  \n" ROW("2")), 2);
    assert_int_equal(load("\xEF\xBB\xBF" ROW("1")), 1);
    assert_int_equal(load(" [" ROW("1") "," ROW("2") "]"), 2);
    assert_int_equal(
        load("{\"id\":7,\"image\":3,\"question\":\"q\",\"answer\":2.5,\"prediction\":2,\"answer_type\":\" closed\","
             "\"correct\":false,\"probability\":1,\"triple\":[1,2]}"),
        1);
    assert_int_equal(load("{\"id\":7,\"image\":3,\"question\":\"q\",\"answer\":2,\"prediction\":\"\",\"answer_type\":null,"
                          "\"probability\":null}"),
                     1);
}

static void refuse(const char *text, const char *part)
{
    json_t *rows = NULL;
    assert_error(pfm_predictions_load(write_file(text), &rows, &err), PFM_ERROR_FORMAT, part);
    assert_null(rows);
}

static void test_references(void **state)
{
    (void)state;
#define REPORT(more) "{\"id\":1,\"prediction\":\"p\"," more "}"
    assert_int_equal(load(REPORT("\"references\":[\"a\",\"b\"],\"weights\":[-0.5,1],\"reference\":\"b\"")), 1);
    refuse(REPORT("\"references\":\"a\""), "\"references\" must be a list of at least one text");
    refuse(REPORT("\"references\":[]"), "\"references\" must be a list of at least one text");
    refuse(REPORT("\"references\":[\"a\",null]"), "number 2 of \"references\" is no text");
    refuse(REPORT("\"references\":[\"a\"],\"reference\":\"b\""), "\"reference\" is none of \"references\"");
    refuse(REPORT("\"references\":[\"a\",\"b\"],\"weights\":[1]"), "\"weights\" must be a list of 2 numbers");
    refuse(REPORT("\"references\":[\"a\"],\"weights\":[\"1\"]"), "number 1 of \"weights\" is no number");
    refuse(REPORT("\"references\":[\"a\"],\"weights\":[0]"), "no number of \"weights\" is above 0");
}

static void test_refusals(void **state)
{
    (void)state;
#define MORE(more) "{\"id\":1,\"image\":\"a\",\"question\":\"q\",\"answer\":\"a\",\"prediction\":\"p\"," more "}"
    refuse("", "holds no rows");
    refuse("[]", "no rows");
    refuse(ROW("1") "\n" ROW("2") "{\"id\":", "line 4: not JSON");
    refuse(ROW("1") "[1]", "line 2: every row must be a JSON object");
    refuse("[" ROW("1") ",5]", "row 2: every row must be a JSON object");
    refuse(ROW("1") "{\"id\":\"2\",\"image\":\"a\",\"question\":\"q\",\"prediction\":\"p\"}", "line 2: \"answer\" is missing");
    refuse("{\"image\":\"a\",\"question\":\"q\",\"answer\":\"a\",\"prediction\":\"p\"}", "line 1: \"id\" is missing");
    refuse("{\"id\":1.5,\"image\":\"a\",\"question\":\"q\",\"answer\":\"a\",\"prediction\":\"p\"}",
           "\"id\" must be a string or a whole");
    refuse("{\"id\":1,\"question\":\"q\",\"answer\":\"a\",\"prediction\":\"p\"}", "\"image\" is missing");
    refuse("{\"id\":1,\"image\":\"a\",\"question\":3,\"answer\":\"a\",\"prediction\":\"p\"}", "\"question\" must be a string;");
    refuse("{\"id\":1,\"image\":\"a\",\"question\":\"q\",\"answer\":true,\"prediction\":\"p\"}",
           "\"answer\" must be a string or a num");
    refuse("{\"id\":1,\"image\":\"a\",\"question\":\"q\",\"answer\":\"a\",\"prediction\":null}", "\"prediction\" must be");
    refuse("{\"id\":1,\"image\":\"a\",\"question\":\"q\",\"answer\":\"a\",\"prediction\":\"p\\ud800\"}", "line 1: not JSON");
    refuse(MORE("\"answer_type\":\"BOTH\""), "\"answer_type\" must be OPEN or CLOSED");
    refuse(MORE("\"answer_type\":1"), "\"answer_type\" must be OPEN or CLOSED");
    refuse(MORE("\"correct\":1"), "\"correct\" must be true or false");
    refuse(MORE("\"probability\":1.5"), "\"probability\" must be a number from 0 to 1");
    refuse(MORE("\"probability\":-0.1"), "\"probability\" must be a number from 0 to 1");
    refuse(MORE("\"probability\":\"1\""), "\"probability\" must be a number from 0 to 1");
    refuse(MORE("\"id\":2"), "not JSON: duplicate");
    refuse(ROW("1") ROW("2") ROW("1"), "line 3: the id 1 is that of row 1 already");
    json_t *rows = NULL;
    assert_error(pfm_predictions_load("/nonexistent/p.jsonl", &rows, &err), PFM_ERROR_IO, "/nonexistent/p.jsonl");
}

static void test_save(void **state)
{
    (void)state;
    const char *path = test_path(test_scratch_folder(), "saved.jsonl");
    json_t *rows = NULL, *again = NULL;
    assert_ok(pfm_predictions_load(write_file(ROW("1") ROW("2")), &rows, &err));
    assert_ok(pfm_predictions_save(path, rows, &err));
    assert_ok(pfm_predictions_load(path, &again, &err));
    assert_true(json_equal(rows, again));
    pfm_buffer text = {0};
    assert_ok(pfm_file_read(path, 0, &text, &err));
    assert_string_equal(text.data, ROW("1") ROW("2"));
    json_object_del(json_array_get(rows, 1), "prediction");
    assert_error(pfm_predictions_save(path, rows, &err), PFM_ERROR_FORMAT, "prediction 2: \"prediction\" is missing");
    pfm_buffer_free(&text);
    json_decref(rows);
    json_decref(again);
}

static void test_number_text(void **state)
{
    (void)state;
    static const struct {
        double number;
        const char *text;
    } cases[] = {{0.1, "0.1"},    {2, "2.0"}, {20.5, "20.5"}, {100000, "100000.0"}, {1.0 / 3, "0.333333333333333"},
                 {-4.35, "-4.35"}};
    pfm_number_text scratch;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *number = json_real(cases[i].number);
        const char *text = pfm_json_text(number, scratch);
        if (cases[i].number == 1.0 / 3)
            assert_true(strtod(text, NULL) == cases[i].number);
        else
            assert_string_equal(text, cases[i].text);
        json_decref(number);
    }
    json_t *whole = json_integer(-12);
    assert_string_equal(pfm_json_text(whole, scratch), "-12");
    json_decref(whole);
    assert_null(pfm_json_text(json_true(), scratch));
    assert_null(pfm_json_text(NULL, scratch));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms), cmocka_unit_test(test_references),
                                       cmocka_unit_test(test_refusals), cmocka_unit_test(test_save),
                                       cmocka_unit_test(test_number_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
