#include "base/json.h"
#include "eval/vqa_text.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;

static void test_golden(void **state)
{
    (void)state;
    json_t *golden = NULL;
    assert_ok(pfm_json_load(PFM_SOURCE_DIR "/tests/eval/golden/vqa.json", &golden, &err));
    json_t *pairs = json_object_get(golden, "normalise");
    pfm_buffer text = {0};
    assert_true(json_array_size(pairs) > 30);
    for (size_t i = 0; i < json_array_size(pairs); i++) {
        json_t *pair = json_array_get(pairs, i);
        assert_ok(pfm_vqa_normalise(json_string_value(json_array_get(pair, 0)), &text, &err));
        assert_string_equal(text.size == 0 ? "" : text.data, json_string_value(json_array_get(pair, 1)));
        assert_int_equal(text.size, strlen(json_string_value(json_array_get(pair, 1))));
    }
    pfm_buffer_free(&text);
    json_decref(golden);
}

static void test_bytes_that_are_no_text(void **state)
{
    (void)state;
    pfm_buffer text = {0};
    assert_ok(pfm_vqa_normalise("a\xff\xc3 b\xe2\x82", &text, &err));
    assert_string_equal(text.data, "a b");
    assert_ok(pfm_vqa_normalise("\xff", &text, &err));
    assert_int_equal(text.size, 0);
    pfm_buffer_free(&text);
}

static void test_correct(void **state)
{
    (void)state;
    bool correct = false;
    assert_ok(pfm_vqa_correct(" Left lung.", "left  Lung", &correct, &err));
    assert_true(correct);
    assert_ok(pfm_vqa_correct("left lung, right", "left lung right", &correct, &err));
    assert_false(correct); /* a comma counts */
    assert_ok(pfm_vqa_correct("cafe\xcc\x81", "CAF\xc3\x89", &correct, &err));
    assert_true(correct);
    assert_ok(pfm_vqa_correct("", "!", &correct, &err));
    assert_true(correct);
}

static double compare(const char *answer, const char *prediction,
                      double (*figure)(const pfm_word_list *, const pfm_word_list *))
{
    pfm_word_list a = {0}, b = {0};
    assert_ok(pfm_word_list_split(&a, answer, &err));
    assert_ok(pfm_word_list_split(&b, prediction, &err));
    pfm_word_list_sort(&a);
    pfm_word_list_sort(&b);
    double value = figure(&a, &b);
    pfm_word_list_free(&a);
    pfm_word_list_free(&b);
    return value;
}

static void test_words(void **state)
{
    (void)state;
    assert_true(compare("b a b", "b c", pfm_word_list_recall) == 0.5);
    assert_true(compare("lungs", "lung", pfm_word_list_recall) == 0); /* a prefix is another word */
    assert_true(compare("a b c d", "d a x", pfm_word_list_recall) == 0.5);
    assert_true(compare("", "", pfm_word_list_recall) == 1);
    assert_true(compare("", "a", pfm_word_list_recall) == 0);
    assert_true(compare("a", "", pfm_word_list_recall) == 0);
    assert_true(compare("a a b", "a b b c", pfm_word_list_f1) == 4.0 / 7);
    assert_true(compare("", "", pfm_word_list_f1) == 1);
    assert_true(compare("", "a", pfm_word_list_f1) == 0);
}

static void test_split(void **state)
{
    (void)state;
    pfm_word_list words = {0};
    assert_ok(pfm_word_list_split(&words,
                                  " a\tb\xC2\xA0"
                                  "c\xE3\x80\x80\xE2\x80\x89\xC3\xA9\xE2\x80 \x1c",
                                  &err));
    assert_int_equal(words.count, 4);
    assert_int_equal(words.items[3].length, 4); /* an e with its accent, and two bytes that end within a character */
    assert_memory_equal(words.items[2].text, "c", 1);
    assert_ok(pfm_word_list_split(&words, NULL, &err));
    assert_int_equal(words.count, 0);
    assert_int_equal(pfm_space_length("\xE2"), 0);
    assert_int_equal(pfm_space_length(""), 0);
    pfm_word_list_free(&words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_bytes_that_are_no_text),
                                       cmocka_unit_test(test_correct), cmocka_unit_test(test_words),
                                       cmocka_unit_test(test_split)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
