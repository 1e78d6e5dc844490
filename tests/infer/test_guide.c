/* Texts written by chance, a token at a time among those that a guide leaves, are what the schema says. */
#include "infer/guide.h"
#include "base/random.h"
#include "models/language/tokenizer_load.h"
#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;

static const char schema[] = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"maxLength\":12},\"n\":{"
                             "\"type\":\"integer\",\"minimum\":-3,"
                             "\"maximum\":40},\"k\":{\"enum\":[\"yes\",\"no\",7]},\"l\":{\"type\":\"array\",\"items\":{"
                             "\"type\":\"boolean\"},\"maxItems\":3}},"
                             "\"required\":[\"a\",\"n\",\"k\",\"l\"],\"additionalProperties\":false}";

static void check_value(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    if (value == NULL)
        fail_msg("no JSON: %s", text);
    const json_int_t n = json_integer_value(json_object_get(value, "n"));
    const json_t *k = json_object_get(value, "k"), *list = json_object_get(value, "l");
    assert_int_equal(json_object_size(value), 4);
    assert_true(json_is_string(json_object_get(value, "a")));
    assert_true(json_is_integer(json_object_get(value, "n")) && n >= -3 && n <= 40);
    assert_true(json_integer_value(k) == 7 || strcmp(json_string_value(k), "yes") == 0 ||
                strcmp(json_string_value(k), "no") == 0);
    assert_true(json_is_array(list) && json_array_size(list) <= 3);
    json_decref(value);
}

/* Which tokens are of ASCII without white space, that texts end some time. */
static bool *make_plain(const pfm_tokenizer *tokenizer)
{
    const size_t vocabulary = pfm_tokenizer_vocabulary(tokenizer);
    bool *plain = calloc(vocabulary, sizeof *plain);
    assert_non_null(plain);
    for (size_t i = 0; i < vocabulary; i++) {
        pfm_buffer bytes = {0};
        assert_ok(pfm_tokenizer_token_bytes(tokenizer, (int32_t)i, &bytes, &err));
        plain[i] = bytes.size > 0;
        for (size_t k = 0; k < bytes.size; k++)
            plain[i] = plain[i] && bytes.data[k] > ' ' && bytes.data[k] <= '~';
        pfm_buffer_free(&bytes);
    }
    return plain;
}

/* Draws among what is left; the text, or "" where it did not end in time, or where a vocabulary without all bytes cannot go on
 * within a character. */
static void write_one(const pfm_guide *guide, const pfm_tokenizer *tokenizer, const bool *plain, pfm_random *random,
                      pfm_buffer *out)
{
    enum { MOST = 400 };
    const int32_t end = pfm_tokenizer_end(tokenizer);
    const size_t vocabulary = pfm_tokenizer_vocabulary(tokenizer);
    float *scores = calloc(vocabulary, sizeof *scores);
    int32_t ids[MOST];
    for (size_t count = 0; count < MOST; count++) {
        size_t best = 0, left = 0;
        for (size_t i = 0; i < vocabulary; i++)
            scores[i] = (float)pfm_random_uniform(random) - (plain[i] ? 0 : 0.9f);
        pfm_guide_mask(guide, ids, count, end, scores, vocabulary);
        for (size_t i = 0; i < vocabulary; i++) {
            left += scores[i] > -INFINITY;
            best = scores[i] > scores[best] ? i : best;
        }
        assert_true(scores[best] > -INFINITY);
        if ((int32_t)best == end) {
            assert_ok(pfm_tokenizer_decode(tokenizer, ids, count, true, out, &err));
            if (left == 1 && strstr(out->data, "\xef\xbf\xbd") != NULL)
                pfm_buffer_clear(out);
            break;
        }
        ids[count] = (int32_t)best;
    }
    free(scores);
}

static void check_family(const char *name)
{
    char path[400];
    pfm_tokenizer *tokenizer = NULL;
    pfm_guide_tokens *tokens = NULL;
    pfm_json_shape *shape = NULL;
    json_t *value = json_loads(schema, 0, NULL);
    (void)snprintf(path, sizeof path, PFM_SOURCE_DIR "/tests/text/golden/families/%s", name);
    assert_ok(pfm_tokenizer_load(path, &tokenizer, &err));
    assert_ok(pfm_guide_tokens_create(tokenizer, &tokens, &err));
    assert_ok(pfm_json_shape_create(value, &shape, &err));
    const pfm_guide guide = {tokens, shape};
    pfm_random random = pfm_random_start(3, 5);
    size_t whole = 0;
    bool *plain = make_plain(tokenizer);
    for (int i = 0; i < 40; i++) {
        pfm_buffer text = {0};
        write_one(&guide, tokenizer, plain, &random, &text);
        if (text.size > 0) {
            check_value(text.data);
            whole++;
        }
        pfm_buffer_free(&text);
    }
    assert_true(whole >= 20);
    free(plain);
    pfm_json_shape_free(shape);
    pfm_guide_tokens_free(tokens);
    pfm_tokenizer_free(tokenizer);
    json_decref(value);
}

static void what_chance_writes_fits(void **state)
{
    (void)state;
    check_family("smollm/smollm.gguf");
    check_family("llama2/model");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_chance_writes_fits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
