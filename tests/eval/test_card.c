#include "base/file.h"
#include "eval/card.h"
#include "eval/card_text.h"
#include "test.h"

#include "pefomed/context.h"

static pfm_error err = PFM_ERROR_INIT;

/* The card as it was when its look was last judged by eye, and its front matter read by the hub's own library. */
static void test_whole_card(void **state)
{
    (void)state;
    json_t *facts = NULL;
    pfm_buffer want = {0}, got = {0};
    const char *path = test_path(test_scratch_folder(), "README.md");
    assert_ok(pfm_json_load(PFM_SOURCE_DIR "/tests/eval/golden/card_facts.json", &facts, &err));
    assert_ok(pfm_file_read(PFM_SOURCE_DIR "/tests/eval/golden/card.md", 0, &want, &err));
    assert_ok(pfm_model_card_write(path, facts, &err));
    assert_ok(pfm_file_read(path, 0, &got, &err));
    char *version = strstr(got.data, pfm_version()); /* the only thing that changes by itself */
    assert_non_null(version);
    char *placeholder = strstr(want.data, "0.0.0");
    assert_non_null(placeholder);
    assert_int_equal(version - got.data, placeholder - want.data);
    assert_memory_equal(got.data, want.data, (size_t)(version - got.data));
    assert_string_equal(version + strlen(pfm_version()), placeholder + 5);
    json_decref(facts);
    pfm_buffer_free(&want);
    pfm_buffer_free(&got);
}

static void test_nothing_is_invented(void **state)
{
    (void)state;
    json_t *facts = json_object();
    pfm_buffer text = {0};
    assert_ok(pfm_model_card_append(&text, facts, &err));
    static const char *const absent[] = {"license",   "base_model", "datasets",     "language:", "model-index", "## Training",
                                         "## Scores", "## Recipe",  "## Made from", "## Data",   "## Prompt",   "pefomed ask"};
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
        assert_null(strstr(text.data, absent[i]));
    assert_non_null(strstr(text.data, "pipeline_tag: visual-question-answering\n"));
    assert_non_null(strstr(text.data, "Not for clinical use"));
    assert_int_equal(strncmp(text.data, "---\n", 4), 0);
    json_decref(facts);
    pfm_buffer_free(&text);
}

static void refuse(const char *json, const char *part)
{
    json_t *facts = json_loads(json, 0, NULL);
    pfm_buffer text = {0};
    assert_error(pfm_model_card_append(&text, facts, &err), PFM_ERROR_USAGE, part);
    pfm_buffer_free(&text);
    json_decref(facts);
}

static void test_refusals(void **state)
{
    (void)state;
    refuse("[]", "an object of facts");
    refuse("{\"title\":\"x\"}", "have no member \"title\"");
    refuse("{\"name\":3}", "have another type for \"name\"");
    refuse("{\"datasets\":\"slake\"}", "have another type for \"datasets\"");
    refuse("{\"datasets\":[1]}", "\"datasets\" holds strings");
    refuse("{\"scores\":[1]}", "\"scores\" holds scores");
    refuse("{\"training\":{\"speed\":1}}", "\"training\" has no member \"speed\"");
    refuse("{\"training\":{\"steps\":1.5}}", "\"training\" has another type for \"steps\"");
    refuse("{\"parts\":[{\"sha256\":1}]}", "\"parts\" has another type for \"sha256\"");
    refuse("{\"parts\":[\"x\"]}", "\"parts\" holds objects");
}

static const char *show(pfm_buffer *text, json_t *value, pfm_card_unit unit)
{
    pfm_buffer_clear(text);
    assert_true(pfm_card_fits(value, unit));
    assert_ok(pfm_card_value(text, value, unit, &err));
    json_decref(value);
    return text->data;
}

static void test_pieces(void **state)
{
    (void)state;
    pfm_buffer text = {0};
    assert_string_equal(show(&text, json_integer(1234567), PFM_CARD_COUNT), "1,234,567");
    assert_string_equal(show(&text, json_integer(123), PFM_CARD_COUNT), "123");
    assert_string_equal(show(&text, json_integer(-1234), PFM_CARD_COUNT), "-1,234");
    assert_string_equal(show(&text, json_integer(512 << 20), PFM_CARD_BYTES), "512 MiB");
    assert_string_equal(show(&text, json_real(4.2), PFM_CARD_SECONDS), "4.2 s");
    assert_string_equal(show(&text, json_real(200), PFM_CARD_SECONDS), "3 min 20 s");
    assert_string_equal(show(&text, json_real(3725), PFM_CARD_SECONDS), "1 h 02 min");
    assert_string_equal(show(&text, json_string("a|b\nc"), PFM_CARD_TEXT), "a\\|b c");
    pfm_buffer_clear(&text);
    assert_ok(pfm_card_yaml(&text, "No", &err));
    assert_ok(pfm_card_yaml(&text, "1.0", &err));
    assert_ok(pfm_card_yaml(&text, "a: b", &err));
    assert_ok(pfm_card_yaml(&text, "", &err));
    assert_ok(pfm_card_yaml(&text, "a/b-c_1.0", &err));
    assert_string_equal(text.data, "\"No\"\"1.0\"\"a: b\"\"\"a/b-c_1.0");
    pfm_buffer_clear(&text);
    assert_ok(pfm_card_block(&text, "yaml", "a ```` b", &err));
    assert_string_equal(text.data, "`````yaml\na ```` b\n`````\n");
    pfm_buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole_card), cmocka_unit_test(test_nothing_is_invented),
                                       cmocka_unit_test(test_refusals), cmocka_unit_test(test_pieces)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
