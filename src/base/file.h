/* Files: mapping, reading, whole-or-nothing writing, folders. Paths are UTF-8 and every error names them. */
#ifndef PFM_BASE_FILE_H
#define PFM_BASE_FILE_H

#include "base/memory.h"

#include <stdbool.h>

/* A file mapped read-only. data is NULL and size 0 for an empty file. */
typedef struct pfm_mapping {
    const unsigned char *data;
    size_t size;
} pfm_mapping;
pfm_status pfm_mapping_open(const char *path, pfm_mapping *out, pfm_error *err) PFM_MUST_CHECK;
void pfm_mapping_close(pfm_mapping *mapping);
/* Tells the system that these bytes of the mapping will not be read again soon, so that they no longer count as memory. */
void pfm_mapping_release(const pfm_mapping *mapping, const void *data, size_t size);

/* *out (to be {0}) = the whole file; FORMAT when it is larger than `limit` bytes (0: no limit). */
pfm_status pfm_file_read(const char *path, size_t limit, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

/* A file that appears whole or not at all: written under a temporary name beside `path`, synced and renamed by commit.
 * After begin exactly one of commit and abort must be called (abort after a failed write; commit cleans up after itself). */
typedef struct pfm_atomic_file {
    char *path, *temporary;
    int descriptor;
} pfm_atomic_file;
pfm_status pfm_atomic_file_begin(const char *path, pfm_atomic_file *out, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_atomic_file_write(pfm_atomic_file *file, const void *bytes, size_t count, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_atomic_file_commit(pfm_atomic_file *file, pfm_error *err) PFM_MUST_CHECK;
void pfm_atomic_file_abort(pfm_atomic_file *file); /* a file already committed or aborted is left alone */

/* begin, write, commit in one. */
pfm_status pfm_file_write(const char *path, const void *bytes, size_t count, pfm_error *err) PFM_MUST_CHECK;

bool pfm_path_exists(const char *path);
bool pfm_path_is_folder(const char *path);
/* Creates a folder and those above it; one that exists is no error. */
pfm_status pfm_folder_create(const char *path, pfm_error *err) PFM_MUST_CHECK;
/* Brings the names in the folder of a file onto the disk, as far as the system does that. */
void pfm_folder_sync_of(const char *path);
/* Holds a folder for this process until *descriptor is closed, at the latest at the process's end; no file is left behind. IO
 * where another one holds it. */
pfm_status pfm_folder_hold(const char *path, int *descriptor, pfm_error *err) PFM_MUST_CHECK;
/* Whether a process holds it, this one too; it is not disturbed. false where that cannot be told. */
bool pfm_folder_is_held(const char *path);
/* *out = the names in a folder, sorted bytewise, without . and ..; free each and the array. */
pfm_status pfm_folder_list(const char *path, char ***out, size_t *count, pfm_error *err) PFM_MUST_CHECK;
/* *out = folder/name, or name alone where it is absolute or folder is empty. Release with free(). */
pfm_status pfm_path_join(const char *folder, const char *name, char **out, pfm_error *err) PFM_MUST_CHECK;
/* *out = the file `name` in the folder that path is or lies in. Release with free(). */
pfm_status pfm_path_beside(const char *path, const char *name, char **out, pfm_error *err) PFM_MUST_CHECK;
/* The part behind the last slash; borrowed from path. */
const char *pfm_path_name(const char *path);

#endif
