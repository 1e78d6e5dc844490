/* exp at any vector width: 2^n times a polynomial on |r| <= log(2)/2, fitted to the least relative error (4e-9 before
 * rounding). Relative error at most 2e-7 where the result is a normal number; below that it is 0; NaN stays NaN. */
#ifndef PFM_KERNELS_VECTOR_EXP_H
#define PFM_KERNELS_VECTOR_EXP_H

static ALWAYS_INLINE vf vf_exp(vf x)
{
    const vf least = vf_set(-87.336544f);
    vf bounded = vf_max(least, vf_min(vf_set(89), x));
    vf n = vf_round(bounded * vf_set(1.442695041f));
    vf r = vf_fnma(n, vf_set(3.19461849e-5f), vf_fnma(n, vf_set(0.693115234375f), bounded));
    vf p = vf_fma(vf_set(0.00138145988f), r, vf_set(0.00836871658f));
    p = vf_fma(p, r, vf_set(0.041668389f));
    p = vf_fma(p, r, vf_set(0.166665211f));
    p = vf_fma(p, r, vf_set(0.49999994f));
    p = vf_fma(p * r, r, r) + vf_set(1);
    return vf_zero_below(x, least, vf_scale(p, n));
}

#endif
