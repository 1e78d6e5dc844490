/* The file of an index: its tables, and how it is opened. Whatever stands in it may come from a stranger. */
#include "data/corpus.h"

#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "data/dataset.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LONGEST_VALUE = 1 << 26 }; /* bytes of a row, when an index is read */

#define ABOUT "CREATE TABLE about(name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID"
#define SOURCES                                                                                                                \
    "CREATE TABLE sources(number INTEGER PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, sha256 TEXT NOT NULL, snippets " \
    "INTEGER NOT NULL)"
#define SNIPPETS                                                                                                               \
    "CREATE TABLE snippets(number INTEGER PRIMARY KEY, source INTEGER NOT NULL, line INTEGER NOT NULL, record TEXT, search "   \
    "TEXT, text TEXT NOT NULL)"
#define WORDS(tokenizer)                                                                                                       \
    "CREATE VIRTUAL TABLE words USING fts5(search, text, content='snippets', content_rowid='number', tokenize='" tokenizer "'" \
    ")"

const pfm_index_table pfm_index_tables[2][PFM_INDEX_TABLES] = {
    {{"about", ABOUT}, {"sources", SOURCES}, {"snippets", SNIPPETS}, {"words", WORDS("unicode61 remove_diacritics 2")}},
    {{"about", ABOUT}, {"sources", SOURCES}, {"snippets", SNIPPETS}, {"words", WORDS("porter unicode61 remove_diacritics 2")}},
};

pfm_status pfm_database_fail(const pfm_database *database, int code, pfm_error *err)
{
    const char *said = database->handle != NULL ? sqlite3_errmsg(database->handle) : sqlite3_errstr(code);
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not use the index %s", database->path);
    case SQLITE_FULL:
        return pfm_error_set(err, PFM_ERROR_IO,
                             "cannot write %s: the disk is full; free some space and run the same command again",
                             database->path);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY: return pfm_error_set(err, PFM_ERROR_IO, "cannot use the index %s: %s", database->path, said);
    default: break;
    }
    if (strstr(said, "no such module") != NULL)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                             "the SQLite of this system (%s) was built without FTS5, which indexes need; Debian's has it",
                             sqlite3_libversion());
    return pfm_error_set(err, PFM_ERROR_FORMAT, "the index %s is damaged (%s); make it anew with pefomed index", database->path,
                         said);
}

pfm_status pfm_database_prepare(const pfm_database *database, const char *sql, sqlite3_stmt **out, pfm_error *err)
{
    const int code = sqlite3_prepare_v2(database->handle, sql, -1, out, NULL);
    return code == SQLITE_OK ? PFM_OK : pfm_database_fail(database, code, err);
}

pfm_status pfm_database_step(const pfm_database *database, sqlite3_stmt *statement, bool *row, pfm_error *err)
{
    const int code = sqlite3_step(statement);
    if (row != NULL)
        *row = code == SQLITE_ROW;
    return code == SQLITE_DONE || (code == SQLITE_ROW && row != NULL) ? PFM_OK : pfm_database_fail(database, code, err);
}

pfm_status pfm_database_run(const pfm_database *database, const char *sql, pfm_error *err)
{
    const int code = sqlite3_exec(database->handle, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? PFM_OK : pfm_database_fail(database, code, err);
}

/* ---- what it holds ---- */

static void hash_value(pfm_hash *hash, sqlite3_stmt *statement, int column)
{
    unsigned char size[8];
    const unsigned char *text = sqlite3_column_text(statement, column);
    uint64_t length = text == NULL ? UINT64_MAX : (uint64_t)sqlite3_column_bytes(statement, column);
    for (int i = 0; i < 8; i++)
        size[i] = (unsigned char)(length >> 8 * i);
    pfm_hash_update(hash, size, sizeof size);
    if (text != NULL)
        pfm_hash_update(hash, text, (size_t)length);
}

pfm_status pfm_database_hash(const pfm_database *database, pfm_hash_hex out, pfm_error *err)
{
    static const char *const queries[] = {"SELECT name, value FROM about WHERE name <> 'sha256' ORDER BY name",
                                          "SELECT number, name, kind, sha256, snippets FROM sources ORDER BY number",
                                          "SELECT number, source, line, record, search, text FROM snippets ORDER BY number"};
    pfm_status status = PFM_OK;
    pfm_hash *hash = NULL;
    sqlite3_stmt *statement = NULL;
    PFM_TRY(pfm_hash_create(&hash, err));
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        bool row = true;
        PFM_TRY(pfm_database_prepare(database, queries[i], &statement, err));
        while (row) {
            PFM_TRY(pfm_database_step(database, statement, &row, err));
            for (int column = 0; row && column < sqlite3_column_count(statement); column++)
                hash_value(hash, statement, column);
        }
        pfm_hash_update(hash, "\n", 1);
        sqlite3_finalize(statement);
        statement = NULL;
    }
    pfm_hash_finish(hash, out);
done:
    sqlite3_finalize(statement);
    pfm_hash_free(hash);
    return status;
}

/* ---- opening ---- */

bool pfm_index_is(const char *path)
{
    static const char magic[] = "SQLite format 3"; /* a NUL ends it in the file, too */
    enum { HEAD = 100, PLACE = 68 };
    unsigned char head[HEAD] = {0};
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const ssize_t got = file < 0 ? -1 : read(file, head, sizeof head);
    if (file >= 0)
        close(file);
    const uint32_t id = (uint32_t)head[PLACE] << 24 | (uint32_t)head[PLACE + 1] << 16 | (uint32_t)head[PLACE + 2] << 8 |
                        (uint32_t)head[PLACE + 3];
    return got == HEAD && memcmp(head, magic, sizeof magic) == 0 && id == PFM_INDEX_APPLICATION;
}

/* *out = the name by which SQLite opens a file as one that nobody changes: it locks nothing and leaves nothing beside it. */
static pfm_status make_name(const char *path, char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer name = {0};
    PFM_TRY(pfm_buffer_append_string(&name, path[0] == '/' ? "file://" : "file:./", err));
    for (const char *c = path; *c != '\0'; c++) {
        const bool special = *c == '%' || *c == '?' || *c == '#';
        PFM_TRY(special ? pfm_buffer_append_format(&name, err, "%%%02X", (unsigned)*c) : pfm_buffer_append(&name, c, 1, err));
    }
    PFM_TRY(pfm_buffer_append_string(&name, "?mode=ro&immutable=1", err));
    *out = name.data;
    name = (pfm_buffer){0};
done:
    pfm_buffer_free(&name);
    return status;
}

static pfm_status open_database(pfm_index *index, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *name = NULL;
    pfm_database *database = &index->database;
    PFM_TRY(make_name(index->path, &name, err));
    const int code = sqlite3_open_v2(name, &database->handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
    if (code != SQLITE_OK) {
        status = pfm_database_fail(database, code, err);
        goto done;
    }
    (void)sqlite3_limit(database->handle, SQLITE_LIMIT_LENGTH, LONGEST_VALUE);
    (void)sqlite3_db_config(database->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(database->handle, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    (void)sqlite3_db_config(database->handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    (void)sqlite3_db_config(database->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    PFM_TRY(pfm_database_run(database, "PRAGMA cell_size_check = ON", err));
done:
    free(name);
    return status;
}

/* *out = the first value of the only row. */
static pfm_status read_number(const pfm_database *database, const char *sql, int64_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    PFM_TRY(pfm_database_prepare(database, sql, &statement, err));
    PFM_TRY(pfm_database_step(database, statement, &row, err));
    *out = row ? sqlite3_column_int64(statement, 0) : 0;
done:
    sqlite3_finalize(statement);
    return status;
}

/* Whether the tables are those that an index has, word for word: nothing else is ever run. */
static pfm_status has_tables(const pfm_database *database, const pfm_index_table *tables, bool *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *statement = NULL;
    *out = true;
    PFM_TRY(pfm_database_prepare(database, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1 AND sql = ?2",
                                 &statement, err));
    for (int i = 0; i < PFM_INDEX_TABLES; i++) {
        bool row = false;
        sqlite3_reset(statement);
        (void)sqlite3_bind_text(statement, 1, tables[i].name, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(statement, 2, tables[i].sql, -1, SQLITE_STATIC);
        PFM_TRY(pfm_database_step(database, statement, &row, err));
        *out = *out && row && sqlite3_column_int64(statement, 0) == 1;
    }
done:
    sqlite3_finalize(statement);
    return status;
}

static pfm_status check_tables(const pfm_index *index, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int64_t version = 0, others = 0;
    bool plain = false, porter = false;
    PFM_TRY(read_number(&index->database, "PRAGMA user_version", &version, err));
    if (version != PFM_INDEX_VERSION)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "%s is an index of version %lld, and this program reads version %d; make it anew with pefomed index",
                 index->path, (long long)version, PFM_INDEX_VERSION);
    PFM_TRY(has_tables(&index->database, pfm_index_tables[0], &plain, err));
    PFM_TRY(has_tables(&index->database, pfm_index_tables[1], &porter, err));
    PFM_TRY(
        read_number(&index->database, "SELECT count(*) FROM sqlite_schema WHERE type IN ('view', 'trigger')", &others, err));
    if (plain == porter || others > 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s has not the tables of an index; make it anew with pefomed index", index->path);
done:
    return status;
}

/* What it says of itself is what it holds. */
static pfm_status check_hash(pfm_index *index, const char *wanted, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    PFM_TRY(pfm_database_hash(&index->database, index->sha256, err));
    PFM_TRY(pfm_database_prepare(&index->database, "SELECT value FROM about WHERE name = 'sha256'", &statement, err));
    PFM_TRY(pfm_database_step(&index->database, statement, &row, err));
    const char *said = row ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (said == NULL || strcmp(said, index->sha256) != 0)
        PFM_FAIL(PFM_ERROR_FORMAT,
                 "the index %s is damaged (it does not hold what its hash says); make it anew with pefomed index", index->path);
    if (wanted != NULL && strcmp(wanted, index->sha256) != 0)
        PFM_FAIL(PFM_ERROR_MISMATCH,
                 "%s is another index than this was made with (sha256 %.12s..., not %.12s...): give the one it was made with "
                 "(data.index), or train anew",
                 index->path, index->sha256, wanted);
done:
    sqlite3_finalize(statement);
    return status;
}

pfm_status pfm_index_open(const char *path, const char *wanted, pfm_index **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_index *index = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *index, &index, err));
    PFM_TRY(pfm_string_copy(path, &index->path, err));
    index->database.path = index->path;
    if (access(path, R_OK) != 0)
        PFM_FAIL(PFM_ERROR_IO, "cannot open the index %s: %s; pefomed index CORPUS... --out %s makes one", path,
                 strerror(errno), path);
    if (!pfm_index_is(path))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s is no index; pefomed index CORPUS... --out INDEX makes one", path);
    PFM_TRY(open_database(index, err));
    PFM_TRY(check_tables(index, err));
    PFM_TRY(check_hash(index, wanted, err));
    *out = index;
    index = NULL;
done:
    pfm_index_close(index);
    return status;
}

void pfm_index_close(pfm_index *index)
{
    if (index == NULL)
        return;
    sqlite3_finalize(index->find);
    sqlite3_finalize(index->get);
    sqlite3_finalize(index->count);
    for (size_t i = 0; i < index->word_count; i++)
        free(index->words[i]);
    free(index->words);
    pfm_map_free(&index->counts);
    (void)sqlite3_close(index->database.handle); /* without statements it cannot fail */
    free(index->path);
    free(index);
}

pfm_status pfm_retrieval_hash(const pfm_retrieval *retrieval, pfm_hash_hex out, pfm_error *err)
{
    pfm_index *index = NULL;
    pfm_status status = pfm_index_open(retrieval->index, retrieval->sha256, &index, err);
    if (status == PFM_OK)
        memcpy(out, index->sha256, sizeof(pfm_hash_hex));
    pfm_index_close(index);
    return status;
}

/* ---- describing ---- */

/* A column's text as JSON; null where it is NULL or not UTF-8. */
static json_t *text_of(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    json_t *value = text == NULL ? NULL : json_stringn(text, (size_t)sqlite3_column_bytes(statement, column));
    return value == NULL ? json_null() : value;
}

static pfm_status list_about(const pfm_database *database, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *statement = NULL;
    bool row = true;
    PFM_TRY(pfm_database_prepare(database, "SELECT name, value FROM about ORDER BY name", &statement, err));
    for (;;) {
        PFM_TRY(pfm_database_step(database, statement, &row, err));
        if (!row)
            break;
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        if (name != NULL && json_object_get(out, name) == NULL && strcmp(name, "sha256") != 0)
            PFM_TRY(pfm_json_take(out, name, text_of(statement, 1), err));
    }
done:
    sqlite3_finalize(statement);
    return status;
}

static pfm_status list_sources(const pfm_database *database, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *statement = NULL;
    bool row = true;
    json_t *list = json_array();
    PFM_TRY(
        pfm_database_prepare(database, "SELECT name, kind, snippets, sha256 FROM sources ORDER BY number", &statement, err));
    for (;;) {
        PFM_TRY(pfm_database_step(database, statement, &row, err));
        if (!row)
            break;
        json_t *source = json_pack("{s:o,s:o,s:I,s:o}", "name", text_of(statement, 0), "kind", text_of(statement, 1),
                                   "snippets", (json_int_t)sqlite3_column_int64(statement, 2), "sha256", text_of(statement, 3));
        list = pfm_json_add(list, source);
    }
    PFM_TRY(pfm_json_take(out, "sources", json_incref(list), err));
done:
    json_decref(list);
    sqlite3_finalize(statement);
    return status;
}

pfm_status pfm_index_describe(const char *path, char **json_out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_index *index = NULL;
    int64_t count = 0;
    json_t *document = json_object();
    PFM_TRY(pfm_index_open(path, NULL, &index, err));
    PFM_TRY(read_number(&index->database, "SELECT count(*) FROM snippets", &count, err));
    PFM_TRY(pfm_json_take(document, "version", json_integer(PFM_INDEX_VERSION), err));
    PFM_TRY(pfm_json_take(document, "snippets", json_integer((json_int_t)count), err));
    PFM_TRY(list_about(&index->database, document, err));
    PFM_TRY(pfm_json_take(document, "sha256", json_string(index->sha256), err));
    PFM_TRY(list_sources(&index->database, document, err));
    PFM_TRY(pfm_json_print(document, json_out, err));
done:
    json_decref(document);
    pfm_index_close(index);
    return status;
}
