/* Numbers of every type to f32. */
#ifndef PFM_BASE_EXPAND_BLOCKS_H
#define PFM_BASE_EXPAND_BLOCKS_H

#include "base/dtype.h"

/* out f32 [count * info->block_values] = `count` blocks (plain types: numbers) that stand one behind the other. */
void pfm_expand_blocks(pfm_dtype dtype, const void *blocks, size_t count, float *out);

/* out [k] = a row of k values as blocks of a type keep it (pfm_dtype_quantises): quantised and expanded again. out may be
 * values. */
void pfm_round_to_blocks(pfm_dtype dtype, const float *values, size_t k, float *out);

#endif
