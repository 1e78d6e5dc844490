/* A log of calls: JSON lines, one an attempt, each written whole by one call of the system. A kill may cut the last line off;
 * the next opening trims it. Every line is an object with "key", the SHA-256 of the compact JSON text of "request", which says
 * what was asked and of whom; one with "reply" is an answer. */
#ifndef PFM_CLIENT_CALL_LOG_H
#define PFM_CLIENT_CALL_LOG_H

#include "base/hash.h"

#include <jansson.h>
#include <stdbool.h>

typedef struct pfm_call_log pfm_call_log;

/* Opens the log of that path, or makes it, for this process alone. FORMAT names a line that is none of a log. */
pfm_status pfm_call_log_open(const char *path, pfm_call_log **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_call_log_free(pfm_call_log *log);

/* What the log holds of a key: attempts up to the first reply, 0 where there was none; and why the last one failed, NULL where
 * there is a reply or was no attempt (borrowed until the next is written). */
int pfm_call_log_attempts(const pfm_call_log *log, const pfm_hash_hex key);
const char *pfm_call_log_error(const pfm_call_log *log, const pfm_hash_hex key);

/* The reply to a request of this key, the first that was given; NULL where there is none. *cut_short (NULL allowed): whether a
 * limit ended it. Borrowed until the log is freed. */
const char *pfm_call_log_find(const pfm_call_log *log, const pfm_hash_hex key, bool *cut_short);
/* How many requests have a reply. */
size_t pfm_call_log_count(const pfm_call_log *log);

/* The key of a request. */
pfm_status pfm_call_log_key(const json_t *request, pfm_hash_hex out, pfm_error *err) PFM_MUST_CHECK;

/* One attempt. */
typedef struct pfm_call_line {
    const char *key, *label;
    json_t *request; /* borrowed */
    int attempt;     /* from 1 */
    long status;     /* HTTP's, 0: there was none */
    double seconds;
    const char *reply, *error; /* one of the two */
    const char *finish;        /* why the reply ended, or NULL */
    json_t *usage;             /* borrowed, or NULL */
} pfm_call_line;
/* Writes it, with the time; a reply can be found from then on. IO: the log cannot be written; it is as before. */
pfm_status pfm_call_log_append(pfm_call_log *log, const pfm_call_line *line, pfm_error *err) PFM_MUST_CHECK;
/* Writes, unless it stands there already, a line that is no attempt: what the log is to show besides, as its request. */
pfm_status pfm_call_log_note(pfm_call_log *log, const char *label, json_t *note, pfm_error *err) PFM_MUST_CHECK;

#endif
