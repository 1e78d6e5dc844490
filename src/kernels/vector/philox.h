/* Philox 4x32-10 (base/random.h) for LANES counters at once. */
#ifndef PFM_KERNELS_VECTOR_PHILOX_H
#define PFM_KERNELS_VECTOR_PHILOX_H

enum { PHILOX_BITS = 8 * LANES }; /* values of 16 bits that one call makes */

/* The bits of elements 8 * column.. of dropout's row, in the elements' order. */
static ALWAYS_INLINE void philox(const pfm_dropout *dropout, uint32_t column, uint16_t bits[PHILOX_BITS])
{
    vi c0 = vi_add(vi_set(column), vi_counters()), c1 = vi_set(dropout->place);
    vi c2 = vi_set((uint32_t)dropout->token), c3 = vi_set((uint32_t)(dropout->token >> 32));
    uint32_t k0 = (uint32_t)dropout->key, k1 = (uint32_t)(dropout->key >> 32);
    for (int round = 0; round < 10; round++) {
        vi low0, high0, low1, high1;
        vi_multiply(c0, vi_set(0xD2511F53u), &low0, &high0);
        vi_multiply(c2, vi_set(0xCD9E8D57u), &low1, &high1);
        c0 = vi_xor(vi_xor(high1, c1), vi_set(k0));
        c2 = vi_xor(vi_xor(high0, c3), vi_set(k1));
        c1 = low1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    vi a = vi_unpack_low(c0, c1), b = vi_unpack_high(c0, c1), c = vi_unpack_low(c2, c3), d = vi_unpack_high(c2, c3);
    vi_store(bits, vi_unpack_low_pairs(a, c));
    vi_store(bits + 2 * LANES, vi_unpack_high_pairs(a, c));
    vi_store(bits + 4 * LANES, vi_unpack_low_pairs(b, d));
    vi_store(bits + 6 * LANES, vi_unpack_high_pairs(b, d));
}

#endif
