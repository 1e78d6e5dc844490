#include "support_formats.h"
#include "test.h"

#include <sys/stat.h>

/* A folder of its own below the scratch folder; its path is good until the next call. */
static const char *fresh_folder(const char *name)
{
    pfm_error err = PFM_ERROR_INIT;
    static char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", test_scratch_folder(), name);
    assert_ok(pfm_folder_create(path, &err));
    return path;
}

static void copy_file(const char *from, const char *to)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer file = {0};
    assert_ok(pfm_file_read(from, 0, &file, &err));
    assert_ok(pfm_file_write(to, file.data, file.size, &err));
    pfm_buffer_free(&file);
}

/* A safetensors file of one u8 tensor. */
static void write_shard(const char *path, const char *name)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer file = {0};
    char header[256];
    (void)snprintf(header, sizeof header,
                   "{\"__metadata__\":{\"format\":\"pt\"},\"%s\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
                   name);
    put_text(&file, header);
    put_bytes(&file, name, 1);
    assert_ok(pfm_file_write(path, file.data, file.size, &err));
    pfm_buffer_free(&file);
}

static void test_folders(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    const char *folder = fresh_folder("folder");
    assert_error(pfm_weights_open(folder, &weights, &err), PFM_ERROR_USAGE, "holds no weight file");
    copy_file(formats_data("small.pt"), test_path(folder, "one.pth"));
    assert_ok(pfm_weights_open(folder, &weights, &err));
    assert_string_equal(pfm_weights_format(weights), "torch");
    assert_string_equal(pfm_weights_path(weights), folder);
    pfm_weights_close(weights);
    copy_file(formats_data("types.gguf"), test_path(folder, "two.gguf"));
    assert_error(pfm_weights_open(folder, &weights, &err), PFM_ERROR_USAGE, "one.pth and two.gguf");
    copy_file(formats_data("small.safetensors"), test_path(folder, "model.safetensors")); /* the usual name goes before */
    assert_ok(pfm_weights_open(folder, &weights, &err));
    assert_string_equal(pfm_weights_format(weights), "safetensors");
    pfm_weights_close(weights);
}

static void write_index(const char *folder, const char *text)
{
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(pfm_file_write(test_path(folder, "model.safetensors.index.json"), text, strlen(text), &err));
}

static void test_shards(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    const char *folder = fresh_folder("shards");
    write_shard(test_path(folder, "1.safetensors"), "a");
    write_shard(test_path(folder, "2.safetensors"), "b");
    write_index(folder, "{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}}");
    assert_ok(pfm_weights_open(folder, &weights, &err));
    assert_int_equal(pfm_weights_count(weights), 2);
    assert_int_equal(*(const char *)pfm_weights_find(weights, "b")->data, 'b');
    assert_string_equal(pfm_weights_meta_string(weights, "format", NULL), "pt");
    pfm_weights_close(weights);
    static const struct {
        const char *index, *part;
        pfm_status code;
    } lies[] = {{"{\"weight_map\":{\"a\":\"../1.safetensors\"}}", "beside the index", PFM_ERROR_FORMAT},
                {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "beside the index", PFM_ERROR_FORMAT},
                {"{\"weight_map\":{\"a\":1}}", "not a string", PFM_ERROR_FORMAT},
                {"{\"weight_map\":{\"a\":\"3.safetensors\"}}", "3.safetensors", PFM_ERROR_IO},
                {"{\"weight_map\":{\"c\":\"1.safetensors\"}}", "promises the tensor c", PFM_ERROR_FORMAT},
                {"{\"weight_map\":{}}", "weight_map", PFM_ERROR_FORMAT},
                {"[]", "weight_map", PFM_ERROR_FORMAT},
                {"{", "not JSON", PFM_ERROR_FORMAT}};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        write_index(folder, lies[i].index);
        assert_error(pfm_weights_open(folder, &weights, &err), lies[i].code, lies[i].part);
    }
    write_shard(test_path(folder, "2.safetensors"), "a");
    write_index(folder, "{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}}");
    assert_error(pfm_weights_open(folder, &weights, &err), PFM_ERROR_FORMAT, "two tensors are named a");
    copy_file(formats_data("small.pt"), test_path(folder, "2.safetensors"));
    assert_error(pfm_weights_open(folder, &weights, &err), PFM_ERROR_FORMAT, "torch file among safetensors");
}

static void test_no_weight_files(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    assert_error(pfm_weights_open("/nowhere/at.all", &weights, &err), PFM_ERROR_IO, "/nowhere/at.all");
    assert_error(formats_try("", 0, &err), PFM_ERROR_FORMAT, "is empty");
    assert_error(formats_try("an image that is text", 21, &err), PFM_ERROR_FORMAT, "no weight file");
    pfm_weights_close(NULL);
}

static void test_expectations(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    assert_ok(pfm_weights_open(formats_data("small.safetensors"), &weights, &err));
    const pfm_weight_expected good[] = {{.name = "f32", .rank = 2, .shape = {2, 3}},
                                        {.name = "f16", .rank = 1, .shape = {-1}},
                                        {.name = "absent", .rank = 1, .shape = {1}, .optional = true}};
    const char *const rest[] = {"b*", "[iu]*", "f64", "scalar", "empty", NULL};
    assert_ok(pfm_weights_expect(weights, good, 3, rest, &err));
    assert_error(pfm_weights_expect(weights, good, 2, rest + 1, &err), PFM_ERROR_MISMATCH, "2 not expected: bf16, bool");
    const pfm_weight_expected bad[] = {{.name = "f32", .rank = 2, .shape = {3, 2}},
                                       {.name = "absent", .rank = 2, .shape = {4, -1}},
                                       {.name = "f16", .rank = 2, .shape = {4, 1}}};
    assert_error(pfm_weights_expect(weights, bad, 3, rest, &err), PFM_ERROR_MISMATCH,
                 "1 missing: absent [4,?]; 2 misshapen: f32 is [2,3], not [3,2], f16 is [4], not [4,1]");
    assert_error(pfm_weights_expect(weights, NULL, 0, NULL, &err), PFM_ERROR_MISMATCH, "12 not expected: ");
    pfm_weights_close(weights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_folders), cmocka_unit_test(test_shards),
                                       cmocka_unit_test(test_no_weight_files), cmocka_unit_test(test_expectations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
