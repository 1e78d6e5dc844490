/* The file of a record of answers: entries are appended, under a lock that other processes respect, and are on the disk when
 * the call returns. */
#ifndef PFM_INFER_RECORD_H
#define PFM_INFER_RECORD_H

#include "base/hash.h"
#include "pefomed/context.h"

#include <jansson.h>

typedef struct pfm_record pfm_record;

/* What an entry is known by. The hash stands for it and all before. */
typedef struct pfm_record_receipt {
    uint64_t sequence; /* 0: there is none yet */
    pfm_hash_hex hash;
} pfm_record_receipt;

/* Opens a record, or makes one. Bytes behind the last whole line, which a kill or a power cut left, stay where they are, and an
 * entry says so; the chain goes on from the last whole entry. FORMAT: the file is no record, or its last entry was changed. */
pfm_status pfm_record_open(const pfm_context *context, const char *path, pfm_record **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_record_close(pfm_record *record);
/* Appends an entry with the members of an object, from any thread. On error it counts as not recorded, though it may be there.
 * IO: the disk is full, or the file was moved, removed or cut meanwhile. */
pfm_status pfm_record_append(pfm_record *record, const json_t *members, pfm_record_receipt *out, pfm_error *err) PFM_MUST_CHECK;
/* The last entry that this process knows of. */
void pfm_record_head(pfm_record *record, pfm_record_receipt *out);

#endif
