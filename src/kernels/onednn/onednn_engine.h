/* oneDNN as this library uses it: one CPU engine, an instruction set that follows the kernel level, and single-threaded calls
 * from our own threads. Debian's oneDNN is built with OpenMP (libgomp), whose number of threads is a setting of each calling
 * thread: every stretch of calls stands between pfm_onednn_enter and pfm_onednn_leave, both when a primitive is created (its
 * blocking depends on the number of threads) and when it runs. */
#ifndef PFM_KERNELS_ONEDNN_ENGINE_H
#define PFM_KERNELS_ONEDNN_ENGINE_H

#include "pefomed/status.h"

#include <oneapi/dnnl/dnnl.h>

/* *out = oneDNN's CPU engine, limited to the instruction set of a kernel level ("avx2", "avx512"); release with
 * dnnl_engine_destroy. oneDNN keeps one limit for the whole process, fixed by its first use: UNSUPPORTED where an earlier
 * context of this process used another level, since results would then not be those of the level asked for. */
pfm_status pfm_onednn_engine_create(const char *level, dnnl_engine_t *out, pfm_error *err) PFM_MUST_CHECK;

/* From here to leave, oneDNN called by this thread uses this thread alone. leave gets what enter returned. */
int pfm_onednn_enter(void);
void pfm_onednn_leave(int before);

/* PFM_OK for dnnl_success; else NO_MEMORY or UNSUPPORTED with oneDNN's reason. `what` says what was tried ("a convolution"). */
pfm_status pfm_onednn_check(dnnl_status_t result, const char *what, pfm_error *err) PFM_MUST_CHECK;

#endif
