#include "formats/safetensors.h"
#include "support_formats.h"
#include "test.h"

static const float ones[6] = {1, 2, 3, 4, 5, 6};

/* Every tensor and key of a file comes back from its copy, bit for bit. */
static void test_what_is_written_is_read(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *before = NULL, *after = NULL;
    const char *path = test_path(test_scratch_folder(), "copy.safetensors");
    static const char *const metadata[] = {"format", "pt", "note", "two\nlines"};
    assert_ok(pfm_weights_open(formats_data("small.safetensors"), &before, &err));
    assert_ok(pfm_safetensors_write(path, pfm_weights_at(before, 0), pfm_weights_count(before), metadata, 2, &err));
    assert_ok(pfm_weights_open(path, &after, &err));
    assert_int_equal(pfm_weights_count(after), pfm_weights_count(before));
    for (size_t i = 0; i < pfm_weights_count(before); i++) {
        const pfm_weight *a = pfm_weights_at(before, i), *b = pfm_weights_find(after, a->name);
        assert_non_null(b);
        assert_int_equal(a->dtype, b->dtype);
        assert_int_equal(a->rank, b->rank);
        assert_memory_equal(a->shape, b->shape, sizeof a->shape);
        assert_int_equal(a->bytes, b->bytes);
        assert_memory_equal(a->data, b->data, a->bytes);
    }
    assert_string_equal(pfm_weights_meta_string(after, "note", NULL), "two\nlines");
    pfm_weights_close(before);
    pfm_weights_close(after);
}

static void test_the_layout(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const pfm_weight tensors[] = {{.name = "z", .dtype = PFM_DTYPE_U8, .rank = 1, .shape = {3}, .data = "abc"},
                                  {.name = "b", .dtype = PFM_DTYPE_F32, .rank = 2, .shape = {1, 2}, .data = ones},
                                  {.name = "a", .dtype = PFM_DTYPE_F32, .data = ones}};
    const char *path = test_path(test_scratch_folder(), "layout.safetensors");
    assert_ok(pfm_safetensors_write(path, tensors, 3, NULL, 0, &err));
    pfm_buffer file = {0};
    assert_ok(pfm_file_read(path, 0, &file, &err));
    static const char header[] =
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\",\"shape\":[1,2],"
        "\"data_offsets\":[4,12]},\"z\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[12,15]}}";
    size_t padded = (sizeof header - 1 + 7) / 8 * 8;
    assert_int_equal((unsigned char)file.data[0], padded);
    assert_memory_equal(file.data + 8, header, sizeof header - 1);
    assert_int_equal(file.size, 8 + padded + 15);
    assert_memory_equal(file.data + 8 + padded + 12, "abc", 3);
    pfm_buffer_free(&file);
}

static pfm_status fill_sevens(void *user, const pfm_weight *tensor, void *out, pfm_error *err)
{
    int *calls = user;
    if (++*calls == 2)
        return pfm_error_set(err, PFM_ERROR_NUMERIC, "no more of %s", tensor->name);
    memset(out, 7, tensor->bytes);
    return PFM_OK;
}

static void test_tensors_made_on_the_way(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const pfm_weight tensors[] = {{.name = "a", .dtype = PFM_DTYPE_U8, .rank = 1, .shape = {3}},
                                  {.name = "b", .dtype = PFM_DTYPE_U8, .rank = 1, .shape = {2}}};
    const char *path = test_path(test_scratch_folder(), "made.safetensors");
    int calls = 0;
    assert_ok(pfm_safetensors_write_from(path, tensors, 1, NULL, 0, fill_sevens, &calls, &err));
    pfm_weights *weights = NULL;
    assert_ok(pfm_weights_open(path, &weights, &err));
    assert_memory_equal(pfm_weights_find(weights, "a")->data, "\7\7\7", 3);
    pfm_weights_close(weights);
    const char *absent = test_path(test_scratch_folder(), "absent.safetensors");
    calls = 0; /* the second tensor fails: nothing is left */
    assert_error(pfm_safetensors_write_from(absent, tensors, 2, NULL, 0, fill_sevens, &calls, &err), PFM_ERROR_NUMERIC,
                 "no more of b");
    assert_false(pfm_path_exists(absent));
}

static void test_what_cannot_be_written(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weight tensors[2] = {{.name = "a", .dtype = PFM_DTYPE_F32, .data = ones},
                             {.name = "a", .dtype = PFM_DTYPE_F32, .data = ones}};
    const char *path = test_path(test_scratch_folder(), "never.safetensors");
    assert_error(pfm_safetensors_write(path, tensors, 2, NULL, 0, &err), PFM_ERROR_USAGE, "two tensors are named a");
    tensors[1].name = "\xff";
    assert_error(pfm_safetensors_write(path, tensors, 2, NULL, 0, &err), PFM_ERROR_FORMAT, "not UTF-8");
    tensors[1] = (pfm_weight){.name = "q", .dtype = PFM_DTYPE_Q4_1, .rank = 1, .shape = {32}, .data = ones};
    assert_error(pfm_safetensors_write(path, tensors, 2, NULL, 0, &err), PFM_ERROR_UNSUPPORTED, "q is q4_1");
    tensors[1] = (pfm_weight){.name = "n", .dtype = PFM_DTYPE_F32};
    assert_error(pfm_safetensors_write(path, tensors, 2, NULL, 0, &err), PFM_ERROR_USAGE, "n has no data");
    assert_false(pfm_path_exists(path));
    assert_error(pfm_safetensors_write("/nowhere/x", tensors, 1, NULL, 0, &err), PFM_ERROR_IO, "/nowhere/x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_written_is_read), cmocka_unit_test(test_the_layout),
                                       cmocka_unit_test(test_tensors_made_on_the_way),
                                       cmocka_unit_test(test_what_cannot_be_written)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
