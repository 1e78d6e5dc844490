#include "kernels/onednn/onednn_engine.h"

#include "base/try.h"

#include <stdbool.h>
#include <string.h>

/* libgomp's, the OpenMP that Debian's oneDNN is linked with; declared here because <omp.h> comes with one compiler only. */
int omp_get_max_threads(void);
void omp_set_num_threads(int count);

int pfm_onednn_enter(void)
{
    int before = omp_get_max_threads();
    if (before != 1)
        omp_set_num_threads(1);
    return before;
}

void pfm_onednn_leave(int before)
{
    if (before != 1)
        omp_set_num_threads(before);
}

pfm_status pfm_onednn_check(dnnl_status_t result, const char *what, pfm_error *err)
{
    switch (result) {
    case dnnl_success: return PFM_OK;
    case dnnl_out_of_memory: return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "there is not enough memory for %s", what);
    case dnnl_unimplemented:
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "this oneDNN has no implementation of %s; try PEFOMED_CPU=ref", what);
    default:
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "oneDNN refused %s (status %d); try PEFOMED_CPU=ref", what,
                             (int)result);
    }
}

/* The limit can be set until oneDNN is first used; after that only an equal one will do. */
static pfm_status limit_instructions(const char *level, pfm_error *err)
{
    bool narrow = strcmp(level, "avx2") == 0;
    if (dnnl_set_max_cpu_isa(narrow ? dnnl_cpu_isa_avx2 : dnnl_cpu_isa_all) == dnnl_success)
        return PFM_OK;
    bool is_narrow = dnnl_get_effective_cpu_isa() == dnnl_cpu_isa_avx2;
    if (is_narrow == narrow)
        return PFM_OK;
    return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                         "this process already uses oneDNN at %s and cannot change to kernel level %s; use another process",
                         is_narrow ? "avx2" : "another level", level);
}

pfm_status pfm_onednn_engine_create(const char *level, dnnl_engine_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(limit_instructions(level, err));
    PFM_TRY(pfm_onednn_check(dnnl_engine_create(out, dnnl_cpu, 0), "a CPU engine", err));
done:
    return status;
}
