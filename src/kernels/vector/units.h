/* Moving matrices in units of 32 bits (gemm_tile.h): packing for products, and transposition. A template for an instance that
 * has included act.h. */
#include "kernels/vector/gemm_shape.h"

static ALWAYS_INLINE size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Units of `count` columns made of UNIT rows `stride` elements apart; rows from `rows` on count as zero. */
static ALWAYS_INLINE vi load_units(const void *x, pfm_act_type type, size_t index, size_t stride, size_t rows, size_t count)
{
    vf first = rows > 0 ? vf_load_any(x, type, index, count) : vf_zero();
#if PFM_INSTANCE_BF16
    vf second = rows > 1 ? vf_load_any(x, type, index + stride, count) : vf_zero();
    return vi_pair(vi_round_bf16(first), vi_round_bf16(second));
#else
    (void)stride;
    return vi_bits(first);
#endif
}

void NAME(transpose)(const void *x, size_t x_stride, size_t rows, size_t columns, void *y, size_t y_stride)
{
    const pfm_act_type type = PFM_INSTANCE_BF16 ? PFM_ACT_BF16 : PFM_ACT_F32;
    enum { ROWS = LANES * UNIT };
    for (size_t r = 0; r < rows; r += ROWS)
        for (size_t c = 0; c < columns; c += LANES) {
            vi units[LANES];
            for (size_t i = 0; i < LANES; i++) {
                size_t row = r + i * UNIT;
                units[i] = row < rows ? load_units(x, type, row * x_stride + c, x_stride, rows - row, columns - c) : vi_set(0);
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

typedef struct packing {
    const void *source;
    pfm_act_type type;
    size_t p_stride, j_stride, n, k;
} packing;

/* Rows of k beside each other in memory. */
static void pack_rows(const packing *x, size_t column, char *out)
{
    for (size_t p = 0; p < x->k; p += UNIT, out += 4 * PANEL)
        for (size_t j = 0; j < PANEL; j += LANES) {
            bool inside = column + j < x->n;
            vi_store(out + 4 * j, inside ? load_units(x->source, x->type, p * x->p_stride + column + j, x->p_stride, x->k - p,
                                                      x->n - column - j)
                                         : vi_set(0));
        }
}

/* LANES units of k for LANES columns of which each is contiguous in memory, or strided. */
static void pack_square(const packing *x, size_t p, size_t column, char *out)
{
    act rows[LANES][LANES * UNIT];
    vi units[LANES];
    size_t values = least(LANES * UNIT, x->k - p);
    memset(rows, 0, sizeof rows);
    for (size_t j = 0; j < LANES && column + j < x->n; j++) {
        size_t index = p * x->p_stride + (column + j) * x->j_stride;
        if (x->p_stride == 1)
            for (size_t i = 0; i < values; i += LANES)
                act_store(rows[j] + i, vf_load_any(x->source, x->type, index + i, values - i), values - i);
        else
            for (size_t i = 0; i < values; i++)
                act_store(rows[j] + i, vf_load_any(x->source, x->type, index + i * x->p_stride, 1), 1);
    }
    for (size_t j = 0; j < LANES; j++)
        units[j] = vi_load(rows[j]);
    vi_transpose(units);
    for (size_t i = 0; i < least(LANES, units_of(values)); i++)
        vi_store(out + i * 4 * PANEL, units[i]);
}

void NAME(gemm_pack)(const void *source, pfm_act_type source_type, size_t p_stride, size_t j_stride, size_t n, size_t k,
                     size_t column_begin, size_t column_end, void *packed)
{
    const packing x = {source, source_type, p_stride, j_stride, n, k};
    for (size_t column = column_begin; column < column_end; column += PANEL) {
        char *out = (char *)packed + column * units_of(k) * 4;
        if (j_stride == 1) {
            pack_rows(&x, column, out);
            continue;
        }
        for (size_t p = 0; p < k; p += LANES * UNIT)
            for (size_t j = 0; j < PANEL; j += LANES)
                pack_square(&x, p, column + j, out + (p / UNIT * PANEL + j) * 4);
    }
}
