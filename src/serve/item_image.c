#include "serve/item_image.h"

#include "base/file.h"
#include "base/try.h"
#include "serve/image_folders.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const size_t most_bytes = (size_t)256 << 20;

/* *path = the file; NULL where it is none, or in none of the folders. */
static pfm_status find(const char *const *folders, size_t count, const char *name, char **path, pfm_error *err)
{
    struct stat file;
    const pfm_status status = pfm_image_folders_find(folders, count, name, path, err);
    if (status == PFM_OK && *path != NULL && (stat(*path, &file) != 0 || !S_ISREG(file.st_mode))) {
        free(*path);
        *path = NULL;
    }
    return status;
}

pfm_status pfm_item_image_read(const char *const *folders, size_t count, const char *name, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    PFM_TRY(find(folders, count, name, &path, err));
    if (path == NULL || pfm_file_read(path, most_bytes, out, NULL) != PFM_OK)
        PFM_FAIL(PFM_ERROR_MISMATCH, "the image is not in the folders of images, or cannot be read");
done:
    free(path);
    return status;
}

pfm_status pfm_item_image_name(const char *names, size_t k, char **out, pfm_error *err)
{
    *out = NULL;
    for (; *names != '\0'; k--) {
        const size_t length = strcspn(names, "\n");
        if (k == 0)
            return pfm_string_copy_n(names, length, out, err);
        names += length + (names[length] == '\n');
    }
    return PFM_OK;
}

json_t *pfm_item_images_list(const char *const *folders, size_t count, const char *names)
{
    json_t *list = json_array();
    while (count > 0 && *names != '\0') {
        const size_t length = strcspn(names, "\n");
        char *name = NULL, *path = NULL;
        const bool here = pfm_string_copy_n(names, length, &name, NULL) == PFM_OK &&
                          find(folders, count, name, &path, NULL) == PFM_OK && path != NULL;
        list = pfm_json_add(list, json_boolean(here));
        free(name);
        free(path);
        names += length + (names[length] == '\n');
    }
    return list;
}
