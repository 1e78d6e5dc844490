#include "pipeline/prompt_template.h"

#include "test.h"

static pfm_error err = PFM_ERROR_INIT;
static const char *const names[] = {"question", "text", "one"};

static void check(const char *text, const char *wanted)
{
    static const char *const values[] = {"Q?", "", "1\n{text}"};
    char *out = NULL;
    assert_ok(pfm_template_check(text, names, 3, &err));
    assert_ok(pfm_template_fill(text, names, values, 3, &out, &err));
    assert_string_equal(out, wanted);
    free(out);
}

static void test_fill(void **state)
{
    (void)state;
    check("", "");
    check(" a\n", "a");
    check("{question}", "Q?");
    check("a {question} b{question}", "a Q? bQ?");
    check("a\n{text}\nb", "a\nb"); /* places alone that are blank */
    check("a\n {text} {text}\t\nb", "a\nb");
    check("a\n\nb", "a\n\nb"); /* a blank line is meant */
    check("a\nText: {text}\nb", "a\nText: \nb");
    check("{text}\nb\n{text}", "b");
    check("{text}{question}", "Q?");
    check("{one}", "1\n{text}"); /* what stands in a value is no place */
    check("{{question}} {{{question}}}", "{question} {Q?}");
    check("a } b }} c", "a } b } c");
    check("{{\"a\": 1}}", "{\"a\": 1}");
    check("a\r\n{text}\r\nb", "a\r\nb");
}

static void refuse(const char *text, const char *part)
{
    assert_error(pfm_template_check(text, names, 3, &err), PFM_ERROR_USAGE, part);
}

static void test_refused(void **state)
{
    (void)state;
    refuse("{two}", "a place {two}, and there are {question}, {text}, {one} here");
    refuse("{qestion}", "did you mean {question}?");
    refuse("{}", "a place {}");
    refuse("{\"a\": 1}", "a brace itself is written {{");
    refuse("a {question", "a { without a }");
    refuse("{\nquestion}", "a { without a }");
    refuse("{{{", "a { without a }");
}

static void test_has(void **state)
{
    (void)state;
    assert_true(pfm_template_has("a {text} b", "text"));
    assert_false(pfm_template_has("a {{text}} b", "text"));
    assert_false(pfm_template_has("a {texts} b", "text"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fill), cmocka_unit_test(test_refused), cmocka_unit_test(test_has)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
