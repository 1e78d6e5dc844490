/* The most multiplications and additions that this level can do: as many chains of dot products as a product keeps, all in
 * registers. A template for an instance that fulfils what dots.h asks for. */
#include "kernels/vector/dots.h"

double NAME(peak)(size_t steps, volatile float *sink)
{
    vf sums[GEMM_ROWS][2], total = vf_zero();
    char bytes[4 * LANES] = {0};
    bytes[0] = (char)*sink;
    const operand a = operand_broadcast(bytes), left = operand_load(bytes);
    bytes[1] = 1; /* other columns, or the compiler would see the same sum twice */
    const operand right = operand_load(bytes);
    UNROLL for (int r = 0; r < GEMM_ROWS; r++) sums[r][0] = sums[r][1] = vf_set(*sink + (float)r);
    for (size_t step = 0; step < steps; step++)
        UNROLL for (int r = 0; r < GEMM_ROWS; r++)
        {
            sums[r][0] = operand_dot(sums[r][0], a, left);
            sums[r][1] = operand_dot(sums[r][1], a, right);
        }
    UNROLL for (int r = 0; r < GEMM_ROWS; r++) total += sums[r][0] + sums[r][1];
    *sink = vf_sum(total);
    return 2.0 * (double)steps * GEMM_ROWS * 2 * LANES * UNIT;
}
