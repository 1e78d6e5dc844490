/* The record of answers: a file of JSON lines, one an answer, each chained to the one before by hash (docs/records.md). */
#ifndef PEFOMED_RECORD_H
#define PEFOMED_RECORD_H

#include "pefomed/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pfm_record_options {
    const char *path;  /* the file, made where it is not there, readable by its owner alone; NULL: nothing is recorded */
    const char *texts; /* what stands there of prompts and answers: "text", or "hash": salted hashes; NULL: text */
} pfm_record_options;

/* Reads a record and checks every entry against the one before. head (NULL: none is known) is the hash of an entry that was
 * told or written down at some time: it must still be there, which shows that the end was not cut off or written anew.
 * *json = {"file","intact","entries","answers","first","last" (times),"head","torn":[{"line","bytes"}],"head_found" (of a head:
 * the line, or null), "broken" (null, or {"line","sequence","kind","reason"} of the first)}; kind is "changed", "missing",
 * "reordered", "repeated" or "cut". The caller calls free(). A broken record is no error. USAGE: a head that is no hash. IO:
 * no such file. */
pfm_status pfm_record_verify(const char *path, const char *head, char **json, pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
