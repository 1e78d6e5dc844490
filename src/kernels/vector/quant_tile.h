/* Products with quantised weights, and the most that such sums can do. A template for an instance that has included a level's
 * simd.h and act.h and defined NAME, QUANT_ROWS, the rows of which sums of both kinds fit into registers, and
 * QUANT_EACH_ROWS(X), X(1) up to X(QUANT_ROWS). */
#include "kernels/vector/gemm_result.h"

enum { PANEL = 2 * LANES };
#include "kernels/quant_panel.h"

typedef struct quant_rows {
    const pfm_gemm *gemm;
    const char *a, *panel; /* the first row, and the columns' panel */
    size_t row, column, columns;
} quant_rows;

/* Four values of k: units of the rows from `a` on times two vectors of columns. */
#define DOT(left, right, unit)                                                                                                 \
    UNROLL for (int r = 0; r < rows; r++)                                                                                      \
    {                                                                                                                          \
        vi x = vi_broadcast(a + (size_t)r * stride + (unit)*4);                                                                \
        sums[r][0] = vi_dot_bytes(sums[r][0], left, x);                                                                        \
        sums[r][1] = vi_dot_bytes(sums[r][1], right, x);                                                                       \
    }

/* The integers of one block; `rows` and `halves` (two numbers a byte) are constants of the caller. */
static ALWAYS_INLINE void sum_block(vi sums[QUANT_ROWS][2], const int rows, const bool halves, const char *a, size_t stride,
                                    const char *numbers)
{
    const int units = halves ? PANEL_UNITS / 2 : PANEL_UNITS;
    UNROLL for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = vi_set(0);
    UNROLL for (int unit = 0; unit < units; unit++)
    {
        const char *at = numbers + (size_t)unit * 4 * PANEL;
        vi left = vi_load(at), right = vi_load(at + 4 * LANES);
        if (halves) {
            vi left_low = vi_low_halves(left), right_low = vi_low_halves(right);
            vi left_high = vi_high_halves(left), right_high = vi_high_halves(right);
            DOT(left_low, right_low, unit)
            DOT(left_high, right_high, unit + PANEL_UNITS / 2)
        } else {
            DOT(left, right, unit)
        }
    }
}

static ALWAYS_INLINE vf load_scale(const char *at)
{
    float value;
    memcpy(&value, at, sizeof value);
    return vf_set(value);
}

static ALWAYS_INLINE void multiply_quantised(const quant_rows *x, const int rows, const bool halves)
{
    enum { SCALES = PANEL_HEAD };
    const size_t blocks = pfm_quant_blocks(x->gemm->k), stride = x->gemm->lda;
    const size_t bytes = SCALES + (halves ? PFM_QUANT_BLOCK / 2 : PFM_QUANT_BLOCK) * PANEL;
    const char *a = x->a, *scales = a + blocks * PFM_QUANT_BLOCK, *panel = x->panel;
    vf sums[QUANT_ROWS][2];
    UNROLL for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = vf_zero();
    for (size_t b = 0; b < blocks; b++, a += PFM_QUANT_BLOCK, scales += 2 * sizeof(float), panel += bytes) {
        vi whole[QUANT_ROWS][2];
        sum_block(whole, rows, halves, a, stride, panel + SCALES);
        vf d[2] = {vf_load_f16(panel), vf_load_f16(panel + 2 * LANES)};
        vf m[2] = {vf_load_f16(panel + 2 * PANEL), vf_load_f16(panel + 2 * PANEL + 2 * LANES)};
        UNROLL for (int r = 0; r < rows; r++)
        {
            vf scale = load_scale(scales + (size_t)r * stride), sum = load_scale(scales + (size_t)r * stride + sizeof(float));
            UNROLL for (int v = 0; v < 2; v++) sums[r][v] =
                vf_fma(scale, d[v] * vf_from_int(whole[r][v]), vf_fma(sum, m[v], sums[r][v]));
        }
    }
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (size_t v = 0; v < 2; v++) if (v * LANES < x->columns)
        store_result(x->gemm, x->row + (size_t)r, x->column + v * LANES, x->columns - v * LANES, sums[r][v], x->gemm->c_type);
}

#define MULTIPLY_QUANTISED(rows)                                                                                               \
    static void multiply_bytes_##rows(const quant_rows *x) { multiply_quantised(x, rows, false); }                             \
    static void multiply_halves_##rows(const quant_rows *x) { multiply_quantised(x, rows, true); }
QUANT_EACH_ROWS(MULTIPLY_QUANTISED)

#define MULTIPLY_ENTRY(rows) {multiply_bytes_##rows, multiply_halves_##rows},
static void (*const multiply_each[][2])(const quant_rows *x) = {{NULL, NULL}, QUANT_EACH_ROWS(MULTIPLY_ENTRY)};

void NAME(quant_tile)(pfm_dtype format, const pfm_gemm *gemm, size_t row_begin, size_t row_end, size_t column_begin,
                      size_t column_end)
{
    const size_t stride = panel_bytes(format, gemm->k);
    for (size_t column = column_begin; column < column_end; column += PANEL)
        for (size_t row = row_begin; row < row_end; row += QUANT_ROWS) {
            const size_t rows = row_end - row < QUANT_ROWS ? row_end - row : QUANT_ROWS;
            const quant_rows x = {.gemm = gemm,
                                  .a = (const char *)gemm->a + row * gemm->lda,
                                  .panel = (const char *)gemm->b + column / PANEL * stride,
                                  .row = row,
                                  .column = column,
                                  .columns = column_end - column};
            multiply_each[rows][format != PFM_DTYPE_Q8_0](&x);
        }
}

double NAME(peak_int8)(size_t steps, volatile float *sink)
{
    vi sums[QUANT_ROWS][2], total = vi_set(0);
    char bytes[4 * LANES] = {0};
    bytes[0] = (char)*sink;
    const vi a = vi_broadcast(bytes), left = vi_load(bytes);
    bytes[1] = 1; /* other columns, or the compiler would see the same sum twice */
    const vi right = vi_load(bytes);
    UNROLL for (int r = 0; r < QUANT_ROWS; r++) sums[r][0] = sums[r][1] = vi_set((uint32_t)r);
    for (size_t step = 0; step < steps; step++)
        UNROLL for (int r = 0; r < QUANT_ROWS; r++)
        {
            sums[r][0] = vi_dot_bytes(sums[r][0], left, a);
            sums[r][1] = vi_dot_bytes(sums[r][1], right, a);
        }
    UNROLL for (int r = 0; r < QUANT_ROWS; r++) total = vi_add(total, vi_add(sums[r][0], sums[r][1]));
    *sink = vf_sum(vf_from_int(total));
    return 2.0 * (double)steps * QUANT_ROWS * 2 * LANES * 4;
}
