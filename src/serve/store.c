#include "serve/store.h"

#include "base/file.h"
#include "base/try.h"
#include "serve/store_migrations.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MILLISECONDS = 5000 };

struct pfm_store {
    char *path;
    sqlite3 *handle;
    pthread_mutex_t lock;
};

/* Told to clients too: without the path. */
static pfm_status fail(const pfm_store *store, int code, pfm_error *err)
{
    switch (code & 0xff) {
    case SQLITE_NOMEM: return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not use the server's state");
    case SQLITE_FULL:
        return pfm_error_set(err, PFM_ERROR_IO,
                             "the server's disk is full, and nothing was kept; free some space and try again");
    case SQLITE_BUSY:
        return pfm_error_set(err, PFM_ERROR_IO, "another program holds the server's state; end it, or give --state FILE");
    default:
        return pfm_error_set(err, PFM_ERROR_IO, "the server's state cannot be used: %s",
                             store->handle != NULL ? sqlite3_errmsg(store->handle) : sqlite3_errstr(code));
    }
}

static pfm_status execute(pfm_store *store, const char *sql, pfm_error *err)
{
    const int code = sqlite3_exec(store->handle, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? PFM_OK : fail(store, code, err);
}

/* ---- statements ---- */

static pfm_status bind(pfm_store *store, sqlite3_stmt *statement, const char *types, va_list arguments, pfm_error *err)
{
    int code = SQLITE_OK;
    for (int i = 1; *types != '\0' && code == SQLITE_OK; i++, types++) {
        if (*types == 's')
            code = sqlite3_bind_text(statement, i, va_arg(arguments, const char *), -1, SQLITE_TRANSIENT);
        else if (*types == 'i')
            code = sqlite3_bind_int64(statement, i, va_arg(arguments, int64_t));
        else
            code = sqlite3_bind_double(statement, i, va_arg(arguments, double));
    }
    return code == SQLITE_OK ? PFM_OK : fail(store, code, err);
}

static pfm_status prepare(pfm_store *store, sqlite3_stmt **out, const char *sql, const char *types, va_list arguments,
                          pfm_error *err)
{
    const int code = sqlite3_prepare_v2(store->handle, sql, -1, out, NULL);
    if (code != SQLITE_OK)
        return fail(store, code, err);
    const pfm_status status = bind(store, *out, types, arguments, err);
    if (status != PFM_OK) {
        sqlite3_finalize(*out);
        *out = NULL;
    }
    return status;
}

pfm_status pfm_store_query(pfm_store *store, sqlite3_stmt **out, pfm_error *err, const char *sql, const char *types, ...)
{
    va_list arguments;
    *out = NULL;
    va_start(arguments, types);
    const pfm_status status = prepare(store, out, sql, types, arguments, err);
    va_end(arguments);
    return status;
}

pfm_status pfm_store_step(pfm_store *store, sqlite3_stmt *statement, bool *row, pfm_error *err)
{
    const int code = sqlite3_step(statement);
    *row = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? PFM_OK : fail(store, code, err);
}

const char *pfm_store_text(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return text != NULL ? text : "";
}

pfm_status pfm_store_run(pfm_store *store, pfm_error *err, const char *sql, const char *types, ...)
{
    va_list arguments;
    sqlite3_stmt *statement = NULL;
    bool row;
    va_start(arguments, types);
    pfm_status status = prepare(store, &statement, sql, types, arguments, err);
    va_end(arguments);
    if (status == PFM_OK)
        status = pfm_store_step(store, statement, &row, err);
    sqlite3_finalize(statement);
    return status;
}

int pfm_store_changes(const pfm_store *store) { return sqlite3_changes(store->handle); }

/* ---- transactions ---- */

pfm_status pfm_store_begin(pfm_store *store, pfm_error *err)
{
    (void)pthread_mutex_lock(&store->lock);
    const pfm_status status = execute(store, "BEGIN IMMEDIATE", err);
    if (status != PFM_OK)
        (void)pthread_mutex_unlock(&store->lock);
    return status;
}

pfm_status pfm_store_end(pfm_store *store, pfm_status status, pfm_error *err)
{
    if (status == PFM_OK)
        status = execute(store, "COMMIT", err);
    if (status != PFM_OK && !sqlite3_get_autocommit(store->handle))
        (void)sqlite3_exec(store->handle, "ROLLBACK", NULL, NULL, NULL);
    (void)pthread_mutex_unlock(&store->lock);
    return status;
}

void pfm_store_empty_journal(pfm_store *store)
{
    (void)pthread_mutex_lock(&store->lock);
    (void)sqlite3_wal_checkpoint_v2(store->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    (void)pthread_mutex_unlock(&store->lock);
}

/* ---- opening ---- */

static pfm_status read_version(pfm_store *store, int *out, pfm_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    pfm_status status = pfm_store_query(store, &statement, err, "PRAGMA user_version", "");
    if (status == PFM_OK)
        status = pfm_store_step(store, statement, &row, err);
    *out = row ? sqlite3_column_int(statement, 0) : 0;
    sqlite3_finalize(statement);
    return status;
}

/* One version up, in a transaction of its own: a kill leaves the one before, or the next. */
static pfm_status migrate_once(pfm_store *store, const char *const *migrations, int count, bool *newest, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *mark = NULL;
    int version = 0;
    PFM_TRY(pfm_store_begin(store, err));
    status = read_version(store, &version, err);
    *newest = version >= count;
    if (status == PFM_OK && version > count)
        status =
            pfm_error_set(err, PFM_ERROR_FORMAT,
                          "%s is of version %d, and this program knows %d; use the newer program, or another file (--state)",
                          store->path, version, count);
    if (status == PFM_OK && version < count)
        status = execute(store, migrations[version], err);
    if (status == PFM_OK && version < count)
        status = pfm_string_format(&mark, err, "PRAGMA user_version = %d", version + 1);
    if (status == PFM_OK && version < count)
        status = execute(store, mark, err);
    status = pfm_store_end(store, status, err);
done:
    free(mark);
    return status;
}

/* Its folder and itself are the owner's alone; what is there already is left as it is. SQLite gives its journal the file's
 * mode. */
static pfm_status make_file(const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *folder = NULL;
    const char *name = pfm_path_name(path);
    if (name > path + 1) {
        PFM_TRY(pfm_string_copy_n(path, (size_t)(name - path) - 1, &folder, err));
        const bool is_new = !pfm_path_exists(folder);
        PFM_TRY(pfm_folder_create(folder, err));
        if (is_new && chmod(folder, S_IRWXU) != 0)
            PFM_FAIL(PFM_ERROR_IO, "cannot make the folder %s for yourself alone: %s", folder, strerror(errno));
    }
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0)
        PFM_FAIL(PFM_ERROR_IO, "cannot use %s for the server's state: %s; name another file with --state", path,
                 strerror(errno));
    (void)close(fd);
done:
    free(folder);
    return status;
}

static pfm_status set_up(pfm_store *store, pfm_error *err)
{
    const int code = sqlite3_open_v2(store->path, &store->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK)
        return fail(store, code, err);
    (void)sqlite3_busy_timeout(store->handle, BUSY_MILLISECONDS);
    return execute(store,
                   "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;"
                   "PRAGMA trusted_schema = OFF",
                   err);
}

pfm_status pfm_store_open_with(const char *path, const char *const *migrations, int count, pfm_store **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_store *store = NULL;
    pfm_error failure = PFM_ERROR_INIT;
    bool newest = false;
    PFM_TRY(pfm_allocate(1, sizeof *store, &store, err));
    (void)pthread_mutex_init(&store->lock, NULL);
    PFM_TRY(pfm_string_copy(path, &store->path, err));
    PFM_TRY(make_file(path, err));
    status = set_up(store, &failure);
    while (status == PFM_OK && !newest)
        status = migrate_once(store, migrations, count, &newest, &failure);
    if (status != PFM_OK && strncmp(failure.message, path, strlen(path)) != 0)
        PFM_FAIL(status, "%s: %s; name another file with --state", path, failure.message);
    if (status != PFM_OK)
        PFM_FAIL(status, "%s", failure.message);
    *out = store;
    store = NULL;
done:
    pfm_store_close(store);
    return status;
}

pfm_status pfm_store_open(const char *path, pfm_store **out, pfm_error *err)
{
    return pfm_store_open_with(path, pfm_store_migrations, (int)(sizeof pfm_store_migrations / sizeof *pfm_store_migrations),
                               out, err);
}

void pfm_store_close(pfm_store *store)
{
    if (store == NULL)
        return;
    (void)sqlite3_close(store->handle);
    (void)pthread_mutex_destroy(&store->lock);
    free(store->path);
    free(store);
}
