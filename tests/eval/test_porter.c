#include "base/json.h"
#include "eval/porter.h"
#include "test.h"

#include <utf8proc.h>

static pfm_error err = PFM_ERROR_INIT;

/* Writes the stem of a word as UTF-8. */
static void stem(const char *word, char *out)
{
    uint32_t letters[128];
    size_t count = 0;
    for (utf8proc_ssize_t step = 0; *word != '\0'; word += step) {
        utf8proc_int32_t c = 0;
        step = utf8proc_iterate((const utf8proc_uint8_t *)word, -1, &c);
        assert_true(step > 0 && count < 128);
        letters[count++] = (uint32_t)c;
    }
    count = pfm_porter_stem(letters, count);
    for (size_t i = 0; i < count; i++)
        out += utf8proc_encode_char((utf8proc_int32_t)letters[i], (utf8proc_uint8_t *)out);
    *out = '\0';
}

static void test_golden(void **state)
{
    (void)state;
    json_t *golden = NULL, *want = NULL;
    const char *word = NULL;
    assert_ok(pfm_json_load(PFM_SOURCE_DIR "/tests/eval/golden/words.json", &golden, &err));
    assert_true(json_object_size(json_object_get(golden, "stems")) > 100);
    json_object_foreach(json_object_get(golden, "stems"), word, want)
    {
        char got[600];
        stem(word, got);
        assert_string_equal(got, json_string_value(want));
    }
    json_decref(golden);
}

/* Time grows with a word's length, not with its square. */
static void test_long(void **state)
{
    (void)state;
    enum { LENGTH = 2000000 };
    uint32_t *word = malloc(LENGTH * sizeof *word);
    assert_non_null(word);
    for (size_t i = 0; i < LENGTH; i++)
        word[i] = 'y';
    assert_int_equal(pfm_porter_stem(word, LENGTH), LENGTH);
    free(word);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_long)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
