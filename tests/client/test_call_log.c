#include "client/call_log.h"

#include "base/file.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;
static const char key_a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char key_b[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

static const char *log_path(void) { return test_path(test_scratch_folder(), "calls.jsonl"); }

static pfm_call_log *open_log(void)
{
    pfm_call_log *log = NULL;
    assert_ok(pfm_call_log_open(log_path(), &log, &err));
    return log;
}

static void append(pfm_call_log *log, const char *key, const char *reply, const char *error, const char *finish)
{
    json_t *request = json_pack("{s:s}", "model", "m");
    assert_ok(pfm_call_log_append(log,
                                  &(pfm_call_line){.key = key,
                                                   .label = "a label",
                                                   .request = request,
                                                   .attempt = 2,
                                                   .status = reply != NULL ? 200 : 0,
                                                   .seconds = 0.5,
                                                   .reply = reply,
                                                   .error = error,
                                                   .finish = finish},
                                  &err));
    json_decref(request);
}

static void test_kept(void **state)
{
    (void)state;
    bool cut = false;
    pfm_call_log *log = open_log(), *second = NULL;
    assert_null(pfm_call_log_find(log, key_a, NULL));
    append(log, key_a, NULL, "out of order", NULL);
    assert_null(pfm_call_log_find(log, key_a, NULL));
    append(log, key_a, "\xC3\xA4\nline", NULL, "length");
    append(log, key_a, "another", NULL, "stop");
    append(log, key_b, "", NULL, NULL);
    assert_error(pfm_call_log_open(log_path(), &second, &err), PFM_ERROR_IO, "another process is at work");
    for (int again = 0; again < 2; again++) {
        assert_string_equal(pfm_call_log_find(log, key_a, &cut), "\xC3\xA4\nline"); /* the first stays */
        assert_true(cut);
        assert_string_equal(pfm_call_log_find(log, key_b, &cut), "");
        assert_false(cut);
        assert_int_equal(pfm_call_log_count(log), 2);
        pfm_call_log_free(log);
        log = open_log();
    }
    pfm_call_log_free(log);
}

/* Wherever the file is cut, what stood in whole lines is there, and the next line begins on its own. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    pfm_buffer whole = {0};
    pfm_call_log *log = open_log();
    append(log, key_a, "first", NULL, "stop");
    pfm_call_log_free(log);
    assert_ok(pfm_file_read(log_path(), 0, &whole, &err));
    const char *first = memchr(whole.data, '\n', whole.size);
    const size_t line = (size_t)(first - whole.data) + 1;
    for (size_t size = 0; size < line; size += 7) {
        assert_ok(pfm_file_write(log_path(), whole.data, size, &err));
        log = open_log();
        assert_int_equal(pfm_call_log_count(log), 0);
        append(log, key_b, "second", NULL, "stop");
        pfm_call_log_free(log);
        log = open_log();
        assert_int_equal(pfm_call_log_count(log), 1);
        assert_string_equal(pfm_call_log_find(log, key_b, NULL), "second");
        pfm_call_log_free(log);
    }
    pfm_buffer_free(&whole);
}

static void refuse(const char *text, const char *part)
{
    pfm_call_log *log = NULL;
    assert_ok(pfm_file_write(log_path(), text, strlen(text), &err));
    assert_error(pfm_call_log_open(log_path(), &log, &err), PFM_ERROR_FORMAT, part);
}

static void test_refused(void **state)
{
    (void)state;
    pfm_call_log *log = NULL;
    refuse("{\n{}\n", "line 1: not JSON");
    refuse("\n{\"id\": 1}\n", "line 2: is no line of a log of calls");
    refuse("{\"key\": \"AAAA\"}\n", "line 1: is no line");
    refuse("[]\n", "line 1: is no line");
    assert_error(pfm_call_log_open(test_path(test_scratch_folder(), "none/calls.jsonl"), &log, &err), PFM_ERROR_IO,
                 "cannot open");
}

static void test_key(void **state)
{
    (void)state;
    pfm_hash_hex key, wanted;
    json_t *request = json_pack("{s:s, s:i}", "b", "\xC3\xA4", "a", 1);
    assert_ok(pfm_call_log_key(request, key, &err));
    assert_ok(pfm_hash_bytes("{\"b\":\"\xC3\xA4\",\"a\":1}", 16, wanted, &err));
    assert_string_equal(key, wanted);
    json_decref(request);
}

/* Attempts are counted up to the reply; a note is none, and stands there once. */
static void test_attempts(void **state)
{
    (void)state;
    pfm_buffer text = {0};
    json_t *note = json_pack("{s:s}", "declaration", "I may.");
    assert_ok(pfm_file_write(log_path(), "", 0, &err));
    pfm_call_log *log = open_log();
    append(log, key_a, NULL, "first", NULL);
    append(log, key_a, NULL, "second", NULL);
    append(log, key_b, NULL, "third", NULL);
    append(log, key_b, "reply", NULL, "stop");
    append(log, key_b, NULL, "late", NULL);
    for (int again = 0; again < 2; again++) {
        assert_ok(pfm_call_log_note(log, "a note", note, &err));
        assert_int_equal(pfm_call_log_attempts(log, key_a), 2);
        assert_string_equal(pfm_call_log_error(log, key_a), "second");
        assert_int_equal(pfm_call_log_attempts(log, key_b), 2);
        assert_null(pfm_call_log_error(log, key_b));
        assert_int_equal(pfm_call_log_count(log), 1);
        pfm_call_log_free(log);
        log = open_log();
    }
    pfm_call_log_free(log);
    assert_ok(pfm_file_read(log_path(), 0, &text, &err));
    const char *first = strstr(text.data, "I may.");
    assert_non_null(first);
    assert_null(strstr(first + 1, "I may."));
    pfm_buffer_free(&text);
    json_decref(note);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kept), cmocka_unit_test(test_cut_anywhere),
                                       cmocka_unit_test(test_refused), cmocka_unit_test(test_key),
                                       cmocka_unit_test(test_attempts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
