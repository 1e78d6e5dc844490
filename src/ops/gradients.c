/* Sums over rows that are the gradients of weights and biases. Each sum is one item's, rows in their order. */
#include "base/threads.h"
#include "ops/op.h"

enum { COLUMNS_PER_ITEM = 64 };

static int items(size_t columns) { return (int)((columns + COLUMNS_PER_ITEM - 1) / COLUMNS_PER_ITEM); }

typedef struct columns_job {
    const pfm_op_environment *env;
    const char *x; /* act [rows, n] */
    size_t rows, n;
    char *transposed;
    float scale, *sums;
} columns_job;

static size_t columns_of(const columns_job *job, size_t begin)
{
    return job->n - begin < COLUMNS_PER_ITEM ? job->n - begin : COLUMNS_PER_ITEM;
}

static void transpose_columns(void *user, int item, int thread)
{
    (void)thread;
    const columns_job *job = user;
    const size_t begin = (size_t)item * COLUMNS_PER_ITEM, size = pfm_act_size(job->env->act);
    job->env->kernels->transpose[job->env->act](job->x + begin * size, job->n, job->rows, columns_of(job, begin),
                                                job->transposed + begin * job->rows * size, job->rows);
}

static void sum_columns(void *user, int item, int thread)
{
    (void)thread;
    const columns_job *job = user;
    const size_t begin = (size_t)item * COLUMNS_PER_ITEM, columns = columns_of(job, begin);
    double sums[COLUMNS_PER_ITEM] = {0};
    for (size_t i = 0; i < job->rows; i++) {
        if (job->env->act == PFM_ACT_F32) {
            const float *row = (const float *)(const void *)job->x + i * job->n + begin;
            for (size_t j = 0; j < columns; j++)
                sums[j] += row[j];
        } else {
            const pfm_bf16 *row = (const pfm_bf16 *)(const void *)job->x + i * job->n + begin;
            for (size_t j = 0; j < columns; j++)
                sums[j] += pfm_bf16_to_f32(row[j]);
        }
    }
    for (size_t j = 0; j < columns; j++)
        job->sums[begin + j] += (float)(job->scale * sums[j]);
}

void pfm_op_add_bias_gradient(const pfm_op_environment *env, const void *dy, size_t rows, float scale, const pfm_operand *bias)
{
    const size_t n = (size_t)bias->n;
    columns_job job = {.env = env, .x = dy, .rows = rows, .n = n, .scale = scale, .sums = bias->gradient};
    pfm_threads_run(env->context->threads, items(n), sum_columns, &job);
}

/* The scratch holds the tiles', dy^T, then x packed. */
static size_t packed_place(const pfm_op_environment *env, size_t rows, size_t n)
{
    return pfm_op_gemm_scratch(env) + pfm_op_align(rows * n * pfm_act_size(env->act));
}

size_t pfm_op_weight_gradient_scratch(const pfm_op_environment *env, size_t rows, size_t n, size_t k)
{
    return packed_place(env, rows, n) + env->kernels->gemm_pack_size[env->act](k, rows);
}

void pfm_op_add_weight_gradient(const pfm_op_environment *env, const void *dy, const void *x, size_t rows, float alpha,
                                const pfm_operand *weight, void *scratch)
{
    const size_t n = (size_t)weight->n, k = (size_t)weight->k;
    char *transposed = (char *)scratch + pfm_op_gemm_scratch(env), *packed = (char *)scratch + packed_place(env, rows, n);
    columns_job job = {.env = env, .x = dy, .rows = rows, .n = n, .transposed = transposed};
    pfm_threads_run(env->context->threads, items(n), transpose_columns, &job);
    pfm_op_pack(env, x, env->act, k, 1, k, rows, packed);
    const pfm_gemm gemm = {.m = n,
                           .n = k,
                           .k = rows,
                           .a = transposed,
                           .lda = rows,
                           .b = packed,
                           .alpha = alpha,
                           .addend = weight->gradient,
                           .ld_addend = k,
                           .c = weight->gradient,
                           .ldc = k,
                           .c_type = PFM_ACT_F32};
    pfm_op_gemm(env, &gemm, scratch);
}
