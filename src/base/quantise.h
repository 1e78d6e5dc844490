/* Numbers to blocks of few bits: ggml's types as llama.cpp's files hold them, and NF4 (Dettmers et al. 2023, QLoRA). */
#ifndef PFM_BASE_QUANTISE_H
#define PFM_BASE_QUANTISE_H

#include "base/dtype.h"

/* Whether rows can be turned into blocks of this type. */
bool pfm_dtype_quantises(pfm_dtype dtype);

/* Bytes and blocks of a row of k values; the last block may be part filled. */
static inline size_t pfm_quantised_blocks(pfm_dtype dtype, size_t k)
{
    const size_t values = pfm_dtype_get_info(dtype)->block_values;
    return (k + values - 1) / values;
}

/* The type that a row of k values is kept in where `dtype` is asked for: q4_k needs whole blocks of 256, and gives way to q4_1,
 * which likewise holds a scale and a minimum for each 32. */
pfm_dtype pfm_quantised_type(pfm_dtype dtype, size_t k);

/* The `count` values of one block, at most a whole one, to info->block_bytes bytes. A part of a block is filled up with its
 * last value. q8_0, q4_0 and q4_1 are rounded as ggml's reference does it, to the same bytes; nf4 as bitsandbytes does. */
void pfm_quantise_block(pfm_dtype dtype, const float *values, size_t count, void *block);

/* The 16 numbers of NF4, ascending, as bitsandbytes and QLoRA give them. */
extern const float pfm_nf4_levels[16];

/* PFM_DTYPE_NF4, 64 values: the largest magnitude (f32), then 32 bytes; the upper half of each is the earlier value. */
enum { PFM_NF4_VALUES = 64, PFM_NF4_BYTES = 36 };

/* Scale and minimum of group g (0..7) of Q4_K and Q5_K in six bits, in their 12 packed bytes: four bits of groups 4..7 lie in
 * bytes 8..11, their upper two in the upper bits of groups 0..3. */
static inline void pfm_q4_k_scale(const uint8_t *packed, int g, uint8_t *scale, uint8_t *minimum)
{
    if (g < 4) {
        *scale = packed[g] & 63;
        *minimum = packed[g + 4] & 63;
    } else {
        *scale = (uint8_t)((packed[g + 4] & 15) | (packed[g - 4] >> 6) << 4);
        *minimum = (uint8_t)((packed[g + 4] >> 4) | (packed[g] >> 6) << 4);
    }
}

#endif
