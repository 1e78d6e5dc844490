#include "pipeline/take.h"

#include "test.h"

static pfm_error err = PFM_ERROR_INIT;

static void check(pfm_take_kind kind, const char *argument, const char *reply, const char *wanted)
{
    char given[64] = "", *out = NULL;
    if (argument != NULL)
        (void)snprintf(given, sizeof given, "%s", argument);
    const pfm_take take = {kind, argument != NULL ? given : NULL};
    assert_ok(pfm_take_check(&take, &err));
    assert_ok(pfm_take_apply(&take, reply, &out, &err));
    if (wanted == NULL)
        assert_null(out);
    else
        assert_string_equal(out, wanted);
    free(out);
}

static void test_lines(void **state)
{
    (void)state;
    check(PFM_TAKE_WHOLE, NULL, " a\nb \n", "a\nb");
    check(PFM_TAKE_WHOLE, NULL, " \n\t", NULL);
    check(PFM_TAKE_LAST_LINE, NULL, "a\n b \r\n \n", "b");
    check(PFM_TAKE_LAST_LINE, NULL, "a", "a");
    check(PFM_TAKE_LAST_LINE, NULL, "", NULL);
    check(PFM_TAKE_LAST_LINE, NULL, "a\r b", "b");
}

static void test_marks(void **state)
{
    (void)state;
    check(PFM_TAKE_AFTER, "D:", "D: a\nD: b\nc", "b\nc");
    check(PFM_TAKE_LINE_AFTER, "D:", "D: a\nD: b\nc", "b");
    check(PFM_TAKE_LINE_AFTER, "D:", "D:\nc", NULL);
    check(PFM_TAKE_AFTER, "D:", "d: a", NULL);
    check(PFM_TAKE_AFTER, "aa", "aaab", "b"); /* the last mark may overlap */
}

static void test_expressions(void **state)
{
    (void)state;
    check(PFM_TAKE_MATCH, "Score: (\\d+)", "Score: 1\nScore: 23", "23");
    check(PFM_TAKE_MATCH, "^\\d+$", "1\n2\nx3", "2");
    check(PFM_TAKE_MATCH, "(?i)answer: (yes)|no", "ANSWER: YES", "YES");
    check(PFM_TAKE_MATCH, "(?i)answer: (yes)|no", "no", "no");
    check(PFM_TAKE_MATCH, "x*", "\xC3\xA4\xC3\xB6", NULL);
    check(PFM_TAKE_MATCH, "\\p{Lu}.", "a\xC3\x84\xC3\xB6", "\xC3\x84\xC3\xB6");
    check(PFM_TAKE_MATCH, "(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", NULL); /* would take years */
    check(PFM_TAKE_MATCH, "a", "\xFF a", NULL);
}

static void refuse(pfm_take_kind kind, char *argument, const char *part)
{
    const pfm_take take = {kind, argument};
    assert_error(pfm_take_check(&take, &err), PFM_ERROR_USAGE, part);
}

static void test_refused(void **state)
{
    (void)state;
    char wrong[] = "(a", empty[] = "", bytes[] = "\\C";
    refuse(PFM_TAKE_AFTER, NULL, "after needs a text");
    refuse(PFM_TAKE_MATCH, empty, "match needs a text");
    refuse(PFM_TAKE_MATCH, wrong, "the regular expression '(a' is wrong at sign 3");
    refuse(PFM_TAKE_MATCH, bytes, "is wrong");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines), cmocka_unit_test(test_marks),
                                       cmocka_unit_test(test_expressions), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
