#include "base/json.h"
#include "eval/prepare.h"
#include "eval/vqa_text.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;

static pfm_preparation step(const char *name, size_t number)
{
    pfm_preparation preparation = {.count = 1};
    for (size_t k = 0; pfm_prepare_kinds[k] != NULL; k++) {
        if (strcmp(pfm_prepare_kinds[k]->name, name) == 0)
            preparation.steps[0] = (pfm_prepare_step){.kind = pfm_prepare_kinds[k], .number = number};
    }
    assert_non_null(preparation.steps[0].kind);
    return preparation;
}

/* Each text as R2Gen's cleaning and coco's tokenizer leave it. */
static void test_golden(void **state)
{
    (void)state;
    static const char *const names[] = {"iu_xray", "mimic_cxr"}, *const steps[] = {"r2gen_iu_xray", "r2gen_mimic_cxr"};
    json_t *golden = NULL, *item = NULL, *word = NULL;
    pfm_preparation ptb = step("ptb", 0);
    pfm_word_list words = {0};
    const char *got = NULL;
    size_t i = 0, w = 0;
    assert_ok(pfm_json_load(PFM_SOURCE_DIR "/tests/eval/golden/prepare.json", &golden, &err));
    assert_true(json_array_size(golden) > 25);
    json_array_foreach(golden, i, item)
    {
        const char *text = json_string_value(json_object_get(item, "text"));
        for (int n = 0; n < 2; n++) {
            pfm_preparation clean = step(steps[n], 0);
            assert_ok(pfm_prepare(&clean, text, &got, &err));
            assert_string_equal(got, json_string_value(json_object_get(item, names[n])));
            pfm_preparation_free(&clean);
        }
        assert_ok(pfm_prepare(&ptb, text, &got, &err));
        assert_ok(pfm_word_list_split(&words, got, &err));
        json_array_foreach(json_object_get(item, "ptb"), w, word)
        {
            if (w >= words.count || strlen(json_string_value(word)) != words.items[w].length ||
                strncmp(json_string_value(word), words.items[w].text, words.items[w].length) != 0)
                fail_msg("'%s' is cut as '%s': word %zu should be %s", text, got, w + 1, json_string_value(word));
        }
        assert_int_equal(words.count, json_array_size(json_object_get(item, "ptb")));
    }
    pfm_word_list_free(&words);
    pfm_preparation_free(&ptb);
    json_decref(golden);
}

static void test_words(void **state)
{
    (void)state;
    const char *got = NULL;
    pfm_preparation preparation = step("lower", 0), rare = step("rare_words", 2), first = step("first_words", 3);
    pfm_buffer described = {0};
    preparation.steps[1] = rare.steps[0];
    preparation.steps[2] = first.steps[0];
    preparation.count = 3;
    assert_true(pfm_preparation_learns(&preparation));
    assert_false(pfm_preparation_learns(&first));
    assert_ok(pfm_prepare(&preparation, " A  b\nC d", &got, &err)); /* nothing learned: all words are known */
    assert_string_equal(got, "a b c");
    assert_ok(pfm_preparation_describe(&preparation, &described, &err));
    assert_string_equal(described.data, "lower,rare_words:none,first_words:3");
    assert_ok(pfm_preparation_learn(&preparation, "A b a", &err)); /* as the steps before leave them: a twice, b once */
    assert_ok(pfm_prepare(&preparation, "A b c a", &got, &err));
    assert_string_equal(got, "a <unk> <unk>");
    pfm_buffer_clear(&described);
    assert_ok(pfm_preparation_describe(&preparation, &described, &err));
    assert_string_equal(described.data, "lower,rare_words:2,first_words:3");
    assert_ok(pfm_prepare(&preparation, "", &got, &err));
    assert_string_equal(got, "");
    pfm_buffer_free(&described);
    pfm_preparation_free(&preparation);
}

/* Rows are judged by the prepared texts. */
static void test_set(void **state)
{
    (void)state;
    pfm_answer_set set = {.reports = true};
    pfm_preparation none = {0}, first = step("first_words", 1);
    json_t *rows = json_loads("[{\"references\":[\"b\",\"clear\"],\"prediction\":\"clear lungs\"}]", 0, NULL);
    assert_ok(pfm_rows_visit(rows, pfm_answer_set_add, &set, &err));
    assert_false(set.rows[0].correct);
    assert_ok(pfm_prepare_set(&none, &first, &set, &err));
    assert_string_equal(set.rows[0].prediction, "clear");
    assert_string_equal(set.rows[0].answer, "b");
    assert_true(set.rows[0].correct && set.rows[0].recall == 1);
    set.rows[0].prediction = "other"; /* and again, from the beginning */
    assert_ok(pfm_answer_set_judge(&set, &err));
    assert_true(!set.rows[0].correct && set.rows[0].recall == 0);
    json_decref(rows);
    pfm_answer_set_free(&set);
    pfm_preparation_free(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_words), cmocka_unit_test(test_set)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
