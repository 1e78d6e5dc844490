/* Vectors of 16 floats by AVX-512 (F, BW, VL, DQ). The same names as in avx2/avx2_simd.h, which says what they mean. */
#ifndef PFM_KERNELS_AVX512_SIMD_H
#define PFM_KERNELS_AVX512_SIMD_H

#include "kernels/kernels.h"

#include <immintrin.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

typedef __m512 vf;
typedef __m512i vi;
enum { LANES = 16 };

static ALWAYS_INLINE __mmask16 vf_mask(size_t count) { return count >= LANES ? 0xffff : (__mmask16)((1u << count) - 1); }

static ALWAYS_INLINE vf vf_zero(void) { return _mm512_setzero_ps(); }
static ALWAYS_INLINE vf vf_set(float x) { return _mm512_set1_ps(x); }
static ALWAYS_INLINE vf vf_load(const float *x) { return _mm512_loadu_ps(x); }
static ALWAYS_INLINE void vf_store(float *y, vf x) { _mm512_storeu_ps(y, x); }

static ALWAYS_INLINE vf vf_load_part(const float *x, size_t count)
{
    return count >= LANES ? _mm512_loadu_ps(x) : _mm512_maskz_loadu_ps(vf_mask(count), x);
}

static ALWAYS_INLINE void vf_store_part(float *y, vf x, size_t count)
{
    if (count >= LANES)
        _mm512_storeu_ps(y, x);
    else
        _mm512_mask_storeu_ps(y, vf_mask(count), x);
}

static ALWAYS_INLINE vf vf_load_bf16(const pfm_bf16 *x, size_t count)
{
    __m256i half =
        count >= LANES ? _mm256_loadu_si256((const __m256i *)(const void *)x) : _mm256_maskz_loadu_epi16(vf_mask(count), x);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

/* By integers: the processor's own conversion takes subnormal numbers for zero. */
static ALWAYS_INLINE vi vi_round_bf16(vf x)
{
    vi bits = _mm512_castps_si512(x), high = _mm512_srli_epi32(bits, 16);
    vi odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
    vi rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
    return _mm512_mask_or_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), high, _mm512_set1_epi32(0x40));
}

/* Where bf16 is multiplied by the instructions for it, which take subnormal numbers for zero anyway, they convert too. */
static ALWAYS_INLINE void vf_store_bf16(pfm_bf16 *y, vf x, size_t count)
{
#ifdef __AVX512BF16__
    __m256i half = (__m256i)_mm512_cvtneps_pbh(x);
#else
    __m256i half = _mm512_cvtepi32_epi16(vi_round_bf16(x));
#endif
    if (count >= LANES)
        _mm256_storeu_si256((__m256i *)(void *)y, half);
    else
        _mm256_mask_storeu_epi16(y, vf_mask(count), half);
}

static ALWAYS_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static ALWAYS_INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
static ALWAYS_INLINE vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static ALWAYS_INLINE vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
static ALWAYS_INLINE vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
static ALWAYS_INLINE float vf_sum(vf x) { return _mm512_reduce_add_ps(x); }
static ALWAYS_INLINE float vf_most(vf x) { return _mm512_reduce_max_ps(x); }
static ALWAYS_INLINE vf vf_round(vf x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static ALWAYS_INLINE vf vf_scale(vf x, vf exponent) { return _mm512_scalef_ps(x, exponent); }
static ALWAYS_INLINE vf vf_zero_below(vf x, vf limit, vf value)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, limit, _CMP_NLT_UQ), value);
}
static ALWAYS_INLINE unsigned vf_equal(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
static ALWAYS_INLINE vf vf_first(vf x, size_t count, vf other)
{
    return count >= LANES ? x : _mm512_mask_mov_ps(other, vf_mask(count), x);
}
static ALWAYS_INLINE double vf_sum_double(vf x)
{
    __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(x)), high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
    return _mm512_reduce_add_pd(_mm512_add_pd(low, high));
}

static ALWAYS_INLINE void vf_prefetch(const void *x) { _mm_prefetch((const char *)x, _MM_HINT_T0); }

static ALWAYS_INLINE vi vi_set(uint32_t x) { return _mm512_set1_epi32((int)x); }
static ALWAYS_INLINE vi vi_bits(vf x) { return _mm512_castps_si512(x); }
static ALWAYS_INLINE vf vf_bits(vi x) { return _mm512_castsi512_ps(x); }
static ALWAYS_INLINE vi vi_load(const void *x) { return _mm512_loadu_si512(x); }
static ALWAYS_INLINE void vi_store(void *y, vi x) { _mm512_storeu_si512(y, x); }
static ALWAYS_INLINE vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
static ALWAYS_INLINE vi vi_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }
static ALWAYS_INLINE vi vi_broadcast(const void *unit)
{
    int bits;
    memcpy(&bits, unit, sizeof bits);
    return _mm512_set1_epi32(bits);
}
static ALWAYS_INLINE vi vi_load_u16(const uint16_t *x, size_t count)
{
    __mmask16 mask = vf_mask(count);
    return _mm512_cvtepu16_epi32(count >= LANES ? _mm256_loadu_si256((const __m256i *)(const void *)x)
                                                : _mm256_maskz_loadu_epi16(mask, x));
}
static ALWAYS_INLINE vi vi_pair(vi low, vi high) { return _mm512_or_si512(low, _mm512_slli_epi32(high, 16)); }
static ALWAYS_INLINE vf vf_keep(vi bits, vi threshold, vf x)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_epu32_mask(bits, threshold, _MM_CMPINT_NLT), x);
}
static ALWAYS_INLINE void vi_multiply(vi a, vi b, vi *low, vi *high)
{
    vi even = _mm512_mul_epu32(a, b), odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), b);
    *low = _mm512_mask_mov_epi32(even, 0xaaaa, _mm512_slli_epi64(odd, 32));
    *high = _mm512_mask_mov_epi32(odd, 0x5555, _mm512_srli_epi64(even, 32));
}
static ALWAYS_INLINE vi vi_counters(void) { return _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15); }
static ALWAYS_INLINE vi vi_unpack_low(vi a, vi b) { return _mm512_unpacklo_epi32(a, b); }
static ALWAYS_INLINE vi vi_unpack_high(vi a, vi b) { return _mm512_unpackhi_epi32(a, b); }
static ALWAYS_INLINE vi vi_unpack_low_pairs(vi a, vi b) { return _mm512_unpacklo_epi64(a, b); }
static ALWAYS_INLINE vi vi_unpack_high_pairs(vi a, vi b) { return _mm512_unpackhi_epi64(a, b); }

static ALWAYS_INLINE vf vf_from_low(vi pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
static ALWAYS_INLINE vf vf_from_high(vi pairs)
{
    return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000u)));
}

/* After the unpacking inside lanes, lane l of x[4 g + c] holds rows 4 g.. of column 4 l + c: the lanes are transposed in turn.
 */
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
        vi a = _mm512_shuffle_i32x4(x[c], x[4 + c], 0x88), b = _mm512_shuffle_i32x4(x[c], x[4 + c], 0xdd);
        vi d = _mm512_shuffle_i32x4(x[8 + c], x[12 + c], 0x88), e = _mm512_shuffle_i32x4(x[8 + c], x[12 + c], 0xdd);
        x[c] = _mm512_shuffle_i32x4(a, d, 0x88);
        x[4 + c] = _mm512_shuffle_i32x4(b, e, 0x88);
        x[8 + c] = _mm512_shuffle_i32x4(a, d, 0xdd);
        x[12 + c] = _mm512_shuffle_i32x4(b, e, 0xdd);
    }
}

static ALWAYS_INLINE vf vf_load_f16(const void *x) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)x)); }
static ALWAYS_INLINE vi vi_load_bytes(const void *x) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)x)); }
static ALWAYS_INLINE vi vi_field(vi x, int shift, int mask)
{
    return _mm512_and_si512(_mm512_srli_epi32(x, (unsigned)shift), _mm512_set1_epi32(mask));
}
typedef vf vf_table;
static ALWAYS_INLINE vf_table vf_table_load(const float x[16]) { return _mm512_loadu_ps(x); }
static ALWAYS_INLINE vf vf_look_up(vf_table table, vi index) { return _mm512_permutexvar_ps(index, table); }
static ALWAYS_INLINE vf vf_from_int(vi x) { return _mm512_cvtepi32_ps(x); }
static ALWAYS_INLINE vi vi_from_float(vf x) { return _mm512_cvtps_epi32(x); }
static ALWAYS_INLINE vf vf_absolute(vf x) { return _mm512_abs_ps(x); }
static ALWAYS_INLINE vi vi_low_halves(vi x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
static ALWAYS_INLINE vi vi_high_halves(vi x) { return _mm512_and_si512(_mm512_srli_epi16(x, 4), _mm512_set1_epi8(15)); }
static ALWAYS_INLINE vi vi_dot_bytes(vi sum, vi unsigned_bytes, vi signed_bytes)
{
#ifdef __AVX512VNNI__
    return _mm512_dpbusd_epi32(sum, unsigned_bytes, signed_bytes);
#else
    vi even = _mm512_and_si512(unsigned_bytes, _mm512_set1_epi16(255)), odd = _mm512_srli_epi16(unsigned_bytes, 8);
    vi even_signed = _mm512_srai_epi16(_mm512_slli_epi16(signed_bytes, 8), 8), odd_signed = _mm512_srai_epi16(signed_bytes, 8);
    return vi_add(vi_add(sum, _mm512_madd_epi16(even, even_signed)), _mm512_madd_epi16(odd, odd_signed));
#endif
}
static ALWAYS_INLINE void vi_store_bytes(int8_t *y, vi x) { _mm_storeu_si128((__m128i *)(void *)y, _mm512_cvtepi32_epi8(x)); }

#endif
