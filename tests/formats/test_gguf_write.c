#include "formats/gguf.h"
#include "support_formats.h"
#include "test.h"

static const float values[4] = {1, 2, 3, 4};

/* A file's key-values and tensors, block types included, come back from its copy byte for byte. */
static void test_a_copy(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *before = NULL, *after = NULL;
    pfm_gguf_writer *writer = NULL;
    const char *path = test_path(test_scratch_folder(), "copy.gguf");
    assert_ok(pfm_weights_open(formats_data("types.gguf"), &before, &err));
    assert_ok(pfm_gguf_writer_create(&writer, &err));
    assert_ok(pfm_gguf_copy_meta(writer, before, NULL, &err));
    for (size_t i = 0; i < pfm_weights_count(before); i++)
        assert_ok(pfm_gguf_add_tensor(writer, pfm_weights_at(before, i), &err));
    assert_ok(pfm_gguf_write(writer, path, NULL, NULL, &err));
    pfm_gguf_writer_free(writer);
    pfm_weights_close(before);
    pfm_buffer a = {0}, b = {0};
    assert_ok(pfm_file_read(formats_data("types.gguf"), 0, &a, &err));
    assert_ok(pfm_file_read(path, 0, &b, &err));
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    pfm_buffer_free(&a);
    pfm_buffer_free(&b);
    assert_ok(pfm_weights_open(path, &after, &err));
    pfm_weights_close(after);
}

static void set_all(pfm_gguf_writer *writer)
{
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(pfm_gguf_set_u32(writer, "u32", 4000000000u, &err));
    assert_ok(pfm_gguf_set_i32(writer, "i32", -5, &err));
    assert_ok(pfm_gguf_set_u64(writer, "u64", (uint64_t)1 << 40, &err));
    assert_ok(pfm_gguf_set_f32(writer, "f32", 0.5f, &err));
    assert_ok(pfm_gguf_set_bool(writer, "bool", true, &err));
    assert_ok(pfm_gguf_set_text(writer, "text", "first", &err));
    assert_ok(pfm_gguf_set_text(writer, "text", "second", &err)); /* replaced */
    assert_ok(pfm_gguf_set_texts(writer, "texts", (const char *const[]){"a", "b\0c"}, (const size_t[]){1, 3}, 2, &err));
    assert_ok(pfm_gguf_set_i32s(writer, "i32s", (const int32_t[]){7, -8}, 2, &err));
    assert_ok(pfm_gguf_set_f32s(writer, "f32s", (const float[]){0.25f}, 1, &err));
}

static void test_every_setter(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_gguf_writer *writer = NULL;
    pfm_weights *weights = NULL;
    const char *path = test_path(test_scratch_folder(), "set.gguf"), *text = NULL;
    const pfm_weight tensor = {.name = "t", .dtype = PFM_DTYPE_F32, .rank = 2, .shape = {1, 3}, .data = values};
    const pfm_weight scalar = {.name = "s", .dtype = PFM_DTYPE_F32, .rank = 1, .shape = {1}, .data = values + 3};
    int64_t integer = 0;
    double number = 0;
    size_t length = 0;
    assert_ok(pfm_gguf_writer_create(&writer, &err));
    set_all(writer);
    assert_ok(pfm_gguf_add_tensor(writer, &tensor, &err));
    assert_ok(pfm_gguf_add_tensor(writer, &scalar, &err));
    assert_ok(pfm_gguf_write(writer, path, NULL, NULL, &err));
    pfm_gguf_writer_free(writer);
    assert_ok(pfm_weights_open(path, &weights, &err));
    assert_true(pfm_weights_meta_integer(weights, "u32", &integer) && integer == 4000000000LL);
    assert_true(pfm_weights_meta_integer(weights, "i32", &integer) && integer == -5);
    assert_true(pfm_weights_meta_integer(weights, "u64", &integer) && integer == (int64_t)1 << 40);
    assert_true(pfm_weights_meta_number(weights, "f32", &number) && number == 0.5);
    assert_true(pfm_weights_meta_integer(weights, "bool", &integer) && integer == 1);
    assert_string_equal(pfm_weights_meta_string(weights, "text", NULL), "second");
    assert_true(pfm_weights_meta_array_string(weights, "texts", 1, &text, &length) && length == 3 &&
                memcmp(text, "b\0c", 3) == 0);
    assert_true(pfm_weights_meta_array_integer(weights, "i32s", 1, &integer) && integer == -8);
    assert_true(pfm_weights_meta_array_number(weights, "f32s", 0, &number) && number == 0.25);
    assert_int_equal(pfm_weights_find(weights, "t")->shape[1], 3);
    assert_memory_equal(pfm_weights_find(weights, "s")->data, values + 3, sizeof *values);
    pfm_weights_close(weights);
}

static void test_leaving_keys_out(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_gguf_writer *writer = NULL;
    pfm_weights *source = NULL, *weights = NULL;
    const char *path = test_path(test_scratch_folder(), "some.gguf");
    int64_t integer = 0;
    assert_ok(pfm_weights_open(formats_data("types.gguf"), &source, &err));
    assert_ok(pfm_gguf_writer_create(&writer, &err));
    assert_ok(pfm_gguf_copy_meta(writer, source, (const char *const[]){"t.i*", "general.*", NULL}, &err));
    assert_ok(pfm_gguf_set_u32(writer, "t.u8", 9, &err));
    assert_ok(pfm_gguf_write(writer, path, NULL, NULL, &err));
    assert_ok(pfm_weights_open(path, &weights, &err));
    assert_null(pfm_weights_meta_string(weights, "general.architecture", NULL));
    assert_false(pfm_weights_meta_integer(weights, "t.i8", &integer));
    assert_true(pfm_weights_meta_integer(weights, "t.u8", &integer) && integer == 9);
    pfm_weights_close(weights);
    pfm_weights_close(source);
    assert_ok(pfm_weights_open(formats_data("small.pt"), &source, &err));
    assert_error(pfm_gguf_copy_meta(writer, source, NULL, &err), PFM_ERROR_USAGE, "no GGUF");
    pfm_weights_close(source);
    pfm_gguf_writer_free(writer);
}

static void test_what_cannot_be_added(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_gguf_writer *writer = NULL;
    assert_ok(pfm_gguf_writer_create(&writer, &err));
    pfm_weight tensor = {.name = "a", .dtype = PFM_DTYPE_F32, .data = values};
    assert_ok(pfm_gguf_add_tensor(writer, &tensor, &err));
    assert_error(pfm_gguf_add_tensor(writer, &tensor, &err), PFM_ERROR_USAGE, "two tensors are named a");
    tensor.name = "0123456789012345678901234567890123456789012345678901234567890123";
    assert_error(pfm_gguf_add_tensor(writer, &tensor, &err), PFM_ERROR_USAGE, "at most 63");
    tensor = (pfm_weight){.name = "b", .dtype = PFM_DTYPE_F32, .rank = 5, .shape = {1, 1, 1, 1, 1}, .data = values};
    assert_error(pfm_gguf_add_tensor(writer, &tensor, &err), PFM_ERROR_USAGE, "4 dimensions");
    tensor = (pfm_weight){.name = "b", .dtype = PFM_DTYPE_BOOL, .data = values};
    assert_error(pfm_gguf_add_tensor(writer, &tensor, &err), PFM_ERROR_UNSUPPORTED, "b is bool");
    tensor = (pfm_weight){.name = "b", .dtype = PFM_DTYPE_Q8_0, .rank = 1, .shape = {31}, .data = values};
    assert_error(pfm_gguf_add_tensor(writer, &tensor, &err), PFM_ERROR_FORMAT, "whole q8_0 blocks");
    assert_error(pfm_gguf_set_u32(writer, "", 1, &err), PFM_ERROR_FORMAT, "key of 0 bytes");
    assert_ok(pfm_gguf_set_u32(writer, "general.alignment", 12, &err));
    assert_error(pfm_gguf_write(writer, "/nowhere/x", NULL, NULL, &err), PFM_ERROR_USAGE, "general.alignment is 12");
    assert_ok(pfm_gguf_set_u32(writer, "general.alignment", 64, &err));
    assert_error(pfm_gguf_write(writer, "/nowhere/x", NULL, NULL, &err), PFM_ERROR_IO, "/nowhere/x");
    pfm_gguf_writer_free(writer);
    pfm_gguf_writer_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_copy), cmocka_unit_test(test_every_setter),
                                       cmocka_unit_test(test_leaving_keys_out), cmocka_unit_test(test_what_cannot_be_added)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
