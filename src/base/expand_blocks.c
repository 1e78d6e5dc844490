/* The block formats are ggml's (ggml-common.h); a value is computed by the operations of its reference dequantisation in the
 * same order, each rounded to f32, so the bits agree. Products and sums stand in separate statements so that no compiler may
 * fuse them. */
#include "base/expand_blocks.h"

#include "base/quantise.h"

typedef void (*expand_function)(const unsigned char *in, size_t blocks, float *out);

static float read_f16(const unsigned char *in)
{
    uint16_t bits;
    memcpy(&bits, in, sizeof bits);
    return pfm_f16_to_f32(bits);
}

#define EXPAND_PLAIN(name, type, convert)                                                                                      \
    static void expand_##name(const unsigned char *in, size_t values, float *out)                                              \
    {                                                                                                                          \
        for (size_t i = 0; i < values; i++) {                                                                                  \
            type value;                                                                                                        \
            memcpy(&value, in + i * sizeof value, sizeof value);                                                               \
            out[i] = convert(value);                                                                                           \
        }                                                                                                                      \
    }

EXPAND_PLAIN(f16, uint16_t, pfm_f16_to_f32)
EXPAND_PLAIN(bf16, pfm_bf16, pfm_bf16_to_f32)
EXPAND_PLAIN(f64, double, (float))
EXPAND_PLAIN(i8, int8_t, (float))
EXPAND_PLAIN(u8, uint8_t, (float))
EXPAND_PLAIN(i16, int16_t, (float))
EXPAND_PLAIN(i32, int32_t, (float))
EXPAND_PLAIN(i64, int64_t, (float))
EXPAND_PLAIN(bool, uint8_t, 0.0f != (float))

static void expand_f32(const unsigned char *in, size_t values, float *out) { memcpy(out, in, values * sizeof *out); }

/* 32 values: scale, 16 bytes; value j is the low half of byte j, value j + 16 its high half. */
static void expand_q4_0(const unsigned char *in, size_t blocks, float *out)
{
    for (size_t b = 0; b < blocks; b++, in += 18, out += 32) {
        float scale = read_f16(in);
        for (int j = 0; j < 16; j++) {
            out[j] = (float)((in[2 + j] & 15) - 8) * scale;
            out[j + 16] = (float)((in[2 + j] >> 4) - 8) * scale;
        }
    }
}

/* Scale, minimum, 16 bytes. */
static void expand_q4_1(const unsigned char *in, size_t blocks, float *out)
{
    for (size_t b = 0; b < blocks; b++, in += 20, out += 32) {
        float scale = read_f16(in), minimum = read_f16(in + 2);
        for (int j = 0; j < 16; j++) {
            float low = (float)(in[4 + j] & 15) * scale, high = (float)(in[4 + j] >> 4) * scale;
            out[j] = low + minimum;
            out[j + 16] = high + minimum;
        }
    }
}

static uint32_t read_u32(const unsigned char *in)
{
    uint32_t value;
    memcpy(&value, in, sizeof value);
    return value;
}

/* Scale, the 32 fifth bits (bit i belongs to value i), 16 bytes of the lower four. */
static void expand_q5_0(const unsigned char *in, size_t blocks, float *out)
{
    for (size_t b = 0; b < blocks; b++, in += 22, out += 32) {
        float scale = read_f16(in);
        uint32_t fifth = read_u32(in + 2);
        for (int j = 0; j < 16; j++) {
            int low = (in[6 + j] & 15) | (int)(fifth >> j & 1) << 4, high = (in[6 + j] >> 4) | (int)(fifth >> (j + 16) & 1)
                                                                                                   << 4;
            out[j] = (float)(low - 16) * scale;
            out[j + 16] = (float)(high - 16) * scale;
        }
    }
}

static void expand_q5_1(const unsigned char *in, size_t blocks, float *out)
{
    for (size_t b = 0; b < blocks; b++, in += 24, out += 32) {
        float scale = read_f16(in), minimum = read_f16(in + 2);
        uint32_t fifth = read_u32(in + 4);
        for (int j = 0; j < 16; j++) {
            int low = (in[8 + j] & 15) | (int)(fifth >> j & 1) << 4, high = (in[8 + j] >> 4) | (int)(fifth >> (j + 16) & 1)
                                                                                                   << 4;
            float low_scaled = (float)low * scale, high_scaled = (float)high * scale;
            out[j] = low_scaled + minimum;
            out[j + 16] = high_scaled + minimum;
        }
    }
}

static void expand_q8_0(const unsigned char *in, size_t blocks, float *out)
{
    for (size_t b = 0; b < blocks; b++, in += 34, out += 32) {
        float scale = read_f16(in);
        for (int j = 0; j < 32; j++)
            out[j] = (float)(int8_t)in[2 + j] * scale;
    }
}

/* One group of 32 values of Q4_K or Q5_K: half (0: low, 1: high) of each byte, and bit `bit` of fifth[j] where there is one. */
static void expand_k_group(const unsigned char *nibbles, int half, const unsigned char *fifth, int bit, float scale,
                           float minimum, float *out)
{
    for (int j = 0; j < 32; j++) {
        int value = half == 0 ? nibbles[j] & 15 : nibbles[j] >> 4;
        if (fifth != NULL)
            value |= (fifth[j] >> bit & 1) << 4;
        float scaled = scale * (float)value;
        out[j] = scaled - minimum;
    }
}

/* 256 values: scale of scales, scale of minimums, 12 bytes of them, (Q5_K: 32 bytes of fifth bits,) 128 bytes. */
static void expand_k(const unsigned char *in, size_t blocks, float *out, bool five)
{
    for (size_t b = 0; b < blocks; b++, in += five ? 176 : 144) {
        float all_scales = read_f16(in), all_minimums = read_f16(in + 2);
        const unsigned char *fifth = five ? in + 16 : NULL, *nibbles = five ? in + 48 : in + 16;
        for (int g = 0; g < 8; g++, out += 32) {
            uint8_t scale_bits, minimum_bits;
            pfm_q4_k_scale(in + 4, g, &scale_bits, &minimum_bits);
            const float scale = (float)scale_bits * all_scales, minimum = (float)minimum_bits * all_minimums;
            expand_k_group(nibbles + g / 2 * 32, g % 2, fifth, g, scale, minimum, out);
        }
    }
}

static void expand_q4_k(const unsigned char *in, size_t blocks, float *out) { expand_k(in, blocks, out, false); }

static void expand_q5_k(const unsigned char *in, size_t blocks, float *out) { expand_k(in, blocks, out, true); }

/* 256 values: 128 bytes of lower halves, 64 bytes of upper two bits, 16 signed scales (one for 16 values), the scale of scales.
 * Each half of the block interleaves four runs of 32 values. */
static void expand_q6_k(const unsigned char *in, size_t blocks, float *out)
{
    for (size_t b = 0; b < blocks; b++, in += 210, out += 256) {
        float all = read_f16(in + 208);
        float scales[16];
        for (int i = 0; i < 16; i++)
            scales[i] = all * (float)(int8_t)in[192 + i];
        for (int i = 0; i < 256; i++) {
            int half = i / 128, run = i % 128 / 32, j = i % 32;
            unsigned char low = in[half * 64 + run % 2 * 32 + j], high = in[128 + half * 32 + j];
            int value = (run < 2 ? low & 15 : low >> 4) | (high >> (2 * run) & 3) << 4;
            out[i] = scales[i / 16] * (float)(value - 32);
        }
    }
}

static void expand_nf4(const unsigned char *in, size_t blocks, float *out)
{
    for (size_t b = 0; b < blocks; b++, in += PFM_NF4_BYTES, out += PFM_NF4_VALUES) {
        float most;
        memcpy(&most, in, sizeof most);
        for (int j = 0; j < PFM_NF4_VALUES / 2; j++) {
            out[2 * j] = pfm_nf4_levels[in[4 + j] >> 4] * most;
            out[2 * j + 1] = pfm_nf4_levels[in[4 + j] & 15] * most;
        }
    }
}

static const expand_function functions[PFM_DTYPE_COUNT] = {
    [PFM_DTYPE_F32] = expand_f32,   [PFM_DTYPE_F16] = expand_f16,   [PFM_DTYPE_BF16] = expand_bf16,
    [PFM_DTYPE_F64] = expand_f64,   [PFM_DTYPE_I8] = expand_i8,     [PFM_DTYPE_U8] = expand_u8,
    [PFM_DTYPE_I16] = expand_i16,   [PFM_DTYPE_I32] = expand_i32,   [PFM_DTYPE_I64] = expand_i64,
    [PFM_DTYPE_BOOL] = expand_bool, [PFM_DTYPE_Q4_0] = expand_q4_0, [PFM_DTYPE_Q4_1] = expand_q4_1,
    [PFM_DTYPE_Q5_0] = expand_q5_0, [PFM_DTYPE_Q5_1] = expand_q5_1, [PFM_DTYPE_Q8_0] = expand_q8_0,
    [PFM_DTYPE_Q4_K] = expand_q4_k, [PFM_DTYPE_Q5_K] = expand_q5_k, [PFM_DTYPE_Q6_K] = expand_q6_k,
    [PFM_DTYPE_NF4] = expand_nf4,
};

void pfm_expand_blocks(pfm_dtype dtype, const void *blocks, size_t count, float *out) { functions[dtype](blocks, count, out); }

void pfm_round_to_blocks(pfm_dtype dtype, const float *values, size_t k, float *out)
{
    enum { MOST_VALUES = 256, MOST_BYTES = 256 }; /* of a block */
    const size_t whole = pfm_dtype_get_info(dtype)->block_values;
    for (size_t at = 0; at < k; at += whole) {
        unsigned char block[MOST_BYTES];
        float expanded[MOST_VALUES];
        const size_t count = k - at < whole ? k - at : whole;
        pfm_quantise_block(dtype, values + at, count, block);
        pfm_expand_blocks(dtype, block, 1, expanded);
        memcpy(out + at, expanded, count * sizeof *out);
    }
}
