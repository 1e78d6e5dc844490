/* Products of two thin factors, B [n,r] A [r,k], made thinner: the nearest product of a smaller rank, by the singular values.
 */
#ifndef PFM_INFER_LOW_RANK_H
#define PFM_INFER_LOW_RANK_H

#include "pefomed/status.h"

#include <stdint.h>

/* b_out f32 [n,rank] = U S and a_out f32 [rank,k] = V^T of the largest `rank` singular values of b a, zeros behind the last one
 * that there is; *kept and *lost (NULL allowed) = the sums of the squares of the singular values that stay, and of the others.
 * b f32 [n,r], a f32 [r,k]; in double inside: a QR of each factor, then one-sided Jacobi (Hestenes 1958) on what is left,
 * r x r. */
pfm_status pfm_low_rank_truncate(const float *b, const float *a, int64_t n, int64_t k, int64_t r, int64_t rank, float *b_out,
                                 float *a_out, double *kept, double *lost, pfm_error *err) PFM_MUST_CHECK;

#endif
