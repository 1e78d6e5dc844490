#include "serve/item_image.h"

#include "base/file.h"
#include "base/try.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const size_t most_bytes = (size_t)256 << 20;

/* *path = the file itself, all links followed; NULL where it is none, or does not lie in the folder. */
static pfm_status resolve_in(const char *folder, const char *name, char **path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    struct stat file;
    char *joined = NULL, *real = NULL, *root = realpath(folder, NULL);
    *path = NULL;
    if (root == NULL || name[0] == '/' || name[0] == '\0')
        goto done;
    PFM_TRY(pfm_path_join(folder, name, &joined, err));
    real = realpath(joined, NULL);
    const size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (real == NULL || strncmp(real, root, length) != 0 || real[length] != '/' || stat(real, &file) != 0 ||
        !S_ISREG(file.st_mode))
        goto done;
    *path = real;
    real = NULL;
done:
    free(joined);
    free(real);
    free(root);
    return status;
}

/* The same of the first folder that has it. */
static pfm_status resolve(const char *const *folders, size_t count, const char *name, char **path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *path = NULL;
    for (size_t i = 0; status == PFM_OK && *path == NULL && i < count; i++)
        status = resolve_in(folders[i], name, path, err);
    return status;
}

pfm_status pfm_item_image_read(const char *const *folders, size_t count, const char *name, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    PFM_TRY(resolve(folders, count, name, &path, err));
    if (path == NULL || pfm_file_read(path, most_bytes, out, NULL) != PFM_OK)
        PFM_FAIL(PFM_ERROR_MISMATCH, "the image is not in the folder of images, or cannot be read");
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
                          resolve(folders, count, name, &path, NULL) == PFM_OK && path != NULL;
        list = pfm_json_add(list, json_boolean(here));
        free(name);
        free(path);
        names += length + (names[length] == '\n');
    }
    return list;
}
