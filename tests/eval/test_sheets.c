#include "base/file.h"
#include "data/records.h"
#include "eval/rating_files.h"
#include "eval/sheets.h"
#include "pefomed/agree.h"
#include "test.h"

#include <sys/stat.h>

static pfm_error err = PFM_ERROR_INIT;
static pfm_context *context;
enum { TEXTS = 30, RATERS = 4, PER_TEXT = 2 };

/* Texts that spreadsheets would take for formulas, and what they change. */
static const char *const hard[] = {"=1+1",     "+1",        "-> none",      "@x",
                                   "'quoted'", "''",        "\tx",          "=HYPERLINK(\"a\")",
                                   " = 2",     "a\r\nb\rc", "x ; y, \"z\"", "\xc3\xa9\xe6\xb0\xb4"};

static void write_system(const char *name, const char *mark)
{
    pfm_buffer text = {0};
    for (int i = 0; i < TEXTS; i++) {
        char prediction[80];
        (void)snprintf(prediction, sizeof prediction, "%s %s%d", hard[i % 12], mark, i);
        json_t *row = json_pack("{s:i,s:s,s:s,s:s}", "id", i, "reference", "R", "prediction", prediction, "model", name);
        assert_ok(pfm_json_append(&text, row, &err));
        assert_ok(pfm_buffer_append(&text, "\n", 1, &err));
        json_decref(row);
    }
    char file[40];
    (void)snprintf(file, sizeof file, "%s.jsonl", name);
    assert_ok(pfm_file_write(test_path(test_scratch_folder(), file), text.data, text.size, &err));
    pfm_buffer_free(&text);
}

static pfm_status make(const char *out, double duplicates)
{
    char first[400], second[400];
    (void)snprintf(first, sizeof first, "%s", test_path(test_scratch_folder(), "alpha.jsonl"));
    (void)snprintf(second, sizeof second, "%s", test_path(test_scratch_folder(), "omega.jsonl"));
    const char *const files[] = {first, second};
    const pfm_sheets_request request = {.files = files,
                                        .file_count = 2,
                                        .raters = RATERS,
                                        .per_text = PER_TEXT,
                                        .duplicates = duplicates,
                                        .rubric = "likert-report",
                                        .out = out};
    char *json = NULL;
    pfm_status status = pfm_sheets(context, &request, &json, &err);
    free(json);
    return status;
}

static int setup(void **state)
{
    (void)state;
    const pfm_context_options options = {.threads = 1, .seed = 42};
    assert_ok(pfm_context_create(&options, &context, &err));
    write_system("alpha", "p");
    write_system("omega", "q");
    assert_ok(make(test_path(test_scratch_folder(), "sheets"), 20));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pfm_context_free(context);
    return 0;
}

static const char *sheet_path(int rater, const char *ending)
{
    char name[60];
    (void)snprintf(name, sizeof name, "sheets/rater-%d.%s", rater, ending);
    return test_path(test_scratch_folder(), name);
}

/* Every text has its raters, once each; a rater as many of each system, give or take one. */
static void test_balance(void **state)
{
    (void)state;
    pfm_sheet_key key = {0};
    int seen[RATERS][2][TEXTS] = {{{0}}}, planted = 0;
    assert_ok(pfm_sheet_key_load(test_path(test_scratch_folder(), "sheets.key.json"), &key, &err));
    for (size_t i = 0; i < json_array_size(key.rows); i++) {
        const json_t *row = json_array_get(key.rows, i);
        int rater = atoi(json_string_value(json_object_get(row, "rater")) + 6) - 1;
        int system = strcmp(json_string_value(json_object_get(row, "system")), "omega") == 0;
        if (json_is_true(json_object_get(row, "duplicate")))
            planted++;
        else
            seen[rater][system][atoi(json_string_value(json_object_get(row, "id")))]++;
    }
    assert_int_equal(planted, RATERS * 6); /* a fifth of thirty */
    for (int s = 0; s < 2; s++) {
        for (int t = 0; t < TEXTS; t++) {
            int raters = 0;
            for (int r = 0; r < RATERS; r++) {
                assert_true(seen[r][s][t] <= 1);
                raters += seen[r][s][t];
            }
            assert_int_equal(raters, PER_TEXT);
        }
        for (int r = 0; r < RATERS; r++) {
            int texts = 0;
            for (int t = 0; t < TEXTS; t++)
                texts += seen[r][s][t];
            assert_true(texts == 15);
        }
    }
    pfm_sheet_key_free(&key);
}

/* No sheet names a system or an id; the key is its owner's alone; orders differ. */
static void test_blinding(void **state)
{
    (void)state;
    struct stat info;
    pfm_buffer sheets[RATERS] = {{0}};
    assert_int_equal(stat(test_path(test_scratch_folder(), "sheets.key.json"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    for (int r = 0; r < RATERS; r++) {
        for (int f = 0; f < 2; f++) {
            pfm_buffer text = {0};
            assert_ok(pfm_file_read(sheet_path(r + 1, f == 0 ? "csv" : "jsonl"), 0, &text, &err));
            assert_null(strstr(text.data, "alpha"));
            assert_null(strstr(text.data, "omega"));
            assert_null(strstr(text.data, "\"id\""));
            if (f == 0)
                sheets[r] = text;
            else
                pfm_buffer_free(&text);
        }
    }
    assert_string_not_equal(sheets[0].data + 200, sheets[2].data + 200);
    for (int r = 0; r < RATERS; r++)
        pfm_buffer_free(&sheets[r]);
}

/* No cell begins as a formula does, and with the quote before it gone the text is what it was. */
static void test_guard(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hard / sizeof *hard; i++) {
        char *guarded = NULL;
        pfm_sheet_digest digest;
        bool same = false;
        assert_ok(pfm_sheet_cell_guard(hard[i], &guarded, &err));
        assert_null(strchr("=+-@\t\r", guarded[strspn(guarded, " ")]));
        assert_string_equal(guarded[0] == '\'' ? guarded + 1 : guarded, hard[i]);
        assert_ok(pfm_sheet_digest_of(hard[i], digest, &err));
        assert_ok(pfm_sheet_cell_check(guarded, digest, &same, &err));
        assert_true(same);
        assert_ok(pfm_sheet_cell_check(hard[i], digest, &same, &err)); /* where the spreadsheet dropped it */
        assert_true(same);
        assert_ok(pfm_sheet_cell_check("something else", digest, &same, &err));
        assert_false(same);
        free(guarded);
    }
}

/* A sheet comes back with scores, as a spreadsheet might save it: another separator, CRLF, columns in another order. */
static void fill(int rater, char separator, const char *change, const char *into, pfm_buffer *out)
{
    pfm_buffer text = {0};
    pfm_records records = {0};
    char found = 0;
    assert_ok(pfm_file_read(sheet_path(rater, "csv"), 0, &text, &err));
    assert_ok(pfm_spreadsheet_parse(text.data, text.size, "sheet", &found, &records, &err));
    assert_ok(pfm_buffer_append_format(out, &err, "\xef\xbb\xbfscore%citem%creference%ctext%ccomment\r\n", separator, separator,
                                       separator, separator));
    for (size_t i = 0; i < records.count; i++) {
        const char *cell = json_string_value(json_object_get(records.items[i], "text"));
        const char *at = change == NULL ? NULL : strstr(cell, change);
        assert_ok(pfm_buffer_append_format(out, &err, "%zu%c%s%cR%c\"", i % 5, separator,
                                           json_string_value(json_object_get(records.items[i], "item")), separator, separator));
        for (const char *c = cell; *c != '\0'; c++) {
            if (c == at) {
                assert_ok(pfm_buffer_append_string(out, into, &err));
                c += strlen(change) - 1;
                continue;
            }
            assert_ok(pfm_buffer_append(out, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1, &err));
        }
        assert_ok(pfm_buffer_append_format(out, &err, "\"%c\r\n", separator));
    }
    pfm_records_free(&records);
    pfm_buffer_free(&text);
}

static pfm_status import(const pfm_buffer *text, const char *system, pfm_ratings *out)
{
    pfm_sheet_key key = {0};
    char path[400], key_path[400];
    (void)snprintf(path, sizeof path, "%s", test_path(test_scratch_folder(), "filled.csv"));
    (void)snprintf(key_path, sizeof key_path, "%s", test_path(test_scratch_folder(), "sheets.key.json"));
    assert_ok(pfm_file_write(path, text->data, text->size, &err));
    assert_ok(pfm_sheet_key_load(key_path, &key, &err));
    const pfm_rating_options options = {.key_path = key_path, .key = &key, .system = system};
    *out = (pfm_ratings){0};
    pfm_status status = pfm_ratings_read(out, path, &options, &err);
    if (status == PFM_OK)
        status = pfm_ratings_finish(out, &err);
    pfm_sheet_key_free(&key);
    return status;
}

static void test_import(void **state)
{
    (void)state;
    static const char separators[] = ",;\t";
    for (size_t s = 0; s < 3; s++) {
        pfm_buffer text = {0};
        pfm_ratings r;
        fill((int)s + 1, separators[s], NULL, NULL, &text);
        assert_ok(import(&text, NULL, &r));
        assert_int_equal(r.item_count, 30);
        assert_int_equal(pfm_ratings_count(&r, PFM_RATING_DUPLICATE), 1);
        assert_true(strchr(r.items[0], '/') != NULL); /* SYSTEM/id */
        pfm_ratings_free(&r);
        assert_ok(import(&text, "omega", &r));
        assert_int_equal(r.item_count, 15);
        assert_true(strchr(r.items[0], '/') == NULL);
        pfm_ratings_free(&r);
        pfm_buffer_free(&text);
    }
}

static void refuse(const char *change, const char *into, pfm_status code, const char *part)
{
    pfm_buffer text = {0};
    pfm_ratings r;
    fill(1, ';', NULL, NULL, &text);
    char *at = strstr(text.data, change);
    assert_non_null(at);
    pfm_buffer changed = {0};
    assert_ok(pfm_buffer_append(&changed, text.data, (size_t)(at - text.data), &err));
    assert_ok(pfm_buffer_append_string(&changed, into, &err));
    assert_ok(pfm_buffer_append_string(&changed, at + strlen(change), &err));
    assert_error(import(&changed, NULL, &r), code, part);
    pfm_ratings_free(&r);
    pfm_buffer_free(&changed);
    pfm_buffer_free(&text);
}

static void test_import_errors(void **state)
{
    (void)state;
    refuse("2;r1-", "7;r1-", PFM_ERROR_FORMAT, "is not on the scale, whole numbers from 0 to 4");
    refuse("2;r1-", "2,5;r1-", PFM_ERROR_FORMAT, "the score 2.5 of");
    refuse("r1-0003", "r9-0003", PFM_ERROR_MISMATCH, "no sheet of");
    refuse("r1-0003", "r1-0002", PFM_ERROR_MISMATCH, "is not what the sheet had");
    refuse("R;", "r;", PFM_ERROR_MISMATCH, "\"reference\" of r1-0001 is not what the sheet had");
    refuse("text;comment", "TEXT;comment", PFM_ERROR_FORMAT, "has lost its column \"text\"");
    refuse("score;", "points;", PFM_ERROR_FORMAT, "has lost its column \"score\"");
}

/* Drawn in memory they are what the files hold, and filled in they say the same. */
static void test_in_memory(void **state)
{
    (void)state;
    pfm_rubric *rubric = NULL;
    pfm_sheets_drawn drawn = {0};
    char paths[2][400], key[400], filled[400];
    json_t *systems = json_array(), *lines = NULL, *known = NULL, *all = json_array(), *result = NULL;
    pfm_buffer text = {0};
    char *said = NULL;
    for (size_t s = 0; s < 2; s++) {
        json_t *rows = NULL;
        (void)snprintf(paths[s], sizeof paths[s], "%s",
                       test_path(test_scratch_folder(), s == 0 ? "alpha.jsonl" : "omega.jsonl"));
        pfm_buffer file = {0};
        assert_ok(pfm_file_read(paths[s], 0, &file, &err));
        assert_ok(pfm_predictions_parse("alpha", file.data, file.size, &rows, &err));
        json_array_append_new(systems,
                              json_pack("{s:s,s:s,s:o}", "name", s == 0 ? "alpha" : "omega", "file", paths[s], "rows", rows));
        pfm_buffer_free(&file);
    }
    assert_ok(pfm_rubric_load("likert-report", &rubric, &err));
    const pfm_sheets_plan plan = {
        .rubric = rubric, .systems = systems, .raters = RATERS, .per_text = PER_TEXT, .duplicates = 20, .seed = 42};
    assert_ok(pfm_sheets_draw(&plan, &drawn, &err));
    (void)snprintf(key, sizeof key, "%s", test_path(test_scratch_folder(), "sheets.key.json"));
    assert_ok(pfm_json_load(key, &known, &err));
    assert_true(json_equal(known, drawn.key));
    for (int r = 0; r < RATERS; r++) {
        json_t *rows = json_array_get(drawn.sheets, (size_t)r);
        assert_ok(pfm_json_load_lines(sheet_path(r + 1, "jsonl"), &lines, &err));
        assert_true(json_equal(lines, rows));
        json_decref(lines);
        for (size_t i = 0; i < json_array_size(rows); i++)
            json_object_set_new(json_array_get(rows, i), "score", json_integer((json_int_t)(i * 7 % 5)));
        json_array_extend(all, rows);
    }
    assert_ok(pfm_sheet_append_csv(all, &text, &err));
    (void)snprintf(filled, sizeof filled, "%s", test_path(test_scratch_folder(), "all.csv"));
    assert_ok(pfm_file_write(filled, text.data, text.size, &err));
    const char *const files[] = {filled};
    const pfm_agree_request request = {.files = files, .file_count = 1, .scale = 1, .key = key};
    assert_ok(pfm_agree(context, &request, &said, &err));
    assert_ok(pfm_sheets_agree(context, drawn.key, all, &result, &err));
    json_t *other = json_loads(said, 0, NULL);
    assert_true(json_equal(other, result));
    json_decref(other);
    json_decref(result);
    json_decref(known);
    json_decref(all);
    json_decref(systems);
    free(said);
    pfm_buffer_free(&text);
    pfm_sheets_drawn_free(&drawn);
    pfm_rubric_free(rubric);
}

static void test_changed_text(void **state)
{
    (void)state;
    pfm_buffer text = {0};
    pfm_ratings r;
    fill(1, ';', "none", "nothing", &text);
    assert_error(import(&text, NULL, &r), PFM_ERROR_MISMATCH, "\"text\" of r1-");
    pfm_ratings_free(&r);
    pfm_buffer_free(&text);
}

/* Sheets that may be filled in, and a key that may open others, stay. */
static void test_keeps(void **state)
{
    (void)state;
    assert_error(make(test_path(test_scratch_folder(), "sheets"), 0), PFM_ERROR_USAGE, "sheets.key.json is there already");
    assert_int_equal(remove(test_path(test_scratch_folder(), "sheets.key.json")), 0);
    assert_error(make(test_path(test_scratch_folder(), "sheets/"), 0), PFM_ERROR_USAGE, "may be filled in");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_balance),       cmocka_unit_test(test_blinding),
                                       cmocka_unit_test(test_guard),         cmocka_unit_test(test_import),
                                       cmocka_unit_test(test_import_errors), cmocka_unit_test(test_in_memory),
                                       cmocka_unit_test(test_changed_text),  cmocka_unit_test(test_keeps)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
