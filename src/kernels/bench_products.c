/* Matrix products at the shapes of a language model of 135 million parameters: our own on one thread and on all, and oneDNN's
 * on one. */
#include "kernels/bench.h"

#include "base/try.h"
#include "kernels/onednn/product_onednn.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct products_job {
    const pfm_context *context;
    pfm_act_type type;
    pfm_gemm gemm;
    char *scratch;
    const pfm_onednn_product *other;
} products_job;

static size_t tiles(size_t n, size_t step) { return (n + step - 1) / step; }
static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static void run_tile(void *user, int item, int thread)
{
    const products_job *job = user;
    const pfm_kernels *k = job->context->kernels;
    const pfm_gemm *gemm = &job->gemm;
    size_t rows = tiles(gemm->m, k->gemm_rows), row = (size_t)item % rows * k->gemm_rows;
    size_t column = (size_t)item / rows * k->gemm_columns;
    k->gemm_tile[job->type](gemm, row, least(row + k->gemm_rows, gemm->m), column, least(column + k->gemm_columns, gemm->n),
                            job->scratch + (size_t)thread * k->gemm_scratch);
}

static size_t count_tiles(const products_job *job)
{
    const pfm_kernels *k = job->context->kernels;
    return tiles(job->gemm.m, k->gemm_rows) * tiles(job->gemm.n, k->gemm_columns);
}

static void run_alone(void *user)
{
    for (size_t item = 0; item < count_tiles(user); item++)
        run_tile(user, (int)item, 0);
}

static void run_all(void *user)
{
    const products_job *job = user;
    pfm_threads_run(job->context->threads, (int)count_tiles(job), run_tile, user);
}

static void run_other(void *user) { (void)pfm_onednn_product_run(((const products_job *)user)->other); }

/* The figures of one product: ours, ours on all threads, oneDNN's where it has one. */
static pfm_status measure(pfm_bench *bench, products_job *job, const void *b, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_onednn_product *other = NULL;
    const pfm_gemm *gemm = &job->gemm;
    char shape[64];
    (void)snprintf(shape, sizeof shape, "%zu x %zu x %zu", gemm->m, gemm->n, gemm->k);
    const double flops = 2.0 * (double)gemm->m * (double)gemm->n * (double)gemm->k;
    pfm_bench_row row = {"product", shape, NULL, job->type, 1, flops, 0, pfm_bench_time(run_alone, job)};
    PFM_TRY(pfm_bench_add(bench, &row, err));
    const char *level = job->context->cpu_level;
    if (strcmp(level, "ref") != 0 &&
        pfm_onednn_product_create(level, job->type, gemm->m, gemm->n, gemm->k, gemm->a, b, gemm->c, &other, NULL) == PFM_OK) {
        job->other = other;
        row.by = "oneDNN";
        row.seconds = pfm_bench_time(run_other, job);
        PFM_TRY(pfm_bench_add(bench, &row, err));
    }
    row.by = NULL;
    row.threads = pfm_threads_count(job->context->threads);
    if (row.threads > 1) {
        row.seconds = pfm_bench_time(run_all, job);
        PFM_TRY(pfm_bench_add(bench, &row, err));
    }
done:
    pfm_onednn_product_free(other);
    return status;
}

static pfm_status measure_shape(pfm_bench *bench, pfm_act_type type, size_t m, size_t n, size_t k, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_kernels *kernels = bench->kernels;
    void *a = NULL, *b = NULL, *c = NULL;
    pfm_block packed = {0}, scratch = {0};
    PFM_TRY(pfm_bench_numbers(type, m * k, &a, err));
    PFM_TRY(pfm_bench_numbers(type, n * k, &b, err));
    PFM_TRY(pfm_bench_numbers(type, m * n, &c, err));
    PFM_TRY(pfm_block_create(kernels->gemm_pack_size[type](n, k), &packed, err));
    PFM_TRY(pfm_block_create(kernels->gemm_scratch * (size_t)pfm_threads_count(bench->context->threads), &scratch, err));
    kernels->gemm_pack[type](b, type, 1, k, n, k, 0, n, packed.data);
    products_job job = {.context = bench->context,
                        .type = type,
                        .gemm = {m, n, k, a, k, packed.data, 1, NULL, NULL, 0, c, n, type},
                        .scratch = scratch.data};
    PFM_TRY(measure(bench, &job, b, err));
done:
    free(a);
    free(b);
    free(c);
    pfm_block_free(&packed);
    pfm_block_free(&scratch);
    return status;
}

pfm_status pfm_bench_products(const pfm_context *context, const pfm_bench_options *options, char **json_out, pfm_error *err)
{
    (void)options;
    /* tokens, outputs, inputs; then two gradients of weights, with k = tokens, and one tile of a grid */
    static const size_t shapes[][3] = {{1, 576, 576},    {8, 576, 576},    {64, 576, 576},   {136, 576, 576},  {320, 576, 576},
                                       {1280, 576, 576}, {320, 192, 576},  {320, 1536, 576}, {320, 576, 1536}, {320, 64, 576},
                                       {320, 576, 64},   {320, 576, 5120}, {1, 49152, 576},  {8, 49152, 576},  {64, 576, 320},
                                       {576, 576, 320},  {96, 64, 576}};
    pfm_status status = PFM_OK;
    pfm_bench bench;
    PFM_TRY(pfm_bench_begin(context, "products", &bench, err));
    for (int type = 0; type < PFM_ACT_COUNT; type++)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
            PFM_TRY(measure_shape(&bench, (pfm_act_type)type, shapes[i][0], shapes[i][1], shapes[i][2], err));
done:
    return pfm_bench_end(&bench, status, json_out, err);
}
