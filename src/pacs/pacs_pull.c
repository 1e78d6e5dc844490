#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "pacs/dicomweb.h"
#include "pefomed/pacs.h"

#include "base/context.h"

#include <stdlib.h>

enum { SERIES = 100, OBJECT_MIB = 2048 };

static pfm_status pull_series(pfm_web *web, const pfm_pacs_pull_options *o, const pfm_dicomweb_series *series, size_t number,
                              json_t *list, size_t *objects, size_t *bytes, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t most = (size_t)(o->object_mib > 0 ? o->object_mib : OBJECT_MIB) << 20;
    char *folder = NULL;
    PFM_TRY(pfm_string_format(&folder, err, "%s/series-%03zu", o->out, number));
    if (pfm_path_exists(folder))
        PFM_FAIL(PFM_ERROR_USAGE, "%s is there already; name another folder with --out", folder);
    PFM_TRY(pfm_folder_create(folder, err));
    PFM_TRY(pfm_dicomweb_fetch(web, series, most, folder, objects, bytes, err));
    json_t *one = json_pack("{s:s,s:s,s:I,s:I}", "folder", pfm_path_name(folder), "modality", series->modality, "objects",
                            (json_int_t)*objects, "bytes", (json_int_t)*bytes);
    if (one == NULL || json_array_append_new(list, one) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not list the series");
done:
    free(folder);
    return status;
}

pfm_status pfm_pacs_pull(pfm_context *context, const pfm_pacs_pull_options *options, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_web *web = NULL;
    pfm_dicomweb_series *series = NULL;
    json_t *document = json_object(), *list = json_array();
    size_t count = 0, objects = 0, bytes = 0;
    PFM_TRY(pfm_dicomweb_open(options->url, options->credentials, options->allow_remote, PFM_DICOMWEB_SECONDS, &web, err));
    PFM_TRY(pfm_dicomweb_find(web, options->query, options->query_count, options->limit > 0 ? (size_t)options->limit : SERIES,
                              &series, &count, err));
    for (size_t i = 0; i < count; i++) {
        size_t some_objects = 0, some_bytes = 0;
        if (pfm_interrupted(context))
            PFM_FAIL(PFM_ERROR_INTERRUPTED, "interrupted after %zu of %zu series; what was fetched is in %s", i, count,
                     options->out);
        pfm_report_progress(context, "fetching", "series", (double)i, (double)count, "");
        PFM_TRY(pull_series(web, options, &series[i], i + 1, list, &some_objects, &some_bytes, err));
        objects += some_objects;
        bytes += some_bytes;
    }
    PFM_TRY(pfm_json_take(document, "out", json_string(options->out), err));
    PFM_TRY(pfm_json_take(document, "series", json_incref(list), err));
    PFM_TRY(pfm_json_take(document, "objects", json_integer((json_int_t)objects), err));
    PFM_TRY(pfm_json_take(document, "bytes", json_integer((json_int_t)bytes), err));
    PFM_TRY(pfm_json_print(document, json, err));
done:
    json_decref(list);
    json_decref(document);
    free(series);
    pfm_web_free(web);
    return status;
}
