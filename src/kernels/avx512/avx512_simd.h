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
static ALWAYS_INLINE void vf_store_bf16(pfm_bf16 *y, vf x, size_t count)
{
    vi bits = _mm512_castps_si512(x), high = _mm512_srli_epi32(bits, 16);
    vi odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
    vi rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    rounded = _mm512_mask_or_epi32(rounded, nan, high, _mm512_set1_epi32(0x40));
    __m256i half = _mm512_cvtepi32_epi16(rounded);
    if (count >= LANES)
        _mm256_storeu_si256((__m256i *)(void *)y, half);
    else
        _mm256_mask_storeu_epi16(y, vf_mask(count), half);
}

static ALWAYS_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static ALWAYS_INLINE vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static ALWAYS_INLINE float vf_sum(vf x) { return _mm512_reduce_add_ps(x); }
static ALWAYS_INLINE float vf_most(vf x) { return _mm512_reduce_max_ps(x); }

static ALWAYS_INLINE void vf_prefetch(const void *x) { _mm_prefetch((const char *)x, _MM_HINT_T0); }

/* A unit of 32 bits, from an address of any alignment. */
static ALWAYS_INLINE vi vi_broadcast(const void *unit)
{
    int bits;
    memcpy(&bits, unit, sizeof bits);
    return _mm512_set1_epi32(bits);
}
static ALWAYS_INLINE vi vi_load(const void *x) { return _mm512_loadu_si512(x); }
static ALWAYS_INLINE vi vi_set(uint32_t x) { return _mm512_set1_epi32((int)x); }
/* The even and the odd of pairs of bf16. */
static ALWAYS_INLINE vf vf_from_low(vi pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
static ALWAYS_INLINE vf vf_from_high(vi pairs)
{
    return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000u)));
}

#endif
