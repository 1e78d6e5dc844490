#include "eval/shown.h"

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/try.h"

#include <stdlib.h>

/* Most files are JPEG: their first bytes say that there are no values, and no pixel is looked at. */
static pfm_status may_hold_values(const char *path, bool *out, pfm_error *err)
{
    pfm_mapping file = {0};
    pfm_status status = pfm_mapping_open(path, &file, err);
    *out = status == PFM_OK && pfm_image_may_hold_values(file.data, file.size);
    pfm_mapping_close(&file);
    return status;
}

static pfm_status read_one(const pfm_image_file *file, const char *window, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_image image = {0};
    pfm_image_applied applied;
    char *text = NULL;
    bool may = false;
    PFM_TRY(may_hold_values(file->path, &may, err));
    if (!may)
        goto done;
    PFM_TRY(pfm_image_load_file(file, window, &image, &applied, err));
    if (!applied.has_values)
        goto done;
    PFM_TRY(pfm_image_applied_json(&applied, &text, err));
    *out = json_loads(text, 0, NULL);
    if (*out == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not keep how %s is shown", file->path);
done:
    pfm_image_free(&image);
    free(text);
    return status;
}

pfm_status pfm_shown_read(pfm_context *context, const pfm_dataset *dataset, const size_t *replacement, const char *window,
                          pfm_shown *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_image_file *files = NULL;
    PFM_TRY(pfm_dataset_list_images(dataset, &files, err));
    PFM_TRY(pfm_allocate(dataset->image_count, sizeof *out->images, &out->images, err));
    out->count = dataset->image_count;
    for (size_t i = 0; i < out->count; i++) {
        if (pfm_interrupted(context))
            PFM_FAIL(PFM_ERROR_INTERRUPTED, "stopped while reading how the images are shown");
        PFM_TRY(read_one(&files[replacement != NULL ? replacement[i] : i], window, &out->images[i], err));
    }
done:
    free(files);
    return status;
}

pfm_status pfm_shown_tell(const pfm_shown *shown, const pfm_row *row, json_t *prediction, pfm_error *err)
{
    json_t *list = json_array();
    bool any = false;
    for (size_t k = 0; k < row->image_count; k++) {
        const size_t index = (size_t)row->images[k].index;
        json_t *one = index < shown->count ? shown->images[index] : NULL;
        any = any || one != NULL;
        list = pfm_json_add(list, one != NULL ? json_incref(one) : json_null());
    }
    if (any)
        return pfm_json_take(prediction, "shown", list, err);
    json_decref(list);
    return PFM_OK;
}

void pfm_shown_free(pfm_shown *shown)
{
    for (size_t i = 0; i < shown->count; i++)
        json_decref(shown->images[i]);
    free(shown->images);
    *shown = (pfm_shown){0};
}
