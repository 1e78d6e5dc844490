#include "pefomed/words.h"
#include "test.h"

static size_t distance(const char *a, const char *b) { return pfm_words_distance(a, strlen(a), b, strlen(b)); }

static void test_distances(void **state)
{
    (void)state;
    assert_int_equal(distance("", ""), 0);
    assert_int_equal(distance("", "abc"), 3);
    assert_int_equal(distance("train", "train"), 0);
    assert_int_equal(distance("trian", "train"), 1);
    assert_int_equal(distance("trans", "train"), 2);
    assert_int_equal(distance("rain", "train"), 1);
    assert_int_equal(distance("kitten", "sitting"), 3);
    assert_int_equal(pfm_words_distance("abcd", 2, "abxy", 2), 0);
}

static void test_long_words_are_cut(void **state)
{
    (void)state;
    char a[200], b[200];
    memset(a, 'a', sizeof a);
    memset(b, 'a', sizeof b);
    b[150] = 'b';
    assert_int_equal(pfm_words_distance(a, sizeof a, b, sizeof b), 0);
    b[62] = 'b';
    assert_int_equal(pfm_words_distance(a, sizeof a, b, sizeof b), 1);
}

static void test_the_nearest_is_near(void **state)
{
    (void)state;
    const char *const words[] = {"train", "eval", NULL, "export", "ask"};
    assert_string_equal(pfm_words_nearest("trian", words, 5), "train");
    assert_string_equal(pfm_words_nearest("exprot", words, 5), "export");
    assert_string_equal(pfm_words_nearest("as", words, 5), "ask");
    assert_null(pfm_words_nearest("banana", words, 5));
    assert_null(pfm_words_nearest("train", words, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_distances), cmocka_unit_test(test_long_words_are_cut),
                                       cmocka_unit_test(test_the_nearest_is_near)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
