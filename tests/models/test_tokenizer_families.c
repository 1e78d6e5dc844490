/* Each family's tokenizer in every kind of file that it is published in, against what transformers makes of it. */
#include "models/language/tokenizer_load.h"
#include "models/language/tokenizer_save.h"
#include "test.h"

#include <jansson.h>

static void check_ids(const char *path, const char *text, const pfm_ids *got, const json_t *wanted)
{
    bool same = got->count == json_array_size(wanted);
    for (size_t i = 0; i < got->count && same; i++)
        same = got->data[i] == json_integer_value(json_array_get(wanted, i));
    if (same)
        return;
    char *list = json_dumps(wanted, JSON_COMPACT);
    print_message("%s: \"%s\"\n  wanted %s\n  got    [", path, text, list);
    for (size_t i = 0; i < got->count; i++)
        print_message(i == 0 ? "%d" : ",%d", got->data[i]);
    fail_msg("]");
}

static void check_text(const char *path, const pfm_tokenizer *tokenizer, const json_t *family, const json_t *text, size_t index)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_ids ids = {0};
    assert_ok(pfm_tokenizer_encode(tokenizer, json_string_value(text), json_string_length(text), true, &ids, &err));
    check_ids(path, json_string_value(text), &ids, json_array_get(json_object_get(family, "ids"), index));
    for (int skip = 0; skip < 2; skip++) {
        pfm_buffer out = {0};
        const json_t *wanted = json_array_get(json_object_get(family, skip ? "skipped" : "decoded"), index);
        assert_ok(pfm_tokenizer_decode(tokenizer, ids.data, ids.count, skip, &out, &err));
        if (out.size != json_string_length(wanted) ||
            memcmp(out.data == NULL ? "" : out.data, json_string_value(wanted), out.size) != 0)
            fail_msg("%s: \"%s\" comes back as \"%s\"", path, json_string_value(wanted), out.data == NULL ? "" : out.data);
        pfm_buffer_free(&out);
    }
    pfm_ids_free(&ids);
}

/* A GGUF file's tokenizer, written as tokenizer.json, is the same. */
static void check_written(const char *path, const json_t *texts, const json_t *family)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_tokenizer *tokenizer = NULL;
    pfm_weights *weights = NULL;
    char name[64];
    (void)snprintf(name, sizeof name, "%s.json", json_string_value(json_object_get(family, "name")));
    const char *written = test_path(test_scratch_folder(), name);
    assert_ok(pfm_weights_open(path, &weights, &err));
    assert_ok(pfm_tokenizer_save(weights, test_scratch_folder(), &err));
    pfm_weights_close(weights);
    assert_int_equal(rename(test_path(test_scratch_folder(), "tokenizer.json"), written), 0);
    assert_ok(pfm_tokenizer_load(written, &tokenizer, &err));
    for (size_t i = 0; i < json_array_size(texts); i++)
        check_text(name, tokenizer, family, json_array_get(texts, i), i);
    pfm_tokenizer_free(tokenizer);
}

static void test_every_file(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    size_t i, j, k, files = 0, ggufs = 0;
    json_t *family, *path, *text,
        *golden = json_load_file(PFM_SOURCE_DIR "/tests/text/golden/families.json", JSON_ALLOW_NUL, NULL);
    json_array_foreach(json_object_get(golden, "families"), i, family)
    {
        json_array_foreach(json_object_get(family, "paths"), j, path)
        {
            pfm_tokenizer *tokenizer = NULL;
            const char *file = test_path(PFM_SOURCE_DIR "/tests/text/golden/families", json_string_value(path));
            assert_ok(pfm_tokenizer_load(file, &tokenizer, &err));
            json_array_foreach(json_object_get(golden, "texts"), k, text)
                check_text(json_string_value(path), tokenizer, family, text, k);
            assert_true(k > 25);
            pfm_tokenizer_free(tokenizer);
            files++;
            if (strstr(file, ".gguf") != NULL) {
                check_written(file, json_object_get(golden, "texts"), family);
                ggufs++;
            }
        }
    }
    assert_int_equal(files, 17);
    assert_int_equal(ggufs, 6);
    json_decref(golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_file)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
