#include "base/builtin_file.h"

#include "base/try.h"

#include <string.h>

const pfm_builtin_file *pfm_builtin_find(const pfm_builtin_file *files, const char *name)
{
    while (files->name != NULL && strcmp(files->name, name) != 0)
        files++;
    return files->name != NULL ? files : NULL;
}

const pfm_builtin_file *pfm_builtin_find_file(const pfm_builtin_file *files, const char *file)
{
    while (files->name != NULL && strcmp(files->file, file) != 0)
        files++;
    return files->name != NULL ? files : NULL;
}

pfm_status pfm_builtin_list(const pfm_builtin_file *files, const char *key, pfm_builtin_describer describe, char **json,
                            pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *document = json_object(), *list = json_array(), *entry = NULL;
    for (; files->name != NULL; files++) {
        PFM_TRY(describe(files, &entry, err));
        list = pfm_json_add(list, entry);
    }
    PFM_TRY(pfm_json_take(document, key, json_incref(list), err));
    PFM_TRY(pfm_json_print(document, json, err));
done:
    json_decref(list);
    json_decref(document);
    return status;
}
