/* Products with quantised weights by the instructions for them (AVX512_VNNI), on operands packed as avx512_quant.c packs them.
 */
#define PFM_INSTANCE_BF16 0
#define NAME(slot) pfm_avx512_##slot##_vnni
#include "kernels/levels.h"

#include "kernels/avx512/avx512_simd.h"
#include "kernels/vector/act.h"

#define QUANT_ROWS 6
#define QUANT_EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#include "kernels/vector/quant_tile.h"
