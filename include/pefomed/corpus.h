/* A corpus of texts, cut into snippets and indexed in one file (SQLite's FTS5), from which questions are shown what fits them.
 */
#ifndef PEFOMED_CORPUS_H
#define PEFOMED_CORPUS_H

#include "pefomed/context.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    PFM_INDEX_WORDS = 100,        /* of a snippet, where nothing else is said */
    PFM_INDEX_OVERLAP = 20,       /* the words that a snippet repeats of the one before it, at most */
    PFM_INDEX_LEAST_WORDS = 10,   /* of a snippet */
    PFM_INDEX_MOST_WORDS = 10000, /* of a snippet */
    PFM_INDEX_MOST_COLUMNS = 16,  /* that are joined */
};

typedef struct pfm_index_options {
    const char *const *paths; /* [path_count] files (.txt, .md, .jsonl, .ndjson, .csv) and folders that hold such files */
    int path_count;
    const char *out;            /* the index; one that is there is replaced */
    const char *const *columns; /* [column_count] of the records, joined to one text; none: "text" */
    int column_count;
    const char *search; /* NULL, or a column that is searched with the text and not shown */
    const char *id;     /* the column that names a record; NULL: "id", where there is one */
    int words, overlap; /* the most words of a snippet, and those it repeats, at most half of the former */
    bool porter;        /* English words are found by their stems */
} pfm_index_options;

/* Cuts the corpus into snippets and writes the index, whole or not at all; the same files, options and version of SQLite give
 * the same bytes. *json_out = {"out","bytes","snippets","words" (of all snippets, repeated ones counted twice),"records",
 * "left_out" (records whose text is empty or null),"sha256","sources":[{"name","kind","snippets"}]}, released by the caller
 * with free().
 *
 * USAGE: options that cannot be, a corpus without words, an output that is there and is no index. IO: a file that cannot be
 * read or written. FORMAT: a file that is not UTF-8, not JSON or not CSV, a record without the columns; with its place.
 * INTERRUPTED: the user stopped it, and nothing is written. */
pfm_status pfm_index_build(const pfm_context *context, const pfm_index_options *options, char **json_out,
                           pfm_error *err) PFM_MUST_CHECK;

/* *json_out = what an index holds: {"version","sha256","snippets","words_at_most","overlap","stemmer","columns":[...],"search",
 * "sources":[{"name","kind","sha256","snippets"}]}. IO, FORMAT, UNSUPPORTED: no such file, no index, one of another version. */
pfm_status pfm_index_describe(const char *path, char **json_out, pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
