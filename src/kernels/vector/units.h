/* Matrices in units of 32 bits (gemm_tile.h), packed into panels. A template for an instance that has included act.h. */
#include "kernels/vector/gemm_shape.h"

static ALWAYS_INLINE size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* One unit a lane: x, or for bf16 the pair of x and of the value after it. */
static ALWAYS_INLINE vi vi_units(vf x, vf after)
{
#if PFM_INSTANCE_BF16
    return vi_pair(vi_round_bf16(x), vi_round_bf16(after));
#else
    (void)after;
    return vi_bits(x);
#endif
}

/* Units of `count` columns made of UNIT rows `stride` elements apart; rows from `rows` on count as zero. */
static ALWAYS_INLINE vi load_units(const void *x, pfm_act_type type, size_t index, size_t stride, size_t rows, size_t count)
{
    vf first = rows > 0 ? vf_load_any(x, type, index, count) : vf_zero();
    vf second = UNIT == 2 && rows > 1 ? vf_load_any(x, type, index + stride, count) : vf_zero();
    return vi_units(first, second);
}

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

/* Columns column_begin.. of the source into their panels behind `packed`. */
static void pack(const packing *x, size_t column_begin, size_t column_end, char *packed)
{
    for (size_t column = column_begin; column < column_end; column += PANEL) {
        char *out = packed + column * units_of(x->k) * 4;
        if (x->j_stride == 1) {
            pack_rows(x, column, out);
            continue;
        }
        for (size_t p = 0; p < x->k; p += LANES * UNIT)
            for (size_t j = 0; j < PANEL; j += LANES)
                pack_square(x, p, column + j, out + (p / UNIT * PANEL + j) * 4);
    }
}
