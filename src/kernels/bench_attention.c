/* Attention of one layer: nine query heads of 64 over three heads of keys and values, forward and backward. */
#include "kernels/bench.h"

#include "base/try.h"

#include <stdio.h>
#include <stdlib.h>

enum { HEADS = 9, GROUP = 3, DIM = 64, Q_STRIDE = HEADS * DIM, KV_STRIDE = HEADS / GROUP * DIM };

typedef struct attention_job {
    const pfm_kernels *kernels;
    pfm_act_type type;
    pfm_attention_span span;
    char *q, *k, *v, *out, *dout, *dq;
    float *lse, *dk, *dv, *scratch;
} attention_job;

static void run_heads(const attention_job *job, void (*run)(const pfm_attention_head *head, const pfm_attention_span *span))
{
    const size_t size = pfm_act_size(job->type);
    for (size_t h = 0; h < HEADS; h++) {
        size_t q = h * DIM * size, kv = h / GROUP * DIM * size;
        pfm_attention_head head = {.q = job->q + q,
                                   .k = job->k + kv,
                                   .v = job->v + kv,
                                   .q_stride = Q_STRIDE,
                                   .k_stride = KV_STRIDE,
                                   .v_stride = KV_STRIDE,
                                   .head_dim = DIM,
                                   .scale = 0.125f,
                                   .out = job->out + q,
                                   .out_stride = Q_STRIDE,
                                   .lse = job->lse + h,
                                   .lse_stride = HEADS,
                                   .dout = job->dout + q,
                                   .dq = job->dq + q,
                                   .dk = job->dk + h / GROUP * DIM,
                                   .dv = job->dv + h / GROUP * DIM,
                                   .dkv_stride = KV_STRIDE,
                                   .scratch = job->scratch};
        run(&head, &job->span);
    }
}

static void run_forward(void *user)
{
    const attention_job *job = user;
    run_heads(job, job->kernels->attention[job->type]);
}

static void run_backward(void *user)
{
    const attention_job *job = user;
    run_heads(job, job->kernels->attention_backward[job->type]);
}

/* `queries` rows after a shared prefix of `prefix` rows; work counts what is seen, not what blocks compute beside it. */
static pfm_status measure(pfm_bench *bench, pfm_act_type type, size_t prefix, size_t queries, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t rows = prefix + queries;
    attention_job job = {.kernels = bench->kernels, .type = type};
    pfm_block scratch = {0};
    PFM_TRY(pfm_bench_numbers(type, rows * Q_STRIDE, &job.q, err));
    PFM_TRY(pfm_bench_numbers(type, rows * KV_STRIDE, &job.k, err));
    PFM_TRY(pfm_bench_numbers(type, rows * KV_STRIDE, &job.v, err));
    PFM_TRY(pfm_bench_numbers(type, rows * Q_STRIDE, &job.out, err));
    PFM_TRY(pfm_bench_numbers(type, rows * Q_STRIDE, &job.dout, err));
    PFM_TRY(pfm_bench_numbers(type, rows * Q_STRIDE, &job.dq, err));
    PFM_TRY(pfm_bench_numbers(PFM_ACT_F32, rows * HEADS, &job.lse, err));
    PFM_TRY(pfm_bench_numbers(PFM_ACT_F32, rows * KV_STRIDE, &job.dk, err));
    PFM_TRY(pfm_bench_numbers(PFM_ACT_F32, rows * KV_STRIDE, &job.dv, err));
    PFM_TRY(pfm_block_create(bench->kernels->attention_scratch(DIM, rows) * sizeof(float), &scratch, err));
    job.scratch = scratch.data;
    job.span = (pfm_attention_span){.q_begin = (int32_t)prefix,
                                    .q_end = (int32_t)rows,
                                    .own_begin = (int32_t)prefix,
                                    .ancestors = prefix > 0,
                                    .ancestor_end = {(int32_t)prefix}};
    char shape[64];
    (void)snprintf(shape, sizeof shape, "%zu after %zu", queries, prefix);
    double pairs = (double)queries * (double)prefix + (double)queries * (double)(queries + 1) / 2;
    pfm_bench_row row = {"attention", shape, NULL, type, 1, 4 * pairs * DIM * HEADS, 0, pfm_bench_time(run_forward, &job)};
    PFM_TRY(pfm_bench_add(bench, &row, err));
    row.name = "attention backward";
    row.flops *= 2.5;
    row.seconds = pfm_bench_time(run_backward, &job);
    if (queries > 1)
        PFM_TRY(pfm_bench_add(bench, &row, err));
done:
    free(job.q);
    free(job.k);
    free(job.v);
    free(job.out);
    free(job.dout);
    free(job.dq);
    free(job.lse);
    free(job.dk);
    free(job.dv);
    pfm_block_free(&scratch);
    return status;
}

pfm_status pfm_bench_attention(const pfm_context *context, const pfm_bench_options *options, char **json_out, pfm_error *err)
{
    (void)options;
    static const size_t shapes[][2] = {{150, 1}, {300, 1}, {57, 16}, {57, 32}, {57, 72}, {0, 136}, {0, 320}, {0, 1024}};
    pfm_status status = PFM_OK;
    pfm_bench bench;
    PFM_TRY(pfm_bench_begin(context, "attention", &bench, err));
    for (int type = 0; type < PFM_ACT_COUNT; type++)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
            PFM_TRY(measure(&bench, (pfm_act_type)type, shapes[i][0], shapes[i][1], err));
done:
    return pfm_bench_end(&bench, status, json_out, err);
}
