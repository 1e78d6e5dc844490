/* BERT's tokenizer against transformers, from tokenizer.json and from vocab.txt, and what is refused of a vocabulary. */
#include "base/file.h"
#include "base/json.h"
#include "test.h"
#include "text/tokenizer.h"

static const char golden[] = PFM_SOURCE_DIR "/tests/text/golden";

static void compare(const pfm_tokenizer *tokenizer, const char *file, const json_t *rows)
{
    size_t index;
    json_t *row;
    assert_true(json_array_size(rows) > 80);
    json_array_foreach(rows, index, row)
    {
        pfm_error err = PFM_ERROR_INIT;
        pfm_ids ids = {0};
        pfm_buffer text = {0};
        const json_t *wanted = json_object_get(row, "ids"), *source = json_object_get(row, "text");
        assert_ok(pfm_tokenizer_encode(tokenizer, json_string_value(source), json_string_length(source), true, &ids, &err));
        bool equal = ids.count == json_array_size(wanted);
        for (size_t i = 0; equal && i < ids.count; i++)
            equal = ids.data[i] == json_integer_value(json_array_get(wanted, i));
        if (!equal)
            fail_msg("%s: text %zu (\"%.60s\") has %zu ids, wanted %zu, or others", file, index, json_string_value(source),
                     ids.count, json_array_size(wanted));
        assert_ok(pfm_tokenizer_decode(tokenizer, ids.data, ids.count, false, &text, &err));
        assert_string_equal(text.size == 0 ? "" : text.data, json_string_value(json_object_get(row, "decoded")));
        pfm_ids_free(&ids);
        pfm_buffer_free(&text);
    }
}

static void test_against_transformers(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    json_t *rows = NULL;
    pfm_tokenizer *tokenizer = NULL;
    assert_ok(pfm_json_load(test_path(golden, "wordpiece.json"), &rows, &err));
    assert_ok(pfm_tokenizer_load_json(test_path(golden, "wordpiece/tokenizer.json"), &tokenizer, &err));
    compare(tokenizer, "tokenizer.json", json_object_get(rows, "wordpiece"));
    pfm_tokenizer_free(tokenizer);
    assert_ok(pfm_tokenizer_load_wordpiece(test_path(golden, "wordpiece/vocab.txt"), &tokenizer, &err));
    compare(tokenizer, "vocab.txt", json_object_get(rows, "wordpiece"));
    pfm_tokenizer_free(tokenizer);
    assert_ok(pfm_tokenizer_load_wordpiece(test_path(golden, "wordpiece_cased/vocab.txt"), &tokenizer, &err));
    compare(tokenizer, "cased", json_object_get(rows, "wordpiece_cased"));
    pfm_tokenizer_free(tokenizer);
    json_decref(rows);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *vocabulary, *config;
        pfm_status status;
        const char *part;
    } cases[] = {
        {"a\n##b\n", NULL, PFM_ERROR_FORMAT, "lacks the token for unknown words, \"[UNK]\""},
        {"[UNK]\n\xff\n", NULL, PFM_ERROR_FORMAT, "line 2 is not UTF-8"},
        {"", NULL, PFM_ERROR_FORMAT, "no vocabulary"},
        {NULL, NULL, PFM_ERROR_IO, "vocab.txt"},
        {"[UNK]\na\n", "{\"do_basic_tokenize\":false}", PFM_ERROR_UNSUPPORTED, "do_basic_tokenize false"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_tokenizer *tokenizer = NULL;
        const char *path = test_path(test_scratch_folder(), "vocab.txt"),
                   *config = test_path(test_scratch_folder(), "tokenizer_config.json");
        (void)remove(path);
        (void)remove(config);
        if (cases[i].vocabulary != NULL)
            assert_ok(pfm_file_write(path, cases[i].vocabulary, strlen(cases[i].vocabulary), &err));
        if (cases[i].config != NULL)
            assert_ok(pfm_file_write(config, cases[i].config, strlen(cases[i].config), &err));
        assert_error(pfm_tokenizer_load_wordpiece(path, &tokenizer, &err), cases[i].status, cases[i].part);
        assert_null(tokenizer);
    }
}

static void test_words_that_are_too_long(void **state)
{
    (void)state;
    static const char json[] =
        "{\"model\":{\"type\":\"WordPiece\",\"max_input_chars_per_word\":%s,\"vocab\":{\"[UNK]\":0,\"a\":1,"
        "\"##a\":2}},\"decoder\":{\"type\":\"WordPiece\"},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}}";
    static const char *const limits[] = {"3", "2", "0", "\"x\""};
    for (size_t i = 0; i < 4; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_tokenizer *tokenizer = NULL;
        pfm_ids ids = {0};
        char text[400];
        const char *path = test_path(test_scratch_folder(), "tokenizer.json");
        (void)remove(test_path(test_scratch_folder(), "tokenizer_config.json"));
        (void)snprintf(text, sizeof text, json, limits[i]);
        assert_ok(pfm_file_write(path, text, strlen(text), &err));
        if (i >= 2) {
            assert_error(pfm_tokenizer_load_json(path, &tokenizer, &err), PFM_ERROR_FORMAT, "max_input_chars_per_word");
            continue;
        }
        assert_ok(pfm_tokenizer_load_json(path, &tokenizer, &err));
        assert_ok(pfm_tokenizer_encode(tokenizer, "aaa", 3, true, &ids, &err));
        assert_int_equal(ids.count, i == 0 ? 3 : 1);
        assert_int_equal(ids.data[0], i == 0 ? 1 : 0);
        pfm_ids_free(&ids);
        pfm_tokenizer_free(tokenizer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_transformers),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_words_that_are_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
