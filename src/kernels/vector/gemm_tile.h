/* Products at any vector width. A template for an instance that fulfils what dots.h asks for.
 *
 * Everything counts in units of 32 bits, which hold UNIT values of k: one float, or a pair of bf16. A panel is
 * [units of k][PANEL columns] units; a step multiplies one unit of each row, broadcast, into two vectors of columns. Every
 * element of c is a chain of sums over each block of k, the blocks added in order, so its bits depend on nothing but its row,
 * its column and k. */
#include "kernels/vector/dots.h"
#include "kernels/vector/gemm_result.h"

/* Rows of c against one panel, over one block of k. */
typedef struct block {
    const char *a;    /* the first row, moved to the block of k */
    size_t a_stride;  /* bytes between rows */
    const char *b;    /* the panel's slice */
    size_t values;    /* values of k in the block */
    float *sums;      /* [rows][PANEL] kept between blocks of k */
    bool first, last; /* the first block has no sums before it, the last stores to c */
    const pfm_gemm *gemm;
    size_t row, column, columns; /* where in c */
} block;

/* A vector of c from the sums of its products; `offset` columns into the panel, of which `count` are in c. */
static ALWAYS_INLINE void store_vector(const block *x, size_t row, size_t offset, size_t count, vf sum, pfm_act_type type)
{
    store_result(x->gemm, x->row + row, x->column + offset, count, sum, type);
}

/* Whole vectors straight from registers. */
static ALWAYS_INLINE void store_rows(const block *x, vf sums[GEMM_ROWS][2], const int rows, const pfm_act_type type)
{
    UNROLL for (int r = 0; r < rows; r++)
    {
        store_vector(x, (size_t)r, 0, LANES, sums[r][0], type);
        store_vector(x, (size_t)r, LANES, LANES, sums[r][1], type);
    }
}

/* The last panel of a c whose columns do not fill it, from x->sums. */
static void store_part(const block *x, size_t rows)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t offset = 0; offset < x->columns; offset += LANES)
            store_vector(x, r, offset, x->columns - offset, vf_load(x->sums + r * PANEL + offset), x->gemm->c_type);
}

static ALWAYS_INLINE void multiply(const block *x, const int rows)
{
    vf sums[GEMM_ROWS][2];
    accumulate(sums, rows, 2, (terms){x->a, x->b, x->a_stride, 4, 4 * PANEL, x->values});
    if (!x->first)
        UNROLL for (int r = 0; r < rows; r++)
        {
            sums[r][0] += vf_load(x->sums + r * PANEL);
            sums[r][1] += vf_load(x->sums + r * PANEL + LANES);
        }
    const bool whole = x->last && x->columns == PANEL;
    if (whole && x->gemm->c_type == PFM_ACT_F32) {
        store_rows(x, sums, rows, PFM_ACT_F32);
        return;
    }
    if (whole) {
        store_rows(x, sums, rows, PFM_ACT_BF16);
        return;
    }
    UNROLL for (int r = 0; r < rows; r++)
    {
        vf_store(x->sums + r * PANEL, sums[r][0]);
        vf_store(x->sums + r * PANEL + LANES, sums[r][1]);
    }
    if (x->last)
        store_part(x, (size_t)rows);
}

#define MULTIPLY(rows)                                                                                                         \
    static void multiply_##rows(const block *x) { multiply(x, rows); }
GEMM_EACH_ROWS(MULTIPLY)

#define MULTIPLY_ENTRY(rows) multiply_##rows,
static void (*const multiply_rows[])(const block *x) = {NULL, GEMM_EACH_ROWS(MULTIPLY_ENTRY)};

/* The rows of a tile against one slice of a panel, in groups of almost equal size. */
static void multiply_slice(block x, size_t rows)
{
    size_t groups = (rows + GEMM_ROWS - 1) / GEMM_ROWS;
    for (size_t g = 0; g < groups; g++) {
        size_t count = (rows + groups - g - 1) / (groups - g);
        multiply_rows[count](&x);
        x.a += count * x.a_stride;
        x.sums += count * PANEL;
        x.row += count;
        rows -= count;
    }
}

void NAME(gemm_tile)(const pfm_gemm *gemm, size_t row_begin, size_t row_end, size_t column_begin, size_t column_end,
                     void *scratch)
{
    const size_t units = units_of(gemm->k), blocks = units <= MOST_UNITS ? 1 : (units + MOST_UNITS - 1) / MOST_UNITS;
    const size_t step = (units + blocks - 1) / blocks;
    for (size_t column = column_begin; column < column_end; column += PANEL)
        for (size_t i = 0; i < blocks; i++) {
            size_t value = i * step * UNIT;
            block x = {.a = (const char *)gemm->a + (row_begin * gemm->lda + value) * sizeof(act),
                       .a_stride = gemm->lda * sizeof(act),
                       .b = (const char *)gemm->b + (column / PANEL * units + i * step) * PANEL * 4,
                       .values = i + 1 < blocks ? step * UNIT : gemm->k - value,
                       .sums = scratch,
                       .first = i == 0,
                       .last = i + 1 == blocks,
                       .gemm = gemm,
                       .row = row_begin,
                       .column = column,
                       .columns = column_end - column < PANEL ? column_end - column : PANEL};
            multiply_slice(x, row_end - row_begin);
        }
}
