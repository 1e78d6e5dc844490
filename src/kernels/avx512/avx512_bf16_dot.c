/* Products and attention of bf16 by the instructions for it (AVX512_BF16), on operands packed as avx512_bf16.c packs them. */
#define PFM_INSTANCE_BF16 1
#define PFM_PAIRED 1
#define NAME(slot) pfm_avx512_##slot##_bf16_dot
#include "kernels/levels.h"

#include "kernels/avx512/avx512_simd.h"
#include "kernels/vector/act.h"

static ALWAYS_INLINE vf vf_dot_pairs(vf sum, vi a, vi b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
#include "kernels/vector/operand.h"
#include "kernels/vector/units.h"

#define GEMM_ROWS 12
#define GEMM_EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#include "kernels/vector/gemm_tile.h"
#include "kernels/vector/attention.h"
#include "kernels/vector/attention_backward.h"
#include "kernels/vector/peak.h"
