/* Arrays whose type is known only at run time, and what every reference product does with a sum. */
#ifndef PFM_REF_ANY_H
#define PFM_REF_ANY_H

#include "kernels/kernels.h"

static inline double load_any(const void *x, pfm_act_type type, size_t index)
{
    return type == PFM_ACT_F32 ? (double)((const float *)x)[index] : (double)pfm_bf16_to_f32(((const pfm_bf16 *)x)[index]);
}

static inline void store_any(void *y, pfm_act_type type, size_t index, double value)
{
    if (type == PFM_ACT_F32)
        ((float *)y)[index] = (float)value;
    else
        ((pfm_bf16 *)y)[index] = pfm_bf16_from_f32((float)value);
}

/* Factor, bias, addend, the output's type. */
static inline void store_result(const pfm_gemm *gemm, size_t row, size_t column, double sum)
{
    double value = gemm->alpha * sum;
    if (gemm->bias != NULL)
        value += gemm->bias[column];
    if (gemm->addend != NULL)
        value += load_any(gemm->addend, gemm->c_type, row * gemm->ld_addend + column);
    store_any(gemm->c, gemm->c_type, row * gemm->ldc + column, value);
}

#endif
