/* Quantised weights back to numbers, in the panels that gemm_tile reads (gemm_shape.h): what gemm_pack would make of the
 * weights that ggml's or bitsandbytes' reference dequantises. A template for an instance that has included act.h and units.h.
 *
 * A value is u d + m by one multiplication with addition: u d is exact, so the sum is rounded once, as the references do it. */
#include "kernels/quant_panel.h"

typedef struct group_scales {
    vf scale[2], offset[2]; /* of two vectors of columns */
    vf_table levels;        /* nf4 */
} group_scales;

static ALWAYS_INLINE group_scales load_scales(const pfm_dtype format, const char *block, const char *group)
{
    group_scales x;
    x.levels = vf_table_load(pfm_nf4_levels);
    UNROLL for (size_t v = 0; v < 2; v++)
    {
        if (format == PFM_DTYPE_NF4) {
            x.scale[v] = vf_load((const float *)(const void *)(block + v * 4 * LANES));
            x.offset[v] = vf_zero();
            continue;
        }
        const vf d = vf_load_f16(block + v * 2 * LANES), m = vf_load_f16(block + 2 * PANEL + v * 2 * LANES);
        if (format == PFM_DTYPE_Q4_K) {
            x.scale[v] = d * vf_from_int(vi_load_bytes(group + v * LANES));
            x.offset[v] = vf_zero() - m * vf_from_int(vi_load_bytes(group + PANEL + v * LANES));
        } else {
            x.scale[v] = d;
            x.offset[v] = m;
            if (format != PFM_DTYPE_Q4_1) /* m in f16 may not be exact */
                x.offset[v] = d * vf_set(format == PFM_DTYPE_Q8_0 ? -128 : -8);
        }
    }
    return x;
}

/* The values of unit `unit` (0..7, a constant of the caller) of vector v. */
static ALWAYS_INLINE void load_values(const pfm_dtype format, const group_scales *x, const char *numbers, const int unit,
                                      const int v, vf out[4])
{
    const bool bytes = format == PFM_DTYPE_Q8_0;
    const int row = bytes ? unit : unit % (PANEL_UNITS / 2), shift = bytes || unit < PANEL_UNITS / 2 ? 0 : 4;
    const vi word = vi_load(numbers + (row * PANEL + v * LANES) * 4);
    UNROLL for (int i = 0; i < 4; i++)
    {
        const vi u = vi_field(word, 8 * i + shift, bytes ? 255 : 15);
        if (format == PFM_DTYPE_NF4)
            out[i] = vf_look_up(x->levels, u) * x->scale[v];
        else
            out[i] = vf_fma(vf_from_int(u), x->scale[v], x->offset[v]);
    }
}

/* A group as rows of k: `left` of its values are inside; the others become zero. */
static ALWAYS_INLINE void unpack_rows(const pfm_dtype format, const char *block, const char *group, size_t left, char *out)
{
    const group_scales scales = load_scales(format, block, group);
    const char *numbers = group + panel_group_head(format);
    UNROLL for (int unit = 0; unit < PANEL_UNITS; unit++)
    {
        UNROLL for (int v = 0; v < 2; v++)
        {
            vf x[4];
            load_values(format, &scales, numbers, unit, v, x);
            UNROLL for (size_t i = 0; i < 4; i += UNIT)
            {
                const size_t value = (size_t)unit * 4 + i;
                if (value < left)
                    vi_store(out + (value / UNIT * PANEL + (size_t)v * LANES) * 4,
                             vi_units(x[i], value + 1 < left ? x[i + UNIT - 1] : vf_zero()));
            }
        }
    }
}

/* Columns of W^T: a panel of outputs becomes a panel. */
static ALWAYS_INLINE void unpack_columns(const pfm_dtype format, const pfm_quant_panels *x, size_t begin, size_t end, char *out)
{
    const size_t units = units_of(x->k);
    for (size_t column = begin; column < end; column += PANEL, out += units * PANEL * 4) {
        const char *block = (const char *)x->packed + column / PANEL * panel_bytes(format, x->k), *group = block;
        for (size_t p = 0; p < x->k; p += PFM_QUANT_BLOCK) {
            const size_t g = p / PFM_QUANT_BLOCK % panel_groups(format), left = x->k - p;
            group = g == 0 ? block + PANEL_HEAD : group;
            char *to = out + p / UNIT * PANEL * 4;
            if (left >= PFM_QUANT_BLOCK)
                unpack_rows(format, block, group, PFM_QUANT_BLOCK, to);
            else
                unpack_rows(format, block, group, left, to);
            group += panel_group_bytes(format);
            block = g + 1 == panel_groups(format) ? group : block;
        }
    }
}

/* LANES rows of k of LANES outputs, from `tile` on, become units of outputs; `left` outputs are inside. */
static ALWAYS_INLINE void turn(const float *tile, size_t left, char *out)
{
    vi x[LANES];
    UNROLL for (size_t i = 0; i < LANES; i++) x[i] = vi_load(tile + i * PANEL);
    vi_transpose(x);
    UNROLL for (size_t i = 0; i < LANES; i += UNIT)
    {
        if (i < left)
            vi_store(out + i / UNIT * PANEL * 4, vi_units(vf_bits(x[i]), vf_bits(x[i + UNIT - 1])));
    }
}

/* Columns of W: a group of inputs of every panel of outputs. */
static ALWAYS_INLINE void unpack_transposed(const pfm_dtype format, const pfm_quant_panels *x, size_t begin, size_t end,
                                            char *out)
{
    const size_t units = units_of(x->n), padded = (end + PANEL - 1) / PANEL * PANEL;
    for (size_t p = begin; p < end; p += PFM_QUANT_BLOCK)
        for (size_t column = 0; column < x->n; column += PANEL) {
            float tile[PFM_QUANT_BLOCK * PANEL];
            const size_t group_number = p / PFM_QUANT_BLOCK;
            const char *block = (const char *)x->packed + column / PANEL * panel_bytes(format, x->k) +
                                group_number / panel_groups(format) * panel_block_bytes(format);
            const char *group = block + PANEL_HEAD + group_number % panel_groups(format) * panel_group_bytes(format);
            const group_scales scales = load_scales(format, block, group);
            UNROLL for (int unit = 0; unit < PANEL_UNITS; unit++)
            {
                UNROLL for (int v = 0; v < 2; v++)
                {
                    vf values[4];
                    load_values(format, &scales, group + panel_group_head(format), unit, v, values);
                    UNROLL for (int i = 0; i < 4; i++) vf_store(tile + (unit * 4 + i) * PANEL + v * LANES, values[i]);
                }
            }
            for (size_t row = 0; row < PFM_QUANT_BLOCK && p + row < padded; row += LANES)
                for (size_t j = 0; j < PANEL && column + j < x->n; j += LANES)
                    turn(tile + row * PANEL + j, x->n - column - j,
                         out + (((p + row) / PANEL - begin / PANEL) * units + (column + j) / UNIT) * PANEL * 4 +
                             (p + row) % PANEL * 4);
        }
}

#define UNPACK(name, format)                                                                                                   \
    static void unpack_##name(const pfm_quant_panels *x, bool transposed, size_t begin, size_t end, char *out)                 \
    {                                                                                                                          \
        if (transposed)                                                                                                        \
            unpack_transposed(format, x, begin, end, out);                                                                     \
        else                                                                                                                   \
            unpack_columns(format, x, begin, end, out);                                                                        \
    }
UNPACK(q8_0, PFM_DTYPE_Q8_0)
UNPACK(q4_0, PFM_DTYPE_Q4_0)
UNPACK(q4_1, PFM_DTYPE_Q4_1)
UNPACK(q4_k, PFM_DTYPE_Q4_K)
UNPACK(nf4, PFM_DTYPE_NF4)

void NAME(quant_unpack)(const pfm_quant_panels *x, bool transposed, size_t column_begin, size_t column_end, void *packed)
{
    switch (x->format) {
    case PFM_DTYPE_Q8_0: unpack_q8_0(x, transposed, column_begin, column_end, packed); break;
    case PFM_DTYPE_Q4_0: unpack_q4_0(x, transposed, column_begin, column_end, packed); break;
    case PFM_DTYPE_Q4_1: unpack_q4_1(x, transposed, column_begin, column_end, packed); break;
    case PFM_DTYPE_Q4_K: unpack_q4_k(x, transposed, column_begin, column_end, packed); break;
    default: unpack_nf4(x, transposed, column_begin, column_end, packed);
    }
}
