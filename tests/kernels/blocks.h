/* Weights in blocks, as they would stand in a file, and packed. */
#ifndef PFM_TESTS_BLOCKS_H
#define PFM_TESTS_BLOCKS_H

#include "kernels/kernels.h"

/* w [n, k] in blocks, row by row, in guarded memory. */
void *blocks_of(pfm_dtype format, const float *w, size_t n, size_t k);
/* Packed by a table, `columns` (a multiple of its own) at a time and in runs of two blocks, in guarded memory. */
void *blocks_pack(const pfm_kernels *table, pfm_dtype format, const void *blocks, size_t n, size_t k, size_t columns);

#endif
