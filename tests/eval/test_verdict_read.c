#include "eval/verdict.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;

enum { NONE = -1 };

static void check(const pfm_rubric *rubric, const char *reply, int score)
{
    pfm_verdict verdict;
    pfm_verdict_read(rubric, reply, &verdict);
    const int found = verdict.state == PFM_VERDICT_OK ? verdict.score : NONE;
    if (found != score || (found == NONE && verdict.state != PFM_VERDICT_UNPARSABLE))
        fail_msg("\"%s\": wanted %d, got %d", reply, score, found);
}

static const struct {
    const char *reply;
    int score;
} cases[] = {
    {"Score: 3", 3},
    {"Because.\nScore: 3\n", 3},
    {"Score: 3\r\n", 3},
    {"Score: 1\nScore: 4", 4},
    {"Score: 1\nand more words", 1},
    {"  **Score:** 2", 2},
    {"**Score: 2**", 2},
    {"### Score: 2", 2},
    {"- Score: `2`", 2},
    {"> Score: [2]", 2},
    {"score:2", 2},
    {"SCORE : 2.", 2},
    {"Final score: 2", 2},
    {"Score: 2/4", 2},
    {"Score: 2 / 4", 2},
    {"Score: 2 out of 4", 2},
    {"Score: 2.0", 2},
    {"Score: +2", 2},
    {"Score: 02", 2},
    {"Score\xEF\xBC\x9A 2", 2},
    {"Score: $2$", 2},
    {"Score: 2 (mostly right)", 2},
    {"Score: 2 \xE2\x80\x93 mostly right", 2},
    {"Score: 3\nScore: high", 3}, /* the second has not the form */
    {"Score: 0", 0},
    {"<think>\nScore: 1\n</think>\nScore: 3", 3},
    {"", NONE},
    {"3", NONE},
    {"Score: N", NONE},
    {"Score:", NONE},
    {"Score: three", NONE},
    {"Score: 5", NONE},
    {"Score: -1", NONE},
    {"Score: 99999999999999999999999", NONE},
    {"Score: 4294967298", NONE},
    {"Score: 2\nScore: 7", NONE}, /* the last one counts */
    {"Score: 2.5", NONE},
    {"Score: 2,5", NONE},
    {"Score: 2/5", NONE},
    {"Score: 2/10", NONE},
    {"Score: 2 out of 5", NONE},
    {"Score: 2 or 3", NONE},
    {"Score: 2-3", NONE},
    {"Score: 2 (or 3)", NONE},
    {"Score: 2a", NONE},
    {"The Score: 2", NONE},
    {"Scores: 2", NONE},
    {"Score 2", NONE},
    {"I would say Score: 2", NONE},
    {"<think>\nScore: 1", NONE}, /* never came to an end */
    {"<think>Score: 1\n</think>", NONE},
};

static void test_score(void **state)
{
    (void)state;
    pfm_rubric *rubric = NULL;
    assert_ok(pfm_rubric_load("likert-report", &rubric, &err));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(rubric, cases[i].reply, cases[i].score);
    pfm_rubric_free(rubric);
}

#define SIGNIFICANT "Number of clinically significant errors by type: "
#define INSIGNIFICANT "Number of clinically insignificant errors by type: "

static void test_errors(void **state)
{
    (void)state;
    pfm_rubric *rubric = NULL;
    pfm_verdict verdict;
    assert_ok(pfm_rubric_load("chexprompt", &rubric, &err));
    check(rubric, SIGNIFICANT "[(A, 1), (B, 2), (C, 0), (D, 0), (E, 0), (F, 0)]\n" INSIGNIFICANT "[(A, 9)]", 3);
    check(rubric, SIGNIFICANT "[]", 0);
    check(rubric, "**" SIGNIFICANT "** [(a, 1),(\"F\", 2)]\n", 3);
    check(rubric, SIGNIFICANT "[A: 1, B: 1]", 2);
    check(rubric, SIGNIFICANT "[(A, 1)]\n" SIGNIFICANT "[(A, 4)]", 4);
    check(rubric, SIGNIFICANT "[(A, 1), (B, 1)]\nScore: 5", 2); /* the counts are what was asked for */
    check(rubric, "Score: 5", 5);
    check(rubric, INSIGNIFICANT "[(A, 1)]", NONE);
    check(rubric, SIGNIFICANT "[(A, 1), (B", NONE);
    check(rubric, SIGNIFICANT "[(A, 1), (A, 1)]", NONE);
    check(rubric, SIGNIFICANT "[(G, 1)]", NONE);
    check(rubric, SIGNIFICANT "[(A, -1)]", NONE);
    check(rubric, SIGNIFICANT "[(A, 1.5)]", NONE);
    check(rubric, SIGNIFICANT "[(A, 61)]", NONE);
    check(rubric, SIGNIFICANT "[(A, 9999999), (B, 9999999), (C, 9999999)]", NONE);
    check(rubric, SIGNIFICANT "[(A 1)]", NONE);
    check(rubric, SIGNIFICANT "[(A, 1) (B, 1)]", NONE);
    check(rubric, SIGNIFICANT, NONE);
    pfm_verdict_read(rubric, SIGNIFICANT "[(B, 2)]\n" INSIGNIFICANT "[(F, 3)]\nScore: 2", &verdict);
    assert_true(verdict.has_significant && verdict.has_insignificant);
    assert_int_equal(verdict.significant[1], 2);
    assert_int_equal(verdict.insignificant[5], 3);
    assert_int_equal(verdict.insignificant[1], 0);
    pfm_verdict_read(rubric, SIGNIFICANT "[(B, 2)]", &verdict);
    assert_false(verdict.has_insignificant);
    pfm_rubric_free(rubric);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_score), cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
