#include "ops/op.h"

#include "base/threads.h"

#define ADDRESS(name) &pfm_op_##name,
const pfm_op *const pfm_ops[] = {PFM_OP_LIST(ADDRESS) NULL};

size_t pfm_storage_size(pfm_storage storage, pfm_act_type act)
{
    switch (storage) {
    case PFM_STORAGE_F32: return sizeof(float);
    case PFM_STORAGE_ACT: return pfm_act_size(act);
    case PFM_STORAGE_I32: return sizeof(int32_t);
    case PFM_STORAGE_I64: return sizeof(int64_t);
    }
    return 0;
}

void PFM_NOT_DIFFERENTIABLE(const pfm_op_call *call) { (void)call; }

pfm_status pfm_op_require(bool holds, const char *op, const char *what, pfm_error *err)
{
    return holds ? PFM_OK : pfm_error_set(err, PFM_ERROR_MISMATCH, "operator %s: %s", op, what);
}

enum { ROWS_PER_ITEM = 16 };

typedef struct rows_job {
    const pfm_op_call *call;
    int64_t rows;
    pfm_op_rows_body body;
} rows_job;

static void run_rows(void *user, int item, int thread)
{
    (void)thread;
    const rows_job *job = user;
    int64_t begin = (int64_t)item * ROWS_PER_ITEM, end = begin + ROWS_PER_ITEM;
    job->body(job->call, begin, end < job->rows ? end : job->rows);
}

void pfm_op_for_rows(const pfm_op_call *call, int64_t rows, pfm_op_rows_body body)
{
    rows_job job = {call, rows, body};
    pfm_threads_run(call->env->context->threads, (int)((rows + ROWS_PER_ITEM - 1) / ROWS_PER_ITEM), run_rows, &job);
}

/* A product over its grid. */
typedef struct gemm_job {
    const pfm_op_environment *env;
    const pfm_gemm *gemm;
    char *scratch;
    size_t row_tiles;
} gemm_job;

static inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Items go down the rows first, so that the threads share the column panel that they read at the same time. */
static void run_tile(void *user, int item, int thread)
{
    const gemm_job *job = user;
    const pfm_kernels *kernels = job->env->kernels;
    const pfm_gemm *gemm = job->gemm;
    const size_t row = (size_t)item % job->row_tiles * kernels->gemm_rows, row_end = smaller(row + kernels->gemm_rows, gemm->m);
    const size_t column = (size_t)item / job->row_tiles * kernels->gemm_columns,
                 column_end = smaller(column + kernels->gemm_columns, gemm->n);
    kernels->gemm_tile[job->env->act](gemm, row, row_end, column, column_end,
                                      job->scratch + (size_t)thread * pfm_op_align(kernels->gemm_scratch));
}

void pfm_op_gemm(const pfm_op_environment *env, const pfm_gemm *gemm, void *scratch)
{
    const pfm_kernels *kernels = env->kernels;
    gemm_job job = {env, gemm, scratch, (gemm->m + kernels->gemm_rows - 1) / kernels->gemm_rows};
    size_t column_tiles = (gemm->n + kernels->gemm_columns - 1) / kernels->gemm_columns;
    pfm_threads_run(env->context->threads, (int)(job.row_tiles * column_tiles), run_tile, &job);
}

size_t pfm_op_gemm_scratch(const pfm_op_environment *env)
{
    return pfm_op_align(env->kernels->gemm_scratch) * (size_t)pfm_threads_count(env->context->threads);
}

typedef struct pack_job {
    const pfm_op_environment *env;
    const void *source;
    pfm_act_type type;
    size_t p_stride, j_stride, n, k;
    void *packed;
} pack_job;

static void run_pack(void *user, int item, int thread)
{
    (void)thread;
    const pack_job *job = user;
    size_t columns = job->env->kernels->gemm_columns, begin = (size_t)item * columns;
    job->env->kernels->gemm_pack[job->env->act](job->source, job->type, job->p_stride, job->j_stride, job->n, job->k, begin,
                                                smaller(begin + columns, job->n), job->packed);
}

void pfm_op_pack(const pfm_op_environment *env, const void *source, pfm_act_type type, size_t p_stride, size_t j_stride,
                 size_t n, size_t k, void *packed)
{
    pack_job job = {env, source, type, p_stride, j_stride, n, k, packed};
    size_t columns = env->kernels->gemm_columns;
    pfm_threads_run(env->context->threads, (int)((n + columns - 1) / columns), run_pack, &job);
}
