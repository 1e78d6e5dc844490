/* Products at any vector width. A template: an instance of avx2/ or avx512/ has defined LANES, vf, the activations' type and
 * the operand of its dot product (avx2/simd.h says all of it).
 *
 * Everything counts in units of 32 bits, which hold UNIT values of k: one float, or a pair of bf16. A panel is
 * [units of k][PANEL columns] units; a step multiplies one unit of each row, broadcast, into two vectors of columns. Every
 * element of c is one chain of sums over k, so its bits depend on nothing but its row, its column and k. */

enum {
    UNIT = 4 / sizeof(act), /* values of k in a unit */
    PANEL = 2 * LANES,      /* columns of a panel */
    TILE_ROWS = 96,         /* of the grid; a multiple of GEMM_ROWS */
    UNITS_BLOCK = 1024      /* units of k in one go: a panel's slice of 64 or 128 KiB stays in L2 */
};

/* Rows of c against one panel, over one block of k. */
typedef struct block {
    const char *a;    /* the first row, moved to the block of k */
    size_t a_stride;  /* bytes between rows */
    const char *b;    /* the panel's slice */
    size_t values;    /* values of k in the block */
    float *sums;      /* [rows][PANEL] kept between blocks of k */
    bool first, last; /* the first block starts from zero, the last stores to c */
    const pfm_gemm *gemm;
    size_t row, column, columns; /* where in c */
} block;

static inline size_t units_of(size_t k) { return (k + UNIT - 1) / UNIT; }

static inline void store_result(const block *x, size_t row, size_t offset, vf sum)
{
    const pfm_gemm *gemm = x->gemm;
    if (offset >= x->columns)
        return;
    size_t column = x->column + offset, count = x->columns - offset;
    sum = vf_set(gemm->alpha) * sum;
    if (gemm->bias != NULL)
        sum += vf_load_part(gemm->bias + column, count);
    if (gemm->addend != NULL)
        sum += vf_load_any(gemm->addend, gemm->c_type, (x->row + row) * gemm->ld_addend + column, count);
    vf_store_any(gemm->c, gemm->c_type, (x->row + row) * gemm->ldc + column, sum, count);
}

static ALWAYS_INLINE void multiply(const block *x, const int rows)
{
    vf sums[GEMM_ROWS][2];
    UNROLL for (int r = 0; r < rows; r++)
    {
        sums[r][0] = x->first ? vf_zero() : vf_load(x->sums + r * PANEL);
        sums[r][1] = x->first ? vf_zero() : vf_load(x->sums + r * PANEL + LANES);
    }
    const char *a = x->a, *b = x->b, *end = a + x->values / UNIT * 4;
    const size_t stride = x->a_stride;
    for (; a < end; a += 4, b += 4 * PANEL) {
        operand left = operand_load(b), right = operand_load(b + 4 * LANES);
        vf_prefetch(b + PREFETCH);
        vf_prefetch(b + PREFETCH + 64);
        UNROLL for (int r = 0; r < rows; r++)
        {
            operand unit = operand_broadcast(a + (size_t)r * stride);
            sums[r][0] = operand_dot(sums[r][0], unit, left);
            sums[r][1] = operand_dot(sums[r][1], unit, right);
        }
    }
    if (x->values % UNIT != 0) { /* half a unit is left, and behind it the row may end */
        operand left = operand_load(b), right = operand_load(b + 4 * LANES);
        UNROLL for (int r = 0; r < rows; r++)
        {
            operand unit = operand_broadcast_half(a + (size_t)r * stride);
            sums[r][0] = operand_dot(sums[r][0], unit, left);
            sums[r][1] = operand_dot(sums[r][1], unit, right);
        }
    }
    UNROLL for (int r = 0; r < rows; r++)
    {
        if (x->last) {
            store_result(x, (size_t)r, 0, sums[r][0]);
            store_result(x, (size_t)r, LANES, sums[r][1]);
        } else {
            vf_store(x->sums + r * PANEL, sums[r][0]);
            vf_store(x->sums + r * PANEL + LANES, sums[r][1]);
        }
    }
}
