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

static size_t parse_spreadsheet(const char *text, char separator, pfm_records *records)
{
    pfm_error err = PFM_ERROR_INIT;
    char found = 0;
    assert_ok(pfm_spreadsheet_parse(text, strlen(text), "t.csv", &found, records, &err));
    assert_int_equal(found, separator);
    return records->count;
}

/* What spreadsheets leave: other separators, rows without their last cells, empty rows and columns. */
static void test_spreadsheets(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        char separator;
    } cases[] = {{"a,b\n1,\"x;y\nz\"\n", ','},
                 {"\xef\xbb\xbf"
                  "a;b\r\n1;\"x;y\nz\"\r\n;\r\n",
                  ';'},
                 {"a\tb\t\t\n1\t\"x;y\nz\"\n\n\t\t\t\n", '\t'},
                 {"sep=|\r\na|b\r\n1|\"x;y\nz\"|\r\n", '|'},
                 {"\"a\";\"b\"\n1;\"x;y\nz\"\n", ';'}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_records records = {0};
        assert_int_equal(parse_spreadsheet(cases[i].text, cases[i].separator, &records), 1);
        assert_string_equal(json_string_value(json_object_get(records.items[0], "a")), "1");
        assert_string_equal(json_string_value(json_object_get(records.items[0], "b")), "x;y\nz");
        pfm_records_free(&records);
    }
    pfm_records records = {0};
    assert_int_equal(parse_spreadsheet("a;b;c\n1\n\n2;3\n", ';', &records), 2);
    assert_string_equal(json_string_value(json_object_get(records.items[0], "c")), "");
    assert_string_equal(json_string_value(json_object_get(records.items[1], "b")), "3");
    assert_int_equal(records.lines[1], 4);
    pfm_records_free(&records);
    pfm_error err = PFM_ERROR_INIT;
    char found = 0;
    static const char extra[] = "a;b\n1;2;3\n", nul[] = "a\0b";
    assert_error(pfm_spreadsheet_parse(extra, sizeof extra - 1, "t.csv", &found, &records, &err), PFM_ERROR_FORMAT,
                 "line 2: 3 fields where the first line names 2");
    assert_error(pfm_spreadsheet_parse(nul, 3, "t.csv", &found, &records, &err), PFM_ERROR_FORMAT, "UTF-16");
    pfm_records_free(&records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_quoting), cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_spreadsheets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
