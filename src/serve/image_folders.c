#include "serve/image_folders.h"

#include "base/file.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_INNER = 1000 };

pfm_status pfm_image_folders_check(const char *const *folders, size_t count, pfm_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (!pfm_path_is_folder(folders[i]))
            return pfm_error_set(err, PFM_ERROR_USAGE, "%s is no folder; --images wants one that is there", folders[i]);
    return PFM_OK;
}

/* The path without links; NULL where it is not there, or not below the folder `root`, which has none. */
static char *resolve(const char *root, const char *folder, const char *name)
{
    char *joined = NULL, *real = NULL;
    const size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (pfm_path_join(folder, name, &joined, NULL) == PFM_OK)
        real = realpath(joined, NULL);
    if (real != NULL && (strncmp(real, root, length) != 0 || real[length] != '/' || real[length + 1] == '\0')) {
        free(real);
        real = NULL;
    }
    free(joined);
    return real;
}

/* In the folders that lie in this one: a data set's own folder often has its images one below. */
static pfm_status find_inner(const char *root, const char *name, char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char **entries = NULL;
    size_t count = 0;
    if (pfm_folder_list(root, &entries, &count, NULL) != PFM_OK)
        return PFM_OK;
    for (size_t i = 0, looked = 0; *out == NULL && i < count && looked < MOST_INNER; i++) {
        char *inner = NULL;
        PFM_TRY(pfm_path_join(root, entries[i], &inner, err));
        if (entries[i][0] != '.' && pfm_path_is_folder(inner)) {
            *out = resolve(root, inner, name);
            looked++;
        }
        free(inner);
    }
done:
    for (size_t i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return status;
}

pfm_status pfm_image_folders_find(const char *const *folders, size_t count, const char *name, char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *out = NULL;
    for (size_t i = 0; status == PFM_OK && *out == NULL && name[0] != '\0' && i < count; i++) {
        char *root = realpath(folders[i], NULL);
        if (root != NULL)
            *out = resolve(root, root, name);
        if (root != NULL && *out == NULL && name[0] != '/')
            status = find_inner(root, name, out, err);
        free(root);
    }
    return status;
}
