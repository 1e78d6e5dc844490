#include "peft/expression.h"
#include "test.h"

static bool matches(const char *expression, const char *text)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_expression *made = NULL;
    bool found = false;
    assert_ok(pfm_expression_create(expression, &made, &err));
    assert_ok(pfm_expression_match(made, text, &found, &err));
    pfm_expression_free(made);
    return found;
}

/* What Python's re.fullmatch says of the same, each line tried there. */
static void whole_names_match(void **state)
{
    (void)state;
    static const struct {
        const char *expression, *text;
        bool found;
    } cases[] = {{"a|ab", "ab", true},
                 {"q_proj", "self_attn.q_proj", false},
                 {".*q_proj", "self_attn.q_proj", true},
                 {".*q_proj", "self_attn.q_proj.x", false},
                 {"model\\.layers\\.[0-9]+\\.mlp\\..*", "model.layers.11.mlp.up_proj", true},
                 {"model\\.layers\\.[^01]\\.mlp\\..*", "model.layers.1.mlp.up_proj", false},
                 {"(?:x|y)\\d{2,3}", "y123", true},
                 {"(?P<a>x)(?P=a)", "xx", true},
                 {"(?!.*gate).*_proj", "gate_proj", false},
                 {"(?i)Q_PROJ", "q_proj", true},
                 {"[]x]+", "x]", true},
                 {"[^]x]", "]", false},
                 {"a{2}", "aa", true},
                 {"a{b", "a{b", true},
                 {"\\w+\\Z", "q_proj", true},
                 {"", "", true},
                 {"", "x", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (matches(cases[i].expression, cases[i].text) != cases[i].found)
            fail_msg("%s on %s is not %d", cases[i].expression, cases[i].text, cases[i].found);
    }
}

static void what_python_reads_otherwise_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *expression, *part;
        pfm_status status;
    } cases[] = {{"\\hx", "'\\h'", PFM_ERROR_UNSUPPORTED},
                 {"a\\", "'\\'", PFM_ERROR_UNSUPPORTED},
                 {"\\Qx\\E", "'\\Q'", PFM_ERROR_UNSUPPORTED},
                 {"[[:alpha:]]", "'[:'", PFM_ERROR_UNSUPPORTED},
                 {"(*ACCEPT)", "'(*AC'", PFM_ERROR_UNSUPPORTED},
                 {"(?R)", "'(?R)'", PFM_ERROR_UNSUPPORTED},
                 {"(a)(?1)", "'(?1)'", PFM_ERROR_UNSUPPORTED},
                 {"(?|a|b)", "'(?|a'", PFM_ERROR_UNSUPPORTED},
                 {"(?<n>a)", "'(?<n'", PFM_ERROR_UNSUPPORTED},
                 {"a{,2}", "'{,'", PFM_ERROR_UNSUPPORTED},
                 {"(a", "is no regular expression", PFM_ERROR_USAGE},
                 {"[a", "is no regular expression", PFM_ERROR_USAGE},
                 {"*a", "is no regular expression", PFM_ERROR_USAGE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_expression *made = NULL;
        assert_error(pfm_expression_create(cases[i].expression, &made, &err), cases[i].status, cases[i].part);
        assert_null(made);
    }
}

/* It ends, and says that it cannot. */
static void a_hostile_one_ends(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_expression *made = NULL;
    bool found = true;
    char longest[20000];
    assert_ok(pfm_expression_create("(?:a|aa)+(?<=b)", &made, &err));
    assert_error(pfm_expression_match(made, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", &found, &err),
                 PFM_ERROR_UNSUPPORTED, "cannot be used on the name");
    assert_false(found);
    pfm_expression_free(made);
    pfm_expression_free(NULL);
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    made = NULL;
    err = (pfm_error)PFM_ERROR_INIT;
    assert_error(pfm_expression_create(longest, &made, &err), PFM_ERROR_UNSUPPORTED, "more than");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole_names_match),
                                       cmocka_unit_test(what_python_reads_otherwise_is_refused),
                                       cmocka_unit_test(a_hostile_one_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
