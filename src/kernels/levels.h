/* The levels of the table, for the files of this room: prototypes made from the list, and what fills or overlays a table. */
#ifndef PFM_KERNELS_LEVELS_H
#define PFM_KERNELS_LEVELS_H

#include "kernels/kernels.h"

/* pfm_LEVEL_slot, pfm_LEVEL_slot_f32, pfm_LEVEL_slot_bf16. A level need not define them all. */
#define PFM_REF_SLOT(name, type, arguments, bound) type pfm_ref_##name arguments;
#define PFM_REF_ACT_SLOT(name, type, arguments, bound)                                                                         \
    type pfm_ref_##name##_f32 arguments;                                                                                       \
    type pfm_ref_##name##_bf16 arguments;
PFM_KERNEL_LIST(PFM_REF_SLOT, PFM_REF_ACT_SLOT)

#define PFM_AVX2_SLOT(name, type, arguments, bound) type pfm_avx2_##name arguments;
#define PFM_AVX2_ACT_SLOT(name, type, arguments, bound)                                                                        \
    type pfm_avx2_##name##_f32 arguments;                                                                                      \
    type pfm_avx2_##name##_bf16 arguments;
PFM_KERNEL_LIST(PFM_AVX2_SLOT, PFM_AVX2_ACT_SLOT)

/* _bf16_dot: by the instructions of AVX512_BF16. */
#define PFM_AVX512_SLOT(name, type, arguments, bound) type pfm_avx512_##name arguments;
#define PFM_AVX512_ACT_SLOT(name, type, arguments, bound)                                                                      \
    type pfm_avx512_##name##_f32 arguments;                                                                                    \
    type pfm_avx512_##name##_bf16 arguments;                                                                                   \
    type pfm_avx512_##name##_bf16_dot arguments;
PFM_KERNEL_LIST(PFM_AVX512_SLOT, PFM_AVX512_ACT_SLOT)

/* pfm_kernels.peak of each. */
double pfm_avx2_peak_f32(size_t steps, volatile float *sink);
double pfm_avx2_peak_bf16(size_t steps, volatile float *sink);
double pfm_avx512_peak_f32(size_t steps, volatile float *sink);
double pfm_avx512_peak_bf16(size_t steps, volatile float *sink);
double pfm_avx512_peak_bf16_dot(size_t steps, volatile float *sink);
double pfm_avx2_peak_int8(size_t steps, volatile float *sink);
double pfm_avx512_peak_int8(size_t steps, volatile float *sink);

/* By the instructions of AVX512_VNNI. */
void pfm_avx512_quant_tile_vnni(pfm_dtype format, const pfm_gemm *gemm, size_t row_begin, size_t row_end, size_t column_begin,
                                size_t column_end);
double pfm_avx512_peak_int8_vnni(size_t steps, volatile float *sink);

/* Fills every slot. */
void pfm_ref_fill(pfm_kernels *out);

/* Whether processor and operating system have what a level needs, and what it puts over the levels below it. */
bool pfm_avx2_supported(void);
void pfm_avx2_overlay(pfm_kernels *out);
bool pfm_avx512_supported(void);
void pfm_avx512_overlay(pfm_kernels *out);

#endif
