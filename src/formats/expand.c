/* Tensors to f32. The block formats are ggml's (ggml-common.h); a value is computed by the operations of its reference
 * dequantisation in the same order, each rounded to f32, so the bits agree. Products and sums stand in separate statements so
 * that no compiler may fuse them. */
#include "formats/weights.h"

#include "base/quantise.h"
#include "formats/bitsandbytes.h"

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

static void expand(const pfm_weight *weight, size_t first, size_t values, float *out)
{
    const pfm_dtype_info *info = pfm_dtype_get_info(weight->dtype);
    for (size_t at = 0; weight->parts != NULL && at < values; at += PFM_NF4_VALUES) {
        uint8_t block[PFM_NF4_BYTES];
        pfm_weight_join_block(weight->parts, (first + at) / PFM_NF4_VALUES, block);
        expand_nf4(block, 1, out + at);
    }
    if (weight->parts != NULL)
        return;
    const unsigned char *in = (const unsigned char *)weight->data + first / info->block_values * info->block_bytes;
    functions[weight->dtype](in, values / info->block_values, out);
}

pfm_status pfm_weight_expand(const pfm_weight *weight, float *out, pfm_error *err)
{
    (void)err; /* every type in the enum has its function */
    expand(weight, 0, pfm_weight_values(weight), out);
    return PFM_OK;
}

pfm_status pfm_weight_expand_rows(const pfm_weight *weight, int64_t row0, int64_t rows, float *out, pfm_error *err)
{
    if (weight->rank == 0 || (weight->rank == 1 && pfm_dtype_get_info(weight->dtype)->block_values > 1))
        return pfm_error_set(err, PFM_ERROR_USAGE, "tensor %s has no rows", weight->name);
    if (row0 < 0 || rows < 0 || row0 > weight->shape[0] || rows > weight->shape[0] - row0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "tensor %s has %lld rows; %lld from row %lld on were asked for",
                             weight->name, (long long)weight->shape[0], (long long)rows, (long long)row0);
    size_t row = weight->shape[0] == 0 ? 0 : pfm_weight_values(weight) / (size_t)weight->shape[0];
    expand(weight, (size_t)row0 * row, (size_t)rows * row, out);
    return PFM_OK;
}

void pfm_weight_transpose(const float *from, int64_t rows, int64_t columns, float *to)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            to[c * rows + r] = from[r * columns + c];
}

size_t pfm_weight_row_blocks(const pfm_weight *weight)
{
    const pfm_dtype_info *info = pfm_dtype_get_info(weight->dtype);
    return (size_t)weight->shape[weight->rank - 1] / info->block_values * info->block_bytes;
}

void pfm_weight_copy_blocks(const pfm_weight *weight, int64_t row0, int64_t rows, void *out)
{
    const size_t bytes = pfm_weight_row_blocks(weight), blocks = bytes / pfm_dtype_get_info(weight->dtype)->block_bytes;
    for (size_t b = 0; weight->parts != NULL && b < (size_t)rows * blocks; b++)
        pfm_weight_join_block(weight->parts, (size_t)row0 * blocks + b, (uint8_t *)out + b * PFM_NF4_BYTES);
    if (weight->parts == NULL)
        memcpy(out, (const char *)weight->data + (size_t)row0 * bytes, (size_t)rows * bytes);
}
