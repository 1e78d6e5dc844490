/* What every product does with its sums: factor, bias, addend, the output's type. A template for an instance that has included
 * act.h. */
#ifndef PFM_KERNELS_VECTOR_GEMM_RESULT_H
#define PFM_KERNELS_VECTOR_GEMM_RESULT_H

/* Stores the first `count` lanes of a row of c, from `column` on; type is gemm->c_type. */
static ALWAYS_INLINE void store_result(const pfm_gemm *gemm, size_t row, size_t column, size_t count, vf sum, pfm_act_type type)
{
    vf y = vf_set(gemm->alpha) * sum;
    if (gemm->bias != NULL)
        y += vf_load_part(gemm->bias + column, count);
    if (gemm->addend != NULL)
        y += vf_load_any(gemm->addend, type, row * gemm->ld_addend + column, count);
    vf_store_any(gemm->c, type, row * gemm->ldc + column, y, count);
}

#endif
