/* f32 activations at AVX2. */
#define PFM_INSTANCE_BF16 0
#define PFM_PAIRED 0
#define NAME(slot) pfm_avx2_##slot##_f32
#include "kernels/levels.h"

#include "kernels/avx2/avx2_simd.h"
#include "kernels/vector/act.h"
#include "kernels/vector/operand.h"
#include "kernels/vector/units.h"
#include "kernels/vector/moves.h"
#include "kernels/vector/rows.h"
#include "kernels/vector/quant_row.h"
#include "kernels/vector/quant_unpack.h"

#define GEMM_ROWS 6
#define GEMM_EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#include "kernels/vector/gemm_tile.h"
#include "kernels/vector/attention.h"
#include "kernels/vector/attention_backward.h"
#include "kernels/vector/peak.h"
