#include "test.h"

#include "base/file.h"
#include "base/json.h"

static void whole_numbers_of_any_size_are_read_as_reals(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char text[] = "{\n\"a\": 1000000000000000019884624838656, \"b\": 3, \"c\": \"x\"}";
    const char *path = test_path(test_scratch_folder(), "big.json");
    json_t *value = NULL;
    assert_ok(pfm_file_write(path, text, strlen(text), &err));
    assert_error(pfm_json_load(path, &value, &err), PFM_ERROR_FORMAT, "big.json line 2: not JSON: too big integer");
    assert_ok(pfm_json_load_reals(path, &value, &err));
    assert_true(json_real_value(json_object_get(value, "a")) == 1e30);
    assert_true(json_real_value(json_object_get(value, "b")) == 3);
    assert_string_equal(json_string_value(json_object_get(value, "c")), "x");
    json_decref(value);
}

static void lines_name_the_bad_one(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char text[] = "{\"a\": 1}\n \t\n[2]\n{\"a\": 1, \"a\": 2}\n";
    const char *path = test_path(test_scratch_folder(), "lines.jsonl");
    json_t *values = NULL;
    assert_ok(pfm_file_write(path, text, 16, &err));
    assert_ok(pfm_json_load_lines(path, &values, &err));
    assert_int_equal(json_array_size(values), 2);
    json_decref(values);
    assert_ok(pfm_file_write(path, text, strlen(text), &err));
    assert_error(pfm_json_load_lines(path, &values, &err), PFM_ERROR_FORMAT, "lines.jsonl line 4");
}

static void what_is_saved_is_read_again(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *path = test_path(test_scratch_folder(), "saved.json");
    json_t *value = json_pack("{s:f, s:o, s:o}", "a", 0.1, "b", pfm_json_number(1.0 / 3), "c", pfm_json_number(0.0 / 0.0)),
           *again = NULL;
    assert_ok(pfm_json_save(path, value, &err));
    assert_ok(pfm_json_load(path, &again, &err));
    assert_true(json_equal(value, again));
    assert_true(json_is_null(json_object_get(again, "c")));
    json_decref(value);
    json_decref(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers_of_any_size_are_read_as_reals),
        cmocka_unit_test(lines_name_the_bad_one),
        cmocka_unit_test(what_is_saved_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
