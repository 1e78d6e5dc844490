/* What the server keeps across its runs: one SQLite file. A write is acknowledged when it is committed, and then no kill and no
 * power cut takes it back (journal in WAL, synchronous FULL).
 *
 * One thread at a time uses it, between pfm_store_begin and pfm_store_end:
 *
 *     PFM_TRY(pfm_store_begin(store, err));
 *     status = pfm_store_run(store, err, "UPDATE things SET text = ? WHERE id = ?", "st", ...);
 *     return pfm_store_end(store, status, err);
 */
#ifndef PFM_SERVE_STORE_H
#define PFM_SERVE_STORE_H

#include "base/memory.h"

#include <sqlite3.h>
#include <stdbool.h>

typedef struct pfm_store pfm_store;

/* Opens the file, or makes it (for its owner alone, in a folder that is made so too), and brings it to the newest version. IO;
 * FORMAT for no such file, or one of a later program. */
pfm_status pfm_store_open(const char *path, pfm_store **out, pfm_error *err) PFM_MUST_CHECK;
/* The same with other migrations [count], for tests. */
pfm_status pfm_store_open_with(const char *path, const char *const *migrations, int count, pfm_store **out,
                               pfm_error *err) PFM_MUST_CHECK;
void pfm_store_close(pfm_store *store);

/* Takes the store and begins a transaction, which sees and leaves a whole state. On error it is not taken. */
pfm_status pfm_store_begin(pfm_store *store, pfm_error *err) PFM_MUST_CHECK;
/* Commits where `status` is OK, else takes all back; gives the store to others. Returns status, or why it was not committed. */
pfm_status pfm_store_end(pfm_store *store, pfm_status status, pfm_error *err) PFM_MUST_CHECK;

/* Empties the journal, so that what was deleted is in no file any more. Between transactions. */
void pfm_store_empty_journal(pfm_store *store);

/* *out = a statement whose ?s are the arguments: of `types`, a letter for each, s: const char * (NULL is NULL), i: int64_t,
 * d: double. The caller calls sqlite3_finalize before pfm_store_end. */
pfm_status pfm_store_query(pfm_store *store, sqlite3_stmt **out, pfm_error *err, const char *sql, const char *types,
                           ...) PFM_MUST_CHECK;
/* *row = whether there is another one. */
pfm_status pfm_store_step(pfm_store *store, sqlite3_stmt *statement, bool *row, pfm_error *err) PFM_MUST_CHECK;
/* A text of a row, "" where it is NULL; borrowed until the next step. */
const char *pfm_store_text(sqlite3_stmt *statement, int column);
/* Runs a statement that has no rows. */
pfm_status pfm_store_run(pfm_store *store, pfm_error *err, const char *sql, const char *types, ...) PFM_MUST_CHECK;
/* Rows that the last statement changed. */
int pfm_store_changes(const pfm_store *store);

#endif
