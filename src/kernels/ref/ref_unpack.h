/* Reference of dequantising. A template: see ref_template.h; ref_gemm.h is included. */
#include "kernels/quant_panel.h"

static float load_f16(const char *at)
{
    uint16_t bits;
    memcpy(&bits, at, sizeof bits);
    return pfm_f16_to_f32(bits);
}

/* Weight [j, p] as the format's own reference dequantises it: rounded once, the product being exact but in nf4. */
static float weight_at(const pfm_quant_panels *x, size_t j, size_t p)
{
    const size_t groups = panel_groups(x->format), g = p / PFM_QUANT_BLOCK, column = j % PANEL;
    char *block =
        (char *)(uintptr_t)x->packed + j / PANEL * panel_bytes(x->format, x->k) + g / groups * panel_block_bytes(x->format);
    char *group = block + PANEL_HEAD + g % groups * panel_group_bytes(x->format);
    const uint8_t byte = *panel_number(x->format, group + panel_group_head(x->format), column, p % PFM_QUANT_BLOCK);
    const float u = x->format == PFM_DTYPE_Q8_0 ? byte : p % PFM_QUANT_BLOCK < PFM_QUANT_BLOCK / 2 ? byte & 15 : byte >> 4;
    const float d = load_f16(block + column * 2), m = load_f16(block + (PANEL + column) * 2);
    switch (x->format) {
    case PFM_DTYPE_Q8_0: return (u - 128) * d;
    case PFM_DTYPE_Q4_0: return (u - 8) * d;
    case PFM_DTYPE_Q4_1: return fmaf(u, d, m);
    case PFM_DTYPE_Q4_K: return fmaf(u, d * (float)(uint8_t)group[column], -m * (float)(uint8_t)group[PANEL + column]);
    default: {
        float most;
        memcpy(&most, block + column * sizeof most, sizeof most);
        return pfm_nf4_levels[(int)u] * most;
    }
    }
}

void NAME(quant_unpack)(const pfm_quant_panels *x, bool transposed, size_t column_begin, size_t column_end, void *packed)
{
    const size_t n = transposed ? x->k : x->n, k = transposed ? x->n : x->k;
    for (size_t j = column_begin; j < (column_end + PANEL - 1) / PANEL * PANEL; j++)
        for (size_t p = 0; p < k; p++)
            store((act *)packed + ((j - column_begin) / PANEL * k + p) * PANEL + j % PANEL, j >= n ? 0
                                                                                            : transposed
                                                                                                ? (double)weight_at(x, p, j)
                                                                                                : (double)weight_at(x, j, p));
}
