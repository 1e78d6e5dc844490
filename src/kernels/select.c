#include "kernels/kernels.h"

#include <string.h>

pfm_status pfm_kernels_select(const char *level, pfm_kernels *out, pfm_error *err)
{
    *out = (pfm_kernels){.level = "ref"};
    if (level != NULL && strcmp(level, "ref") != 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "there is no kernel level '%s'; PEFOMED_CPU is one of ref, avx2, avx512", level);
    return PFM_OK;
}
