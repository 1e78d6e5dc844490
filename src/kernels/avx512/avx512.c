/* What AVX-512 puts over the levels below. Compiled for any processor: nothing here may use its instructions. */
#include "kernels/levels.h"

bool pfm_avx512_supported(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma");
}

void pfm_avx512_overlay(pfm_kernels *out)
{
#define OVERLAY(name)                                                                                                          \
    out->name[PFM_ACT_F32] = pfm_avx512_##name##_f32;                                                                          \
    out->name[PFM_ACT_BF16] = pfm_avx512_##name##_bf16
    OVERLAY(gemm_pack_size);
    OVERLAY(gemm_pack);
    OVERLAY(gemm_tile);
    if (__builtin_cpu_supports("avx512bf16"))
        out->gemm_tile[PFM_ACT_BF16] = pfm_avx512_gemm_tile_bf16_dot;
    out->gemm_rows = 96;
    out->gemm_columns = 64;
    out->gemm_scratch = 96 * 32 * sizeof(float);
}
