#include "base/dtype.h"

const pfm_dtype_info *pfm_dtype_get_info(pfm_dtype dtype)
{
    static const pfm_dtype_info table[PFM_DTYPE_COUNT] = {
        [PFM_DTYPE_F32] = {"f32", 1, 4},       [PFM_DTYPE_F16] = {"f16", 1, 2},       [PFM_DTYPE_BF16] = {"bf16", 1, 2},
        [PFM_DTYPE_F64] = {"f64", 1, 8},       [PFM_DTYPE_I8] = {"i8", 1, 1},         [PFM_DTYPE_U8] = {"u8", 1, 1},
        [PFM_DTYPE_I16] = {"i16", 1, 2},       [PFM_DTYPE_I32] = {"i32", 1, 4},       [PFM_DTYPE_I64] = {"i64", 1, 8},
        [PFM_DTYPE_BOOL] = {"bool", 1, 1},     [PFM_DTYPE_Q4_0] = {"q4_0", 32, 18},   [PFM_DTYPE_Q4_1] = {"q4_1", 32, 20},
        [PFM_DTYPE_Q5_0] = {"q5_0", 32, 22},   [PFM_DTYPE_Q5_1] = {"q5_1", 32, 24},   [PFM_DTYPE_Q8_0] = {"q8_0", 32, 34},
        [PFM_DTYPE_Q4_K] = {"q4_k", 256, 144}, [PFM_DTYPE_Q5_K] = {"q5_k", 256, 176}, [PFM_DTYPE_Q6_K] = {"q6_k", 256, 210},
        [PFM_DTYPE_NF4] = {"nf4", 64, 36},
    };
    return &table[dtype];
}

float pfm_f16_to_f32(uint16_t value)
{
    uint32_t sign = (uint32_t)(value & 0x8000u) << 16, exponent = (value >> 10) & 0x1fu, fraction = value & 0x3ffu, bits;
    if (exponent == 0) {
        float magnitude = ldexpf((float)fraction, -24);
        return sign != 0 ? -magnitude : magnitude;
    }
    if (exponent == 31)
        bits = sign | 0x7f800000u | fraction << 13;
    else
        bits = sign | (exponent + 112) << 23 | fraction << 13;
    float out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

uint16_t pfm_f16_from_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)((bits >> 16) & 0x8000u);
    uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) /* rounds to 65536 or more */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) /* below 2^-14: a multiple of 2^-24 */
        return (uint16_t)(sign | (uint16_t)lrintf(ldexpf(fabsf(value), 24)));
    uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    return (uint16_t)(sign | (uint16_t)((rounded - 0x38000000u) >> 13));
}
