/* How quantised weights are packed. A template: PANEL, the columns of a panel, is defined.
 *
 * A panel is [blocks of k], each: f16 d [PANEL], f16 m [PANEL], then the numbers in units of four values of k, [unit][PANEL][4]
 * bytes: eight units of whole bytes, or four of which the low halves are units 0..3 and the high halves units 4..7. */

enum { PANEL_UNITS = PFM_QUANT_BLOCK / 4 };

static inline size_t panel_block_bytes(pfm_dtype format)
{
    return 2 * sizeof(uint16_t) * PANEL + (format == PFM_DTYPE_Q8_0 ? PFM_QUANT_BLOCK : PFM_QUANT_BLOCK / 2) * PANEL;
}
