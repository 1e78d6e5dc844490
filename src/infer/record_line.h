/* A line of a record of answers:
 *   {"record":1,"sequence":N,"time":"...","program":"...", ...,"prev":"H","hash":"H"}
 * prev is the SHA-256 of the line before, without its newline (64 zeros before the first), hash that of this line's bytes
 * before
 * ,"hash". So a hash stands for its line and for all before. */
#ifndef PFM_INFER_RECORD_LINE_H
#define PFM_INFER_RECORD_LINE_H

#include "base/hash.h"
#include "base/memory.h"

#include <jansson.h>
#include <stdbool.h>

#define PFM_RECORD_BEGIN "{\"record\":1,\"sequence\":"
#define PFM_RECORD_NONE "0000000000000000000000000000000000000000000000000000000000000000"
#define PFM_RECORD_TORN                                                                                                        \
    "torn" /* the event of an entry that tells of bytes before it which a kill left, and which are no entry */

/* Seconds and milliseconds, UTC: "2026-11-27T09:00:00.123Z". */
typedef char pfm_record_time[32];

typedef struct pfm_record_line {
    bool whole;    /* it is an entry, as it was written; else nothing below says anything */
    bool is_event; /* and tells of torn bytes; else of an answer */
    size_t torn;   /* how many */
    pfm_hash_hex torn_hash;
    uint64_t sequence; /* from 1 */
    pfm_record_time time;
    pfm_hash_hex prev, hash;
} pfm_record_line;

/* Reads a line without its newline. What is no entry is no error, but not whole. */
pfm_status pfm_record_line_read(const char *text, size_t size, pfm_record_line *out, pfm_error *err) PFM_MUST_CHECK;
/* Appends the line with the members of an object, and its newline. *hash = its own, *line_hash = what the next one's prev is.
 */
pfm_status pfm_record_line_write(uint64_t sequence, const json_t *members, const pfm_hash_hex prev, pfm_buffer *out,
                                 pfm_hash_hex hash, pfm_hash_hex line_hash, pfm_error *err) PFM_MUST_CHECK;
/* The number that a line gives itself, whatever else is wrong with it; 0: none. */
uint64_t pfm_record_line_sequence(const char *text, size_t size);

#endif
