/* Packing for gemm_tile.h. A template for an instance that has included act.h. */
#include "kernels/vector/gemm_shape.h"

size_t NAME(gemm_pack_size)(size_t n, size_t k) { return (n + PANEL - 1) / PANEL * PANEL * units_of(k) * 4; }

static inline act element(const void *source, pfm_act_type type, size_t index)
{
#if PFM_INSTANCE_BF16
    return type == PFM_ACT_BF16 ? ((const pfm_bf16 *)source)[index] : pfm_bf16_from_f32(((const float *)source)[index]);
#else
    return type == PFM_ACT_F32 ? ((const float *)source)[index] : pfm_bf16_to_f32(((const pfm_bf16 *)source)[index]);
#endif
}

void NAME(gemm_pack)(const void *source, pfm_act_type source_type, size_t p_stride, size_t j_stride, size_t n, size_t k,
                     size_t column_begin, size_t column_end, void *packed)
{
    const size_t units = units_of(k);
    for (size_t column = column_begin; column < column_end; column += PANEL)
        for (size_t unit = 0; unit < units; unit++) {
            act *out = (act *)packed + (column / PANEL * units + unit) * PANEL * UNIT;
            for (size_t j = 0; j < PANEL; j++)
                for (size_t i = 0; i < UNIT; i++) {
                    size_t p = unit * UNIT + i;
                    bool inside = column + j < n && p < k;
                    out[j * UNIT + i] = inside ? element(source, source_type, p * p_stride + (column + j) * j_stride) : 0;
                }
        }
}
