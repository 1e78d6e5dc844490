/* Products with quantised weights at AVX2. */
#define PFM_INSTANCE_BF16 0
#define NAME(slot) pfm_avx2_##slot
#include "kernels/levels.h"

#include "kernels/avx2/avx2_simd.h"
#include "kernels/vector/act.h"

#define QUANT_ROWS 2
#define QUANT_EACH_ROWS(X) X(1) X(2)
#include "kernels/vector/quant_tile.h"
#include "kernels/quant_pack.h"
