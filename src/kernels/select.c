#include "kernels/levels.h"

#include <string.h>

/* In ascending order: a level stands on those before it. */
static const struct level {
    const char *name;
    bool (*supported)(void); /* by the processor and, for its registers, by the operating system; NULL: everywhere */
    void (*overlay)(pfm_kernels *out);
} levels[] = {
    {"ref", NULL, pfm_ref_fill},
    {"avx2", pfm_avx2_supported, pfm_avx2_overlay},
    {"avx512", pfm_avx512_supported, pfm_avx512_overlay},
};
enum { LEVELS = sizeof levels / sizeof levels[0] };

static bool is_supported(const struct level *level) { return level->supported == NULL || level->supported(); }

pfm_status pfm_kernels_select(const char *level, pfm_kernels *out, pfm_error *err)
{
    int chosen = -1;
    for (int i = 0; i < LEVELS; i++)
        if (level == NULL ? is_supported(&levels[i]) : strcmp(level, levels[i].name) == 0)
            chosen = i;
    if (chosen < 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "there is no kernel level '%s'; PEFOMED_CPU is one of ref, avx2, avx512",
                             level);
    if (!is_supported(&levels[chosen]))
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "this machine lacks the kernel level '%s'; leave PEFOMED_CPU unset for its best", level);
    for (int i = 0; i <= chosen; i++)
        levels[i].overlay(out);
    out->level = levels[chosen].name;
    return PFM_OK;
}
