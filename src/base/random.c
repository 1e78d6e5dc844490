#include "base/random.h"

#include <math.h>

pfm_random pfm_random_start(uint64_t seed, uint64_t stream) { return (pfm_random){.key = seed, .stream = stream}; }

uint32_t pfm_random_u32(pfm_random *random)
{
    if (random->left == 0) {
        uint32_t counter[4] = {(uint32_t)random->position, (uint32_t)(random->position >> 32), (uint32_t)random->stream,
                               (uint32_t)(random->stream >> 32)};
        pfm_philox(random->key, counter, random->buffer);
        random->position++;
        random->left = 4;
    }
    return random->buffer[--random->left];
}

static uint64_t random_u64(pfm_random *random)
{
    uint64_t high = pfm_random_u32(random);
    return high << 32 | pfm_random_u32(random);
}

uint64_t pfm_random_below(pfm_random *random, uint64_t bound)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound, value;
    do {
        value = random_u64(random);
    } while (value >= limit);
    return value % bound;
}

double pfm_random_uniform(pfm_random *random) { return (double)(random_u64(random) >> 11) * 0x1p-53; }

double pfm_random_normal(pfm_random *random)
{
    double u = 1.0 - pfm_random_uniform(random), v = pfm_random_uniform(random);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

void pfm_random_shuffle(pfm_random *random, size_t *items, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)pfm_random_below(random, i), kept = items[i - 1];
        items[i - 1] = items[j];
        items[j] = kept;
    }
}

/* ---- mt19937 ---- */

enum { MERSENNE_STATE = 624, MERSENNE_MIDDLE = 397 };

void pfm_mersenne_start(pfm_mersenne *mersenne, uint32_t seed)
{
    uint32_t *state = mersenne->state;
    state[0] = seed;
    for (uint32_t i = 1; i < MERSENNE_STATE; i++)
        state[i] = 1812433253u * (state[i - 1] ^ state[i - 1] >> 30) + i;
    mersenne->next = MERSENNE_STATE;
}

static void twist(uint32_t state[MERSENNE_STATE])
{
    for (int i = 0; i < MERSENNE_STATE; i++) {
        const uint32_t joined = (state[i] & 0x80000000u) | (state[(i + 1) % MERSENNE_STATE] & 0x7fffffffu);
        state[i] = state[(i + MERSENNE_MIDDLE) % MERSENNE_STATE] ^ joined >> 1 ^ ((joined & 1) != 0 ? 0x9908b0dfu : 0);
    }
}

uint32_t pfm_mersenne_u32(pfm_mersenne *mersenne)
{
    if (mersenne->next == MERSENNE_STATE) {
        twist(mersenne->state);
        mersenne->next = 0;
    }
    uint32_t y = mersenne->state[mersenne->next++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}
