/* References of products with quantised weights. */
#include "kernels/levels.h"
#include "kernels/ref/ref_any.h"

#define NAME(slot) pfm_ref_##slot
enum { PANEL = 8 };
#include "kernels/quant_panel.h"
#include "kernels/quant_pack.h"

static float load_f16(const char *at)
{
    uint16_t bits;
    memcpy(&bits, at, sizeof bits);
    return pfm_f16_to_f32(bits);
}

/* u of value i of a column's block. */
static int number(pfm_dtype format, const char *numbers, size_t column, size_t i)
{
    const uint8_t byte = *panel_number(format, (char *)(uintptr_t)numbers, column, i);
    return format == PFM_DTYPE_Q8_0 ? byte : i < PFM_QUANT_BLOCK / 2 ? byte & 15 : byte >> 4;
}

static double multiply_column(pfm_dtype format, const pfm_gemm *gemm, const char *a, size_t column)
{
    const size_t blocks = pfm_quant_blocks(gemm->k);
    const char *panel = (const char *)gemm->b + column / PANEL * blocks * panel_block_bytes(format);
    double total = 0;
    for (size_t b = 0; b < blocks; b++) {
        const char *block = panel + b * panel_block_bytes(format);
        const int8_t *x = (const int8_t *)a + b * PFM_QUANT_BLOCK;
        float scales[2];
        long sum = 0;
        memcpy(scales, a + blocks * PFM_QUANT_BLOCK + b * sizeof scales, sizeof scales);
        for (size_t i = 0; i < PFM_QUANT_BLOCK; i++)
            sum += x[i] * number(format, block + PANEL_HEAD, column % PANEL, i);
        total += (double)scales[0] * load_f16(block + column % PANEL * sizeof(uint16_t)) * (double)sum +
                 (double)scales[1] * load_f16(block + (PANEL + column % PANEL) * sizeof(uint16_t));
    }
    return total;
}

void pfm_ref_quant_tile(pfm_dtype format, const pfm_gemm *gemm, size_t row_begin, size_t row_end, size_t column_begin,
                        size_t column_end)
{
    for (size_t i = row_begin; i < row_end; i++)
        for (size_t j = column_begin; j < column_end; j++)
            store_result(gemm, i, j, multiply_column(format, gemm, (const char *)gemm->a + i * gemm->lda, j));
}
