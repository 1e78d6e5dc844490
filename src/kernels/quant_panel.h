/* How quantised weights are packed. A template: PANEL, the columns of a panel, is defined.
 *
 * A panel is [blocks of k] (of the format's own length), each: two f16 [PANEL] (q8_0, q4_0, q4_1: d, then m; q4_k: the scale of
 * scales, then that of minimums) or an f32 [PANEL] (nf4: the largest magnitude), then the block's groups of 32 values. A group
 * is (q4_k: its scale and its minimum, a byte [PANEL] each, then) the numbers in units of four values of k, [unit][PANEL][4]
 * bytes: eight units of whole bytes, or four of which the low halves are units 0..3 and the high halves units 4..7. */
#include "base/quantise.h"

enum { PANEL_UNITS = PFM_QUANT_BLOCK / 4, PANEL_HEAD = 4 * PANEL };

/* Where a group's numbers begin. */
static inline size_t panel_group_head(pfm_dtype format) { return format == PFM_DTYPE_Q4_K ? 2 * PANEL : 0; }

static inline size_t panel_group_bytes(pfm_dtype format)
{
    return panel_group_head(format) + (format == PFM_DTYPE_Q8_0 ? PFM_QUANT_BLOCK : PFM_QUANT_BLOCK / 2) * PANEL;
}

static inline size_t panel_groups(pfm_dtype format) { return format == PFM_DTYPE_Q4_K ? 8 : format == PFM_DTYPE_NF4 ? 2 : 1; }

static inline size_t panel_block_bytes(pfm_dtype format)
{
    return PANEL_HEAD + panel_groups(format) * panel_group_bytes(format);
}

/* Of all blocks of a panel's columns. */
static inline size_t panel_bytes(pfm_dtype format, size_t k)
{
    return pfm_quantised_blocks(format, k) * panel_block_bytes(format);
}

/* Number i (0..31) of a column's group. */
static inline uint8_t *panel_number(pfm_dtype format, char *numbers, size_t column, size_t i)
{
    const size_t unit = format == PFM_DTYPE_Q8_0 ? i / 4 : i / 4 % (PANEL_UNITS / 2);
    return (uint8_t *)numbers + (unit * PANEL + column) * 4 + i % 4;
}
