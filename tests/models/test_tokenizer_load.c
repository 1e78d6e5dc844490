#include "models/language/tokenizer_load.h"
#include "test.h"

#include "base/file.h"
#include "pefomed/weights.h"

#include <jansson.h>
#include <unistd.h>

/* GGUF's value types. */
enum { GGUF_UINT32 = 4, GGUF_INT32 = 5, GGUF_STRING = 8, GGUF_ARRAY = 9 };

/* A GGUF file in the making: no tensors, key-values only. */
typedef struct gguf {
    pfm_buffer body;
    uint64_t keys;
} gguf;

static void put(pfm_buffer *out, const void *bytes, size_t count)
{
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(pfm_buffer_append(out, bytes, count, &err));
}

static void put_u32(pfm_buffer *out, uint32_t value) { put(out, &value, sizeof value); }
static void put_u64(pfm_buffer *out, uint64_t value) { put(out, &value, sizeof value); }

static void put_text(pfm_buffer *out, const char *text)
{
    put_u64(out, strlen(text));
    put(out, text, strlen(text));
}

static void add_key(gguf *file, const char *key, uint32_t type)
{
    put_text(&file->body, key);
    put_u32(&file->body, type);
    file->keys++;
}

static void add_text(gguf *file, const char *key, const char *text)
{
    add_key(file, key, GGUF_STRING);
    put_text(&file->body, text);
}

static void add_number(gguf *file, const char *key, uint32_t value)
{
    add_key(file, key, GGUF_UINT32);
    put_u32(&file->body, value);
}

static void add_texts(gguf *file, const char *key, const char *const *texts, size_t count)
{
    add_key(file, key, GGUF_ARRAY);
    put_u32(&file->body, GGUF_STRING);
    put_u64(&file->body, count);
    for (size_t i = 0; i < count; i++)
        put_text(&file->body, texts[i]);
}

static void add_numbers(gguf *file, const char *key, const int32_t *values, size_t count)
{
    add_key(file, key, GGUF_ARRAY);
    put_u32(&file->body, GGUF_INT32);
    put_u64(&file->body, count);
    put(&file->body, values, count * sizeof *values);
}

static const char *save(gguf *file, const char *name)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer whole = {0};
    const char *path = test_path(test_scratch_folder(), name);
    put(&whole, "GGUF", 4);
    put_u32(&whole, 3);
    put_u64(&whole, 0);
    put_u64(&whole, file->keys);
    put(&whole, file->body.data, file->body.size);
    assert_ok(pfm_file_write(path, whole.data, whole.size, &err));
    pfm_buffer_free(&whole);
    pfm_buffer_free(&file->body);
    *file = (gguf){0};
    return path;
}

static const char *const tokens[] = {"<|end|>", "a", "b", "ab", "\xc4\xa0"};
static const char *const merges[] = {"a b"};
static const int32_t types[] = {PFM_TOKEN_CONTROL, 1, 1, 1, 1};

static void add_all(gguf *file)
{
    add_text(file, "general.architecture", "llama");
    add_text(file, "tokenizer.ggml.model", "gpt2");
    add_text(file, "tokenizer.ggml.pre", "smollm");
    add_texts(file, "tokenizer.ggml.tokens", tokens, 5);
    add_texts(file, "tokenizer.ggml.merges", merges, 1);
    add_numbers(file, "tokenizer.ggml.token_type", types, 5);
    add_number(file, "tokenizer.ggml.eos_token_id", 0);
}

static void test_gguf_and_folders(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_tokenizer *tokenizer = NULL;
    gguf file = {0};
    add_all(&file);
    const char *path = save(&file, "one.gguf");
    for (int round = 0; round < 2; round++) { /* by its own name, and by its folder */
        assert_ok(pfm_tokenizer_load(round == 0 ? path : test_scratch_folder(), &tokenizer, &err));
        pfm_ids ids = {0};
        assert_ok(pfm_tokenizer_encode(tokenizer, "ab b<|end|>", 11, true, &ids, &err));
        const int32_t wanted[] = {3, 4, 2, 0};
        assert_int_equal(ids.count, 4);
        assert_memory_equal(ids.data, wanted, sizeof wanted);
        assert_int_equal(pfm_tokenizer_end(tokenizer), 0);
        pfm_ids_free(&ids);
        pfm_tokenizer_free(tokenizer);
    }
    add_all(&file);
    add_number(&file, "tokenizer.ggml.eot_token_id", 3);
    path = save(&file, "two.gguf");
    assert_ok(pfm_tokenizer_load(path, &tokenizer, &err));
    assert_int_equal(pfm_tokenizer_end(tokenizer), 3);
    pfm_tokenizer_free(tokenizer);
    assert_error(pfm_tokenizer_load(test_scratch_folder(), &tokenizer, &err), PFM_ERROR_USAGE, "2 .gguf files");
    const char *json = test_path(test_scratch_folder(), "tokenizer.json");
    assert_ok(pfm_file_write(json, "{}", 2, &err)); /* goes first */
    assert_error(pfm_tokenizer_load(test_scratch_folder(), &tokenizer, &err), PFM_ERROR_FORMAT,
                 "tokenizer.json: it has no \"model\"");
    assert_int_equal(unlink(json) + unlink(path) + unlink(test_path(test_scratch_folder(), "one.gguf")), 0);
    assert_error(pfm_tokenizer_load(test_scratch_folder(), &tokenizer, &err), PFM_ERROR_FORMAT, "holds neither");
    assert_error(pfm_tokenizer_load("/nowhere/x.gguf", &tokenizer, &err), PFM_ERROR_IO, "/nowhere/x.gguf");
}

static void refuse(gguf *file, const char *part)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_tokenizer *tokenizer = NULL;
    const char *path = save(file, "bad.gguf");
    assert_error(pfm_tokenizer_load(path, &tokenizer, &err), PFM_ERROR_FORMAT, part);
    assert_null(tokenizer);
    assert_int_equal(unlink(path), 0);
}

static void test_bad_files(void **state)
{
    (void)state;
    gguf file = {0};
    add_text(&file, "general.architecture", "llama");
    refuse(&file, "holds no tokenizer");
    add_texts(&file, "tokenizer.ggml.tokens", tokens, 5);
    refuse(&file, "no tokenizer.ggml.model");
    add_texts(&file, "tokenizer.ggml.tokens", tokens, 5);
    add_text(&file, "tokenizer.ggml.model", "gpt2");
    add_numbers(&file, "tokenizer.ggml.token_type", types, 4);
    refuse(&file, "4 entries for 5 tokens");
    add_texts(&file, "tokenizer.ggml.tokens", tokens, 5);
    add_numbers(&file, "tokenizer.ggml.token_type", (const int32_t[]){1, 1, 1, 1, 77}, 5);
    refuse(&file, "token_type[4]");
    add_numbers(&file, "tokenizer.ggml.tokens", types, 5);
    refuse(&file, "tokens[0] is not a string");
    add_text(&file, "tokenizer.ggml.model", "gpt2");
    add_texts(&file, "tokenizer.ggml.tokens", tokens, 5);
    add_number(&file, "tokenizer.ggml.eos_token_id", 4000000000u);
    refuse(&file, "eos_token_id is 4000000000");
    add_text(&file, "tokenizer.ggml.model", "gpt2");
    add_texts(&file, "tokenizer.ggml.tokens", tokens, 3);
    add_texts(&file, "tokenizer.ggml.merges", merges, 1);
    refuse(&file, "bad.gguf: merge 0");
}

static void check_smollm2(const pfm_tokenizer *tokenizer, const json_t *item)
{
    pfm_error err = PFM_ERROR_INIT;
    const json_t *text = json_object_get(item, "text"), *wanted = json_object_get(item, "ids"),
                 *decoded = json_object_get(item, "decoded");
    pfm_ids ids = {0};
    pfm_buffer again = {0};
    assert_ok(pfm_tokenizer_encode(tokenizer, json_string_value(text), json_string_length(text), true, &ids, &err));
    if (ids.count != json_array_size(wanted))
        fail_msg("\"%s\": %zu ids, not %zu", json_string_value(text), ids.count, json_array_size(wanted));
    for (size_t i = 0; i < ids.count; i++)
        assert_int_equal(ids.data[i], json_integer_value(json_array_get(wanted, i)));
    assert_ok(pfm_tokenizer_decode(tokenizer, ids.data, ids.count, false, &again, &err));
    assert_int_equal(again.size, json_string_length(decoded));
    assert_memory_equal(again.data == NULL ? "" : again.data, json_string_value(decoded), again.size);
    pfm_ids_free(&ids);
    pfm_buffer_free(&again);
}

static void check_smollm2_chat(const pfm_tokenizer *tokenizer, const json_t *item)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_chat_message messages[3];
    const json_t *list = json_object_get(item, "messages");
    assert_true(json_array_size(list) <= 3);
    for (size_t i = 0; i < json_array_size(list); i++)
        messages[i] = (pfm_chat_message){json_string_value(json_object_get(json_array_get(list, i), "role")),
                                         json_string_value(json_object_get(json_array_get(list, i), "content"))};
    pfm_buffer out = {0};
    assert_ok(pfm_chat_render(tokenizer, messages, json_array_size(list), true, &out, &err));
    assert_string_equal(out.data, json_string_value(json_object_get(item, "text")));
    pfm_buffer_free(&out);
}

/* The real vocabulary and template, against transformers. */
static void test_smollm2(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = NULL;
    pfm_context_options options = {.threads = 1};
    char *path = NULL;
    assert_ok(pfm_context_create(&options, &context, &err));
    pfm_status status = pfm_model_path(context, "smollm2-135m-instruct", &path, NULL);
    pfm_context_free(context);
    if (status != PFM_OK) {
        print_message("skipped: no weights; run: pefomed fetch smollm2-135m-instruct\n");
        skip();
    }
    pfm_tokenizer *tokenizer = NULL;
    assert_ok(pfm_tokenizer_load(path, &tokenizer, &err));
    assert_int_equal(pfm_tokenizer_vocabulary(tokenizer), 49152);
    assert_int_equal(pfm_tokenizer_end(tokenizer), pfm_tokenizer_id(tokenizer, "<|im_end|>"));
    size_t i;
    json_t *item, *golden = json_load_file(PFM_SOURCE_DIR "/tests/text/golden/smollm2_tokens.json", JSON_ALLOW_NUL, NULL);
    assert_true(json_array_size(json_object_get(golden, "cases")) > 50 &&
                json_array_size(json_object_get(golden, "chats")) == 3);
    json_array_foreach(json_object_get(golden, "cases"), i, item) check_smollm2(tokenizer, item);
    json_array_foreach(json_object_get(golden, "chats"), i, item) check_smollm2_chat(tokenizer, item);
    json_decref(golden);
    pfm_tokenizer_free(tokenizer);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gguf_and_folders), cmocka_unit_test(test_bad_files),
                                       cmocka_unit_test(test_smollm2)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
