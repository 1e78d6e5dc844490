/* The slots of one type at AVX2. */
#define NAME(slot) pfm_avx2_##slot
#include "kernels/levels.h"

#include "kernels/avx2/avx2_simd.h"
#include "kernels/vector/plain.h"
