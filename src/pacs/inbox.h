/* Studies that arrived and are not answered yet: a folder a study below PEFOMED_HOME/serve/inbox, readable by its owner alone.
 * An object counts as received once its file, and the folder's entry of it, are on the disk. What a process that was killed
 * left there the next one takes up. Nothing here is named by what a study says: folders and files carry salted hashes. */
#ifndef PFM_PACS_INBOX_H
#define PFM_PACS_INBOX_H

#include "pacs/dimse.h"
#include "pefomed/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct pfm_inbox pfm_inbox;

/* One study of one sender. */
typedef struct pfm_inbox_study {
    char *folder;          /* its path; its last part names the study in the log and in the outbox */
    char key[33];          /* salted hash of study and sender */
    pfm_dimse_title title; /* of who sent it */
    char host[64];         /* where from, an address */
    size_t objects;
    int open;       /* associations that brought some of it and go on */
    double changed; /* when the last of it came, or the last of these ended */
    bool taken;
} pfm_inbox_study;

/* Makes the folder where it is not there, holds it for this process, and takes up what is in it. IO also where another process
 * holds it. */
pfm_status pfm_inbox_open(const char *home, pfm_inbox **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_inbox_close(pfm_inbox *inbox); /* NULL is allowed */

/* ---- receiving: one thread an association ---- */

typedef struct pfm_inbox_visit pfm_inbox_visit;
pfm_status pfm_inbox_visit_begin(pfm_inbox *inbox, const char *host, size_t most_bytes, pfm_inbox_visit **out,
                                 pfm_error *err) PFM_MUST_CHECK;
/* Told once, before the first object. */
void pfm_inbox_visit_name(pfm_inbox_visit *visit, const char *title);
void pfm_inbox_object_begin(pfm_inbox_visit *visit, const pfm_dimse_object *object);
/* false: it is larger than most_bytes. */
bool pfm_inbox_object_data(pfm_inbox_visit *visit, const void *bytes, size_t count);
/* Success once it is on the disk; else nothing of it is left. */
uint16_t pfm_inbox_object_end(pfm_inbox_visit *visit);
/* *stored = objects that were received. NULL is allowed. */
void pfm_inbox_visit_end(pfm_inbox_visit *visit, size_t *stored);

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
