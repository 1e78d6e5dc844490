/* What an index is made from: every kind of file, and everything that can be wrong with one. */
#include "data/corpus.h"
#include "make_data.h"

#include <sys/stat.h>

static json_t *build(const pfm_index_options *options)
{
    pfm_error err = PFM_ERROR_INIT;
    char *text = NULL;
    assert_ok(pfm_index_build(NULL, options, &text, &err));
    json_t *document = json_loads(text, 0, NULL);
    assert_non_null(document);
    free(text);
    return document;
}

static json_int_t number(const json_t *document, const char *key) { return json_integer_value(json_object_get(document, key)); }

static char *at(const char *folder, const char *name)
{
    static char paths[16][512];
    static int used;
    char *path = paths[used++ % 16];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* The texts of an index, as source:line[record]text, separated by "|". */
static void expect_snippets(const char *path, const char *wanted)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_index *index = NULL;
    sqlite3_stmt *statement = NULL;
    char got[4096] = "";
    bool row = true;
    assert_ok(pfm_index_open(path, NULL, &index, &err));
    assert_ok(
        pfm_database_prepare(&index->database,
                             "SELECT name, line, record, search, text FROM snippets JOIN sources ON sources.number = source "
                             "ORDER BY snippets.number",
                             &statement, &err));
    for (int i = 0;; i++) {
        assert_ok(pfm_database_step(&index->database, statement, &row, &err));
        if (!row)
            break;
        const char *record = (const char *)sqlite3_column_text(statement, 2),
                   *search = (const char *)sqlite3_column_text(statement, 3);
        (void)snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s:%d[%s%s%s]%s", i > 0 ? "|" : "",
                       sqlite3_column_text(statement, 0), sqlite3_column_int(statement, 1), record == NULL ? "" : record,
                       search == NULL ? "" : "/", search == NULL ? "" : search, sqlite3_column_text(statement, 4));
    }
    assert_string_equal(got, wanted);
    sqlite3_finalize(statement);
    pfm_index_close(index);
}

static void every_kind_of_file_is_read(void **state)
{
    (void)state;
    const char *folder = make_folder("kinds"), *out = at(folder, "new/folder/out.sqlite");
    make_file(folder, "in/b.md", "# Title\n\nText of b.");
    make_file(folder, "in/a.txt", "\xef\xbb\xbfOne two.\nThree four.\n\n\nFive six seven eight nine ten eleven.");
    make_file(folder, "in/deep/c.csv", "id,text\n7,\"Quoted, text.\"\nx,\n");
    make_file(folder, "in/deep/d.jsonl",
              "{\"id\":3,\"text\":\"Third.\"}\n\n{\"text\":null}\n{\"id\":\"e\",\"text\":\"Fourth.\"}\n");
    make_file(folder, "in/.hidden.txt", "hidden");
    make_file(folder, "in/picture.png", "no text");
    const char *paths[] = {at(folder, "in")};
    const pfm_index_options options = {.paths = paths, .path_count = 1, .out = out, .words = 10, .overlap = 0};
    json_t *document = build(&options);
    assert_true(number(document, "snippets") == 6 && number(document, "words") == 20);
    assert_true(number(document, "records") == 5 && number(document, "left_out") == 2);
    assert_true(number(document, "bytes") > 0 && json_array_size(json_object_get(document, "sources")) == 4);
    json_decref(document);
    expect_snippets(out,
                    "a.txt:1[]One two. Three four.|a.txt:5[]Five six seven eight nine ten eleven.|b.md:1[]# Title Text of b.|"
                    "deep/c.csv:2[7]Quoted, text.|deep/d.jsonl:1[3]Third.|deep/d.jsonl:4[e]Fourth.");
}

static void columns_are_chosen(void **state)
{
    (void)state;
    const char *folder = make_folder("columns"), *out = at(folder, "out.sqlite");
    make_file(folder, "a.jsonl", "{\"id\":1,\"key\":\"k\",\"q\":\"Why?\",\"a\":\"Since so\",\"n\":4.5}\n");
    const char *paths[] = {at(folder, "a.jsonl")}, *columns[] = {"a", "n"};
    pfm_index_options options = {.paths = paths,
                                 .path_count = 1,
                                 .out = out,
                                 .columns = columns,
                                 .column_count = 2,
                                 .search = "q",
                                 .id = "key",
                                 .words = 10,
                                 .porter = true};
    json_decref(build(&options));
    expect_snippets(out, "a.jsonl:1[k/Why?]Since so 4.5");
    options.id = NULL;
    options.column_count = 1;
    json_decref(build(&options)); /* over the index that is there */
    expect_snippets(out, "a.jsonl:1[1/Why?]Since so");
    pfm_error err = PFM_ERROR_INIT;
    char *text = NULL;
    assert_ok(pfm_index_describe(out, &text, &err));
    json_t *about = json_loads(text, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(about, "stemmer")), "porter");
    assert_string_equal(json_string_value(json_object_get(about, "columns")), "a");
    assert_string_equal(json_string_value(json_object_get(about, "search")), "q");
    assert_true(number(about, "version") == 1 && number(about, "snippets") == 1);
    json_decref(about);
    free(text);
}

/* Same corpus, same bytes; anything else, another hash. */
static void the_same_corpus_gives_the_same_bytes(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = make_folder("same");
    pfm_hash_hex first, second, other;
    char text[20000] = "";
    for (int i = 0; i < 1500; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "w%d%s ", i * 7919 % 977, i % 9 == 0 ? "." : "");
    make_file(folder, "a.txt", text);
    const char *paths[] = {at(folder, "a.txt")};
    pfm_index_options options = {.paths = paths, .path_count = 1, .out = at(folder, "1.sqlite"), .words = 40, .overlap = 20};
    json_t *document = build(&options);
    assert_ok(pfm_hash_file(options.out, first, &err));
    char sha256[100];
    (void)snprintf(sha256, sizeof sha256, "%s", json_string_value(json_object_get(document, "sha256")));
    json_decref(document);
    options.out = at(folder, "2.sqlite");
    json_decref(build(&options));
    assert_ok(pfm_hash_file(options.out, second, &err));
    assert_string_equal(first, second);
    options.overlap = 10;
    document = build(&options);
    assert_ok(pfm_hash_file(options.out, other, &err));
    assert_string_not_equal(first, other);
    assert_string_not_equal(sha256, json_string_value(json_object_get(document, "sha256")));
    json_decref(document);
}

static void bad_corpora_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *column, *search, *id, *wanted;
        pfm_status status;
    } cases[] = {
        {"a.txt", "a\xff", NULL, NULL, NULL, "a.txt: byte 1 is not UTF-8 text", PFM_ERROR_FORMAT},
        {"a.txt", " \n ", NULL, NULL, NULL, "the corpus holds no words", PFM_ERROR_USAGE},
        {"a.txt", "", NULL, NULL, NULL, "the corpus holds no words", PFM_ERROR_USAGE},
        {"a.txt", "a", "x", NULL, NULL, "--column, --search and --id name columns of JSON lines", PFM_ERROR_USAGE},
        {"a.md", "a", NULL, NULL, "x", "--column, --search and --id name columns of JSON lines", PFM_ERROR_USAGE},
        {"a.docx", "a", NULL, NULL, NULL, "a.docx is of no kind that an index is made from", PFM_ERROR_USAGE},
        {"a.jsonl", "{\"text\":\"a\"}\n{", NULL, NULL, NULL, "a.jsonl line 2: not JSON", PFM_ERROR_FORMAT},
        {"a.jsonl", "[1]\n", NULL, NULL, NULL, "a.jsonl line 1: must be a JSON object", PFM_ERROR_FORMAT},
        {"a.jsonl", "{\"b\":1,\"c\":2}\n", NULL, NULL, NULL, "line 1: has no column 'text' (it has: b, c)", PFM_ERROR_FORMAT},
        {"a.jsonl", "{}\n", "b", NULL, NULL, "has no column 'b' (it has: none)", PFM_ERROR_FORMAT},
        {"a.jsonl", "{\"text\":\"a\"}\n", NULL, "q", NULL, "has no column 'q'", PFM_ERROR_FORMAT},
        {"a.jsonl", "{\"text\":\"a\"}\n", NULL, NULL, "q", "has no column 'q'", PFM_ERROR_FORMAT},
        {"a.jsonl", "{\"text\":[1]}\n", NULL, NULL, NULL, "\"text\" must be a text or a number", PFM_ERROR_FORMAT},
        {"a.jsonl", "{\"text\":\"a\",\"id\":{}}\n", NULL, NULL, NULL, "\"id\" must be a text or a number", PFM_ERROR_FORMAT},
        {"a.jsonl", "{\"text\":\"\"}\n{\"text\":null}\n", NULL, NULL, NULL, "the corpus holds no words", PFM_ERROR_USAGE},
        {"a.csv", "text\n\"a", NULL, NULL, NULL, "a.csv line 2: the quote that opens here is never closed", PFM_ERROR_FORMAT},
        {"a.csv", "b\na\n", NULL, NULL, NULL, "a.csv line 2: has no column 'text' (it has: b)", PFM_ERROR_FORMAT},
    };
    const char *folder = make_folder("bad_corpora"), *out = at(folder, "out.sqlite");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_error err = PFM_ERROR_INIT;
        char path[512], *json = NULL;
        make_file(folder, cases[i].name, cases[i].text);
        (void)snprintf(path, sizeof path, "%s/%s", folder, cases[i].name);
        const char *paths[] = {path}, *columns[] = {cases[i].column};
        const pfm_index_options options = {.paths = paths,
                                           .path_count = 1,
                                           .out = out,
                                           .columns = columns,
                                           .column_count = cases[i].column != NULL,
                                           .search = cases[i].search,
                                           .id = cases[i].id,
                                           .words = 10};
        const pfm_status status = pfm_index_build(NULL, &options, &json, &err);
        if (status != cases[i].status || strstr(err.message, cases[i].wanted) == NULL)
            fail_msg("case %zu: wanted \"%s\", got \"%s\"", i, cases[i].wanted, err.message);
        assert_false(pfm_path_exists(out));
    }
    char **names = NULL;
    size_t count = 0;
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(pfm_folder_list(folder, &names, &count, &err));
    for (size_t i = 0; i < count; i++) {
        assert_null(strstr(names[i], ".tmp")); /* nothing half done stays */
        free(names[i]);
    }
    free(names);
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char *json = NULL;
    const char *folder = make_folder("bad_options");
    make_file(folder, "a.txt", "Some words.");
    make_file(folder, "thesis.txt", "Years of work.");
    make_file(folder, "empty/note.png", "");
    const char *text[] = {at(folder, "a.txt")}, *gone[] = {at(folder, "gone.txt")}, *empty[] = {at(folder, "empty")};
    const pfm_index_options good = {.paths = text, .path_count = 1, .out = at(folder, "out.sqlite"), .words = 10};
    pfm_index_options bad = good;
    bad.words = 9;
    assert_error(pfm_index_build(NULL, &bad, &json, &err), PFM_ERROR_USAGE, "a snippet has 10 to 10000 words, not 9");
    bad = good;
    bad.overlap = 6;
    assert_error(pfm_index_build(NULL, &bad, &json, &err), PFM_ERROR_USAGE, "overlap by 0 to 5 words, not 6");
    bad = good;
    bad.path_count = 0;
    assert_error(pfm_index_build(NULL, &bad, &json, &err), PFM_ERROR_USAGE, "name the files of the corpus");
    bad = good;
    bad.paths = gone;
    assert_error(pfm_index_build(NULL, &bad, &json, &err), PFM_ERROR_IO, "gone.txt: no such file");
    bad.paths = empty;
    assert_error(pfm_index_build(NULL, &bad, &json, &err), PFM_ERROR_USAGE, "empty holds no file of a corpus: .txt, .md");
    bad = good;
    bad.out = at(folder, "thesis.txt");
    assert_error(pfm_index_build(NULL, &bad, &json, &err), PFM_ERROR_USAGE, "thesis.txt is there and is no index");
    bad.out = folder;
    assert_error(pfm_index_build(NULL, &bad, &json, &err), PFM_ERROR_USAGE, "is a folder; --out names the file");
    bad.out = at(folder, "new/");
    assert_error(pfm_index_build(NULL, &bad, &json, &err), PFM_ERROR_USAGE, "not a folder");
    pfm_hash_hex hash;
    assert_ok(pfm_hash_file(at(folder, "thesis.txt"), hash, &err));
    assert_string_equal(hash, "2dab11878067f57ebb1dac19611a3c1907293091e96d30636b91725a6c9c662b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_kind_of_file_is_read), cmocka_unit_test(columns_are_chosen),
                                       cmocka_unit_test(the_same_corpus_gives_the_same_bytes),
                                       cmocka_unit_test(bad_corpora_are_named), cmocka_unit_test(bad_options_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
