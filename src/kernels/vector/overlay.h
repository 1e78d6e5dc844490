/* Puts the slots that every vector level has into a table. */
#ifndef PFM_KERNELS_VECTOR_OVERLAY_H
#define PFM_KERNELS_VECTOR_OVERLAY_H

#define PFM_OVERLAY(table, level)                                                                                              \
    do {                                                                                                                       \
        (table)->bf16_from_f32 = pfm_##level##_bf16_from_f32;                                                                  \
        (table)->bf16_to_f32 = pfm_##level##_bf16_to_f32;                                                                      \
        (table)->axpy = pfm_##level##_axpy;                                                                                    \
        (table)->sum_squares = pfm_##level##_sum_squares;                                                                      \
        (table)->logsumexp = pfm_##level##_logsumexp;                                                                          \
        (table)->adamw = pfm_##level##_adamw;                                                                                  \
        (table)->attention_scratch = pfm_##level##_attention_scratch;                                                          \
        (table)->quant_pack_size = pfm_##level##_quant_pack_size;                                                              \
        (table)->quant_pack = pfm_##level##_quant_pack;                                                                        \
        (table)->quant_tile = pfm_##level##_quant_tile;                                                                        \
        (table)->peak_int8 = pfm_##level##_peak_int8;                                                                          \
        PFM_OVERLAY_ACT(table, level, quant_unpack);                                                                           \
        PFM_OVERLAY_ACT(table, level, quant_row);                                                                              \
        PFM_OVERLAY_ACT(table, level, peak);                                                                                   \
        PFM_OVERLAY_ACT(table, level, rmsnorm);                                                                                \
        PFM_OVERLAY_ACT(table, level, rmsnorm_backward);                                                                       \
        PFM_OVERLAY_ACT(table, level, layernorm);                                                                              \
        PFM_OVERLAY_ACT(table, level, layernorm_backward);                                                                     \
        PFM_OVERLAY_ACT(table, level, activate);                                                                               \
        PFM_OVERLAY_ACT(table, level, activate_backward);                                                                      \
        PFM_OVERLAY_ACT(table, level, scaled_add);                                                                             \
        PFM_OVERLAY_ACT(table, level, scaled_add_backward);                                                                    \
        PFM_OVERLAY_ACT(table, level, scale_columns);                                                                          \
        PFM_OVERLAY_ACT(table, level, add_products);                                                                           \
        PFM_OVERLAY_ACT(table, level, rope);                                                                                   \
        PFM_OVERLAY_ACT(table, level, silu_mul);                                                                               \
        PFM_OVERLAY_ACT(table, level, silu_mul_backward);                                                                      \
        PFM_OVERLAY_ACT(table, level, dropout);                                                                                \
        PFM_OVERLAY_ACT(table, level, cross_entropy);                                                                          \
        PFM_OVERLAY_ACT(table, level, attention);                                                                              \
        PFM_OVERLAY_ACT(table, level, attention_backward);                                                                     \
        PFM_OVERLAY_ACT(table, level, transpose);                                                                              \
        PFM_OVERLAY_ACT(table, level, gemm_pack_size);                                                                         \
        PFM_OVERLAY_ACT(table, level, gemm_pack);                                                                              \
        PFM_OVERLAY_ACT(table, level, gemm_tile);                                                                              \
    } while (0)

#define PFM_OVERLAY_ACT(table, level, slot)                                                                                    \
    (table)->slot[PFM_ACT_F32] = pfm_##level##_##slot##_f32;                                                                   \
    (table)->slot[PFM_ACT_BF16] = pfm_##level##_##slot##_bf16

#endif
