/* The innermost loop of all products: rows of units, broadcast, times vectors of columns. A template for an instance that has
 * included act.h and operand.h and defined GEMM_ROWS, the rows of which two vectors of sums each fit into registers, and
 * GEMM_EACH_ROWS(X), X(1) up to X(GEMM_ROWS). */
#ifndef PFM_KERNELS_VECTOR_DOTS_H
#define PFM_KERNELS_VECTOR_DOTS_H

#include "kernels/vector/gemm_shape.h"

enum { PREFETCH = 1024 }; /* bytes ahead in the right operand */

/* Unit u of row r stands at a + r * row_stride + u * unit_stride, the columns of unit u at b + u * b_stride (all in bytes). */
typedef struct terms {
    const char *a, *b;
    size_t row_stride, unit_stride, b_stride;
    size_t values; /* of k: the last of an odd number of bf16 is half a unit, and memory may end behind it */
} terms;

/* One unit of `rows` rows times `vectors` vectors, both constants of the caller. */
#define STEP(broadcast)                                                                                                        \
    do {                                                                                                                       \
        operand left = operand_load(b), right = operand_load(b + (vectors - 1) * 4 * LANES);                                   \
        UNROLL for (int r = 0; r < rows; r++)                                                                                  \
        {                                                                                                                      \
            operand unit = broadcast(a + (size_t)r * row_stride);                                                              \
            sums[r][0] = operand_dot(sums[r][0], unit, left);                                                                  \
            if (vectors == 2)                                                                                                  \
                sums[r][1] = operand_dot(sums[r][1], unit, right);                                                             \
        }                                                                                                                      \
    } while (0)

static ALWAYS_INLINE void accumulate(vf sums[GEMM_ROWS][2], const int rows, const int vectors, const terms x)
{
    const char *a = x.a, *b = x.b;
    const size_t row_stride = x.row_stride;
    UNROLL for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = vf_zero();
    for (size_t units = x.values / UNIT; units > 0; units--) {
        vf_prefetch(b + PREFETCH);
        vf_prefetch(b + PREFETCH + 4 * LANES);
        STEP(operand_broadcast);
        a += x.unit_stride;
        b += x.b_stride;
    }
    if (x.values % UNIT != 0)
        STEP(operand_broadcast_half);
}

#endif
