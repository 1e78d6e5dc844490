#include "base/file.h"
#include "base/json.h"
#include "eval/verdict.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;

static const char *file_path(void) { return test_path(test_scratch_folder(), "v.jsonl"); }

static void write_file(const char *text) { assert_ok(pfm_file_write(file_path(), text, strlen(text), &err)); }

typedef struct seen {
    int count, failed, sum;
    pfm_verdict last;
} seen;

static pfm_status see(void *user, const pfm_verdict_line *line, const pfm_place *place, bool *keep, pfm_error *e)
{
    seen *s = user;
    (void)place;
    (void)e;
    s->count++;
    s->sum += line->verdict.state == PFM_VERDICT_OK ? line->verdict.score : 0;
    s->failed += line->verdict.state == PFM_VERDICT_FAILED;
    s->last = line->verdict;
    *keep = line->verdict.state != PFM_VERDICT_FAILED;
    return PFM_OK;
}

static void append(pfm_verdict_file *file, json_t *id, pfm_verdict verdict, const char *reply, const char *error)
{
    const pfm_verdict_line line = {
        .model = "m", .id = id, .repeat = 1, .asked = "0123456789abcdef", .verdict = verdict, .reply = reply, .error = error};
    assert_ok(pfm_verdict_file_append(file, &line, &err));
    json_decref(id);
}

/* What is written is read again; what failed can be taken out, and half a line at the end too. */
static void test_written(void **state)
{
    (void)state;
    pfm_verdict_file file;
    seen s = {0};
    assert_ok(pfm_verdicts_read(file_path(), see, &s, true, &err)); /* there is none yet */
    assert_int_equal(s.count, 0);
    assert_ok(pfm_verdict_file_open(file_path(), &file, &err));
    append(&file, json_string("a\"b"), (pfm_verdict){.state = PFM_VERDICT_OK, .score = 3, .attempts = 2}, "x\nScore: 3", NULL);
    append(&file, json_integer(7), (pfm_verdict){.state = PFM_VERDICT_FAILED, .attempts = 5}, NULL, "out of order");
    append(&file, json_integer(8),
           (pfm_verdict){.state = PFM_VERDICT_OK, .score = 2, .has_significant = true, .significant = {0, 2}}, "y", NULL);
    pfm_verdict_file_close(&file);
    assert_ok(pfm_verdicts_read(file_path(), see, &s, false, &err));
    assert_int_equal(s.count, 3);
    assert_int_equal(s.sum, 5);
    assert_int_equal(s.failed, 1);
    assert_int_equal(s.last.significant[1], 2);
    assert_false(s.last.has_insignificant);
    pfm_buffer text = {0};
    assert_ok(pfm_file_read(file_path(), 0, &text, &err));
    assert_non_null(
        strstr(text.data, "\"score\":null,\"status\":\"failed\",\"reply\":null,\"attempts\":5,\"error\":\"out of order\""));
    assert_ok(pfm_buffer_append_string(&text, "{\"id\":9,\"repe", &err));
    assert_ok(pfm_file_write(file_path(), text.data, text.size, &err));
    pfm_buffer_free(&text);
    for (int again = 0; again < 2; again++) {
        s = (seen){0};
        assert_ok(pfm_verdicts_read(file_path(), see, &s, true, &err));
        assert_int_equal(s.count, again == 0 ? 3 : 2);
    }
    assert_ok(pfm_file_read(file_path(), 0, &text, &err));
    assert_int_equal(text.data[text.size - 1], '\n');
    pfm_buffer_free(&text);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {"5",
                                        "[]",
                                        "{}",
                                        "{\"id\":1.5,\"repeat\":1,\"score\":1,\"status\":\"ok\"}",
                                        "{\"id\":1,\"repeat\":0,\"score\":1,\"status\":\"ok\"}",
                                        "{\"id\":1,\"repeat\":1,\"score\":1.5,\"status\":\"ok\"}",
                                        "{\"id\":1,\"repeat\":1,\"score\":null,\"status\":\"ok\"}",
                                        "{\"id\":1,\"repeat\":1,\"score\":1,\"status\":\"failed\"}",
                                        "{\"id\":1,\"repeat\":1,\"score\":1,\"status\":\"good\"}",
                                        "{\"id\":1,\"repeat\":1,\"score\":99999999999,\"status\":\"ok\"}",
                                        "{\"id\":1,\"repeat\":1,\"score\":1,\"status\":\"ok\",\"attempts\":-1}",
                                        "{\"id\":1,\"repeat\":1,\"score\":1,\"status\":\"ok\",\"significant\":{\"A\":1}}"};
    char text[300];
    seen s = {0};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        (void)snprintf(text, sizeof text, "\n%s\n", lines[i]);
        write_file(text);
        assert_error(pfm_verdicts_read(file_path(), see, &s, true, &err), PFM_ERROR_FORMAT,
                     i == 0 ? "v.jsonl line 2" : "line 2: is no verdict");
    }
    write_file("{\"id\": 1\n");
    assert_error(pfm_verdicts_read(file_path(), see, &s, true, &err), PFM_ERROR_FORMAT, "line 1: not JSON");
    assert_int_equal(s.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_written), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
