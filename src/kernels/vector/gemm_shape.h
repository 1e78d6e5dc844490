/* The shape of packed operands and of the grid, shared by packing and multiplying. */
#ifndef PFM_KERNELS_VECTOR_GEMM_SHAPE_H
#define PFM_KERNELS_VECTOR_GEMM_SHAPE_H

enum {
    UNIT = 4 / sizeof(act), /* values of k in a unit */
    PANEL = 2 * LANES,      /* columns of a panel */
    MOST_UNITS = 768        /* units of k in a block: short chains of sums, and a slice of a panel stays in L2 */
};

static inline size_t units_of(size_t k) { return (k + UNIT - 1) / UNIT; }

#endif
