#include "text/tokenizer.h"
#include "test.h"

#include "base/file.h"
#include "base/random.h"

#include <jansson.h>

static json_t *golden;

static int load_golden(void **state)
{
    (void)state;
    json_error_t reason;
    golden = json_load_file(PFM_SOURCE_DIR "/tests/text/golden/tokens.json", JSON_ALLOW_NUL, &reason);
    if (golden == NULL)
        print_message("tokens.json line %d: %s\n", reason.line, reason.text);
    return golden == NULL;
}

static int free_golden(void **state)
{
    (void)state;
    json_decref(golden);
    return 0;
}

/* Loads a tokenizer.json given as a value; NULL where that fails, with the reason in err. */
static pfm_tokenizer *load_value(const json_t *value, pfm_status *status, pfm_error *err)
{
    pfm_tokenizer *tokenizer = NULL;
    const char *path = test_path(test_scratch_folder(), "tokenizer.json");
    assert_int_equal(json_dump_file(value, path, 0), 0);
    *status = pfm_tokenizer_load_json(path, &tokenizer, err);
    return tokenizer;
}

static pfm_tokenizer *load_golden_at(size_t index)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_status status;
    pfm_tokenizer *tokenizer = load_value(json_object_get(json_array_get(golden, index), "tokenizer"), &status, &err);
    if (tokenizer == NULL)
        fail_msg("%s", err.message);
    return tokenizer;
}

static void read_ids(const json_t *list, pfm_ids *out)
{
    pfm_error err = PFM_ERROR_INIT;
    size_t i;
    json_t *id;
    out->count = 0;
    json_array_foreach(list, i, id) assert_ok(pfm_ids_append(out, (int32_t)json_integer_value(id), &err));
}

static void compare_ids(const char *name, const json_t *text, const pfm_ids *got, const pfm_ids *wanted)
{
    bool same = got->count == wanted->count;
    for (size_t i = 0; i < got->count && same; i++)
        same = got->data[i] == wanted->data[i];
    if (same)
        return;
    print_message("%s: \"%s\"\n  got   ", name, json_string_value(text));
    for (size_t i = 0; i < got->count; i++)
        print_message(" %d", got->data[i]);
    print_message("\n  wanted");
    for (size_t i = 0; i < wanted->count; i++)
        print_message(" %d", wanted->data[i]);
    fail_msg("the ids differ");
}

static void check_encode(const char *name, const pfm_tokenizer *tokenizer, const json_t *item)
{
    pfm_error err = PFM_ERROR_INIT;
    const json_t *text = json_object_get(item, "text");
    pfm_ids got = {0}, wanted = {0};
    for (int special = 0; special < 2 && text != NULL; special++) {
        got.count = 0;
        read_ids(json_object_get(item, special ? "ids" : "ids_plain"), &wanted);
        assert_ok(pfm_tokenizer_encode(tokenizer, json_string_value(text), json_string_length(text), special, &got, &err));
        compare_ids(name, text, &got, &wanted);
    }
    pfm_ids_free(&got);
    pfm_ids_free(&wanted);
}

static void check_text(const char *name, const json_t *item, const json_t *wanted, const pfm_buffer *got)
{
    if (got->size == json_string_length(wanted) &&
        (got->size == 0 || memcmp(got->data, json_string_value(wanted), got->size) == 0))
        return;
    char *ids = json_dumps(json_object_get(item, "ids"), JSON_COMPACT);
    fail_msg("%s: %s gives \"%s\", not \"%s\"", name, ids, got->data == NULL ? "" : got->data, json_string_value(wanted));
}

static void check_decode(const char *name, const pfm_tokenizer *tokenizer, const json_t *item)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_ids ids = {0};
    read_ids(json_object_get(item, "ids"), &ids);
    for (int skip = 0; skip < 2; skip++) {
        const json_t *wanted = json_object_get(item, skip ? "skipped" : "decoded");
        pfm_buffer whole = {0}, pieces = {0};
        pfm_text_stream *stream = NULL;
        assert_ok(pfm_tokenizer_decode(tokenizer, ids.data, ids.count, skip, &whole, &err));
        check_text(name, item, wanted, &whole);
        assert_ok(pfm_text_stream_create(tokenizer, skip, &stream, &err));
        for (int again = 0; again < 2; again++) { /* finish makes it as new */
            pfm_buffer_clear(&pieces);
            for (size_t i = 0; i < ids.count; i++)
                assert_ok(pfm_text_stream_put(stream, ids.data[i], &pieces, &err));
            assert_ok(pfm_text_stream_finish(stream, &pieces, &err));
            check_text(name, item, wanted, &pieces);
        }
        pfm_text_stream_free(stream);
        pfm_buffer_free(&whole);
        pfm_buffer_free(&pieces);
    }
    pfm_ids_free(&ids);
}

/* Every kind of pipeline against Hugging Face tokenizers. */
static void test_golden_vectors(void **state)
{
    (void)state;
    size_t i, j;
    json_t *entry, *item;
    assert_true(json_array_size(golden) >= 11);
    json_array_foreach(golden, i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "name"));
        pfm_tokenizer *tokenizer = load_golden_at(i);
        assert_true(json_array_size(json_object_get(entry, "cases")) > 50);
        json_array_foreach(json_object_get(entry, "cases"), j, item)
        {
            check_encode(name, tokenizer, item);
            check_decode(name, tokenizer, item);
        }
        pfm_tokenizer_free(tokenizer);
    }
}

static void test_lookups_and_bad_ids(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_tokenizer *tokenizer = load_golden_at(0);
    int32_t end = pfm_tokenizer_id(tokenizer, "<|im_end|>");
    assert_int_equal(end, 2);
    assert_int_equal(pfm_tokenizer_end(tokenizer), end);
    assert_int_equal(pfm_tokenizer_id(tokenizer, "nothing of the kind"), -1);
    size_t size = pfm_tokenizer_vocabulary(tokenizer);
    assert_true(size >= 420);
    pfm_buffer text = {0};
    assert_ok(pfm_buffer_append_string(&text, "kept", &err));
    int32_t bad[] = {40, (int32_t)size}, negative[] = {40, -1};
    assert_error(pfm_tokenizer_decode(tokenizer, bad, 2, false, &text, &err), PFM_ERROR_USAGE, "is not in the vocabulary");
    assert_error(pfm_tokenizer_decode(tokenizer, negative, 2, false, &text, &err), PFM_ERROR_USAGE, "token id -1");
    assert_string_equal(text.data, "kept");
    pfm_buffer_free(&text);
    pfm_tokenizer_free(tokenizer);
}

/* Random bytes: no crash, the ids are those of the repaired text, and every list of ids gives valid UTF-8. */
static void test_random_bytes(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_random random = pfm_random_start(11, 0);
    for (size_t which = 0; which < json_array_size(golden); which++) {
        pfm_tokenizer *tokenizer = load_golden_at(which);
        size_t vocabulary = pfm_tokenizer_vocabulary(tokenizer);
        for (int round = 0; round < 150; round++) {
            char bytes[64];
            pfm_ids ids = {0}, again = {0};
            pfm_buffer text = {0};
            size_t size = (size_t)pfm_random_below(&random, sizeof bytes + 1);
            for (size_t i = 0; i < size; i++)
                bytes[i] = (char)pfm_random_below(&random, round % 2 == 0 ? 256 : 128);
            assert_ok(pfm_tokenizer_encode(tokenizer, bytes, size, round % 3 == 0, &ids, &err));
            assert_ok(pfm_tokenizer_decode(tokenizer, ids.data, ids.count, false, &text, &err));
            for (int i = 0; i < 20; i++)
                assert_ok(pfm_ids_append(&again, (int32_t)pfm_random_below(&random, vocabulary), &err));
            assert_ok(pfm_tokenizer_decode(tokenizer, again.data, again.count, round % 2 == 0, &text, &err));
            json_t *valid = json_stringn(text.data == NULL ? "" : text.data, text.size);
            assert_non_null(valid); /* jansson takes valid UTF-8 only */
            json_decref(valid);
            pfm_ids_free(&ids);
            pfm_ids_free(&again);
            pfm_buffer_free(&text);
        }
        pfm_tokenizer_free(tokenizer);
    }
}

static void test_invalid_text_is_repaired(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_tokenizer *tokenizer = load_golden_at(0);
    pfm_ids ids = {0};
    pfm_buffer text = {0};
    assert_ok(pfm_tokenizer_encode(tokenizer, "a\xff\xe4\xb8z", 5, true, &ids, &err));
    assert_ok(pfm_tokenizer_decode(tokenizer, ids.data, ids.count, false, &text, &err));
    assert_string_equal(text.data, "a\xef\xbf\xbd\xef\xbf\xbdz");
    pfm_ids_free(&ids);
    pfm_buffer_free(&text);
    pfm_tokenizer_free(tokenizer);
}

/* A change to a good tokenizer.json, and what it must be refused with. */
typedef struct bad_file {
    const char *path[4]; /* where the value goes, ended by NULL; a digit string is an index */
    const char *value;
    pfm_status status;
    const char *part;
} bad_file;

static const bad_file bad_files[] = {
    {{"model"}, "7", PFM_ERROR_FORMAT, "no \"model\""},
    {{"model", "type"}, "\"Unigram\"", PFM_ERROR_UNSUPPORTED, "Unigram"},
    {{"model", "vocab"}, "{}", PFM_ERROR_FORMAT, "no vocabulary"},
    {{"model", "vocab"}, "{\"a\":\"x\"}", PFM_ERROR_FORMAT, "\"a\" is not a whole number"},
    {{"model", "vocab"}, "{\"a\":-1}", PFM_ERROR_FORMAT, "\"a\" has the id -1"},
    {{"model", "vocab"}, "{\"a\":999999999999}", PFM_ERROR_FORMAT, "999999999999"},
    {{"model", "merges"}, "{}", PFM_ERROR_FORMAT, "no list of merges"},
    {{"model", "merges"}, "[\"a\"]", PFM_ERROR_FORMAT, "merge 0 is not two tokens"},
    {{"model", "merges"}, "[\"a b c\"]", PFM_ERROR_FORMAT, "merge 0 is not two tokens"},
    {{"model", "merges"}, "[[\"a\",\"b\",\"c\"]]", PFM_ERROR_FORMAT, "nor a pair"},
    {{"model", "merges"}, "[[\"a\",\"~~~\"]]", PFM_ERROR_FORMAT, "the vocabulary lacks"},
    {{"model", "end_of_word_suffix"}, "\"</w>\"", PFM_ERROR_UNSUPPORTED, "end_of_word_suffix"},
    {{"model", "dropout"}, "0.1", PFM_ERROR_UNSUPPORTED, "dropout"},
    {{"added_tokens"}, "[{\"id\":1}]", PFM_ERROR_FORMAT, "no content"},
    {{"added_tokens"}, "[{\"id\":-4,\"content\":\"new\"}]", PFM_ERROR_FORMAT, "-4"},
    {{"normalizer"}, "{\"type\":\"Precompiled\"}", PFM_ERROR_UNSUPPORTED, "Precompiled"},
    {{"normalizer"},
     "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(a\"},\"content\":\"\"}",
     PFM_ERROR_UNSUPPORTED,
     "parenthes"},
    {{"normalizer"}, "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"\"}", PFM_ERROR_UNSUPPORTED, "Replace"},
    {{"normalizer"}, "{}", PFM_ERROR_FORMAT, "has no type"},
    {{"pre_tokenizer"}, "{\"type\":\"Whitespace\"}", PFM_ERROR_UNSUPPORTED, "Whitespace"},
    {{"pre_tokenizer"}, "{\"type\":\"Metaspace\"}", PFM_ERROR_FORMAT, "replacement"},
    {{"pre_tokenizer"}, "{\"type\":\"Metaspace\",\"replacement\":\"__\"}", PFM_ERROR_FORMAT, "replacement"},
    {{"pre_tokenizer"},
     "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"last\"}",
     PFM_ERROR_UNSUPPORTED,
     "prepend_scheme last"},
    {{"pre_tokenizer"},
     "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\",\"add_prefix_space\":false}",
     PFM_ERROR_FORMAT,
     "prepend_scheme first"},
    {{"pre_tokenizer"}, "{\"type\":\"Split\",\"behavior\":\"Isolated\"}", PFM_ERROR_FORMAT, "no pattern"},
    {{"pre_tokenizer"},
     "{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Odd\"}",
     PFM_ERROR_UNSUPPORTED,
     "Odd"},
    {{"pre_tokenizer"},
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a\"},\"behavior\":\"Isolated\"}",
     PFM_ERROR_UNSUPPORTED,
     "parenthes"},
    {{"pre_tokenizer"},
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[a[b]]\"},\"behavior\":\"Isolated\"}",
     PFM_ERROR_UNSUPPORTED,
     "within []"},
    {{"pre_tokenizer"},
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\h\"},\"behavior\":\"Isolated\"}",
     PFM_ERROR_UNSUPPORTED,
     "\\h"},
    {{"pre_tokenizer"},
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?m:a)\"},\"behavior\":\"Isolated\"}",
     PFM_ERROR_UNSUPPORTED,
     "(?m:"},
    {{"pre_tokenizer"},
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\\\\\"},\"behavior\":\"Isolated\"}",
     PFM_ERROR_UNSUPPORTED,
     "split pattern"},
    {{"pre_tokenizer", "pretokenizers"},
     "[{\"type\":\"ByteLevel\"},{\"type\":\"Digits\"}]",
     PFM_ERROR_UNSUPPORTED,
     "behind ByteLevel"},
    {{"decoder"}, "null", PFM_ERROR_UNSUPPORTED, "decoder"},
    {{"decoder"}, "{\"type\":\"CTC\"}", PFM_ERROR_UNSUPPORTED, "CTC"},
    {{"decoder"},
     "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},{\"type\":\"WordPiece\"}]}",
     PFM_ERROR_UNSUPPORTED,
     "WordPiece stands behind another"},
    {{"decoder"},
     "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"WordPiece\"},{\"type\":\"Fuse\"}]}",
     PFM_ERROR_UNSUPPORTED,
     "Fuse behind WordPiece"},
    {{"decoder"}, "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}", PFM_ERROR_UNSUPPORTED, "Strip"},
};

static void test_bad_files(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++) {
        const bad_file *bad = &bad_files[i];
        pfm_status status;
        json_t *document = json_deep_copy(json_object_get(json_array_get(golden, 0), "tokenizer")), *at = document;
        int last = 0;
        for (; bad->path[last + 1] != NULL; last++)
            at = json_object_get(at, bad->path[last]);
        assert_int_equal(json_object_set_new(at, bad->path[last], json_loads(bad->value, JSON_DECODE_ANY, NULL)), 0);
        pfm_tokenizer *tokenizer = load_value(document, &status, &err);
        assert_null(tokenizer);
        assert_error(status, bad->status, bad->part);
        json_decref(document);
    }
    pfm_tokenizer *tokenizer = NULL;
    const char *path = test_path(test_scratch_folder(), "text.json");
    assert_ok(pfm_file_write(path, "not JSON", 8, &err));
    assert_error(pfm_tokenizer_load_json(path, &tokenizer, &err), PFM_ERROR_FORMAT, "text.json line 1");
    assert_error(pfm_tokenizer_load_json("/nowhere/tokenizer.json", &tokenizer, &err), PFM_ERROR_IO, "/nowhere");
}

static void test_roles_beside_the_file(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *path = test_path(test_scratch_folder(), "tokenizer_config.json");
    const char *config = "{\"eos_token\":{\"content\":\"<|endoftext|>\"},\"bos_token\":\"<|im_start|>\"}";
    assert_ok(pfm_file_write(path, config, strlen(config), &err));
    pfm_tokenizer *tokenizer = load_golden_at(0);
    assert_int_equal(pfm_tokenizer_end(tokenizer), 0);
    pfm_tokenizer_free(tokenizer);
    assert_int_equal(remove(path), 0);
}

static pfm_text_view view(const char *text) { return (pfm_text_view){text, strlen(text)}; }

static void test_source_of_a_gguf(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_tokenizer *tokenizer = NULL;
    const pfm_text_view tokens[] = {view("<|end|>"),
                                    view("a"),
                                    view("b"),
                                    view("\xc4\xa0"),
                                    view("1"),
                                    view("ab"),
                                    view("\xc4\xa0"
                                         "a"),
                                    view("a b"),
                                    view("11")};
    const int32_t types[] = {PFM_TOKEN_CONTROL, 1, 1, 1, 1, 1, 1, PFM_TOKEN_USER_DEFINED, 1};
    const pfm_text_view merges[] = {view("a b"), view("\xc4\xa0 a"), view("1 1")};
    pfm_tokenizer_source source = {.model = "gpt2",
                                   .pre = "smollm",
                                   .tokens = tokens,
                                   .types = types,
                                   .token_count = 9,
                                   .merges = merges,
                                   .merge_count = 3,
                                   .begin = -1,
                                   .end = 0,
                                   .end_of_turn = -1,
                                   .unknown = -1,
                                   .padding = -1};
    assert_ok(pfm_tokenizer_create(&source, &tokenizer, &err));
    pfm_ids ids = {0};
    assert_ok(pfm_tokenizer_encode(tokenizer, "ab a11 1<|end|>?a b", 19, true, &ids, &err));
    const int32_t wanted[] = {5, 6, 4, 4, 3, 4, 0, 7};
    assert_int_equal(ids.count, 8);
    assert_memory_equal(ids.data, wanted, sizeof wanted);
    assert_int_equal(pfm_tokenizer_end(tokenizer), 0);
    pfm_ids_free(&ids);
    pfm_tokenizer_free(tokenizer);
    source.pre = "gpt-2";
    assert_ok(pfm_tokenizer_create(&source, &tokenizer, &err));
    assert_ok(pfm_tokenizer_encode(tokenizer, "11", 2, true, &ids, &err));
    assert_int_equal(ids.count, 1);
    pfm_ids_free(&ids);
    pfm_tokenizer_free(tokenizer);
    source.pre = "no-such";
    assert_error(pfm_tokenizer_create(&source, &tokenizer, &err), PFM_ERROR_UNSUPPORTED, "no-such");
    source.pre = "smollm";
    source.model = "bert";
    assert_error(pfm_tokenizer_create(&source, &tokenizer, &err), PFM_ERROR_UNSUPPORTED, "bert");
    source.model = "gpt2";
    source.end = 9;
    assert_error(pfm_tokenizer_create(&source, &tokenizer, &err), PFM_ERROR_FORMAT, "token 9");
    source.end = 0;
    source.token_count = 5;
    assert_error(pfm_tokenizer_create(&source, &tokenizer, &err), PFM_ERROR_FORMAT, "merge 0");
}

/* An added token that the vocabulary has already keeps the vocabulary's id. */
static void test_an_added_token_with_another_id(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_status status;
    pfm_ids ids = {0};
    json_t *document =
        json_pack("{s:{s:s, s:{s:i, s:i}, s:[]}, s:{s:s}, s:[{s:i, s:s, s:b}]}", "model", "type", "BPE", "vocab", "a", 0, "<e>",
                  1, "merges", "decoder", "type", "ByteLevel", "added_tokens", "id", 7, "content", "<e>", "special", 1);
    pfm_tokenizer *tokenizer = load_value(document, &status, &err);
    assert_int_equal(status, PFM_OK);
    assert_int_equal(pfm_tokenizer_vocabulary(tokenizer), 2);
    assert_ok(pfm_tokenizer_encode(tokenizer, "<e>", 3, true, &ids, &err));
    assert_int_equal(ids.count, 1);
    assert_int_equal(ids.data[0], 1);
    pfm_ids_free(&ids);
    pfm_tokenizer_free(tokenizer);
    json_decref(document);
}

/* Every pre-tokenizer that a GGUF can name cuts in its own way. */
static void test_every_name_of_a_gguf(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const names[] = {NULL,        "default", "gpt-2", "phi-2", "smollm",    "starcoder",
                                        "llama-bpe", "llama3",  "qwen2", "olmo",  "stablelm2", "mpt"};
    const pfm_text_view tokens[] = {view("a"),
                                    view("1"),
                                    view("11"),
                                    view("111"),
                                    view("\xc4\xa0"),
                                    view("1111"),
                                    view("'"),
                                    view("S"),
                                    view("'S"),
                                    view("xyz"),
                                    /* no merge makes it */ view("\xc3\x83") /* the byte 0xc3 */};
    const pfm_text_view merges[] = {view("1 1"), view("11 1"), view("11 11"), view("' S")};
    /* A word of five digits, a contraction, a word that is a token, a letter in two parts that NFC makes one of 0xc3. */
    static const char text[] = "a11111'Sxyz e\xcc\x81";
    static const size_t counts[] = {6, 6, 6, 6, 9, 9, 6, 6, 9, 7, 9, 7};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        pfm_tokenizer *tokenizer = NULL;
        pfm_ids ids = {0};
        pfm_tokenizer_source source = {.model = "gpt2",
                                       .pre = names[i],
                                       .tokens = tokens,
                                       .token_count = 11,
                                       .merges = merges,
                                       .merge_count = 4,
                                       .begin = -1,
                                       .end = -1,
                                       .end_of_turn = -1,
                                       .unknown = -1,
                                       .padding = -1};
        assert_ok(pfm_tokenizer_create(&source, &tokenizer, &err));
        assert_ok(pfm_tokenizer_encode(tokenizer, text, sizeof text - 1, true, &ids, &err));
        bool whole = ids.count > 2 && ids.data[ids.count - 2] == 9, composed = ids.count > 0 && ids.data[ids.count - 1] == 10;
        if (ids.count != counts[i] || whole != (i == 6 || i == 7) || composed != (i >= 8))
            fail_msg("%s: %zu ids", names[i] == NULL ? "none" : names[i], ids.count);
        pfm_ids_free(&ids);
        pfm_tokenizer_free(tokenizer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_vectors),
        cmocka_unit_test(test_lookups_and_bad_ids),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_invalid_text_is_repaired),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_roles_beside_the_file),
        cmocka_unit_test(test_source_of_a_gguf),
        cmocka_unit_test(test_every_name_of_a_gguf),
        cmocka_unit_test(test_an_added_token_with_another_id),
    };
    return cmocka_run_group_tests(tests, load_golden, free_golden);
}
