#include "base/context.h"
#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "pacs/dicomweb.h"
#include "pefomed/pacs.h"

#include <stdlib.h>

typedef struct pushing {
    pfm_context *context;
    pfm_web *web;
    size_t objects;
} pushing;

static pfm_status push_file(pushing *p, const char *path, pfm_error *err)
{
    pfm_error inner = PFM_ERROR_INIT;
    if (pfm_interrupted(p->context))
        return pfm_error_set(err, PFM_ERROR_INTERRUPTED, "interrupted after %zu objects", p->objects);
    const pfm_status status = pfm_dicomweb_store(p->web, path, &inner);
    if (status == PFM_ERROR_NETWORK)
        return pfm_error_set(err, status, "%s is not stored: %s; %zu objects before it are", path, inner.message, p->objects);
    if (status != PFM_OK)
        return pfm_error_set(err, status, "%s", inner.message);
    p->objects++;
    pfm_report_progress(p->context, "storing", "objects", (double)p->objects, 0, "");
    return PFM_OK;
}

/* A file, or those of a folder in the order of their names. */
static pfm_status push(pushing *p, const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char **names = NULL;
    size_t count = 0;
    if (!pfm_path_is_folder(path))
        return push_file(p, path, err);
    PFM_TRY(pfm_folder_list(path, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        char *file = NULL;
        if (status == PFM_OK)
            status = pfm_path_join(path, names[i], &file, err);
        if (status == PFM_OK && !pfm_path_is_folder(file))
            status = push_file(p, file, err);
        free(file);
        free(names[i]);
    }
done:
    free(names);
    return status;
}

pfm_status pfm_pacs_push(pfm_context *context, const pfm_pacs_push_options *options, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pushing p = {.context = context};
    json_t *document = json_object();
    PFM_TRY(pfm_dicomweb_open(options->url, options->credentials, options->allow_remote, PFM_DICOMWEB_SECONDS, &p.web, err));
    for (size_t i = 0; i < options->file_count; i++)
        PFM_TRY(push(&p, options->files[i], err));
    PFM_TRY(pfm_json_take(document, "url", json_string(pfm_web_url(p.web)), err));
    PFM_TRY(pfm_json_take(document, "objects", json_integer((json_int_t)p.objects), err));
    PFM_TRY(pfm_json_print(document, json, err));
done:
    json_decref(document);
    pfm_web_free(p.web);
    return status;
}
