#include "models/aligner/aligner.h"

#include <string.h>

/* Every kind, a line each. */
static const pfm_aligner *const aligners[] = {&pfm_aligner_concat_linear};

pfm_status pfm_aligner_find(const char *name, const pfm_aligner **out, pfm_error *err)
{
    for (size_t i = 0; i < sizeof aligners / sizeof *aligners; i++) {
        if (strcmp(aligners[i]->name, name) == 0) {
            *out = aligners[i];
            return PFM_OK;
        }
    }
    return pfm_error_set(err, PFM_ERROR_USAGE, "there is no aligner '%s'; known is concat-linear", name);
}
