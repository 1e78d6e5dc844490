#include "formats/gguf_types.h"
#include "support_formats.h"
#include "test.h"

static void test_every_type_of_value(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    assert_ok(pfm_weights_open(formats_data("types.gguf"), &weights, &err));
    assert_string_equal(pfm_weights_format(weights), "gguf");
    static const struct {
        const char *key;
        int64_t value;
    } integers[] = {{"t.u8", 200},
                    {"t.i8", -100},
                    {"t.u16", 60000},
                    {"t.i16", -30000},
                    {"t.u32", 4000000000LL},
                    {"t.i32", -2000000000LL},
                    {"t.i64", -((int64_t)1 << 62)},
                    {"t.bool", 1}};
    int64_t integer = 7;
    double number = 7;
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        assert_true(pfm_weights_meta_integer(weights, integers[i].key, &integer));
        assert_int_equal(integer, integers[i].value);
        assert_true(pfm_weights_meta_number(weights, integers[i].key, &number));
        assert_true(number == (double)integers[i].value);
    }
    assert_false(pfm_weights_meta_integer(weights, "t.u64", &integer)); /* past int64 */
    assert_true(pfm_weights_meta_number(weights, "t.u64", &number));
    assert_true(number == 18446744073709549568.0);
    assert_true(pfm_weights_meta_number(weights, "t.f32", &number) && (float)number == 0.1f);
    assert_true(pfm_weights_meta_number(weights, "t.f64", &number) && number == 0.1);
    assert_false(pfm_weights_meta_integer(weights, "t.f32", &integer));
    assert_false(pfm_weights_meta_integer(weights, "absent", &integer));
    size_t length = 0;
    assert_string_equal(pfm_weights_meta_string(weights, "t.string", &length), "gr\xc3\xbc\xc3\x9f");
    assert_int_equal(length, 6);
    assert_null(pfm_weights_meta_string(weights, "t.f32", NULL));
    assert_string_equal(pfm_weights_meta_key(weights, 0), "general.architecture");
    pfm_weights_close(weights);
}

static void test_arrays(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    assert_ok(pfm_weights_open(formats_data("types.gguf"), &weights, &err));
    const char *text = NULL;
    size_t length = 9;
    int64_t integer = 0;
    double number = 0;
    assert_int_equal(pfm_weights_meta_array_count(weights, "t.strings"), 3);
    assert_true(pfm_weights_meta_array_string(weights, "t.strings", 1, &text, &length));
    assert_int_equal(length, 0);
    assert_true(pfm_weights_meta_array_string(weights, "t.strings", 2, &text, &length));
    assert_int_equal(length, 6);
    assert_memory_equal(text, "\xe4\xb8\xad\xe6\x96\x87", 6);
    assert_false(pfm_weights_meta_array_string(weights, "t.strings", 3, &text, &length));
    assert_true(pfm_weights_meta_array_integer(weights, "t.integers", 1, &integer));
    assert_int_equal(integer, -2);
    assert_true(pfm_weights_meta_array_number(weights, "t.numbers", 1, &number) && number == -1.5);
    assert_false(pfm_weights_meta_array_number(weights, "t.numbers", 2, &number));
    assert_false(pfm_weights_meta_array_integer(weights, "t.u8", 0, &integer)); /* no array */
    assert_int_equal(pfm_weights_meta_array_count(weights, "t.string"), 0);
    pfm_weights_close(weights);
}

/* A header with these counts. */
static void put_header(pfm_buffer *file, uint32_t version, uint64_t tensors, uint64_t values)
{
    pfm_buffer_clear(file);
    put_bytes(file, "GGUF", 4);
    put_u32(file, version);
    put_u64(file, tensors);
    put_u64(file, values);
}

static void put_tensor(pfm_buffer *file, const char *name, uint64_t size, uint32_t type, uint64_t offset)
{
    put_text(file, name);
    put_u32(file, 1);
    put_u64(file, size);
    put_u32(file, type);
    put_u64(file, offset);
}

/* Pads to the alignment and appends data bytes. */
static void put_data(pfm_buffer *file, size_t count)
{
    static const char zeros[256];
    put_bytes(file, zeros, (32 - file->size % 32) % 32 + count);
}

#define assert_refused(code, part) assert_error(formats_try(file.data, file.size, &err), code, part)

static void test_lies_in_the_header(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer file = {0};
    put_header(&file, 1, 0, 0);
    assert_refused(PFM_ERROR_UNSUPPORTED, "version 1");
    put_header(&file, 0x03000000, 0, 0);
    assert_refused(PFM_ERROR_UNSUPPORTED, "big-endian");
    put_header(&file, 3, UINT64_MAX, 0);
    assert_refused(PFM_ERROR_FORMAT, "more than its");
    put_header(&file, 3, 0, 1);
    put_text(&file, "k");
    put_u32(&file, 99);
    put_u64(&file, 0);
    assert_refused(PFM_ERROR_FORMAT, "type 99");
    put_header(&file, 3, 0, 1);
    put_text(&file, "k");
    put_u32(&file, GGUF_ARRAY);
    put_u32(&file, GGUF_ARRAY);
    put_u64(&file, 1);
    assert_refused(PFM_ERROR_FORMAT, "array of arrays");
    put_header(&file, 3, 0, 1);
    put_text(&file, "k");
    put_u32(&file, GGUF_ARRAY);
    put_u32(&file, GGUF_STRING);
    put_u64(&file, UINT64_MAX / 8);
    assert_refused(PFM_ERROR_FORMAT, "texts, more than the file can hold");
    put_header(&file, 3, 0, 1);
    put_text(&file, "k");
    put_u32(&file, GGUF_ARRAY);
    put_u32(&file, GGUF_F64);
    put_u64(&file, UINT64_MAX / 4); /* times 8 wraps around */
    assert_refused(PFM_ERROR_FORMAT, "cut short");
    put_header(&file, 3, 0, 1);
    put_u64(&file, UINT64_MAX);
    put_u64(&file, 0);
    assert_refused(PFM_ERROR_FORMAT, "a key");
    put_header(&file, 3, 0, 2);
    for (int i = 0; i < 2; i++) {
        put_text(&file, "k");
        put_u32(&file, GGUF_U32);
        put_u32(&file, 1);
    }
    assert_refused(PFM_ERROR_FORMAT, "the key k stands there twice");
    put_header(&file, 3, 0, 1);
    put_text(&file, "general.alignment");
    put_u32(&file, GGUF_U32);
    put_u32(&file, 24);
    assert_refused(PFM_ERROR_FORMAT, "general.alignment is 24");
    put_header(&file, 3, 0, 1);
    put_text(&file, "k");
    put_u32(&file, GGUF_BOOL);
    put_bytes(&file, "\2", 1);
    assert_refused(PFM_ERROR_FORMAT, "a boolean");
    pfm_buffer_free(&file);
}

static void test_lies_about_tensors(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer file = {0};
    put_header(&file, 3, 1, 0);
    put_tensor(&file, "a", 4, GGML_F32, 0);
    put_data(&file, 16);
    assert_ok(formats_try(file.data, file.size, &err));
    put_header(&file, 3, 1, 0);
    put_tensor(&file, "a", 4, GGML_F32, 0);
    put_data(&file, 15);
    assert_refused(PFM_ERROR_FORMAT, "tensor a should end");
    put_header(&file, 3, 1, 0);
    put_tensor(&file, "a", 4, GGML_F32, 16);
    put_data(&file, 64);
    assert_refused(PFM_ERROR_FORMAT, "no multiple of the alignment");
    put_header(&file, 3, 1, 0);
    put_tensor(&file, "a", UINT64_MAX, GGML_F32, 0);
    put_data(&file, 64);
    assert_refused(PFM_ERROR_FORMAT, "dimension -1");
    put_header(&file, 3, 1, 0);
    put_tensor(&file, "a", (uint64_t)1 << 62, GGML_F32, 0); /* times 4 wraps around */
    put_data(&file, 64);
    assert_refused(PFM_ERROR_FORMAT, "more bytes than memory");
    put_header(&file, 3, 1, 0);
    put_tensor(&file, "a", 33, GGML_Q4_1, 0);
    put_data(&file, 64);
    assert_refused(PFM_ERROR_FORMAT, "not whole q4_1 blocks");
    put_header(&file, 3, 1, 0);
    put_tensor(&file, "a", 32, 10, 0);
    put_data(&file, 64);
    assert_refused(PFM_ERROR_UNSUPPORTED, "Q2_K");
    put_header(&file, 3, 1, 0);
    put_tensor(&file, "a\tb", 4, GGML_F32, 0);
    put_data(&file, 64);
    assert_refused(PFM_ERROR_FORMAT, "control character");
    put_header(&file, 3, 1, 0);
    put_tensor(&file, "", 4, GGML_F32, 0);
    put_data(&file, 64);
    assert_refused(PFM_ERROR_FORMAT, "name of 0 bytes");
    put_header(&file, 3, 1, 0);
    put_text(&file, "a");
    put_u32(&file, 5);
    put_data(&file, 64);
    assert_refused(PFM_ERROR_FORMAT, "5 dimensions");
    put_header(&file, 3, 2, 0);
    put_tensor(&file, "a", 4, GGML_F32, 0);
    put_tensor(&file, "a", 4, GGML_F32, 32);
    put_data(&file, 64);
    assert_refused(PFM_ERROR_FORMAT, "two tensors are named a");
    put_header(&file, 3, 2, 0);
    put_tensor(&file, "second", 4, GGML_F32, 32);
    put_tensor(&file, "first", 9, GGML_F32, 0);
    put_data(&file, 64);
    assert_refused(PFM_ERROR_FORMAT, "first and second overlap");
    pfm_buffer_free(&file);
}

static void test_damage(void **state)
{
    (void)state;
    formats_check_prefixes(formats_data("types.gguf"), 7, 31);
    formats_check_flips(formats_data("types.gguf"), 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_type_of_value), cmocka_unit_test(test_arrays),
                                       cmocka_unit_test(test_lies_in_the_header), cmocka_unit_test(test_lies_about_tensors),
                                       cmocka_unit_test(test_damage)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
