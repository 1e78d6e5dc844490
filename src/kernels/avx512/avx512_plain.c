/* The slots of one type at AVX-512. */
#define NAME(slot) pfm_avx512_##slot
#include "kernels/levels.h"

#include "kernels/avx512/avx512_simd.h"
#include "kernels/vector/plain.h"
