#include "data/format.h"
#include "test.h"

static pfm_status parse(const char *text, pfm_records *out, pfm_error *err)
{
    return pfm_csv_parse(text, strlen(text), "t.csv", out, err);
}

static const char *cell(const pfm_records *records, size_t row, const char *column)
{
    return json_string_value(json_object_get(records->items[row], column));
}

static void test_quoting(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_records records = {0};
    assert_ok(parse("\xef\xbb\xbfimage,question\r\n"
                    "a.png,\"Is it \"\"big\"\", or\r\nnot?\"\r\n"
                    "\n"
                    "\"\",\"\"\n"
                    "b c.png , \xe8\x82\xba",
                    &records, &err));
    assert_int_equal(records.count, 3);
    assert_string_equal(cell(&records, 0, "image"), "a.png");
    assert_string_equal(cell(&records, 0, "question"), "Is it \"big\", or\r\nnot?");
    assert_string_equal(cell(&records, 1, "question"), "");
    assert_string_equal(cell(&records, 2, "image"), "b c.png ");
    assert_string_equal(cell(&records, 2, "question"), " \xe8\x82\xba");
    assert_int_equal(records.lines[0], 2);
    assert_int_equal(records.lines[1], 5);
    assert_int_equal(records.lines[2], 6);
    pfm_records_free(&records);
    assert_ok(parse("only", &records, &err));
    assert_int_equal(records.count, 0);
    pfm_records_free(&records);
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"a,b\n1,\"two\n3,4\n", "t.csv line 2: the quote that opens here is never closed"},
        {"a,b\n1,2\n\"x\ny\",\"", "t.csv line 4: the quote that opens here"},
        {"a,b\n1,\"two\"x\n", "line 2: behind a closing quote stands 'x'"},
        {"a,b\n1,5\" mass\n", "line 2: a quote within an unquoted field"},
        {"a,b\n1\n", "line 2: 1 fields where the first line names 2 columns"},
        {"a,b\n1,2\n1,2,3\n", "line 3: 3 fields where the first line names 2"},
        {"a,a\n1,2\n", "line 1: two columns are named 'a'"},
        {"a,,b\n1,2,3\n", "line 1: column 2 has no name"},
        {"", "line 1: column 1 has no name"},
        {"a;b\n1;2\n", "separated by commas"},
        {"a,b\n1,\xff\n", "line 2: column 'b' is not UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_records records = {0};
        assert_error(parse(cases[i][0], &records, &err), PFM_ERROR_FORMAT, cases[i][1]);
        pfm_records_free(&records);
    }
    pfm_error err = PFM_ERROR_INIT;
    pfm_records records = {0};
    assert_error(pfm_csv_parse("a\0b", 3, "t.csv", &records, &err), PFM_ERROR_FORMAT, "zero bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_quoting), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
