#include "base/try.h"
#include "formats/inspect_internal.h"
#include "pefomed/dicom.h"

#include <stdlib.h>

static bool probe(const pfm_inspect_target *target)
{
    return !target->is_folder && pfm_dicom_is(target->head, target->head_size, target->bytes);
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
done:
    json_decref(described);
    free(text);
    pfm_mapping_close(&mapping);
    return status;
}

const pfm_inspector pfm_inspector_dicom = {.kind = "dicom", .probe = probe, .describe = describe};
