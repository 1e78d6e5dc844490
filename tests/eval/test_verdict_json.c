#include "eval/verdict.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;

enum { NONE = -1 };

static const struct {
    const char *reply;
    int score;
} cases[] = {
    {"{\"score\": 3}", 3},
    {"{\"reasons\": \"Score: 1 {\\\"score\\\": 2}\", \"score\": 4}", 4},
    {"{\n  \"reasons\": \"a\",\n  \"score\": 0\n}\n", 0},
    {"{\"score\": 3.0}", 3},
    {"```json\n{\"score\": 2}\n```", 2},
    {"Here it is: {\"score\": 2} I hope that helps.", 2},
    {"<think>{\"score\": 1}</think>{\"score\": 2}", 2},
    {"{\"reasons\": \"a\\u0000b\", \"score\": 1}", 1},
    {"{\"score\": 1, \"more\": [1, {}]}", 1},
    {"", NONE},
    {"3", NONE},
    {"Score: 3", NONE},
    {"{}", NONE},
    {"{\"score\": 5}", NONE},
    {"{\"score\": -1}", NONE},
    {"{\"score\": 2.5}", NONE},
    {"{\"score\": \"3\"}", NONE},
    {"{\"score\": true}", NONE},
    {"{\"score\": null}", NONE},
    {"{\"score\": [3]}", NONE},
    {"{\"score\": 1e300}", NONE},
    {"{\"score\": 4294967298}", NONE},
    {"{\"score\": 1, \"score\": 4}", NONE}, /* which one is meant? */
    {"{\"score\": 1} {\"score\": 4}", NONE},
    {"{\"reasons\": \"cut sho", NONE},
    {"{\"reasons\": \"a}b", NONE},
    {"}{", NONE},
    {"[{\"score\": 3}, 1]", 3},
    {"<think>{\"score\": 3}", NONE},
};

static void test_score(void **state)
{
    (void)state;
    pfm_rubric *rubric = NULL;
    pfm_verdict verdict;
    assert_ok(pfm_rubric_load("likert-report", &rubric, &err));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(pfm_verdict_read_json(rubric, cases[i].reply, &verdict, &err));
        const int found = verdict.state == PFM_VERDICT_OK ? verdict.score : NONE;
        if (found != cases[i].score || (found == NONE && verdict.state != PFM_VERDICT_UNPARSABLE))
            fail_msg("%s: wanted %d, got %d", cases[i].reply, cases[i].score, found);
    }
    pfm_rubric_free(rubric);
}

static void test_errors(void **state)
{
    (void)state;
    static const char all[] = "{\"significant\": {\"A\": 1, \"F\": 2}, \"insignificant\": {\"B\": 3}}";
    static const char *const wrong[] = {"{\"insignificant\": {\"B\": 3}}",
                                        "{\"significant\": {\"A\": -1}}",
                                        "{\"significant\": {\"A\": 1.5}}",
                                        "{\"significant\": {\"A\": 61}}",
                                        "{\"significant\": {\"A\": 60, \"B\": 1}}",
                                        "{\"significant\": [1, 2]}",
                                        "{\"significant\": 3}",
                                        "{\"score\": 3}"};
    pfm_rubric *rubric = NULL;
    pfm_verdict verdict;
    assert_ok(pfm_rubric_load("chexprompt", &rubric, &err));
    assert_ok(pfm_verdict_read_json(rubric, all, &verdict, &err));
    assert_int_equal(verdict.state, PFM_VERDICT_OK);
    assert_int_equal(verdict.score, 3);
    assert_int_equal(verdict.significant[5], 2);
    assert_true(verdict.has_significant && verdict.has_insignificant);
    assert_int_equal(verdict.insignificant[1], 3);
    assert_ok(pfm_verdict_read_json(rubric, "{\"significant\": {}}", &verdict, &err));
    assert_int_equal(verdict.state, PFM_VERDICT_OK);
    assert_int_equal(verdict.score, 0);
    assert_false(verdict.has_insignificant);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_ok(pfm_verdict_read_json(rubric, wrong[i], &verdict, &err));
        if (verdict.state != PFM_VERDICT_UNPARSABLE || verdict.score != 0 || verdict.has_significant)
            fail_msg("%s was read", wrong[i]);
    }
    pfm_rubric_free(rubric);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_score), cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
