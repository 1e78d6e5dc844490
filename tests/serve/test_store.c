#include "serve/store.h"
#include "serve/report_rows.h"
#include "base/file.h"
#include "test.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const migrations[] = {"CREATE TABLE things(id INTEGER PRIMARY KEY, text TEXT) STRICT",
                                         "ALTER TABLE things ADD COLUMN size INTEGER NOT NULL DEFAULT 7"};

static const char *fresh(const char *name)
{
    const char *path = test_path(test_scratch_folder(), name);
    (void)unlink(path);
    return path;
}

static int64_t count_rows(pfm_store *store)
{
    pfm_error err = PFM_ERROR_INIT;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    assert_ok(pfm_store_begin(store, &err));
    assert_ok(pfm_store_query(store, &statement, &err, "SELECT count(*) FROM things", ""));
    assert_ok(pfm_store_step(store, statement, &row, &err));
    const int64_t count = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    assert_ok(pfm_store_end(store, PFM_OK, &err));
    return count;
}

static pfm_status add(pfm_store *store, const char *text, pfm_error *err)
{
    pfm_status status = pfm_store_begin(store, err);
    if (status != PFM_OK)
        return status;
    status = pfm_store_run(store, err, "INSERT INTO things(text) VALUES(?)", "s", text);
    return pfm_store_end(store, status, err);
}

static void owners_alone(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_store *store = NULL;
    struct stat about;
    const char *folder = test_path(test_scratch_folder(), "made/for/it");
    assert_ok(pfm_store_open(test_path(folder, "state.sqlite"), &store, &err));
    assert_int_equal(stat(folder, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0700);
    assert_int_equal(stat(test_path(folder, "state.sqlite"), &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    assert_int_equal(stat(test_path(folder, "state.sqlite-wal"), &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    pfm_store_close(store);
}

static void migrates(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_store *store = NULL;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    const char *path = fresh("migrates.sqlite");
    assert_ok(pfm_store_open_with(path, migrations, 1, &store, &err));
    assert_ok(add(store, "of version 1", &err));
    pfm_store_close(store);
    assert_ok(pfm_store_open_with(path, migrations, 2, &store, &err));
    assert_ok(pfm_store_begin(store, &err));
    assert_ok(pfm_store_query(store, &statement, &err, "SELECT text, size FROM things", ""));
    assert_ok(pfm_store_step(store, statement, &row, &err));
    assert_true(row);
    assert_string_equal(pfm_store_text(statement, 0), "of version 1");
    assert_int_equal(sqlite3_column_int(statement, 1), 7);
    sqlite3_finalize(statement);
    assert_ok(pfm_store_end(store, PFM_OK, &err));
    pfm_store_close(store);
    store = NULL;
    assert_error(pfm_store_open_with(path, migrations, 1, &store, &err), PFM_ERROR_FORMAT,
                 "is of version 2, and this program knows 1");
    assert_null(store);
}

/* A migration that fails in its middle leaves the version before, whole. */
static void migrates_whole_or_not_at_all(void **state)
{
    (void)state;
    static const char *const broken[] = {"CREATE TABLE things(id INTEGER PRIMARY KEY, text TEXT) STRICT",
                                         "DROP TABLE things; CREATE TABLE others(id); INSERT INTO nowhere VALUES(1)"};
    pfm_error err = PFM_ERROR_INIT;
    pfm_store *store = NULL;
    const char *path = fresh("broken.sqlite");
    assert_ok(pfm_store_open_with(path, broken, 1, &store, &err));
    assert_ok(add(store, "kept", &err));
    pfm_store_close(store);
    store = NULL;
    assert_error(pfm_store_open_with(path, broken, 2, &store, &err), PFM_ERROR_IO, "no such table: nowhere");
    assert_ok(pfm_store_open_with(path, migrations, 2, &store, &err));
    assert_int_equal(count_rows(store), 1);
    pfm_store_close(store);
}

static void what_fails_is_taken_back(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_store *store = NULL;
    assert_ok(pfm_store_open_with(fresh("back.sqlite"), migrations, 2, &store, &err));
    assert_ok(pfm_store_begin(store, &err));
    assert_ok(pfm_store_run(store, &err, "INSERT INTO things(text) VALUES('lost')", ""));
    assert_int_equal(pfm_store_end(store, PFM_ERROR_USAGE, &err), PFM_ERROR_USAGE);
    assert_int_equal(count_rows(store), 0);
    assert_ok(pfm_store_begin(store, &err));
    assert_int_equal(pfm_store_run(store, &err, "INSERT INTO nowhere VALUES(?)", "s", "x"), PFM_ERROR_IO);
    assert_int_equal(pfm_store_end(store, PFM_ERROR_IO, &err), PFM_ERROR_IO);
    err = (pfm_error)PFM_ERROR_INIT;
    assert_ok(add(store, "it goes on", &err));
    assert_int_equal(count_rows(store), 1);
    pfm_store_close(store);
}

static void what_is_no_store(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_store *store = NULL;
    const char *path = fresh("text.sqlite");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 200; i++)
        (void)fputs("This is no database but a text.\n", file);
    (void)fclose(file);
    assert_error(pfm_store_open(path, &store, &err), PFM_ERROR_IO, "not a database");
    assert_error(pfm_store_open(test_path(path, "below"), &store, &err), PFM_ERROR_IO, "text.sqlite");
}

/* A writer that tells of each row when it is acknowledged, until it is killed. */
static void write_until_killed(const char *path, int acknowledged)
{
    pfm_store *store = NULL;
    if (pfm_store_open_with(path, migrations, 2, &store, NULL) != PFM_OK)
        _exit(1);
    for (;;)
        if (add(store, "acknowledged", NULL) != PFM_OK || write(acknowledged, "x", 1) != 1)
            _exit(1);
}

static void survives_kills(void **state)
{
    (void)state;
    enum { KILLS = 20 };
    pfm_error err = PFM_ERROR_INIT;
    const char *path = fresh("killed.sqlite");
    int64_t told = 0;
    for (int i = 0; i < KILLS; i++) {
        int ends[2], ended = 0;
        char one;
        assert_int_equal(pipe(ends), 0);
        const pid_t writer = fork();
        if (writer == 0) {
            (void)close(ends[0]);
            write_until_killed(path, ends[1]);
        }
        (void)close(ends[1]);
        for (int k = 0; k < 1 + 7 * i % 50; k++) {
            assert_int_equal(read(ends[0], &one, 1), 1);
            told++;
        }
        (void)usleep((useconds_t)(137 * i % 1000));
        (void)kill(writer, SIGKILL);
        while (read(ends[0], &one, 1) == 1)
            told++;
        (void)close(ends[0]);
        assert_int_equal(waitpid(writer, &ended, 0), writer);
        assert_true(WIFSIGNALED(ended));
        pfm_store *store = NULL;
        assert_ok(pfm_store_open_with(path, migrations, 2, &store, &err));
        const int64_t found = count_rows(store);
        pfm_store_close(store);
        assert_true(found >= told && found <= told + i + 1); /* one of each life may be written and not yet told of */
    }
    assert_true(told > KILLS);
}

/* Whether a text stands in a file. */
static bool holds(const char *path, const char *text)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer bytes = {0};
    assert_ok(pfm_file_read(path, 0, &bytes, &err));
    const bool found = bytes.size > 0 && memmem(bytes.data, bytes.size, text, strlen(text)) != NULL;
    pfm_buffer_free(&bytes);
    return found;
}

static void removed_is_gone(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_store *store = NULL;
    pfm_http_reply reply = {0};
    pfm_report_id id, other;
    const char *path = fresh("removed.sqlite"), *journal = test_path(test_scratch_folder(), "removed.sqlite-wal");
    assert_ok(pfm_store_open(path, &store, &err));
    const pfm_report_draft draft = {
        .model = "m", .indication = "", .text = "MARKED-TEXT", .complete = true, .images = json_array()};
    assert_ok(pfm_report_create(store, &draft, id, &err));
    assert_ok(pfm_report_create(store, &draft, other, &err));
    assert_true(holds(path, "MARKED-TEXT") || holds(journal, "MARKED-TEXT"));
    assert_ok(pfm_report_remove(store, id, &reply, &err));
    assert_true(holds(path, "MARKED-TEXT")); /* the other one's */
    assert_ok(pfm_report_remove(store, other, &reply, &err));
    assert_false(holds(path, "MARKED-TEXT"));
    assert_false(holds(journal, "MARKED-TEXT"));
    json_decref(draft.images);
    pfm_store_close(store);
}

static void reports(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_store *store = NULL;
    pfm_http_reply reply = {0};
    pfm_report_id id;
    json_t *report = NULL;
    assert_ok(pfm_store_open(fresh("reports.sqlite"), &store, &err));
    const pfm_report_draft draft = {
        .model = "m", .indication = "", .text = "Draft.", .complete = false, .images = json_array()};
    assert_ok(pfm_report_create(store, &draft, id, &err));
    assert_ok(pfm_report_edit(store, id, 1, "Edited: \xC3\xA9.", &reply, &err));
    assert_error(pfm_report_edit(store, id, 1, "Late.", &reply, &err), PFM_ERROR_USAGE, "changed meanwhile");
    assert_int_equal(reply.status, 409);
    assert_error(pfm_report_accept(store, id, 1, NULL, NULL, &reply, &err), PFM_ERROR_USAGE, "changed meanwhile");
    assert_ok(pfm_report_accept(store, id, 2, "Curie^Marie", "Ward 2", &reply, &err));
    assert_error(pfm_report_edit(store, id, 3, "Later.", &reply, &err), PFM_ERROR_USAGE, "accepted");
    assert_error(pfm_report_accept(store, id, 3, "Other^Eva", "Ward 3", &reply, &err), PFM_ERROR_USAGE, "accepted");
    assert_ok(pfm_report_read(store, id, &reply, &report, &err));
    assert_string_equal(json_string_value(json_object_get(report, "draft")), "Draft.");
    assert_string_equal(json_string_value(json_object_get(report, "text")), "Edited: \xC3\xA9.");
    assert_string_equal(json_string_value(json_object_get(report, "state")), "accepted");
    assert_string_equal(json_string_value(json_object_get(report, "observer")), "Curie^Marie");
    assert_string_equal(json_string_value(json_object_get(report, "organization")), "Ward 2");
    assert_true(json_is_false(json_object_get(report, "complete")));
    json_decref(report);
    assert_ok(pfm_report_list(store, &report, &err));
    assert_int_equal(json_array_size(report), 1);
    json_decref(report);
    assert_ok(pfm_report_remove(store, id, &reply, &err));
    assert_error(pfm_report_read(store, id, &reply, &report, &err), PFM_ERROR_USAGE, "there is no report");
    assert_int_equal(reply.status, 404);
    assert_error(pfm_report_edit(store, id, 3, "Gone.", &reply, &err), PFM_ERROR_USAGE, "there is no report");
    json_decref(draft.images);
    pfm_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(owners_alone),
                                       cmocka_unit_test(migrates),
                                       cmocka_unit_test(migrates_whole_or_not_at_all),
                                       cmocka_unit_test(what_fails_is_taken_back),
                                       cmocka_unit_test(what_is_no_store),
                                       cmocka_unit_test(survives_kills),
                                       cmocka_unit_test(removed_is_gone),
                                       cmocka_unit_test(reports)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
