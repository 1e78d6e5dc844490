#include "pacs/pacs_rules.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;

static pfm_status parse(const char *text, pfm_pacs_rules *out)
{
    return pfm_pacs_rules_parse("FILE", text, strlen(text), out, &err);
}

static void a_file_says_all(void **state)
{
    (void)state;
    pfm_pacs_rules rules;
    assert_ok(parse("wait: 2.5\n"
                    "give_up: 1\n"
                    "rules:\n"
                    "  - name: chest\n"
                    "    modality: [CR, DX]\n"
                    "    body_part: CHEST\n"
                    "    description: [chest pa, thorax]\n"
                    "    report: true\n"
                    "    indication: Cough.\n"
                    "    series: all\n"
                    "    window: lung\n"
                    "    kind: enhanced\n"
                    "    language: es\n"
                    "    return: ARCHIVE@pacs.example:104\n"
                    "  - questions: [Is there a mass?, Where?]\n"
                    "    slices: \"8\"\n"
                    "    max_tokens: 12\n"
                    "    return: {dicomweb: \"http://localhost:8042/dicom-web\", credentials: secret}\n"
                    "  - questions: What is it?\n",
                    &rules));
    assert_true(rules.wait == 2.5 && rules.give_up == 1 && rules.count == 3);
    const pfm_pacs_rule *r = &rules.rules[0];
    assert_string_equal(r->name, "chest");
    assert_int_equal(r->modality.count, 2);
    assert_string_equal(r->body_part.texts[0], "CHEST");
    assert_true(r->report && r->every && r->returns && r->line == 4);
    assert_string_equal(r->target.title, "ARCHIVE");
    assert_string_equal(r->target.host, "pacs.example");
    assert_int_equal(r->target.port, 104);
    r = &rules.rules[1];
    assert_string_equal(r->name, "2");
    assert_string_equal(r->questions.texts[1], "Where?");
    assert_true(r->max_tokens == 12 && !r->every && !r->report);
    assert_string_equal(r->target.url, "http://localhost:8042/dicom-web");
    assert_string_equal(r->target.credentials, "secret");
    assert_false(rules.rules[2].returns);
    pfm_pacs_rules_free(&rules);
}

static void what_is_wrong_is_named_by_its_line(void **state)
{
    (void)state;
#define RULE "rules:\n  - questions: Where?\n    "
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "FILE line 1: a file of rules begins with a key"},
        {"- a", "FILE line 1: a file of rules begins with a key"},
        {"wait: 1\n", "there are no rules"},
        {"rules: []\n", "FILE line 1: rules must be a list of 1 to 256"},
        {"rules: {a: b}\n", "rules must be a list"},
        {"rules: [a]\n", "a rule is a mapping"},
        {"wait: 0\nrules: [{report: true}]\n", "FILE line 1: wait must be a number of seconds"},
        {"wait: nan\nrules: [{report: true}]\n", "wait must be"},
        {"wait: 1\nwait: 2\nrules: [{report: true}]\n", "FILE line 2: wait is given a second time"},
        {"give_up: 1e9\nrules: [{report: true}]\n", "give_up must be a number of hours"},
        {"rule: []\n", "did you mean 'rules'"},
        {"rules:\n  - modality: CT\n", "FILE line 2: a rule has either questions or report: true"},
        {RULE "report: true\n", "FILE line 2: a rule has either questions or report: true"},
        {RULE "indication: x\n", "indication belongs to report: true"},
        {RULE "modalities: CT\n", "FILE line 3: there is no key 'modalities'; did you mean 'modality'"},
        {RULE "modality: []\n", "FILE line 3: modality must be a code"},
        {RULE "modality: [[CT]]\n", "FILE line 3: modality must be a code"},
        {RULE "description: \"--\"\n", "FILE line 3: description must be words"},
        {RULE "series: some\n", "FILE line 3: series must be largest"},
        {RULE "slices: many\n", "FILE line 3: "},
        {RULE "window: dark\n", "FILE line 3: "},
        {RULE "kind: long\n", "FILE line 3: a structured report is basic or enhanced"},
        {RULE "language: xx\n", "FILE line 3: the language of a structured report"},
        {RULE "max_tokens: 1.5\n", "FILE line 3: max_tokens must be a whole number"},
        {RULE "max_tokens: 0\n", "max_tokens must be a whole number"},
        {RULE "name: a b\n", "FILE line 3: a rule's name has letters"},
        {"rules:\n  - {name: a, report: true}\n  - {name: a, report: true}\n", "FILE line 3: an earlier rule has this name"},
        {RULE "return: ARCHIVE\n", "FILE line 3: return 'ARCHIVE' is no application entity"},
        {RULE "return: ARCHIVE@host\n", "is no application entity"},
        {RULE "return: ARCHIVE@host:0\n", "is no application entity"},
        {RULE "return: ARCHIVE@host:65536\n", "is no application entity"},
        {RULE "return: ARCHIVE@ho/st:1\n", "is no application entity"},
        {RULE "return: 12345678901234567@host:1\n", "is no application entity"},
        {RULE "return: \" A@host:1\"\n", "is no application entity"},
        {RULE "return: \"A\\\\B@host:1\"\n", "is no application entity"},
        {RULE "return: {credentials: a}\n", "FILE line 3: return must be AET@HOST:PORT"},
        {RULE "return: [a]\n", "FILE line 3: return must be AET@HOST:PORT"},
        {RULE "report: false\n", "report must be true"},
        {"rules:\n  - questions: \"a\\0b\"\n", "questions must be a question"},
        {"rules:\n  - questions: \" \"\n", "questions must be a question"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_pacs_rules rules;
        assert_error(parse(cases[i].text, &rules), PFM_ERROR_USAGE, cases[i].part);
        pfm_pacs_rules_free(&rules);
    }
    pfm_pacs_rules rules;
    assert_error(parse("rules: [", &rules), PFM_ERROR_FORMAT, "not YAML");
    pfm_pacs_rules_free(&rules);
}

static void the_first_that_matches_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        pfm_pacs_series series;
        bool matches;
    } cases[] = {
        {"", {"CT", "CHEST", "a"}, true},
        {"", {"", "", ""}, true},
        {"modality: CT", {"CT", "", ""}, true},
        {"modality: ct", {"CT", "", ""}, true},
        {"modality: CT", {"CTX", "", ""}, false},
        {"modality: CT", {"", "", ""}, false},
        {"modality: [MR, CT]", {"CT", "", ""}, true},
        {"body_part: chest", {"CT", "CHEST", ""}, true},
        {"body_part: CHEST", {"CT", "", "CHEST"}, false},
        {"modality: CT, body_part: CHEST", {"CT", "HEAD", ""}, false},
        {"description: chest", {"", "", "Chest PA"}, true},
        {"description: chest", {"", "", "Chestwall"}, false},
        {"description: chest", {"", "", "no_chest-x"}, true},
        {"description: pa chest", {"", "", "CHEST, pa\nroutine"}, true},
        {"description: pa chest", {"", "", "CHEST ap"}, false},
        {"description: [head, chest]", {"", "", "the chest"}, true},
        {"description: T1", {"", "", "AX T1 SE"}, true},
        {"description: T1", {"", "", "AX T10 SE"}, false},
        {"description: Sch\xC3\xA4"
         "del",
         {"", "",
          "CT Sch\xC3\xA4"
          "del nativ"},
         true},
        {"description: chest", {"", "", ""}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        pfm_pacs_rules rules;
        (void)sprintf(text, "rules: [{report: true, %s}]", cases[i].rule);
        assert_ok(parse(text, &rules));
        if (pfm_pacs_rule_matches(&rules.rules[0], &cases[i].series) != cases[i].matches)
            fail_msg("case %zu: %s", i, cases[i].rule);
        pfm_pacs_rules_free(&rules);
    }
}

static void addresses(void **state)
{
    (void)state;
    pfm_pacs_target target = {0};
    assert_ok(pfm_pacs_target_read("--dicom-allow", "MY SCANNER@10.0.0.5", false, &target, &err));
    assert_string_equal(target.title, "MY SCANNER");
    assert_int_equal(target.port, 0);
    pfm_pacs_target_free(&target);
    assert_ok(pfm_pacs_target_read("--dicom-allow", "A@B@10.0.0.5:1", false, &target, &err));
    assert_string_equal(target.title, "A@B");
    pfm_pacs_target_free(&target);
    assert_error(pfm_pacs_target_read("--dicom-return", "A@10.0.0.5", true, &target, &err), PFM_ERROR_USAGE,
                 "--dicom-return 'A@10.0.0.5'");
    assert_ok(pfm_pacs_target_read("--dicom-allow", "A@[2001:db8::5]", false, &target, &err));
    assert_string_equal(target.host, "2001:db8::5");
    assert_int_equal(target.port, 0);
    pfm_pacs_target_free(&target);
    assert_error(pfm_pacs_target_read("--dicom-allow", "A@[::1]:104", false, &target, &err), PFM_ERROR_USAGE,
                 "no results can be sent");
    assert_error(pfm_pacs_target_read("--dicom-return", "A@[::1]", true, &target, &err), PFM_ERROR_USAGE,
                 "no results can be sent");
    assert_error(pfm_pacs_target_read("--dicom-allow", "A@[]", false, &target, &err), PFM_ERROR_USAGE,
                 "is no application entity");
    assert_error(pfm_pacs_target_read("--dicom-allow", "A@[::1", false, &target, &err), PFM_ERROR_USAGE,
                 "is no application entity");
    assert_true(pfm_pacs_title_is("PEFOMED") && !pfm_pacs_title_is("") && !pfm_pacs_title_is("a\tb"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_file_says_all), cmocka_unit_test(what_is_wrong_is_named_by_its_line),
                                       cmocka_unit_test(the_first_that_matches_is_found), cmocka_unit_test(addresses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
