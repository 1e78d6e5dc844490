/* Index files from strangers: each is read or refused, with a sentence, and never more than refused. */
#include "base/random.h"
#include "data/corpus.h"
#include "data/dataset.h"
#include "make_data.h"

static const char *folder;

static const char *at(const char *name)
{
    static char paths[16][512];
    static int used;
    char *path = paths[used++ % 16];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* A small index, made anew. */
static const char *make_index(const char *name)
{
    pfm_error err = PFM_ERROR_INIT;
    char *json = NULL;
    char text[9000] = "";
    for (int i = 0; i < 600; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "w%d%s ", i % 83, i % 11 == 0 ? "." : "");
    make_file(folder, "corpus.txt", text);
    const char *paths[] = {at("corpus.txt")};
    const pfm_index_options options = {.paths = paths, .path_count = 1, .out = at(name), .words = 12, .overlap = 4};
    assert_ok(pfm_index_build(NULL, &options, &json, &err));
    free(json);
    return at(name);
}

/* Runs SQL on the file behind the library's back. */
static void change(const char *path, const char *sql)
{
    sqlite3 *database = NULL;
    char *message = NULL;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    if (sqlite3_exec(database, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

static void expect_refused(const char *path, pfm_status status, const char *wanted)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_index *index = NULL;
    char *json = NULL;
    assert_error(pfm_index_open(path, NULL, &index, &err), status, wanted);
    assert_null(index);
    assert_error(pfm_index_describe(path, &json, &err), status, wanted);
}

static void what_is_no_index_is_refused(void **state)
{
    (void)state;
    folder = make_folder("no_index");
    make_file(folder, "a.txt", "text");
    make_file(folder, "empty", "");
    make_file(folder, "short", "SQLite format 3");
    change(at("other.sqlite"), "CREATE TABLE t(a)");
    expect_refused(at("gone"), PFM_ERROR_IO, "cannot open the index");
    expect_refused(at("a.txt"), PFM_ERROR_FORMAT, "a.txt is no index; pefomed index CORPUS... --out INDEX makes one");
    expect_refused(at("empty"), PFM_ERROR_FORMAT, "is no index");
    expect_refused(at("short"), PFM_ERROR_FORMAT, "is no index");
    expect_refused(at("other.sqlite"), PFM_ERROR_FORMAT, "is no index");
    expect_refused(folder, PFM_ERROR_FORMAT, "is no index");
}

static void changed_indexes_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *sql, *wanted;
        pfm_status status;
    } cases[] = {
        {"PRAGMA user_version = 2", "is an index of version 2, and this program reads version 1", PFM_ERROR_UNSUPPORTED},
        {"DROP TABLE about", "has not the tables of an index", PFM_ERROR_FORMAT},
        {"DROP TABLE words", "has not the tables of an index", PFM_ERROR_FORMAT},
        {"DROP TABLE snippets; CREATE VIEW snippets AS SELECT 1 AS number", "has not the tables", PFM_ERROR_FORMAT},
        {"ALTER TABLE snippets ADD COLUMN more TEXT", "has not the tables", PFM_ERROR_FORMAT},
        {"CREATE VIEW v AS SELECT 1", "has not the tables", PFM_ERROR_FORMAT},
        {"CREATE TRIGGER t AFTER INSERT ON about BEGIN SELECT 1; END", "has not the tables", PFM_ERROR_FORMAT},
        {"DROP TABLE snippets; CREATE TABLE snippets(number INTEGER PRIMARY KEY, source INTEGER, line INTEGER, record TEXT, "
         "search "
         "TEXT, text TEXT GENERATED ALWAYS AS (zeroblob(900000000)))",
         "has not the tables", PFM_ERROR_FORMAT},
        {"DELETE FROM about WHERE name = 'sha256'", "does not hold what its hash says", PFM_ERROR_FORMAT},
        {"UPDATE snippets SET text = 'Take ten pills.' WHERE number = 3", "does not hold what its hash says", PFM_ERROR_FORMAT},
        {"UPDATE snippets SET record = '7' WHERE number = 3", "does not hold what its hash says", PFM_ERROR_FORMAT},
        {"UPDATE snippets SET text = zeroblob(100000000) WHERE number = 3", "is damaged", PFM_ERROR_FORMAT},
        {"DELETE FROM sources", "does not hold what its hash says", PFM_ERROR_FORMAT},
        {"UPDATE about SET value = '5' WHERE name = 'overlap'", "does not hold what its hash says", PFM_ERROR_FORMAT},
    };
    folder = make_folder("changed");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = make_index("a?b#c%20.sqlite"); /* a name that means something in an address */
        pfm_error err = PFM_ERROR_INIT;
        pfm_index *index = NULL;
        assert_ok(pfm_index_open(path, NULL, &index, &err));
        pfm_index_close(index);
        change(path, cases[i].sql);
        expect_refused(path, cases[i].status, cases[i].wanted);
        assert_int_equal(remove(path), 0);
    }
}

/* With a hash that is right, so that finding is what meets it. */
static void texts_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {"UPDATE snippets SET text = CAST(x'61ff' AS TEXT)",
                                        "UPDATE snippets SET text = x'6100'", "UPDATE sources SET name = CAST(x'ff' AS TEXT)",
                                        "DELETE FROM sources", "DELETE FROM snippets"};
    folder = make_folder("no_texts");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = make_index("a.sqlite");
        pfm_error err = PFM_ERROR_INIT;
        pfm_database database = {.path = path};
        pfm_hash_hex hash;
        char sql[200];
        change(path, cases[i]);
        assert_int_equal(sqlite3_open(path, &database.handle), SQLITE_OK);
        assert_ok(pfm_database_hash(&database, hash, &err));
        assert_int_equal(sqlite3_close(database.handle), SQLITE_OK);
        (void)snprintf(sql, sizeof sql, "UPDATE about SET value = '%s' WHERE name = 'sha256'", hash);
        change(path, sql);
        pfm_index *index = NULL;
        pfm_buffer out = {0};
        assert_ok(pfm_index_open(path, NULL, &index, &err));
        assert_error(pfm_index_find(index, "w1 w2", NULL, 3, 0, &out, NULL, &err), PFM_ERROR_FORMAT, "is damaged (snippet");
        pfm_buffer_free(&out);
        pfm_index_close(index);
        assert_int_equal(remove(path), 0);
    }
}

/* Bytes turned over and files cut off: opening and finding succeed or say why not. */
static void damaged_files_are_read_or_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer whole = {0};
    size_t refused = 0, found = 0;
    folder = make_folder("damaged");
    assert_ok(pfm_file_read(make_index("whole.sqlite"), 0, &whole, &err));
    pfm_random random = pfm_random_start(7, 1);
    for (int i = 0; i < 400; i++) {
        pfm_buffer copy = {0}, out = {0};
        pfm_index *index = NULL;
        assert_ok(pfm_buffer_append(&copy, whole.data, whole.size, &err));
        const int count = 1 + i % 8;
        for (int k = 0; k < count; k++)
            copy.data[pfm_random_below(&random, copy.size)] = (char)pfm_random_below(&random, 256);
        const size_t size = i % 5 == 0 ? pfm_random_below(&random, copy.size) : copy.size;
        assert_ok(pfm_file_write(at("a.sqlite"), copy.data, size, &err));
        pfm_status status = pfm_index_open(at("a.sqlite"), NULL, &index, &err);
        if (status == PFM_OK)
            status = pfm_index_find(index, "w1 w2 w3 w80", NULL, 20, 0, &out, NULL, &err);
        assert_true(status == PFM_OK || err.message[0] != '\0');
        refused += status != PFM_OK;
        found += status == PFM_OK;
        err = (pfm_error)PFM_ERROR_INIT;
        pfm_index_close(index);
        pfm_buffer_free(&copy);
        pfm_buffer_free(&out);
    }
    print_message("%zu refused, %zu read\n", refused, found);
    assert_true(refused > 100 && found > 0);
    pfm_buffer_free(&whole);
}

static void the_wanted_one_is_another(void **state)
{
    (void)state;
    static const char other[] = "00000000000011111111111122222222222233333333333344444444444455555";
    pfm_error err = PFM_ERROR_INIT;
    pfm_hash_hex hash, again;
    folder = make_folder("wanted");
    pfm_retrieval retrieval = {.index = make_index("a.sqlite"), .snippets = 1};
    assert_ok(pfm_retrieval_hash(&retrieval, hash, &err));
    retrieval.sha256 = hash;
    assert_ok(pfm_retrieval_hash(&retrieval, again, &err));
    assert_string_equal(hash, again);
    retrieval.sha256 = other;
    assert_error(pfm_retrieval_hash(&retrieval, again, &err), PFM_ERROR_MISMATCH, "is another index than this was made with");
    char **names = NULL;
    size_t count = 0;
    assert_ok(pfm_folder_list(folder, &names, &count, &err));
    assert_int_equal(count, 2); /* reading leaves nothing beside the index */
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_index_is_refused), cmocka_unit_test(changed_indexes_are_refused),
        cmocka_unit_test(texts_that_are_none_are_refused), cmocka_unit_test(damaged_files_are_read_or_refused),
        cmocka_unit_test(the_wanted_one_is_another)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
