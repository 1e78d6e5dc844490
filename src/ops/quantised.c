/* Products with quantised weights, and their packing. */
#include "base/quantise.h"
#include "base/threads.h"
#include "ops/op.h"

enum { ROWS_PER_ITEM = 16 };

static inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

typedef struct rows_job {
    const pfm_op_environment *env;
    const pfm_gemm *gemm; /* a is act */
    char *rows;
    size_t row_bytes;
} rows_job;

static void quantise_rows(void *user, int item, int thread)
{
    (void)thread;
    const rows_job *job = user;
    const pfm_gemm *gemm = job->gemm;
    const size_t begin = (size_t)item * ROWS_PER_ITEM, end = smaller(begin + ROWS_PER_ITEM, gemm->m);
    for (size_t row = begin; row < end; row++)
        job->env->kernels->quant_row[job->env->act]((const char *)gemm->a + row * gemm->lda * pfm_act_size(job->env->act),
                                                    gemm->k, job->rows + row * job->row_bytes);
}

typedef struct grid_job {
    const pfm_kernels *kernels;
    const pfm_gemm *gemm;
    pfm_dtype format;
    size_t row_tiles;
} grid_job;

static void run_tile(void *user, int item, int thread)
{
    (void)thread;
    const grid_job *job = user;
    const pfm_kernels *kernels = job->kernels;
    const size_t row = (size_t)item % job->row_tiles * kernels->gemm_rows,
                 column = (size_t)item / job->row_tiles * kernels->gemm_columns;
    kernels->quant_tile(job->format, job->gemm, row, smaller(row + kernels->gemm_rows, job->gemm->m), column,
                        smaller(column + kernels->gemm_columns, job->gemm->n));
}

size_t pfm_op_quant_gemm_scratch(size_t m, size_t k) { return pfm_op_align(m * pfm_quant_row_bytes(k)); }

void pfm_op_quant_gemm(const pfm_op_environment *env, pfm_dtype format, const pfm_gemm *gemm, void *scratch)
{
    rows_job rows = {env, gemm, scratch, pfm_quant_row_bytes(gemm->k)};
    pfm_threads_run(env->context->threads, (int)((gemm->m + ROWS_PER_ITEM - 1) / ROWS_PER_ITEM), quantise_rows, &rows);
    pfm_gemm quantised = *gemm;
    quantised.a = scratch;
    quantised.lda = rows.row_bytes;
    const size_t tile = env->kernels->gemm_rows, columns = env->kernels->gemm_columns;
    grid_job grid = {env->kernels, &quantised, format, (gemm->m + tile - 1) / tile};
    pfm_threads_run(env->context->threads, (int)(grid.row_tiles * ((gemm->n + columns - 1) / columns)), run_tile, &grid);
}

typedef struct unpack_job {
    const pfm_op_environment *env;
    const pfm_quant_panels *weight;
    bool transposed;
    const pfm_gemm *gemm;
    char *scratch;
    size_t scratch_bytes; /* of one thread */
    size_t chunks, rows;  /* the rows of the left operand are cut into so many chunks of so many */
} unpack_job;

static const void *moved(const void *array, size_t elements, size_t size)
{
    return array != NULL ? (const char *)array + elements * size : NULL;
}

/* Columns of the weight are dequantised once for a chunk of rows, which then are multiplied with them a tile at a time. */
static void run_columns(void *user, int item, int thread)
{
    const unpack_job *job = user;
    const pfm_kernels *kernels = job->env->kernels;
    const pfm_act_type act = job->env->act;
    const size_t column = (size_t)item / job->chunks * kernels->gemm_columns, size = pfm_act_size(job->gemm->c_type),
                 end = smaller(column + kernels->gemm_columns, job->gemm->n), begin = (size_t)item % job->chunks * job->rows,
                 row_end = smaller(begin + job->rows, job->gemm->m);
    char *tile_scratch = job->scratch + (size_t)thread * job->scratch_bytes,
         *panels = tile_scratch + pfm_op_align(kernels->gemm_scratch);
    kernels->quant_unpack[act](job->weight, job->transposed, column, end, panels);
    pfm_gemm gemm = *job->gemm; /* whose first column is this one */
    gemm.n = end - column;
    gemm.b = panels;
    gemm.bias = moved(gemm.bias, column, sizeof *gemm.bias);
    gemm.addend = moved(gemm.addend, column, size);
    gemm.c = (char *)gemm.c + column * size;
    for (size_t row = begin; row < row_end; row += kernels->gemm_rows)
        kernels->gemm_tile[act](&gemm, row, smaller(row + kernels->gemm_rows, row_end), 0, gemm.n, tile_scratch);
}

static size_t thread_scratch(const pfm_op_environment *env, size_t k)
{
    const pfm_kernels *kernels = env->kernels;
    return pfm_op_align(kernels->gemm_scratch) + pfm_op_align(kernels->gemm_pack_size[env->act](kernels->gemm_columns, k));
}

size_t pfm_op_unpack_gemm_scratch(const pfm_op_environment *env, size_t k)
{
    return thread_scratch(env, k) * (size_t)pfm_threads_count(env->context->threads);
}

void pfm_op_unpack_gemm(const pfm_op_environment *env, const pfm_quant_panels *weight, bool transposed, const pfm_gemm *gemm,
                        void *scratch)
{
    enum { ITEMS_PER_THREAD = 4 }; /* at least, as far as there are rows to cut */
    const size_t tile = env->kernels->gemm_rows, tiles = (gemm->m + tile - 1) / tile,
                 columns = (gemm->n + env->kernels->gemm_columns - 1) / env->kernels->gemm_columns,
                 wanted = ITEMS_PER_THREAD * (size_t)pfm_threads_count(env->context->threads);
    unpack_job job = {env, weight, transposed, gemm, scratch, thread_scratch(env, gemm->k), 1, gemm->m};
    if (columns > 0 && columns < wanted && tiles > 1) {
        const size_t tiles_each = (tiles + (wanted + columns - 1) / columns - 1) / ((wanted + columns - 1) / columns);
        job.rows = (tiles_each > 0 ? tiles_each : 1) * tile;
        job.chunks = (gemm->m + job.rows - 1) / job.rows;
    }
    pfm_threads_run(env->context->threads, (int)(job.chunks * columns), run_columns, &job);
}

typedef struct pack_job {
    const pfm_op_environment *env;
    pfm_dtype format;
    const float *values; /* [n, k]; NULL: blocks */
    const char *blocks;
    size_t n, k;
    void *packed;
} pack_job;

/* Blocks of the item's columns, quantised one at a time, so that they need no memory but the stack's. */
static void quantise_columns(const pack_job *job, size_t begin, size_t end)
{
    enum { COLUMNS = 64, MOST_BYTES = 256 }; /* gemm_columns, and a block, are at most this */
    const size_t values = pfm_dtype_get_info(job->format)->block_values, bytes = pfm_dtype_get_info(job->format)->block_bytes;
    uint8_t blocks[COLUMNS * MOST_BYTES];
    for (size_t b = 0; b < pfm_quantised_blocks(job->format, job->k); b++) {
        for (size_t j = begin; j < end; j++)
            pfm_quantise_block(job->format, job->values + j * job->k + b * values, smaller(values, job->k - b * values),
                               blocks + (j - begin) * bytes);
        const pfm_quant_source source = {job->format, blocks, bytes, job->k};
        job->env->kernels->quant_pack(&source, begin, end, b, b + 1, job->packed);
    }
}

static void run_pack(void *user, int item, int thread)
{
    (void)thread;
    const pack_job *job = user;
    const size_t columns = job->env->kernels->gemm_columns, begin = (size_t)item * columns,
                 end = smaller(begin + columns, job->n);
    if (job->values != NULL) {
        quantise_columns(job, begin, end);
        return;
    }
    const size_t blocks = pfm_quantised_blocks(job->format, job->k),
                 stride = blocks * pfm_dtype_get_info(job->format)->block_bytes;
    const pfm_quant_source source = {job->format, job->blocks + begin * stride, stride, job->k};
    job->env->kernels->quant_pack(&source, begin, end, 0, blocks, job->packed);
}

static void pack(const pack_job *job)
{
    pack_job copy = *job;
    const size_t columns = job->env->kernels->gemm_columns;
    pfm_threads_run(job->env->context->threads, (int)((job->n + columns - 1) / columns), run_pack, &copy);
}

void pfm_op_quant_pack(const pfm_op_environment *env, pfm_dtype format, const float *weight, size_t n, size_t k, void *packed)
{
    const pack_job job = {env, format, weight, NULL, n, k, packed};
    pack(&job);
}

void pfm_op_quant_pack_blocks(const pfm_op_environment *env, pfm_dtype format, const void *blocks, size_t n, size_t k,
                              void *packed)
{
    const pack_job job = {env, format, NULL, blocks, n, k, packed};
    pack(&job);
}
