/* What is refused of SentencePiece files; what they give is in tests/models/test_tokenizer_families.c. */
#include "text/tokenizer.h"
#include "test.h"

#include "base/file.h"
#include "base/random.h"

static const char golden[] = PFM_SOURCE_DIR "/tests/text/golden/families/llama2/model/tokenizer.model";

/* Loads these bytes as a tokenizer.model; NULL where that fails, with the reason in err. */
static pfm_tokenizer *load_bytes(const void *bytes, size_t size, pfm_status *status, pfm_error *err)
{
    pfm_tokenizer *tokenizer = NULL;
    const char *path = test_path(test_scratch_folder(), "tokenizer.model");
    assert_int_equal(pfm_file_write(path, bytes, size, err), PFM_OK);
    *status = pfm_tokenizer_load_sentencepiece(path, &tokenizer, err);
    return tokenizer;
}

static void write_beside(const char *name, const char *text)
{
    pfm_error err = PFM_ERROR_INIT;
    const char *path = test_path(test_scratch_folder(), name);
    if (text == NULL)
        (void)remove(path);
    else
        assert_ok(pfm_file_write(path, text, strlen(text), &err));
}

/* A message with one field of bytes; it and `inner` are shorter than 128 bytes. */
static size_t put(unsigned char *out, unsigned number, const char *inner, size_t size)
{
    out[0] = (unsigned char)(number << 3 | 2);
    out[1] = (unsigned char)size;
    memcpy(out + 2, inner, size);
    return size + 2;
}

/* A model of one piece "a" with these fields of its piece, its trainer and its normaliser. */
static void refuse(const char *piece, size_t piece_size, const char *trainer, size_t trainer_size, const char *normaliser,
                   size_t normaliser_size, pfm_status wanted, const char *part)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_status status;
    unsigned char bytes[400];
    size_t size = put(bytes, 1, piece, piece_size);
    size += put(bytes + size, 2, trainer, trainer_size);
    size += put(bytes + size, 3, normaliser, normaliser_size);
    pfm_tokenizer *tokenizer = load_bytes(bytes, size, &status, &err);
    assert_null(tokenizer);
    assert_error(status, wanted, part);
}

#define BYTES(text) text, sizeof text - 1
#define PIECE                                                                                                                  \
    BYTES("\x0a\x01"                                                                                                           \
          "a")
#define BPE_KIND BYTES("\x18\x02")
#define AS_IT_IS BYTES("\x20\x00")

static void test_what_is_not_known(void **state)
{
    (void)state;
    refuse(PIECE, BYTES("\x18\x01"), AS_IT_IS, PFM_ERROR_UNSUPPORTED, "a unigram model");
    refuse(PIECE, BYTES(""), AS_IT_IS, PFM_ERROR_UNSUPPORTED, "a unigram model"); /* what the format takes for granted */
    refuse(PIECE, BYTES("\x18\x03"), AS_IT_IS, PFM_ERROR_UNSUPPORTED, "words or characters");
    refuse(PIECE, BPE_KIND, BYTES(""), PFM_ERROR_UNSUPPORTED, "remove_extra_whitespaces");
    refuse(PIECE, BPE_KIND, BYTES("\x20\x00\x12\x01x"), PFM_ERROR_UNSUPPORTED, "precompiled_charsmap");
    refuse(PIECE, BPE_KIND, BYTES("\x20\x00\x28\x00"), PFM_ERROR_UNSUPPORTED, "escape_whitespaces");
    refuse(PIECE, BYTES("\x18\x02\xc0\x01\x01"), AS_IT_IS, PFM_ERROR_UNSUPPORTED, "treat_whitespace_as_suffix");
    refuse(BYTES("\x0a\x01"
                 "a\x18\x04"),
           BPE_KIND, AS_IT_IS, PFM_ERROR_UNSUPPORTED, "user-defined pieces (\"a\")");
    refuse(BYTES("\x0a\x01"
                 "a\x18\x07"),
           BPE_KIND, AS_IT_IS, PFM_ERROR_FORMAT, "piece 0 has the type 7");
    refuse(BYTES("\x0a\x01\xff"), BPE_KIND, AS_IT_IS, PFM_ERROR_FORMAT, "not UTF-8");
    refuse(BYTES("\x18\x01"), BPE_KIND, AS_IT_IS, PFM_ERROR_FORMAT, "piece 0 has no text");
    refuse(BYTES("\x0a\x01"
                 "a\x15\x00\x00\xc0\x7f"),
           BPE_KIND, AS_IT_IS, PFM_ERROR_FORMAT, "score of token 0");
    refuse(BYTES("\x0a\x7f"
                 "a"),
           BPE_KIND, AS_IT_IS, PFM_ERROR_FORMAT, "a field of 127 bytes");
    refuse(BYTES("\x0a\x01"
                 "a\x07"),
           BPE_KIND, AS_IT_IS, PFM_ERROR_FORMAT, "damaged");
    refuse(PIECE, BYTES("\x18\x02\xd0\x02\x00"), AS_IT_IS, PFM_ERROR_FORMAT, "names token 1 as one with a role"); /* bos_id */
}

static void test_other_files(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_status status;
    pfm_tokenizer *tokenizer = load_bytes(BYTES("IQ== 0\nIg== 1\n"), &status, &err);
    assert_error(status, PFM_ERROR_UNSUPPORTED, "tiktoken");
    tokenizer = load_bytes("", 0, &status, &err);
    assert_error(status, PFM_ERROR_FORMAT, "no pieces");
    assert_null(tokenizer);
    assert_error(pfm_tokenizer_load_sentencepiece("/nowhere/tokenizer.model", &tokenizer, &err), PFM_ERROR_IO, "/nowhere");
}

/* Cut anywhere, or with a byte changed anywhere: a tokenizer or a sentence. */
static void test_damaged_files(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_random random = pfm_random_start(5, 0);
    pfm_buffer whole = {0};
    assert_ok(pfm_file_read(golden, 0, &whole, &err));
    for (size_t round = 0; round < 400; round++) {
        size_t place = (size_t)pfm_random_below(&random, whole.size);
        char kept = whole.data[place];
        pfm_status status;
        whole.data[place] = (char)pfm_random_below(&random, 256);
        pfm_tokenizer *tokenizer = load_bytes(whole.data, round % 2 == 0 ? whole.size : place, &status, &err);
        whole.data[place] = kept;
        assert_true((status == PFM_OK) == (tokenizer != NULL));
        assert_true(status == PFM_OK || err.message[0] != '\0');
        err = (pfm_error)PFM_ERROR_INIT;
        pfm_tokenizer_free(tokenizer);
    }
    pfm_buffer_free(&whole);
}

static void check_ids(const pfm_tokenizer *tokenizer, const char *text, const char *const *wanted, size_t count)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_ids ids = {0};
    assert_ok(pfm_tokenizer_encode(tokenizer, text, strlen(text), true, &ids, &err));
    assert_int_equal(ids.count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(ids.data[i], pfm_tokenizer_id(tokenizer, wanted[i]));
    pfm_ids_free(&ids);
}

#define MARK "\xe2\x96\x81"

/* "legacy" of tokenizer_config.json: a space before each part, or before the text alone; and who takes it for what if missing.
 */
static void test_legacy(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        bool each, any;
    } cases[] = {
        {NULL, true, true},
        {"{\"legacy\": true, \"tokenizer_class\": \"LlamaTokenizer\"}", true, true},
        {"{\"legacy\": false}", false, true},
        {"{\"tokenizer_class\": \"LlamaTokenizerFast\"}", false, true},
        {"{\"tokenizer_class\": \"Other\"}", true, true},
        {"{\"add_prefix_space\": false}", false, false},
    };
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer whole = {0};
    assert_ok(pfm_file_read(golden, 0, &whole, &err));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pfm_status status;
        write_beside("tokenizer_config.json", cases[i].config);
        pfm_tokenizer *tokenizer = load_bytes(whole.data, whole.size, &status, &err);
        assert_int_equal(status, PFM_OK);
        if (cases[i].each)
            check_ids(tokenizer, "<s>1</s>2", (const char *const[]){"<s>", MARK, "1", "</s>", MARK, "2"}, 6);
        else
            check_ids(tokenizer, "<s>1</s>2", (const char *const[]){"<s>", "1", "</s>", "2"}, 4);
        check_ids(tokenizer, "1", (const char *const[]){MARK, "1"} + !cases[i].any, 1 + cases[i].any);
        pfm_tokenizer_free(tokenizer);
    }
    write_beside("tokenizer_config.json", NULL);
    pfm_buffer_free(&whole);
}

static void test_files_beside(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        pfm_status status;
        const char *part;
    } bad[] = {
        {"added_tokens.json", "{\"<pad>\": \"x\"}", PFM_ERROR_FORMAT, "\"<pad>\" is not a whole number"},
        {"added_tokens.json", "{\"<pad>\": -3}", PFM_ERROR_FORMAT, "-3"},
        {"added_tokens.json", "[]", PFM_ERROR_FORMAT, "not a JSON object"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"x1\": {\"content\": \"a\"}}}", PFM_ERROR_FORMAT, "\"x1\""},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"1\": {}}}", PFM_ERROR_FORMAT, "no content"},
    };
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer whole = {0};
    pfm_status status;
    assert_ok(pfm_file_read(golden, 0, &whole, &err));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_beside(bad[i].name, bad[i].text);
        pfm_tokenizer *none = load_bytes(whole.data, whole.size, &status, &err);
        assert_null(none);
        assert_error(status, bad[i].status, bad[i].part);
        write_beside(bad[i].name, NULL);
    }
    write_beside("added_tokens.json", "{\"<pad>\": 430, \"two words\": 431}");
    write_beside("special_tokens_map.json", "{\"pad_token\": \"<pad>\", \"eos_token\": {\"content\": \"<s>\"}}");
    pfm_tokenizer *tokenizer = load_bytes(whole.data, whole.size, &status, &err);
    assert_int_equal(status, PFM_OK);
    assert_int_equal(pfm_tokenizer_end(tokenizer), 1);
    assert_string_equal(pfm_tokenizer_begin_text(tokenizer), "<s>");
    assert_int_equal(pfm_tokenizer_vocabulary(tokenizer), 432);
    pfm_ids ids = {0};
    pfm_buffer text = {0};
    assert_ok(pfm_tokenizer_encode(tokenizer, "<pad>", 5, true, &ids, &err));
    assert_ok(pfm_tokenizer_decode(tokenizer, (const int32_t[]){430, 431}, 2, true, &text, &err));
    assert_int_equal(ids.count, 1);
    assert_string_equal(text.data, "two words"); /* the other is special, for it has a role */
    pfm_buffer_free(&text);
    pfm_ids_free(&ids);
    pfm_tokenizer_free(tokenizer);
    write_beside("added_tokens.json", NULL);
    write_beside("special_tokens_map.json", NULL);
    pfm_buffer_free(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_not_known), cmocka_unit_test(test_other_files),
                                       cmocka_unit_test(test_damaged_files), cmocka_unit_test(test_legacy),
                                       cmocka_unit_test(test_files_beside)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
