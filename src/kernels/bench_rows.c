/* What works on rows, on one thread: bytes read and written against what memory gives all threads. Rows stay in a near cache,
 * so a share above a thread's part of it says that the kernel would wait for memory. */
#include "kernels/bench.h"

#include "base/try.h"

#include <stdio.h>
#include <stdlib.h>

enum { N = 1536, LOGITS = 49152, PARAMETERS = 1 << 18 };

typedef struct rows_job {
    const pfm_kernels *kernels;
    pfm_act_type type;
    void *act[5];  /* [PARAMETERS] */
    float *f32[4]; /* [PARAMETERS] */
} rows_job;

static void run_conversion(void *user)
{
    const rows_job *j = user;
    j->kernels->bf16_from_f32(j->f32[0], j->act[0], N);
}
static void run_rmsnorm(void *user)
{
    const rows_job *j = user;
    j->kernels->rmsnorm[j->type](j->f32[0], j->f32[1], 1e-5f, j->act[0], j->f32[2], N);
}
static void run_rmsnorm_backward(void *user)
{
    const rows_job *j = user;
    j->kernels->rmsnorm_backward[j->type](j->f32[0], j->f32[1], 1, j->act[0], j->f32[2], NULL, N);
}
static void run_layernorm(void *user)
{
    const rows_job *j = user;
    j->kernels->layernorm[j->type](j->f32[0], j->f32[1], j->f32[1], 1e-5f, j->act[0], j->f32[2], N);
}
static void run_layernorm_backward(void *user)
{
    const rows_job *j = user;
    const float statistics[] = {0, 1};
    j->kernels->layernorm_backward[j->type](j->f32[0], j->f32[1], statistics, j->act[0], j->f32[2], NULL, NULL, N);
}
static void run_gelu(void *user)
{
    const rows_job *j = user;
    j->kernels->activate[j->type](PFM_ACTIVATION_GELU, j->act[0], j->act[1], N);
}
static void run_gelu_backward(void *user)
{
    const rows_job *j = user;
    j->kernels->activate_backward[j->type](PFM_ACTIVATION_GELU, j->act[0], j->act[1], j->act[2], N);
}
static void run_rope(void *user)
{
    const rows_job *j = user;
    j->kernels->rope[j->type](j->act[0], j->f32[0], j->f32[1], 1, j->act[1], N / 64, 64);
}
static void run_silu(void *user)
{
    const rows_job *j = user;
    j->kernels->silu_mul[j->type](j->act[0], j->act[1], j->act[2], N);
}
static void run_silu_backward(void *user)
{
    const rows_job *j = user;
    j->kernels->silu_mul_backward[j->type](j->act[0], j->act[1], j->act[2], j->act[3], j->act[4], N);
}
static void run_dropout(void *user)
{
    const rows_job *j = user;
    const pfm_dropout dropout = {1, 2, 3, 3277, 1.05f};
    j->kernels->dropout[j->type](j->act[0], j->act[1], N, &dropout, false);
}
static void run_cross_entropy(void *user)
{
    const rows_job *j = user;
    (void)j->kernels->cross_entropy[j->type](j->f32[0], LOGITS, 7, 1, j->act[0]);
}
static void run_logsumexp(void *user)
{
    const rows_job *j = user;
    size_t argmax;
    (void)j->kernels->logsumexp(j->f32[0], LOGITS, &argmax);
}
static void run_adamw(void *user)
{
    const rows_job *j = user;
    const pfm_adamw settings = {1e-30f, 0.9f, 0.999f, 1e-8f, 0, 0.1f, 0.001f, 1};
    j->kernels->adamw(j->f32[0], j->f32[1], j->f32[2], j->f32[3], PARAMETERS, &settings);
}
static void run_transpose(void *user)
{
    const rows_job *j = user;
    j->kernels->transpose[j->type](j->act[0], 64, 320, 64, j->act[1], 320);
}
/* Rows of activations, as gradients of weights need them, and rows of f32 weights. */
static void run_pack(void *user)
{
    const rows_job *j = user;
    j->kernels->gemm_pack[j->type](j->act[0], j->type, 256, 1, 256, 320, 0, 256, j->act[1]);
}
static void run_pack_weights(void *user)
{
    const rows_job *j = user;
    j->kernels->gemm_pack[j->type](j->f32[0], PFM_ACT_F32, 1, 576, 64, 576, 0, 64, j->act[1]);
}

/* acts and floats are how many arrays of each type one element passes through, read or written. */
static const struct {
    const char *name;
    void (*run)(void *user);
    size_t n;
    int acts, floats;
} measurements[] = {
    {"bf16_from_f32", run_conversion, N, 1, 1},
    {"rmsnorm", run_rmsnorm, N, 1, 2},
    {"rmsnorm_backward", run_rmsnorm_backward, N, 1, 4},
    {"layernorm", run_layernorm, N, 1, 3},
    {"layernorm_backward", run_layernorm_backward, N, 1, 4},
    {"gelu", run_gelu, N, 2, 0},
    {"gelu_backward", run_gelu_backward, N, 3, 0},
    {"rope", run_rope, N, 2, 0},
    {"silu_mul", run_silu, N, 3, 0},
    {"silu_mul_backward", run_silu_backward, N, 5, 0},
    {"dropout", run_dropout, N, 2, 0},
    {"cross_entropy", run_cross_entropy, LOGITS, 1, 1},
    {"logsumexp", run_logsumexp, LOGITS, 0, 1},
    {"adamw", run_adamw, PARAMETERS, 0, 7},
    {"transpose", run_transpose, 320 * 64, 2, 0},
    {"gemm_pack of rows", run_pack, 320 * 256, 2, 0},
    {"gemm_pack of f32 weights", run_pack_weights, 576 * 64, 1, 1},
};

static pfm_status measure_type(pfm_bench *bench, pfm_act_type type, pfm_error *err)
{
    pfm_status status = PFM_OK;
    rows_job job = {.kernels = bench->kernels, .type = type};
    for (int i = 0; i < 5; i++)
        PFM_TRY(pfm_bench_numbers(type, PARAMETERS, &job.act[i], err));
    for (int i = 0; i < 4; i++)
        PFM_TRY(pfm_bench_numbers(PFM_ACT_F32, PARAMETERS, &job.f32[i], err));
    for (size_t i = 0; i < PARAMETERS; i++)
        job.f32[3][i] *= job.f32[3][i]; /* the optimiser's second moments */
    for (size_t i = 0; i < sizeof measurements / sizeof measurements[0]; i++) {
        if (measurements[i].run == run_conversion && type != PFM_ACT_BF16)
            continue;
        char shape[32];
        (void)snprintf(shape, sizeof shape, "%zu", measurements[i].n);
        double bytes =
            (double)measurements[i].n * ((double)pfm_act_size(type) * measurements[i].acts + 4.0 * measurements[i].floats);
        pfm_bench_row row = {measurements[i].name, shape, NULL, type, 1, 0, bytes, pfm_bench_time(measurements[i].run, &job)};
        PFM_TRY(pfm_bench_add(bench, &row, err));
    }
done:
    for (int i = 0; i < 5; i++)
        free(job.act[i]);
    for (int i = 0; i < 4; i++)
        free(job.f32[i]);
    return status;
}

pfm_status pfm_bench_rows(const pfm_context *context, const pfm_bench_options *options, char **json_out, pfm_error *err)
{
    (void)options;
    pfm_status status = PFM_OK;
    pfm_bench bench;
    PFM_TRY(pfm_bench_begin(context, "rows", &bench, err));
    for (int type = 0; type < PFM_ACT_COUNT; type++)
        PFM_TRY(measure_type(&bench, (pfm_act_type)type, err));
done:
    return pfm_bench_end(&bench, status, json_out, err);
}
