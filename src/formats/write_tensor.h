/* Shared by the writers. */
#ifndef PFM_FORMATS_WRITE_TENSOR_H
#define PFM_FORMATS_WRITE_TENSOR_H

#include "base/file.h"
#include "formats/safetensors.h"

/* Appends tensor->bytes of data: the tensor's own, or where that is NULL what `fill` makes. */
pfm_status pfm_write_tensor(pfm_atomic_file *file, const pfm_weight *tensor, pfm_weight_fill fill, void *user,
                            pfm_error *err) PFM_MUST_CHECK;

#endif
