/* Writing safetensors files; reading them is weights.h's. */
#ifndef PFM_FORMATS_SAFETENSORS_H
#define PFM_FORMATS_SAFETENSORS_H

#include "formats/weights.h"

/* Makes the data of a tensor that is written without having been in memory: fills `out`, of tensor->bytes. */
typedef pfm_status (*pfm_weight_fill)(void *user, const pfm_weight *tensor, void *out, pfm_error *err);

/* Writes `count` tensors as one safetensors file that appears whole or not at all. name, dtype, rank, shape and data of each
 * are read, bytes follows from them; block types are UNSUPPORTED. `metadata` holds `pairs` pairs of key and value (2 * pairs
 * strings), NULL where there are none. The data begin at a multiple of 8 and the tensors stand by falling element size, then
 * by name, so each is aligned; the same tensors give the same bytes. USAGE for two tensors of one name or a name that is not
 * UTF-8; IO where the file cannot be written. */
pfm_status pfm_safetensors_write(const char *path, const pfm_weight *tensors, size_t count, const char *const *metadata,
                                 size_t pairs, pfm_error *err) PFM_MUST_CHECK;
/* The same; a tensor whose data is NULL is made by `fill` when its turn comes, so only one is in memory at a time. */
pfm_status pfm_safetensors_write_from(const char *path, const pfm_weight *tensors, size_t count, const char *const *metadata,
                                      size_t pairs, pfm_weight_fill fill, void *user, pfm_error *err) PFM_MUST_CHECK;

/* The format's name of a type ("F32"), static; NULL for those it does not have. */
const char *pfm_safetensors_type(pfm_dtype dtype);

#endif
