/* The answer that is most like the others, against likenesses counted by hand. */
#include "infer/consensus.h"
#include "test.h"

#include <math.h>

static void check(const char *const *texts, size_t count, size_t wanted, double wanted_likeness)
{
    pfm_error err = PFM_ERROR_INIT;
    size_t best = 99;
    double likeness = -1;
    assert_ok(pfm_consensus_find(texts, count, &best, &likeness, &err));
    if (best != wanted || !(fabs(likeness - wanted_likeness) < 1e-12))
        fail_msg("\"%s\"...: number %zu with %.12f, wanted %zu with %.12f", texts[0], best, likeness, wanted, wanted_likeness);
}

static void the_most_like_the_others(void **state)
{
    (void)state;
    /* a mass / a small mass: F1 of words 4/5, of pairs 0, of triples 0. With itself: 1 */
    check((const char *const[]){"yes", "a mass", "a small mass", "a mass"}, 4, 1, (0 + 4.0 / 5 / 3 + 1) / 3);
    /* a b c d e / a b c d f: words 8/10, pairs 6/8, triples 4/6, fours 2/4; both to x: 0 */
    check((const char *const[]){"x", "a b c d e", "a b c d f"}, 3, 1, (0.8 + 0.75 + 4.0 / 6 + 0.5) / 4 / 2);
    /* a run counts as often as it stands in both: words 2*2/5, pairs 2*1/3, triples 0/1 */
    check((const char *const[]){"a a", "a a a"}, 2, 0, (4.0 / 5 + 2.0 / 3 + 0) / 3);
    /* words of one letter are no parts of longer ones, and order matters: words 1, pairs 0 */
    check((const char *const[]){"ab c", "c ab"}, 2, 0, 0.5);
    check((const char *const[]){"a bc", "ab c"}, 2, 0, 0);
}

static void short_texts_and_blanks(void **state)
{
    (void)state;
    check((const char *const[]){"only"}, 1, 0, 1);
    check((const char *const[]){"", ""}, 2, 0, 1);
    check((const char *const[]){"", "yes", " \n", "yes", "yes"}, 5, 1, 0.5);
    check((const char *const[]){"two  words\n", "\ttwo words"}, 2, 0, 1);
    check((const char *const[]){"a b", "c"}, 2, 0, 0); /* of equal ones the first */
}

/* The mean does not depend on the order, the choice among equal ones does. */
static void any_order(void **state)
{
    (void)state;
    const char *texts[] = {"the lung is normal", "the lung is clear", "no mass", "the heart is normal", "the lung is normal ."};
    enum { COUNT = sizeof texts / sizeof *texts };
    pfm_error err = PFM_ERROR_INIT;
    double first = 0;
    const char *chosen = NULL;
    for (size_t turn = 0; turn < COUNT; turn++) {
        const char *turned[COUNT];
        size_t best = 0;
        double likeness = 0;
        for (size_t i = 0; i < COUNT; i++)
            turned[i] = texts[(i + turn) % COUNT];
        assert_ok(pfm_consensus_find(turned, COUNT, &best, &likeness, &err));
        if (turn == 0) {
            chosen = turned[best];
            first = likeness;
        }
        assert_string_equal(turned[best], chosen);
        assert_true(fabs(likeness - first) < 1e-12);
    }
    assert_string_equal(chosen, "the lung is normal");
}

/* Of given choices the one most like the texts, whether any of them said it or not. */
static void the_choice_most_like_the_texts(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *const choices[] = {"no", "a large mass", "a mass", "mass"}, *const texts[] = {"a small mass", "one mass"};
    double likenesses[4];
    size_t best = 99;
    assert_ok(pfm_consensus_choose(choices, 4, texts, 2, likenesses, &best, &err));
    /* words 4/6, pairs 0, triples 0; words 2/5, pairs 0, triples 0 | words 4/5, pairs 0, triples 0; words 2/4, pairs 0 */
    const double wanted[] = {0, (2.0 / 9 + 2.0 / 15) / 2, (4.0 / 15 + 1.0 / 4) / 2, (1.0 / 6 + 1.0 / 3) / 2};
    for (size_t i = 0; i < 4; i++)
        assert_true(fabs(likenesses[i] - wanted[i]) < 1e-12);
    assert_int_equal(best, 2);
    assert_ok(pfm_consensus_choose((const char *const[]){"x", "y"}, 2, texts, 2, likenesses, &best, &err));
    assert_int_equal(best, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_most_like_the_others), cmocka_unit_test(short_texts_and_blanks),
                                       cmocka_unit_test(any_order), cmocka_unit_test(the_choice_most_like_the_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
