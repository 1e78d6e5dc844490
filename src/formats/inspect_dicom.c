#include "formats/inspect_internal.h"

/* DICOM PS3.10, 7.1: 128 bytes of preamble, then the prefix. */
static bool probe(const pfm_inspect_target *target) { return memcmp(target->head + 128, "DICM", 4) == 0; }

static pfm_status describe(const pfm_inspect_target *target, json_t *out, pfm_error *err)
{
    (void)out;
    return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                         "%s is a DICOM file, which this version does not read yet; convert it to PNG with its window applied",
                         target->path);
}

const pfm_inspector pfm_inspector_dicom = {.kind = "dicom", .probe = probe, .describe = describe};
