/* Element types of tensors, the block-quantised ones of GGUF included, and the conversions of single numbers. */
#ifndef PFM_BASE_DTYPE_H
#define PFM_BASE_DTYPE_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum pfm_dtype {
    PFM_DTYPE_F32,
    PFM_DTYPE_F16,
    PFM_DTYPE_BF16,
    PFM_DTYPE_F64,
    PFM_DTYPE_I8,
    PFM_DTYPE_U8,
    PFM_DTYPE_I16,
    PFM_DTYPE_I32,
    PFM_DTYPE_I64,
    PFM_DTYPE_BOOL,
    PFM_DTYPE_Q4_0, /* ggml's blocks from here on */
    PFM_DTYPE_Q4_1,
    PFM_DTYPE_Q5_0,
    PFM_DTYPE_Q5_1,
    PFM_DTYPE_Q8_0,
    PFM_DTYPE_Q4_K,
    PFM_DTYPE_Q5_K,
    PFM_DTYPE_Q6_K,
    PFM_DTYPE_NF4, /* bitsandbytes' (base/quantise.h) */
    PFM_DTYPE_COUNT
} pfm_dtype;

typedef struct pfm_dtype_info {
    const char *name;    /* "f32", "q4_1" */
    size_t block_values; /* values in a block: 1 unless quantised */
    size_t block_bytes;
} pfm_dtype_info;
const pfm_dtype_info *pfm_dtype_get_info(pfm_dtype dtype); /* static; never NULL for a member of the enum */

typedef uint16_t pfm_bf16; /* the upper half of an f32 */

static inline float pfm_bf16_to_f32(pfm_bf16 value)
{
    uint32_t bits = (uint32_t)value << 16;
    float out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

/* Rounds to nearest, ties to even; NaN stays NaN. */
static inline pfm_bf16 pfm_bf16_from_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (pfm_bf16)((bits >> 16) | 0x40u);
    return (pfm_bf16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

float pfm_f16_to_f32(uint16_t value);
uint16_t pfm_f16_from_f32(float value); /* to nearest, ties to even; overflow gives infinity */

#endif
