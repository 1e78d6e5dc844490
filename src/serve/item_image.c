#include "serve/item_image.h"

#include "serve/image_folders.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct item_name {
    const char *text;
    size_t length;
} item_name;

static bool is_before(const char *names, const item_name *name)
{
    for (const char *line = names; line < name->text; line += strcspn(line, "\n") + 1)
        if (strcspn(line, "\n") == name->length && strncmp(line, name->text, name->length) == 0)
            return true;
    return false;
}

/* The next of the names that is not one of those before it; *at is where it is sought. */
static bool next_name(const char *names, const char **at, item_name *out)
{
    while (**at != '\0') {
        *out = (item_name){*at, strcspn(*at, "\n")};
        *at += out->length + ((*at)[out->length] == '\n');
        if (!is_before(names, out))
            return true;
    }
    return false;
}

/* Whether it is a file, or the folder of a series, in one of the folders. */
static bool is_there(const char *const *folders, size_t count, const item_name *name)
{
    struct stat file;
    char *text = NULL, *path = NULL;
    const bool is = pfm_string_copy_n(name->text, name->length, &text, NULL) == PFM_OK &&
                    pfm_image_folders_find(folders, count, text, &path, NULL) == PFM_OK && path != NULL &&
                    stat(path, &file) == 0 && (S_ISREG(file.st_mode) || S_ISDIR(file.st_mode));
    free(text);
    free(path);
    return is;
}

pfm_status pfm_item_image_name(const char *names, size_t k, char **out, pfm_error *err)
{
    item_name name;
    *out = NULL;
    for (const char *at = names; next_name(names, &at, &name); k--)
        if (k == 0)
            return pfm_string_copy_n(name.text, name.length, out, err);
    return PFM_OK;
}

json_t *pfm_item_images_list(const char *const *folders, size_t count, const char *names)
{
    json_t *list = json_array();
    item_name name;
    for (const char *at = names; count > 0 && next_name(names, &at, &name);)
        list = pfm_json_add(list, json_boolean(is_there(folders, count, &name)));
    return list;
}
