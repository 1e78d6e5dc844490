/* The level avx512. Compiled for any processor: nothing here may use its instructions. */
#include "kernels/levels.h"
#include "kernels/vector/overlay.h"

bool pfm_avx512_supported(void)
{
    return pfm_avx2_supported() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

void pfm_avx512_overlay(pfm_kernels *out)
{
    PFM_OVERLAY(out, avx512);
    if (__builtin_cpu_supports("avx512bf16")) {
        out->gemm_tile[PFM_ACT_BF16] = pfm_avx512_gemm_tile_bf16_dot;
        out->peak[PFM_ACT_BF16] = pfm_avx512_peak_bf16_dot;
        out->attention[PFM_ACT_BF16] = pfm_avx512_attention_bf16_dot;
        out->attention_backward[PFM_ACT_BF16] = pfm_avx512_attention_backward_bf16_dot;
    }
    if (__builtin_cpu_supports("avx512vnni")) {
        out->quant_tile = pfm_avx512_quant_tile_vnni;
        out->peak_int8 = pfm_avx512_peak_int8_vnni;
    }
    out->gemm_rows = 96;
    out->gemm_columns = 32;
    out->gemm_scratch = 96 * 32 * sizeof(float);
}
