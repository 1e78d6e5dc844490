/* Vectors of 8 floats by AVX2 with FMA. These names are all that the templates of vector/ know of an instruction set;
 * avx512/avx512_simd.h has the same. A `count` says how many elements there are from the address on: LANES or more is a whole
 * vector, fewer leave the rest zero when loaded and untouched when stored. No address needs alignment. */
#ifndef PFM_KERNELS_AVX2_SIMD_H
#define PFM_KERNELS_AVX2_SIMD_H

#include "kernels/kernels.h"

#include <immintrin.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

typedef __m256 vf;  /* floats */
typedef __m256i vi; /* units of 32 bits */
enum { LANES = 8 };

static ALWAYS_INLINE __m256i vi_mask(size_t count)
{
    static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(const void *)(ones + LANES - (count < LANES ? count : LANES)));
}

static ALWAYS_INLINE vf vf_zero(void) { return _mm256_setzero_ps(); }
static ALWAYS_INLINE vf vf_set(float x) { return _mm256_set1_ps(x); }
static ALWAYS_INLINE vf vf_load(const float *x) { return _mm256_loadu_ps(x); }
static ALWAYS_INLINE void vf_store(float *y, vf x) { _mm256_storeu_ps(y, x); }

static ALWAYS_INLINE vf vf_load_part(const float *x, size_t count)
{
    return count >= LANES ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, vi_mask(count));
}

static ALWAYS_INLINE void vf_store_part(float *y, vf x, size_t count)
{
    if (count >= LANES)
        _mm256_storeu_ps(y, x);
    else
        _mm256_maskstore_ps(y, vi_mask(count), x);
}

static ALWAYS_INLINE vi vi_load_u16(const uint16_t *x, size_t count)
{
    if (count >= LANES)
        return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)x));
    uint16_t part[LANES] = {0};
    for (size_t i = 0; i < count; i++)
        part[i] = x[i];
    return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)part));
}

static ALWAYS_INLINE vf vf_load_bf16(const pfm_bf16 *x, size_t count)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(vi_load_u16(x, count), 16));
}

/* bf16, in the lower half of each unit. */
static ALWAYS_INLINE vi vi_round_bf16(vf x)
{
    vi bits = _mm256_castps_si256(x), high = _mm256_srli_epi32(bits, 16);
    vi odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
    vi rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
    vi nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(rounded, _mm256_or_si256(high, _mm256_set1_epi32(0x40)), nan);
}

static ALWAYS_INLINE void vf_store_bf16(pfm_bf16 *y, vf x, size_t count)
{
    vi rounded = vi_round_bf16(x);
    vi packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(rounded, rounded), 0x08);
    __m128i half = _mm256_castsi256_si128(packed);
    if (count >= LANES) {
        _mm_storeu_si128((__m128i *)(void *)y, half);
        return;
    }
    pfm_bf16 part[LANES];
    _mm_storeu_si128((__m128i *)(void *)part, half);
    for (size_t i = 0; i < count; i++)
        y[i] = part[i];
}

static ALWAYS_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }   /* a b + c */
static ALWAYS_INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); } /* c - a b */
static ALWAYS_INLINE vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }              /* b where either is NaN */
static ALWAYS_INLINE vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
static ALWAYS_INLINE vf vf_sqrt(vf a) { return _mm256_sqrt_ps(a); }
static ALWAYS_INLINE float vf_sum(vf x)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
static ALWAYS_INLINE float vf_most(vf x)
{
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}
static ALWAYS_INLINE vf vf_round(vf x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/* x * 2^exponent for whole exponents of -126..128, in two steps since 2^128 is no float. */
static ALWAYS_INLINE vf vf_scale(vf x, vf exponent)
{
    vi whole = _mm256_cvtps_epi32(exponent), half = _mm256_srai_epi32(whole, 1), rest = _mm256_sub_epi32(whole, half);
    vi one = _mm256_set1_epi32(127);
    vf first = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, one), 23));
    vf second = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, one), 23));
    return x * first * second;
}
/* value, but 0 where x < limit. */
static ALWAYS_INLINE vf vf_zero_below(vf x, vf limit, vf value)
{
    return _mm256_and_ps(_mm256_cmp_ps(x, limit, _CMP_NLT_UQ), value);
}
/* A bit per lane. */
static ALWAYS_INLINE unsigned vf_equal(vf a, vf b) { return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ)); }
/* The first `count` lanes of x, the rest of other. */
static ALWAYS_INLINE vf vf_first(vf x, size_t count, vf other)
{
    return count >= LANES ? x : _mm256_blendv_ps(other, x, _mm256_castsi256_ps(vi_mask(count)));
}
static ALWAYS_INLINE double vf_sum_double(vf x)
{
    __m256d sum = _mm256_add_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(x)), _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)));
    __m128d half = _mm_add_pd(_mm256_castpd256_pd128(sum), _mm256_extractf128_pd(sum, 1));
    return _mm_cvtsd_f64(_mm_add_sd(half, _mm_unpackhi_pd(half, half)));
}

static ALWAYS_INLINE void vf_prefetch(const void *x) { _mm_prefetch((const char *)x, _MM_HINT_T0); }

static ALWAYS_INLINE vi vi_set(uint32_t x) { return _mm256_set1_epi32((int)x); }
static ALWAYS_INLINE vi vi_bits(vf x) { return _mm256_castps_si256(x); }
static ALWAYS_INLINE vf vf_bits(vi x) { return _mm256_castsi256_ps(x); }
static ALWAYS_INLINE vi vi_load(const void *x) { return _mm256_loadu_si256((const __m256i *)x); }
static ALWAYS_INLINE void vi_store(void *y, vi x) { _mm256_storeu_si256((__m256i *)y, x); }
static ALWAYS_INLINE vi vi_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
static ALWAYS_INLINE vi vi_xor(vi a, vi b) { return _mm256_xor_si256(a, b); }
static ALWAYS_INLINE vi vi_broadcast(const void *unit)
{
    int bits;
    memcpy(&bits, unit, sizeof bits);
    return _mm256_set1_epi32(bits);
}
static ALWAYS_INLINE vi vi_pair(vi low, vi high) { return _mm256_or_si256(low, _mm256_slli_epi32(high, 16)); }
/* x where bits >= threshold (both at most 65536), else 0. */
static ALWAYS_INLINE vf vf_keep(vi bits, vi threshold, vf x)
{
    return _mm256_andnot_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(threshold, bits)), x);
}
/* The halves of the 64-bit products. */
static ALWAYS_INLINE void vi_multiply(vi a, vi b, vi *low, vi *high)
{
    vi even = _mm256_mul_epu32(a, b), odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), b);
    *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
    *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
}
/* 0..LANES-1 in the order that unpacking four vectors into groups of four brings back. */
static ALWAYS_INLINE vi vi_counters(void) { return _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7); }
/* Inside lanes of 128 bits. */
static ALWAYS_INLINE vi vi_unpack_low(vi a, vi b) { return _mm256_unpacklo_epi32(a, b); }
static ALWAYS_INLINE vi vi_unpack_high(vi a, vi b) { return _mm256_unpackhi_epi32(a, b); }
static ALWAYS_INLINE vi vi_unpack_low_pairs(vi a, vi b) { return _mm256_unpacklo_epi64(a, b); }
static ALWAYS_INLINE vi vi_unpack_high_pairs(vi a, vi b) { return _mm256_unpackhi_epi64(a, b); }

/* The even and the odd of pairs of bf16. */
static ALWAYS_INLINE vf vf_from_low(vi pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
static ALWAYS_INLINE vf vf_from_high(vi pairs)
{
    return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32((int)0xffff0000u)));
}

/* Rows become columns. */
static ALWAYS_INLINE void vi_transpose(vi x[LANES])
{
    UNROLL for (int g = 0; g < LANES; g += 4)
    {
        vi a = vi_unpack_low(x[g], x[g + 1]), b = vi_unpack_high(x[g], x[g + 1]);
        vi c = vi_unpack_low(x[g + 2], x[g + 3]), d = vi_unpack_high(x[g + 2], x[g + 3]);
        x[g] = vi_unpack_low_pairs(a, c);
        x[g + 1] = vi_unpack_high_pairs(a, c);
        x[g + 2] = vi_unpack_low_pairs(b, d);
        x[g + 3] = vi_unpack_high_pairs(b, d);
    }
    UNROLL for (int c = 0; c < 4; c++)
    {
        vi a = x[c], b = x[4 + c];
        x[c] = _mm256_permute2x128_si256(a, b, 0x20);
        x[4 + c] = _mm256_permute2x128_si256(a, b, 0x31);
    }
}

/* LANES numbers in f16. */
static ALWAYS_INLINE vf vf_load_f16(const void *x) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)x)); }
/* LANES bytes without sign. */
static ALWAYS_INLINE vi vi_load_bytes(const void *x) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)x)); }
/* (x >> shift) & mask */
static ALWAYS_INLINE vi vi_field(vi x, int shift, int mask)
{
    return _mm256_and_si256(_mm256_srli_epi32(x, shift), _mm256_set1_epi32(mask));
}
/* 16 floats, looked up by indices of 0..15. */
typedef struct vf_table {
    vf low, high;
} vf_table;
static ALWAYS_INLINE vf_table vf_table_load(const float x[16]) { return (vf_table){vf_load(x), vf_load(x + 8)}; }
static ALWAYS_INLINE vf vf_look_up(vf_table table, vi index)
{
    const vf upper = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)); /* bit 3 as the sign */
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(table.low, index), _mm256_permutevar8x32_ps(table.high, index), upper);
}
static ALWAYS_INLINE vf vf_from_int(vi x) { return _mm256_cvtepi32_ps(x); }
static ALWAYS_INLINE vi vi_from_float(vf x) { return _mm256_cvtps_epi32(x); }
static ALWAYS_INLINE vf vf_absolute(vf x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
/* Each byte's lower half, and its upper. */
static ALWAYS_INLINE vi vi_low_halves(vi x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
static ALWAYS_INLINE vi vi_high_halves(vi x) { return _mm256_and_si256(_mm256_srli_epi16(x, 4), _mm256_set1_epi8(15)); }
/* sum + the four products of each unit: bytes without sign times bytes with sign, exact. */
static ALWAYS_INLINE vi vi_dot_bytes(vi sum, vi unsigned_bytes, vi signed_bytes)
{
    vi even = _mm256_and_si256(unsigned_bytes, _mm256_set1_epi16(255)), odd = _mm256_srli_epi16(unsigned_bytes, 8);
    vi even_signed = _mm256_srai_epi16(_mm256_slli_epi16(signed_bytes, 8), 8), odd_signed = _mm256_srai_epi16(signed_bytes, 8);
    return vi_add(vi_add(sum, _mm256_madd_epi16(even, even_signed)), _mm256_madd_epi16(odd, odd_signed));
}
/* The lowest byte of each unit. */
static ALWAYS_INLINE void vi_store_bytes(int8_t *y, vi x)
{
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64((__m128i *)(void *)y, _mm_packs_epi16(words, words));
}

#endif
