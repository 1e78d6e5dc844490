/* What a template of ref/ sees: `act` is the activations' type, load and store convert, NAME(x) is pfm_ref_x_f32 or
 * pfm_ref_x_bf16. The instances are ref_f32.c and ref_bf16.c, which define PFM_INSTANCE_BF16. */
#ifndef PFM_REF_TEMPLATE_H
#define PFM_REF_TEMPLATE_H

#include "kernels/levels.h"
#include "kernels/ref/ref_any.h"

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

#endif
