#include "base/json.h"
#include "eval/lower.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;

static void test_golden(void **state)
{
    (void)state;
    json_t *golden = NULL, *want = NULL;
    const char *text = NULL;
    pfm_buffer got = {0};
    assert_ok(pfm_json_load(PFM_SOURCE_DIR "/tests/eval/golden/words.json", &golden, &err));
    assert_true(json_object_size(json_object_get(golden, "lower")) > 20);
    json_object_foreach(json_object_get(golden, "lower"), text, want)
    {
        assert_ok(pfm_text_lower(text, &got, &err));
        assert_string_equal(got.data, json_string_value(want));
    }
    pfm_buffer_free(&got);
    json_decref(golden);
}

static void test_edges(void **state)
{
    (void)state;
    pfm_buffer got = {0};
    assert_ok(pfm_text_lower("", &got, &err));
    assert_int_equal(got.size, 0);
    assert_ok(pfm_text_lower("A\xFF\xCE", &got, &err)); /* no UTF-8 */
    assert_string_equal(got.data, "a\xFF\xCE");
    pfm_buffer_free(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_edges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
