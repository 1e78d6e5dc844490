/* Reference product. A template: see ref_template.h. Packed: panels of PANEL columns, [panel][k][PANEL], zeros behind n. */

enum { PANEL = 8 };

size_t NAME(gemm_pack_size)(size_t n, size_t k) { return (n + PANEL - 1) / PANEL * PANEL * k * sizeof(act); }

void NAME(gemm_pack)(const void *source, pfm_act_type source_type, size_t p_stride, size_t j_stride, size_t n, size_t k,
                     size_t column_begin, size_t column_end, void *packed)
{
    size_t padded = (column_end + PANEL - 1) / PANEL * PANEL;
    for (size_t j = column_begin; j < padded; j++)
        for (size_t p = 0; p < k; p++)
            store((act *)packed + (j / PANEL * k + p) * PANEL + j % PANEL,
                  j < n ? load_any(source, source_type, p * p_stride + j * j_stride) : 0);
}

static void multiply_row(const pfm_gemm *gemm, size_t i, size_t panel, size_t columns)
{
    double sums[PANEL] = {0};
    const act *a = (const act *)gemm->a + i * gemm->lda, *b = (const act *)gemm->b + panel * gemm->k * PANEL;
    for (size_t p = 0; p < gemm->k; p++)
        for (size_t j = 0; j < PANEL; j++)
            sums[j] += load(a + p) * load(b + p * PANEL + j);
    for (size_t j = 0; j < columns; j++)
        store_result(gemm, i, panel * PANEL + j, sums[j]);
}

void NAME(gemm_tile)(const pfm_gemm *gemm, size_t row_begin, size_t row_end, size_t column_begin, size_t column_end,
                     void *scratch)
{
    (void)scratch;
    for (size_t column = column_begin; column < column_end; column += PANEL)
        for (size_t i = row_begin; i < row_end; i++)
            multiply_row(gemm, i, column / PANEL, column_end - column < PANEL ? column_end - column : PANEL);
}
