/* Writing safetensors files; reading them is weights.h's. */
#ifndef PFM_FORMATS_SAFETENSORS_H
#define PFM_FORMATS_SAFETENSORS_H

#include "formats/weights.h"

/* Writes `count` tensors as one safetensors file that appears whole or not at all. Their data must be dense; block types are
 * UNSUPPORTED. `metadata` holds `pairs` pairs of key and value (2 * pairs strings), NULL where there are none. The header is
 * padded so that the data begins at a multiple of 8, tensors stand by falling alignment, then name, as the reference writer
 * puts them. USAGE for two tensors of one name; IO where the file cannot be written. */
pfm_status pfm_safetensors_write(const char *path, const pfm_weight *tensors, size_t count, const char *const *metadata,
                                 size_t pairs, pfm_error *err) PFM_MUST_CHECK;

/* The format's name of a type ("F32"), static; NULL for those it does not have. */
const char *pfm_safetensors_type(pfm_dtype dtype);

#endif
