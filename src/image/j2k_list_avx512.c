/* What a refinement pass visits, on processors that press together what a mask chooses of a vector. */
#include "image/j2k_passes.h"

#ifdef __x86_64__
#include <immintrin.h>

static inline ALWAYS size_t list_wide(lane *l, size_t count, size_t place, uint64_t which, uint64_t refined, uint64_t around)
{
    uint16_t *visit = l->visits + count;
    uint8_t *kind = l->kinds + count;
    const int more = __builtin_popcountll(which);
    const __m512i numbers = _mm512_set_epi16(31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11,
                                             10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                  low = _mm512_add_epi16(numbers, _mm512_set1_epi16((short)place)),
                  high = _mm512_add_epi16(low, _mm512_set1_epi16(32)),
                  kinds = _mm512_mask_mov_epi8(_mm512_maskz_set1_epi8(around, 1), refined, _mm512_set1_epi8(2));
    _mm512_storeu_si512(visit, _mm512_maskz_compress_epi16((__mmask32)which, low));
    _mm512_storeu_si512(visit + __builtin_popcount((unsigned)which),
                        _mm512_maskz_compress_epi16((__mmask32)(which >> 32), high));
    _mm512_storeu_si512(kind, _mm512_maskz_compress_epi8(which, kinds));
    return count + (size_t)more;
}

size_t pfm_j2k_list_avx512(lane *l) { return list_with(l, list_wide); }
#endif
