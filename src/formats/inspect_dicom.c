#include "base/try.h"
#include "formats/inspect_internal.h"
#include "pefomed/dicom.h"

#include <stdlib.h>

static bool probe(const pfm_inspect_target *target)
{
    return !target->is_folder && pfm_dicom_is(target->head, target->head_size, target->bytes);
}

/* What the first frame shows, where there is one that can be decoded; what cannot, `image` says. */
static pfm_status look_for_text(const pfm_inspect_target *target, const pfm_mapping *mapping, json_t *out, pfm_error *err)
{
    pfm_image image = {0};
    pfm_error refused = PFM_ERROR_INIT;
    pfm_status status = pfm_image_decode(mapping->data, mapping->size, target->path, &image, &refused);
    if (status == PFM_OK)
        status = pfm_inspect_burned_in(&image, out, err);
    else if (status == PFM_ERROR_NO_MEMORY)
        status = pfm_error_set(err, status, "%s", refused.message);
    else
        status = PFM_OK;
    pfm_image_free(&image);
    return status;
}

static pfm_status describe(const pfm_inspect_target *target, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_mapping mapping = {0};
    char *text = NULL;
    json_t *described = NULL;
    PFM_TRY(pfm_mapping_open(target->path, &mapping, err));
    PFM_TRY(pfm_dicom_describe(mapping.data, mapping.size, target->path, target->identifiers, &text, err));
    described = json_loads(text, 0, NULL);
    if (described == NULL || json_object_update(out, described) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not describe %s", target->path);
    PFM_TRY(look_for_text(target, &mapping, out, err));
done:
    json_decref(described);
    free(text);
    pfm_mapping_close(&mapping);
    return status;
}

const pfm_inspector pfm_inspector_dicom = {.kind = "dicom", .probe = probe, .describe = describe};
