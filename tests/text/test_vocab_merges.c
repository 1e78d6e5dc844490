/* What is refused of vocab.json and merges.txt, and whose tokenizer they are taken for; what they give is in
 * tests/models/test_tokenizer_families.c. */
#include "text/tokenizer.h"
#include "test.h"

#include "base/file.h"

typedef struct pair_case {
    const char *vocabulary, *merges, *config, *model; /* vocab.json, merges.txt, tokenizer_config.json, config.json; or NULL */
    pfm_status status;
    const char *part;
} pair_case;

static const char vocabulary[] = "{\"a\":0,\"b\":1,\"ab\":2,\"<|endoftext|>\":3,\"\xc4\xa0\":4,\"1\":5,\"11\":6}";
static const char merges[] = "#version: 0.2\na b\n1 1\n";
static const char gpt2[] = "{\"model_type\":\"gpt2\"}";

static pfm_status load(const pair_case *c, pfm_tokenizer **out, pfm_error *err)
{
    static const char *const names[] = {"vocab.json", "merges.txt", "tokenizer_config.json", "config.json"};
    const char *const texts[] = {c->vocabulary, c->merges, c->config, c->model};
    for (size_t i = 0; i < 4; i++) {
        const char *path = test_path(test_scratch_folder(), names[i]);
        (void)remove(path);
        if (texts[i] != NULL)
            assert_int_equal(pfm_file_write(path, texts[i], strlen(texts[i]), err), PFM_OK);
    }
    return pfm_tokenizer_load_merges(test_path(test_scratch_folder(), "vocab.json"), out, err);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const pair_case cases[] = {
        {vocabulary, merges, NULL, NULL, PFM_ERROR_UNSUPPORTED, "does not say how texts are cut"},
        {vocabulary, merges, "{}", "{}", PFM_ERROR_UNSUPPORTED, "does not say how texts are cut"},
        {vocabulary, merges, NULL, "{\"model_type\":\"clip\"}", PFM_ERROR_UNSUPPORTED, "how clip cuts texts"},
        {vocabulary, merges, "{\"tokenizer_class\":\"CLIPTokenizer\"}", gpt2, PFM_ERROR_UNSUPPORTED, "CLIPTokenizer"},
        {vocabulary, NULL, NULL, gpt2, PFM_ERROR_IO, "merges.txt"},
        {NULL, merges, NULL, gpt2, PFM_ERROR_IO, "vocab.json"},
        {vocabulary, "a b c\n", NULL, gpt2, PFM_ERROR_FORMAT, "vocab.json: merge 0 is not two tokens"},
        {vocabulary, "a b\na x\n", NULL, gpt2, PFM_ERROR_FORMAT, "merge 1 joins"},
        {vocabulary, "a \xff\n", NULL, gpt2, PFM_ERROR_FORMAT, "merge 0 is not UTF-8"},
        {"[]", merges, NULL, gpt2, PFM_ERROR_FORMAT, "no vocabulary"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_tokenizer *tokenizer = NULL;
        assert_error(load(&cases[i], &tokenizer, &err), cases[i].status, cases[i].part);
        assert_null(tokenizer);
    }
}

static void test_whose_it_is(void **state)
{
    (void)state;
    static const struct {
        pair_case pair;
        const char *begin;
        size_t count; /* ids of "11 ab" */
    } cases[] = {
        {{.config = NULL, .model = gpt2}, "<|endoftext|>", 3},
        {{.config = "{\"tokenizer_class\":\"GPT2TokenizerFast\"}"}, "<|endoftext|>", 3},
        {{.config = "{\"tokenizer_class\":\"CodeGenTokenizer\",\"bos_token\":\"a\"}", .model = gpt2}, "a", 4},
        {{.config = "{\"tokenizer_class\":\"Qwen2Tokenizer\"}"}, "", 4},
        {{.config = "{\"tokenizer_class\":\"GPT2Tokenizer\",\"add_prefix_space\":true}"}, "<|endoftext|>", 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_tokenizer *tokenizer = NULL;
        pfm_ids ids = {0};
        pair_case pair = cases[i].pair;
        pair.vocabulary = vocabulary;
        pair.merges = i % 2 == 0 ? merges : "a b\r\n1 1"; /* without a version, other ends of lines */
        assert_ok(load(&pair, &tokenizer, &err));
        assert_string_equal(pfm_tokenizer_begin_text(tokenizer), cases[i].begin);
        assert_int_equal(pfm_tokenizer_end(tokenizer), 3);
        assert_ok(pfm_tokenizer_encode(tokenizer, "11 ab", 5, true, &ids, &err));
        assert_int_equal(ids.count, cases[i].count);
        pfm_ids_free(&ids);
        pfm_tokenizer_free(tokenizer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_refused), cmocka_unit_test(test_whose_it_is)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
