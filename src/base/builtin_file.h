/* Files that are a part of the program: cmake/builtin_files.cmake makes lists of them, which end with a name that is NULL. */
#ifndef PFM_BASE_BUILTIN_FILE_H
#define PFM_BASE_BUILTIN_FILE_H

#include "base/json.h"

typedef struct pfm_builtin_file {
    const char *name, *file, *text; /* "index", "index.html", what is in it */
    size_t size;
    const char *hash; /* of its bytes, in hex: another one where they change */
} pfm_builtin_file;

/* The one of this name in a list, without or with its ending; NULL where there is none. */
const pfm_builtin_file *pfm_builtin_find(const pfm_builtin_file *files, const char *name);
const pfm_builtin_file *pfm_builtin_find_file(const pfm_builtin_file *files, const char *file);
/* *json = {key: [what `describe` says of each file of such a list]}. Release with free(). */
typedef pfm_status (*pfm_builtin_describer)(const pfm_builtin_file *file, json_t **out, pfm_error *err);
pfm_status pfm_builtin_list(const pfm_builtin_file *files, const char *key, pfm_builtin_describer describe, char **json,
                            pfm_error *err) PFM_MUST_CHECK;

#endif
