#include "base/json.h"
#include "pefomed/inspect.h"
#include "support_formats.h"
#include "test.h"

static pfm_context *context;

static int set_up(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const pfm_context_options options = {.threads = 1, .home = test_scratch_folder()};
    assert_ok(pfm_context_create(&options, &context, &err));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pfm_context_free(context);
    return 0;
}

static json_t *inspect(const char *path)
{
    pfm_error err = PFM_ERROR_INIT;
    char *text = NULL;
    assert_ok(pfm_inspect(context, path, false, &text, &err));
    json_t *document = json_loads(text, 0, NULL);
    assert_non_null(document);
    free(text);
    return document;
}

static void assert_text(const json_t *object, const char *key, const char *wanted)
{
    assert_non_null(json_string_value(json_object_get(object, key)));
    assert_string_equal(json_string_value(json_object_get(object, key)), wanted);
}

static json_int_t number(const json_t *object, const char *key)
{
    assert_true(json_is_integer(json_object_get(object, key)));
    return json_integer_value(json_object_get(object, key));
}

static void test_weights(void **state)
{
    (void)state;
    json_t *document = inspect(formats_data("types.gguf"));
    assert_text(document, "kind", "weights");
    assert_text(document, "format", "gguf");
    const json_t *metadata = json_object_get(document, "metadata"),
                 *q4 = json_object_get(json_object_get(document, "types"), "q4_0");
    assert_int_equal(number(metadata, "t.i8"), -100);
    assert_true(json_is_true(json_object_get(metadata, "t.bool")));
    assert_true(json_real_value(json_object_get(metadata, "t.u64")) == 18446744073709549568.0);
    assert_int_equal(json_array_size(json_object_get(metadata, "t.strings")), 3);
    assert_int_equal(number(q4, "tensors"), 1);
    assert_int_equal(number(q4, "values"), 128);
    assert_int_equal(number(q4, "bytes"), 72);
    const json_t *first = json_array_get(json_object_get(document, "tensors"), 0);
    assert_text(first, "name", "Q4_0");
    assert_text(first, "dtype", "q4_0");
    assert_int_equal(json_integer_value(json_array_get(json_object_get(first, "shape"), 1)), 64);
    json_decref(document);
    document = inspect(formats_data("small.safetensors"));
    assert_int_equal(number(document, "parameters"), 6 + 4 + 4 + 3 + 1); /* integers are none */
    json_decref(document);
}

/* Long texts and arrays are cut, and what is not UTF-8 is not shown. */
static void test_long_metadata(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer file = {0};
    char *text = malloc(5001);
    assert_non_null(text);
    memset(text, 'x', 5000);
    text[5000] = '\0';
    put_bytes(&file, "GGUF", 4);
    put_u32(&file, 3);
    put_u64(&file, 0);
    put_u64(&file, 3);
    put_text(&file, "long");
    put_u32(&file, 8);
    put_text(&file, text);
    put_text(&file, "bad");
    put_u32(&file, 8);
    put_text(&file, "\xff\xfe");
    put_text(&file, "many");
    put_u32(&file, 9);
    put_u32(&file, 8);
    put_u64(&file, 100);
    for (int i = 0; i < 100; i++)
        put_text(&file, "t");
    const char *path = test_path(test_scratch_folder(), "long.gguf");
    assert_ok(pfm_file_write(path, file.data, file.size, &err));
    json_t *document = inspect(path);
    const json_t *metadata = json_object_get(document, "metadata");
    assert_int_equal(number(json_object_get(metadata, "long"), "length"), 5000);
    assert_text(json_object_get(metadata, "bad"), "first", "(not UTF-8)");
    assert_int_equal(number(json_object_get(metadata, "many"), "count"), 100);
    assert_int_equal(json_array_size(json_object_get(json_object_get(metadata, "many"), "first")), 8);
    json_decref(document);
    free(text);
    pfm_buffer_free(&file);
}

static void test_an_adapter_and_a_run(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    json_t *document = inspect(formats_data("adapter"));
    assert_text(document, "kind", "adapter");
    assert_text(document, "method", "LORA");
    assert_int_equal(number(document, "rank"), 4);
    assert_int_equal(number(document, "parameters"), 224);
    json_decref(document);
    char folder[4096];
    (void)snprintf(folder, sizeof folder, "%s/run", test_scratch_folder());
    assert_ok(pfm_folder_create(folder, &err));
    static const char log[] = "{\"step\":1,\"loss\":2.5}\n{\"step\":2,\"loss\":1.5}\n";
    assert_ok(pfm_file_write(test_path(folder, "recipe.yaml"), "a: 1\n", 5, &err));
    assert_ok(pfm_file_write(test_path(folder, "log.jsonl"), log, sizeof log - 1, &err));
    assert_ok(pfm_file_write(test_path(folder, "audit.json"), "{\"version\":\"0.1.0\"}", 19, &err));
    document = inspect(folder);
    assert_text(document, "kind", "run");
    assert_int_equal(number(document, "steps"), 2);
    assert_true(json_real_value(json_object_get(json_object_get(document, "last"), "loss")) == 1.5);
    assert_text(json_object_get(document, "audit"), "version", "0.1.0");
    assert_int_equal(json_array_size(json_object_get(document, "files")), 3);
    json_decref(document);
}

static void test_images(void **state)
{
    (void)state;
    static const struct {
        const char *file, *format;
        int channels, bits;
    } images[] = {{"cmyk.jpg", "jpeg", 4, 8},   {"grey.jpg", "jpeg", 1, 8},    {"rgb_progressive.jpg", "jpeg", 3, 8},
                  {"grey16.png", "png", 1, 16}, {"palette4.png", "png", 1, 4}, {"la8.png", "png", 2, 8},
                  {"rgb8.png", "png", 3, 8}};
    for (size_t i = 0; i < sizeof images / sizeof *images; i++) {
        json_t *document = inspect(test_path(PFM_SOURCE_DIR "/tests/image/golden", images[i].file));
        assert_text(document, "kind", "image");
        assert_text(document, "format", images[i].format);
        assert_int_equal(number(document, "channels"), images[i].channels);
        assert_int_equal(number(document, "bits"), images[i].bits);
        assert_true(number(document, "width") > 0 && number(document, "height") > 0);
        json_decref(document);
    }
}

static json_t *inspect_text(const char *name, const char *text)
{
    pfm_error err = PFM_ERROR_INIT;
    const char *path = test_path(test_scratch_folder(), name);
    assert_ok(pfm_file_write(path, text, strlen(text), &err));
    return inspect(path);
}

static void test_data_and_records(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(pfm_folder_create(test_path(test_scratch_folder(), "set"), &err));
    json_decref(inspect_text("set/train.json", "[{\"img_name\":\"a.png\",\"question\":\"q\",\"answer\":\"a\"}]"));
    json_t *document = inspect(test_path(test_scratch_folder(), "set"));
    assert_text(document, "kind", "data");
    assert_text(document, "dataset", "slake");
    json_decref(document);
    document = inspect_text("p.jsonl", "{\"id\":1,\"prediction\":\"x\"}\n{\"id\":2}\n");
    assert_text(document, "kind", "records");
    assert_int_equal(number(document, "records"), 2);
    assert_non_null(strstr(json_string_value(json_object_get(document, "next")), "pefomed score "));
    json_decref(document);
    document = inspect_text("t.csv", "\xef\xbb\xbfimage,\"question\",answer\r\na.png,\"one\ntwo\",yes\r\nb.png,q,no");
    assert_int_equal(number(document, "records"), 2);
    assert_int_equal(json_array_size(json_object_get(document, "columns")), 3);
    assert_string_equal(json_string_value(json_array_get(json_object_get(document, "columns"), 0)), "image");
    assert_string_equal(json_string_value(json_array_get(json_object_get(document, "columns"), 1)), "question");
    json_decref(document);
    document = inspect_text("empty.csv", "");
    assert_int_equal(number(document, "records"), 0);
    json_decref(document);
}

static void test_what_cannot_be_inspected(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char *text = NULL;
    const char *path = test_path(test_scratch_folder(), "scan.dcm");
    assert_ok(pfm_file_write(path, "just words", 10, &err));
    assert_error(pfm_inspect(context, path, false, &text, &err), PFM_ERROR_FORMAT, "nothing that inspect knows");
    assert_ok(pfm_file_write(path, "GGUF\3\0\0\0", 8, &err));
    assert_error(pfm_inspect(context, path, false, &text, &err), PFM_ERROR_FORMAT, "cut short");
    assert_ok(pfm_file_write(path, "\x89PNG\r\n\x1a\n", 8, &err));
    assert_true(pfm_inspect(context, path, false, &text, &err) != PFM_OK && err.message[0] != '\0');
    err = (pfm_error)PFM_ERROR_INIT;
    assert_ok(pfm_folder_create(test_path(test_scratch_folder(), "nothing"), &err));
    assert_error(pfm_inspect(context, test_path(test_scratch_folder(), "nothing"), false, &text, &err), PFM_ERROR_FORMAT,
                 "holds no weight file");
    assert_error(pfm_inspect(context, "/dev/null", false, &text, &err), PFM_ERROR_IO, "it is no file");
    assert_error(pfm_inspect(context, "/nowhere", false, &text, &err), PFM_ERROR_IO, "/nowhere");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_weights),
                                       cmocka_unit_test(test_long_metadata),
                                       cmocka_unit_test(test_an_adapter_and_a_run),
                                       cmocka_unit_test(test_images),
                                       cmocka_unit_test(test_data_and_records),
                                       cmocka_unit_test(test_what_cannot_be_inspected)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
