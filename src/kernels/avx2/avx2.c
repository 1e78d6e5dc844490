/* The level avx2. Compiled for any processor: nothing here may use its instructions. */
#include "kernels/levels.h"
#include "kernels/vector/overlay.h"

/* The compiler's check includes that the operating system keeps the registers. */
bool pfm_avx2_supported(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

void pfm_avx2_overlay(pfm_kernels *out)
{
    PFM_OVERLAY(out, avx2);
    out->gemm_rows = 96;
    out->gemm_columns = 32;
    out->gemm_scratch = 96 * 16 * sizeof(float);
}
