/* The sum behind logsumexp and cross-entropy. */
#ifndef PFM_KERNELS_VECTOR_SUMS_H
#define PFM_KERNELS_VECTOR_SUMS_H

#include "kernels/vector/exp.h"

/* *most = the largest of x, *sum = sum exp(x - *most), in double every so often: rows are as long as a vocabulary. */
static inline void sum_of_exponentials(const float *x, size_t n, float *most, double *sum)
{
    enum { STRETCH = 64 * LANES };
    vf largest = vf_set(x[0]);
    for (size_t i = 0; i < n; i += LANES)
        largest = vf_max(vf_first(vf_load_part(x + i, n - i), n - i, largest), largest);
    *most = vf_most(largest);
    *sum = 0;
    const vf shift = vf_set(*most);
    for (size_t begin = 0; begin < n; begin += STRETCH) {
        vf sums = vf_zero();
        size_t end = n - begin < STRETCH ? n : begin + STRETCH;
        for (size_t i = begin; i < end; i += LANES)
            sums += vf_first(vf_exp(vf_load_part(x + i, n - i) - shift), n - i, vf_zero());
        *sum += vf_sum_double(sums);
    }
}

#endif
