/* pefomed index: a corpus becomes an index. */
#include "data/corpus.h"

#include "base/context.h"
#include "base/file.h"
#include "base/json.h"
#include "base/try.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct writing {
    const pfm_context *context;
    const pfm_index_options *options;
    pfm_database database;
    sqlite3_stmt *add_source, *end_source, *add_snippet, *add_words;
    json_t *sources; /* the documents of those that are begun */
    const pfm_corpus_text *text;
    int64_t source, first; /* the source's number, and how many snippets there were before it */
    int64_t snippets, words;
    size_t line, counted; /* of the text, up to this byte */
} writing;

/* ---- what is asked for ---- */

static pfm_status check_sizes(const pfm_index_options *o, pfm_error *err)
{
    if (o->words < PFM_INDEX_LEAST_WORDS || o->words > PFM_INDEX_MOST_WORDS)
        return pfm_error_set(err, PFM_ERROR_USAGE, "a snippet has %d to %d words, not %d", PFM_INDEX_LEAST_WORDS,
                             PFM_INDEX_MOST_WORDS, o->words);
    if (o->overlap < 0 || o->overlap > o->words / 2)
        return pfm_error_set(err, PFM_ERROR_USAGE, "snippets of %d words overlap by 0 to %d words, not %d", o->words,
                             o->words / 2, o->overlap);
    if (o->path_count < 1)
        return pfm_error_set(err, PFM_ERROR_USAGE, "name the files of the corpus");
    if (o->column_count > PFM_INDEX_MOST_COLUMNS)
        return pfm_error_set(err, PFM_ERROR_USAGE, "at most %d columns make a text, not %d", PFM_INDEX_MOST_COLUMNS,
                             o->column_count);
    return PFM_OK;
}

/* What is there already is replaced only where it is an index. */
static pfm_status check_out(const char *out, pfm_error *err)
{
    struct stat info;
    if (stat(out, &info) != 0)
        return PFM_OK;
    if (S_ISDIR(info.st_mode))
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s is a folder; --out names the file of the index", out);
    if (info.st_size > 0 && !pfm_index_is(out))
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s is there and is no index; choose another --out, or remove it", out);
    return PFM_OK;
}

/* *out = the folder that the index comes into, made where there is none. */
static pfm_status make_folder(const char *out, pfm_error *err)
{
    char *folder = NULL;
    const char *name = pfm_path_name(out);
    pfm_status status = PFM_OK;
    if (name[0] == '\0')
        return pfm_error_set(err, PFM_ERROR_USAGE, "--out names the file of the index, not a folder: %s", out);
    if (name == out)
        return PFM_OK;
    PFM_TRY(pfm_string_copy_n(out, (size_t)(name - out), &folder, err));
    PFM_TRY(pfm_folder_create(folder, err));
done:
    free(folder);
    return status;
}

/* ---- what is written ---- */

static pfm_status prepare(writing *w, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char numbers[100];
    const pfm_index_table *tables = pfm_index_tables[w->options->porter];
    (void)snprintf(numbers, sizeof numbers, "PRAGMA application_id = %d; PRAGMA user_version = %d", PFM_INDEX_APPLICATION,
                   PFM_INDEX_VERSION);
    /* The file is another's name until all is in it: a journal would guard nothing. */
    PFM_TRY(
        pfm_database_run(&w->database, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA encoding = 'UTF-8'", err));
    PFM_TRY(pfm_database_run(&w->database, numbers, err));
    PFM_TRY(pfm_database_run(&w->database, "BEGIN", err));
    for (int i = 0; i < PFM_INDEX_TABLES; i++)
        PFM_TRY(pfm_database_run(&w->database, tables[i].sql, err));
    PFM_TRY(pfm_database_prepare(&w->database, "INSERT INTO sources VALUES(?1, ?2, ?3, ?4, 0)", &w->add_source, err));
    PFM_TRY(pfm_database_prepare(&w->database, "UPDATE sources SET snippets = ?2 WHERE number = ?1", &w->end_source, err));
    PFM_TRY(pfm_database_prepare(&w->database, "INSERT INTO snippets VALUES(?1, ?2, ?3, ?4, ?5, ?6)", &w->add_snippet, err));
    PFM_TRY(
        pfm_database_prepare(&w->database, "INSERT INTO words(rowid, search, text) VALUES(?1, ?2, ?3)", &w->add_words, err));
done:
    return status;
}

/* The text is borrowed until the statement is reset. */
static pfm_status bind_text(const writing *w, sqlite3_stmt *statement, int place, const char *text, pfm_error *err)
{
    const int code =
        text == NULL ? sqlite3_bind_null(statement, place) : sqlite3_bind_text(statement, place, text, -1, SQLITE_STATIC);
    return code == SQLITE_OK ? PFM_OK : pfm_database_fail(&w->database, code, err);
}

static pfm_status end_source(writing *w, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const int64_t count = w->snippets - w->first;
    if (w->source == 0)
        return PFM_OK;
    (void)sqlite3_reset(w->end_source);
    (void)sqlite3_bind_int64(w->end_source, 1, w->source);
    (void)sqlite3_bind_int64(w->end_source, 2, count);
    PFM_TRY(pfm_database_step(&w->database, w->end_source, NULL, err));
    PFM_TRY(pfm_json_take(json_array_get(w->sources, (size_t)w->source - 1), "snippets", json_integer((json_int_t)count), err));
done:
    return status;
}

static pfm_status begin_source(void *user, const char *name, const char *kind, const pfm_hash_hex sha256, pfm_error *err)
{
    pfm_status status = PFM_OK;
    writing *w = user;
    PFM_TRY(end_source(w, err));
    w->source++;
    w->first = w->snippets;
    (void)sqlite3_reset(w->add_source);
    (void)sqlite3_bind_int64(w->add_source, 1, w->source);
    PFM_TRY(bind_text(w, w->add_source, 2, name, err));
    PFM_TRY(bind_text(w, w->add_source, 3, kind, err));
    PFM_TRY(bind_text(w, w->add_source, 4, sha256, err));
    PFM_TRY(pfm_database_step(&w->database, w->add_source, NULL, err));
    json_t *document = json_pack("{s:s,s:s}", "name", name, "kind", kind);
    if (document == NULL || json_array_append_new(w->sources, document) != 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "the name of a file of the corpus is not UTF-8: %s; rename it", name);
done:
    return status;
}

static pfm_status add_snippet(void *user, const char *text, size_t words, size_t begin, pfm_error *err)
{
    pfm_status status = PFM_OK;
    writing *w = user;
    for (; !w->text->is_record && w->counted < begin; w->counted++)
        w->line += w->text->text[w->counted] == '\n';
    w->snippets++;
    w->words += (int64_t)words;
    (void)sqlite3_reset(w->add_snippet);
    (void)sqlite3_bind_int64(w->add_snippet, 1, w->snippets);
    (void)sqlite3_bind_int64(w->add_snippet, 2, w->source);
    (void)sqlite3_bind_int64(w->add_snippet, 3, (int64_t)w->line);
    PFM_TRY(bind_text(w, w->add_snippet, 4, w->text->record, err));
    PFM_TRY(bind_text(w, w->add_snippet, 5, w->text->search, err));
    PFM_TRY(bind_text(w, w->add_snippet, 6, text, err));
    PFM_TRY(pfm_database_step(&w->database, w->add_snippet, NULL, err));
    (void)sqlite3_reset(w->add_words);
    (void)sqlite3_bind_int64(w->add_words, 1, w->snippets);
    PFM_TRY(bind_text(w, w->add_words, 2, w->text->search, err));
    PFM_TRY(bind_text(w, w->add_words, 3, text, err));
    PFM_TRY(pfm_database_step(&w->database, w->add_words, NULL, err));
    if (w->snippets % 1024 == 0 && pfm_interrupted(w->context))
        PFM_FAIL(PFM_ERROR_INTERRUPTED, "stopped; no index was written");
done:
    return status;
}

static pfm_status add_text(void *user, const pfm_corpus_text *text, pfm_error *err)
{
    writing *w = user;
    w->text = text;
    w->line = text->line;
    w->counted = 0;
    return pfm_text_cut(text->text, text->length, w->options->words, w->options->overlap, add_snippet, w, err);
}

static pfm_status add_about(writing *w, const char *name, const char *value, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *statement = NULL;
    PFM_TRY(pfm_database_prepare(&w->database, "INSERT INTO about VALUES(?1, ?2)", &statement, err));
    PFM_TRY(bind_text(w, statement, 1, name, err));
    PFM_TRY(bind_text(w, statement, 2, value, err));
    PFM_TRY(pfm_database_step(&w->database, statement, NULL, err));
done:
    sqlite3_finalize(statement);
    return status;
}

/* How it was made. */
static pfm_status describe(writing *w, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_index_options *o = w->options;
    char words[32], overlap[32];
    pfm_buffer columns = {0};
    (void)snprintf(words, sizeof words, "%d", o->words);
    (void)snprintf(overlap, sizeof overlap, "%d", o->overlap);
    for (int i = 0; i < o->column_count; i++)
        PFM_TRY(pfm_buffer_append_format(&columns, err, "%s%s", i > 0 ? ", " : "", o->columns[i]));
    PFM_TRY(add_about(w, "words_at_most", words, err));
    PFM_TRY(add_about(w, "overlap", overlap, err));
    PFM_TRY(add_about(w, "stemmer", o->porter ? "porter" : "none", err));
    if (columns.size > 0)
        PFM_TRY(add_about(w, "columns", columns.data, err));
    if (o->search != NULL)
        PFM_TRY(add_about(w, "search", o->search, err));
    if (o->id != NULL)
        PFM_TRY(add_about(w, "id", o->id, err));
done:
    pfm_buffer_free(&columns);
    return status;
}

/* One segment of words, the same for the same corpus, and the hash of it all. */
static pfm_status finish(writing *w, pfm_hash_hex sha256, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(end_source(w, err));
    if (w->snippets == 0)
        PFM_FAIL(PFM_ERROR_USAGE, "the corpus holds no words; there is nothing to index");
    PFM_TRY(pfm_database_run(&w->database, "INSERT INTO words(words) VALUES('optimize')", err));
    PFM_TRY(describe(w, err));
    PFM_TRY(pfm_database_hash(&w->database, sha256, err));
    PFM_TRY(add_about(w, "sha256", sha256, err));
    PFM_TRY(pfm_database_run(&w->database, "COMMIT", err));
done:
    return status;
}

static pfm_status close_database(writing *w, pfm_error *err)
{
    sqlite3_stmt *statements[] = {w->add_source, w->end_source, w->add_snippet, w->add_words};
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        sqlite3_finalize(statements[i]);
    w->add_source = w->end_source = w->add_snippet = w->add_words = NULL;
    const int code = sqlite3_close(w->database.handle);
    if (code != SQLITE_OK)
        return pfm_database_fail(&w->database, code, err);
    w->database.handle = NULL;
    return PFM_OK;
}

static pfm_status make_document(const writing *w, const pfm_corpus_counts *counts, const pfm_hash_hex sha256, char **out,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    struct stat info = {0};
    (void)stat(w->options->out, &info);
    json_t *document =
        json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:s,s:O}", "out", w->options->out, "bytes", (json_int_t)info.st_size, "snippets",
                  (json_int_t)w->snippets, "words", (json_int_t)w->words, "records", (json_int_t)counts->records, "left_out",
                  (json_int_t)counts->left_out, "sha256", sha256, "sources", w->sources);
    if (document == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not tell what was indexed");
    PFM_TRY(pfm_json_print(document, out, err));
done:
    json_decref(document);
    return status;
}

pfm_status pfm_index_build(const pfm_context *context, const pfm_index_options *options, char **json_out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_atomic_file file = {.descriptor = -1};
    pfm_corpus_counts counts = {0};
    pfm_hash_hex sha256;
    writing w = {.context = context, .options = options, .database = {.path = options->out}, .sources = json_array()};
    const pfm_corpus_taker taker = {.begin = begin_source, .text = add_text, .user = &w};
    PFM_TRY(check_sizes(options, err));
    PFM_TRY(check_out(options->out, err));
    PFM_TRY(make_folder(options->out, err));
    PFM_TRY(pfm_atomic_file_begin(options->out, &file, err));
    const int code = sqlite3_open_v2(file.temporary, &w.database.handle, SQLITE_OPEN_READWRITE, NULL);
    if (code != SQLITE_OK) {
        status = pfm_database_fail(&w.database, code, err);
        goto done;
    }
    PFM_TRY(prepare(&w, err));
    PFM_TRY(pfm_corpus_read(context, options, &taker, &counts, err));
    PFM_TRY(finish(&w, sha256, err));
    PFM_TRY(close_database(&w, err));
    PFM_TRY(pfm_atomic_file_commit(&file, err));
    PFM_TRY(make_document(&w, &counts, sha256, json_out, err));
done:
    if (w.database.handle != NULL)
        (void)close_database(&w, NULL);
    pfm_atomic_file_abort(&file);
    json_decref(w.sources);
    return status;
}
