/* Studies that arrived and are not answered yet: a folder a study below PEFOMED_HOME/serve/inbox, readable by its owner alone.
 * An object counts as received once its file, and the folder's entry of it, are on the disk. What a process that was killed
 * left there the next one takes up. Nothing here is named by what a study says: folders and files carry salted hashes. */
#ifndef PFM_PACS_INBOX_H
#define PFM_PACS_INBOX_H

#include "pacs/dimse.h"
#include "pefomed/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pfm_inbox pfm_inbox;

/* One study of one patient, of one sender. A Study Instance UID that two patients have, which should not be and is, is two
 * studies, as it is in archives. */
typedef struct pfm_inbox_study {
    char *folder;          /* its path; its last part names the study in the log and in the outbox */
    char key[33];          /* salted hash of study, patient and sender */
    pfm_dimse_title title; /* of who sent it */
    char host[64];         /* where from, an address */
    size_t objects;
    uint64_t bytes; /* of these */
    int open;       /* associations that brought some of it and go on */
    double changed; /* when the last of it came, or the last of these ended */
    bool taken;
} pfm_inbox_study;

/* What may wait at once; what comes beyond it is refused, and what was acknowledged stays. */
typedef struct pfm_inbox_limits {
    size_t studies;
    uint64_t bytes; /* of objects, those that are coming included */
} pfm_inbox_limits;

/* Makes the folder where it is not there, holds it for this process, and takes up what is in it, however much. IO also where
 * another process holds it. */
pfm_status pfm_inbox_open(const char *home, const pfm_inbox_limits *limits, pfm_inbox **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_inbox_close(pfm_inbox *inbox); /* NULL is allowed */
/* *studies = that wait or are being answered, *bytes of their objects. */
void pfm_inbox_count(pfm_inbox *inbox, size_t *studies, uint64_t *bytes);

/* ---- receiving: one thread an association ---- */

typedef struct pfm_inbox_visit pfm_inbox_visit;

/* What became of the objects of an association. */
typedef enum pfm_inbox_fate {
    PFM_INBOX_STORED,
    PFM_INBOX_DAMAGED, /* no DICOM, or cut: C000 */
    PFM_INBOX_STRANGE, /* without study or series, or another class or instance than its sender said: A900 */
    PFM_INBOX_FAILED,  /* could not be written: A700 */
    PFM_INBOX_FULL,    /* there is no room for it now: A700 */
    PFM_INBOX_LARGE,   /* more than most_bytes */
    PFM_INBOX_BROKEN,  /* its sender ended before it did */
    PFM_INBOX_FATES
} pfm_inbox_fate;
typedef size_t pfm_inbox_tally[PFM_INBOX_FATES];

pfm_status pfm_inbox_visit_begin(pfm_inbox *inbox, const char *host, size_t most_bytes, pfm_inbox_visit **out,
                                 pfm_error *err) PFM_MUST_CHECK;
/* Told once, before the first object. */
void pfm_inbox_visit_name(pfm_inbox_visit *visit, const char *title);
void pfm_inbox_object_begin(pfm_inbox_visit *visit, const pfm_dimse_object *object);
/* false: it is larger than most_bytes. What there is no room for is taken and forgotten. */
bool pfm_inbox_object_data(pfm_inbox_visit *visit, const void *bytes, size_t count);
/* Success once it is on the disk; else nothing of it is left. */
uint16_t pfm_inbox_object_end(pfm_inbox_visit *visit);
void pfm_inbox_visit_end(pfm_inbox_visit *visit, pfm_inbox_tally tally);

/* ---- answering ---- */

/* Removes what was answered by a process that was killed before it could do so; `name` is the last part of a study's folder. */
void pfm_inbox_sweep(pfm_inbox *inbox, bool (*is_answered)(void *user, const char *name), void *user);
/* A study that nothing was added to for `wait` seconds, borrowed until one of the next two; NULL where there is none. */
pfm_inbox_study *pfm_inbox_take(pfm_inbox *inbox, double wait);
/* Removes it from the disk. */
void pfm_inbox_remove(pfm_inbox *inbox, pfm_inbox_study *study);
/* It is to be taken again in so many seconds. */
void pfm_inbox_put_back(pfm_inbox *inbox, pfm_inbox_study *study, double seconds);

/* ---- what inbox and outbox have in common (private_folder.c) ---- */

/* *out = home/serve/NAME, made where it is not there, readable by its owner alone. Release with free(). */
pfm_status pfm_private_folder(const char *home, const char *name, char **out, pfm_error *err) PFM_MUST_CHECK;
/* Puts a folder's entries on the disk. */
bool pfm_private_folder_sync(const char *path);
/* Removes a folder and the files in it. */
void pfm_private_folder_remove(const char *path);

#endif
