/* The level avx2. Compiled for any processor: nothing here may use its instructions. */
#include "kernels/levels.h"
#include "kernels/vector/overlay.h"

#include <cpuid.h>

/* The conversions of f16, which clang's check has no name for. */
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

/* The compiler's check includes that the operating system keeps the registers. */
bool pfm_avx2_supported(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c(); }

void pfm_avx2_overlay(pfm_kernels *out)
{
    PFM_OVERLAY(out, avx2);
    out->gemm_rows = 96;
    out->gemm_columns = 32;
    out->gemm_scratch = 96 * 16 * sizeof(float);
}
