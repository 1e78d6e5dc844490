/* Inside the corpus: the index's file (corpus_file.c), what is made of a text (corpus_cut.c), what is read of a corpus
 * (corpus_read.c), and what is found in it (corpus_find.c). pefomed/corpus.h says what an index is for. */
#ifndef PFM_DATA_CORPUS_H
#define PFM_DATA_CORPUS_H

#include "base/hash.h"
#include "base/map.h"
#include "base/memory.h"
#include "pefomed/corpus.h"

#include <jansson.h>
#include <sqlite3.h>

/* ---- cutting ---- */

/* A snippet: its words with a blank between them, and where in the text the first one begins. */
typedef pfm_status (*pfm_snippet_function)(void *user, const char *text, size_t words, size_t begin, pfm_error *err);

/* Cuts a text into snippets of at most so many words. A snippet ends where a sentence does, and in the midst of one only where
 * it holds no end; the next begins with as many whole sentences of this one as have `overlap` words together. A sentence ends
 * at a full stop and the like before a blank and no lower-case letter, and before an empty line. */
pfm_status pfm_text_cut(const char *text, size_t length, int most_words, int overlap, pfm_snippet_function take, void *user,
                        pfm_error *err) PFM_MUST_CHECK;

/* Where a snippet ends when no more than so many words may be shown: at its own end, else at the last end of a sentence, else
 * (with `midst`) behind these words, else at 0. *words = how many it keeps. */
size_t pfm_text_cut_at(const char *text, size_t length, size_t most_words, bool midst, size_t *words);

/* Appends the words of a text for comparison: letters, digits and marks in lower case, a blank between the words. Text that is
 * not UTF-8 has none where it is not. */
pfm_status pfm_text_append_words(const char *text, size_t length, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

/* false where it is not UTF-8 or holds a zero byte; *at = where. */
bool pfm_text_is_clean(const char *text, size_t length, size_t *at);

/* ---- reading ---- */

/* What a corpus gives: texts, each with its source and place. */
typedef struct pfm_corpus_text {
    const char *text;
    size_t length;
    const char *record, *search; /* the record's id and what is searched beside its text; NULL: none */
    size_t line;                 /* on which it begins, from 1 */
    bool is_record;              /* it stands on this line whole */
} pfm_corpus_text;

typedef struct pfm_corpus_taker {
    pfm_status (*begin)(void *user, const char *name, const char *kind, const pfm_hash_hex sha256, pfm_error *err);
    pfm_status (*text)(void *user, const pfm_corpus_text *text, pfm_error *err);
    void *user;
} pfm_corpus_taker;

typedef struct pfm_corpus_counts {
    size_t records, left_out;
} pfm_corpus_counts;

/* Gives every file of the corpus and its texts, in the order of the paths, of a folder in the order of its names. */
pfm_status pfm_corpus_read(const pfm_context *context, const pfm_index_options *options, const pfm_corpus_taker *taker,
                           pfm_corpus_counts *counts, pfm_error *err) PFM_MUST_CHECK;

/* ---- the file ---- */

enum { PFM_INDEX_VERSION = 1, PFM_INDEX_APPLICATION = 0x50664d69 }; /* "PfMi", what SQLite calls the application id */

/* The statements that make the tables, in their order; the last one is with or without porter. */
typedef struct pfm_index_table {
    const char *name, *sql;
} pfm_index_table;
enum { PFM_INDEX_TABLES = 4 };
extern const pfm_index_table pfm_index_tables[2][PFM_INDEX_TABLES]; /* [porter] */

/* A database with its path, for what SQLite says of it. */
typedef struct pfm_database {
    sqlite3 *handle;
    const char *path; /* borrowed */
} pfm_database;

/* `code` as an error of ours. */
pfm_status pfm_database_fail(const pfm_database *database, int code, pfm_error *err);
/* *out = a statement that the caller finalizes. */
pfm_status pfm_database_prepare(const pfm_database *database, const char *sql, sqlite3_stmt **out,
                                pfm_error *err) PFM_MUST_CHECK;
/* *row = whether there is one; NULL: there must be none. */
pfm_status pfm_database_step(const pfm_database *database, sqlite3_stmt *statement, bool *row, pfm_error *err) PFM_MUST_CHECK;
/* Runs statements that give nothing. */
pfm_status pfm_database_run(const pfm_database *database, const char *sql, pfm_error *err) PFM_MUST_CHECK;
/* The hash of all that an index holds: how it was made, its sources and its snippets. */
pfm_status pfm_database_hash(const pfm_database *database, pfm_hash_hex out, pfm_error *err) PFM_MUST_CHECK;

/* An index that is open to be read. */
typedef struct pfm_index {
    pfm_database database;
    char *path;
    pfm_hash_hex sha256; /* of all that it holds */
    sqlite3_stmt *find, *get, *count;
    char **words; /* [word_count] that were asked for; `counts` says in how many snippets each stands */
    size_t word_count, word_capacity;
    pfm_map counts;
} pfm_index;

/* *out = the index, read once from end to end: what it holds is what its hash says. The caller closes it. wanted: NULL, or the
 * hash that it must have, else MISMATCH. IO: no such file. FORMAT: no index, or damaged. UNSUPPORTED: of another version, or
 * this SQLite has no FTS5. */
pfm_status pfm_index_open(const char *path, const char *wanted, pfm_index **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_index_close(pfm_index *index);
/* Whether the file's begin is that of an index, of whatever version. */
bool pfm_index_is(const char *path);

/* ---- finding ---- */

enum { PFM_INDEX_OWN_WORDS = 8, PFM_MOST_SNIPPETS = 100, PFM_INDEX_LOOKED_AT = 30000 };

/* What must not be found: what a row knows of its own answer. */
typedef struct pfm_own_texts {
    const char *record;   /* no snippet of a record with this id; NULL: none has it */
    const char *texts[2]; /* nor one that has eight words in a row in common with one of these, or all of them where it or the
                             other is shorter; NULL: none */
} pfm_own_texts;

/* Appends the best snippets for a text, a line each, at most `most` of them and together at most `most_words` words (0: no
 * limit; the last is cut at the end of a sentence, the first anywhere), and adds to `places` (a list, or NULL) "SOURCE:LINE"
 * for each. The text is words and nothing else, whatever signs it holds. The best is the one with the least bm25 (FTS5's,
 * k1 1.2, b 0.75), of equal ones the first of the corpus; a snippet with the same text as one before it is passed over. own
 * NULL: nothing is left out. */
pfm_status pfm_index_find(pfm_index *index, const char *text, const pfm_own_texts *own, int most, int most_words,
                          pfm_buffer *out, json_t *places, pfm_error *err) PFM_MUST_CHECK;

#endif
