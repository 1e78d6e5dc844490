#include "support_formats.h"
#include "test.h"

static void test_what_python_wrote(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    assert_ok(pfm_weights_open(formats_data("small.safetensors"), &weights, &err));
    assert_string_equal(pfm_weights_format(weights), "safetensors");
    static const struct {
        const char *name;
        pfm_dtype dtype;
        int rank;
        size_t values;
        float first, step;
    } wanted[] = {
        {"f32", PFM_DTYPE_F32, 2, 6, 0, 1},      {"f16", PFM_DTYPE_F16, 1, 4, 100, 1}, {"bf16", PFM_DTYPE_BF16, 1, 4, 200, 1},
        {"f64", PFM_DTYPE_F64, 1, 3, 300, 1},    {"i64", PFM_DTYPE_I64, 1, 3, -1, 1},  {"i32", PFM_DTYPE_I32, 1, 3, 500, 1},
        {"i16", PFM_DTYPE_I16, 1, 3, 600, 1},    {"i8", PFM_DTYPE_I8, 1, 3, -2, 1},    {"u8", PFM_DTYPE_U8, 1, 3, 253, 1},
        {"scalar", PFM_DTYPE_F32, 0, 1, 7.5, 0}, {"empty", PFM_DTYPE_F32, 2, 0, 0, 0}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const pfm_weight *weight = pfm_weights_find(weights, wanted[i].name);
        float values[8];
        assert_non_null(weight);
        assert_int_equal(weight->dtype, wanted[i].dtype);
        assert_int_equal(weight->rank, wanted[i].rank);
        assert_int_equal(pfm_weight_values(weight), wanted[i].values);
        assert_ok(pfm_weight_expand(weight, values, &err));
        for (size_t j = 0; j < wanted[i].values; j++)
            assert_true(values[j] == wanted[i].first + (float)j * wanted[i].step);
    }
    float flags[3];
    assert_ok(pfm_weight_expand(pfm_weights_find(weights, "bool"), flags, &err));
    assert_true(flags[0] == 1 && flags[1] == 0 && flags[2] == 1);
    assert_int_equal(pfm_weights_count(weights), 12);
    assert_string_equal(pfm_weights_meta_string(weights, "note", NULL), "two\nlines");
    assert_null(pfm_weights_find(weights, "absent"));
    pfm_weights_release(weights, pfm_weights_at(weights, 0)); /* still readable */
    assert_ok(pfm_weight_expand(pfm_weights_find(weights, "bool"), flags, &err));
    assert_true(flags[2] == 1);
    pfm_weights_close(weights);
}

/* The header, then `data` bytes. */
static pfm_status try_header(const char *header, size_t data, pfm_error *err)
{
    static const char zeros[64];
    pfm_buffer file = {0};
    put_text(&file, header);
    put_bytes(&file, zeros, data);
    pfm_status status = formats_try(file.data, file.size, err);
    pfm_buffer_free(&file);
    return status;
}

static void test_lies(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const struct {
        const char *header;
        size_t data;
        pfm_status code;
        const char *part;
    } lies[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7, PFM_ERROR_FORMAT, "0 to 8 of 7"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 9, PFM_ERROR_FORMAT,
         "last 1 bytes belong to no tensor"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, PFM_ERROR_FORMAT, "needs 12 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, PFM_ERROR_FORMAT, "8 to 0"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8, PFM_ERROR_FORMAT, "-8 to 0"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, PFM_ERROR_FORMAT, "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, PFM_ERROR_FORMAT, "dimension 0"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, PFM_ERROR_FORMAT, "no \"shape\""},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,8]}}", 8, PFM_ERROR_FORMAT,
         "more values"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,8]}}", 8, PFM_ERROR_FORMAT,
         "not JSON"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}", 8, PFM_ERROR_UNSUPPORTED,
         "9 dimensions"},
        {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2, PFM_ERROR_UNSUPPORTED, "F8_E4M3"},
        {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,2]}}", 2, PFM_ERROR_FORMAT, "no \"dtype\""},
        {"{\"a\":7}", 2, PFM_ERROR_FORMAT, "no object"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_"
         "offsets\":[1,3]}}",
         3, PFM_ERROR_FORMAT, "a and b overlap"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_"
         "offsets\":[3,5]}}",
         5, PFM_ERROR_FORMAT, "before b, belong to no tensor"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_"
         "offsets\":[1,2]}}",
         2, PFM_ERROR_FORMAT, "duplicate"},
        {"{\"\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, PFM_ERROR_FORMAT, "name of 0 bytes"},
        {"{\"a\\n\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, PFM_ERROR_FORMAT, "control character"},
        {"{\"__metadata__\":{\"k\":1}}", 0, PFM_ERROR_FORMAT, "is no text"},
        {"{\"__metadata__\":1}", 0, PFM_ERROR_FORMAT, "is no object"},
        {"{\"a\":", 0, PFM_ERROR_FORMAT, "not JSON"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++)
        assert_error(try_header(lies[i].header, lies[i].data, &err), lies[i].code, lies[i].part);
    assert_ok(try_header("{}", 0, &err));
}

static void test_a_header_that_lies_about_its_length(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const uint64_t lengths[] = {3, 1000, (uint64_t)1 << 40, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        pfm_buffer file = {0};
        put_u64(&file, lengths[i]);
        put_bytes(&file, "{}", 2);
        assert_error(formats_try(file.data, file.size, &err), PFM_ERROR_FORMAT, "header has");
        pfm_buffer_free(&file);
    }
}

static void test_damage(void **state)
{
    (void)state;
    formats_check_prefixes(formats_data("small.safetensors"), 1, 0);
    formats_check_flips(formats_data("small.safetensors"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_python_wrote), cmocka_unit_test(test_lies),
                                       cmocka_unit_test(test_a_header_that_lies_about_its_length),
                                       cmocka_unit_test(test_damage)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
