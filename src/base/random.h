/* Counter-based random numbers: Philox 4x32-10 (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011). The same
 * key and counter give the same bits everywhere and in any order, so nothing about randomness has to be saved. */
#ifndef PFM_BASE_RANDOM_H
#define PFM_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

static inline void pfm_philox(uint64_t key, const uint32_t counter[4], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* A stream of numbers: (seed, stream) choose it, the position moves with every draw. */
typedef struct pfm_random {
    uint64_t key, stream, position;
    uint32_t buffer[4];
    int left;
} pfm_random;

pfm_random pfm_random_start(uint64_t seed, uint64_t stream);
uint32_t pfm_random_u32(pfm_random *random);
uint64_t pfm_random_below(pfm_random *random, uint64_t bound); /* uniform in 0..bound-1 without bias; bound >= 1 */
double pfm_random_uniform(pfm_random *random);                 /* [0,1), 53 bits */
double pfm_random_normal(pfm_random *random);                  /* mean 0, variance 1 */
/* Shuffles 0..count-1 in place (Fisher-Yates) whatever the array holds. */
void pfm_random_shuffle(pfm_random *random, size_t *items, size_t count);

/* mt19937 (Matsumoto and Nishimura, Mersenne Twister, 1998): for what another program draws with it, to the same bits. */
typedef struct pfm_mersenne {
    uint32_t state[624];
    int next;
} pfm_mersenne;

void pfm_mersenne_start(pfm_mersenne *mersenne, uint32_t seed);
uint32_t pfm_mersenne_u32(pfm_mersenne *mersenne);

#endif
