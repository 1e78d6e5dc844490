/* The slots that move matrices. A template for an instance that has included units.h. */

void NAME(transpose)(const void *x, size_t x_stride, size_t rows, size_t columns, void *y, size_t y_stride)
{
    enum { ROWS = LANES * UNIT };
    for (size_t r = 0; r < rows; r += ROWS)
        for (size_t c = 0; c < columns; c += LANES) {
            vi units[LANES];
            for (size_t i = 0; i < LANES; i++) {
                size_t row = r + i * UNIT;
                units[i] =
                    row < rows ? load_units(x, ACT_TYPE, row * x_stride + c, x_stride, rows - row, columns - c) : vi_set(0);
            }
            vi_transpose(units);
            for (size_t i = 0; i < least(LANES, columns - c); i++) {
                act *out = (act *)y + (c + i) * y_stride + r, part[ROWS];
                vi_store(rows - r >= ROWS ? out : part, units[i]);
                if (rows - r < ROWS)
                    memcpy(out, part, (rows - r) * sizeof(act));
            }
        }
}

size_t NAME(gemm_pack_size)(size_t n, size_t k) { return (n + PANEL - 1) / PANEL * PANEL * units_of(k) * 4; }

void NAME(gemm_pack)(const void *source, pfm_act_type source_type, size_t p_stride, size_t j_stride, size_t n, size_t k,
                     size_t column_begin, size_t column_end, void *packed)
{
    const packing x = {source, source_type, p_stride, j_stride, n, k};
    pack(&x, column_begin, column_end, packed);
}
