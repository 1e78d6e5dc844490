/* What a template of ref/ sees: `act` is the activations' type, load and store convert, NAME(x) is pfm_ref_x_f32 or
 * pfm_ref_x_bf16. The instances are ref_f32.c and ref_bf16.c, which define PFM_INSTANCE_BF16. */
#ifndef PFM_REF_TEMPLATE_H
#define PFM_REF_TEMPLATE_H

#include "kernels/levels.h"

#if PFM_INSTANCE_BF16
typedef pfm_bf16 act;
#define NAME(slot) pfm_ref_##slot##_bf16
static inline double load(const act *x) { return (double)pfm_bf16_to_f32(*x); }
static inline void store(act *y, double value) { *y = pfm_bf16_from_f32((float)value); }
#else
typedef float act;
#define NAME(slot) pfm_ref_##slot##_f32
static inline double load(const act *x) { return (double)*x; }
static inline void store(act *y, double value) { *y = (float)value; }
#endif

/* An element of an array whose type is known only at run time. */
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

#endif
