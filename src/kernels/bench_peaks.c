/* What this machine can do: the figures that all others are compared with. */
#include "kernels/bench.h"

#include "base/try.h"

typedef struct peaks_job {
    const pfm_bench *bench;
    pfm_act_type type;
    double flops; /* of one item */
} peaks_job;

static void run_item(void *user, int item, int thread)
{
    (void)item;
    (void)thread;
    const peaks_job *job = user;
    volatile float sink = 0;
    (void)job->bench->kernels->peak[job->type](20000, &sink);
}

/* Several items a thread, so that a thread that starts late does not count. */
static void run_all(void *user)
{
    const peaks_job *job = user;
    pfm_threads_run(job->bench->context->threads, 16 * pfm_threads_count(job->bench->context->threads), run_item, user);
}

static pfm_status add_arithmetic(pfm_bench *bench, pfm_act_type type, pfm_error *err)
{
    pfm_status status = PFM_OK;
    volatile float sink = 0;
    const int threads = pfm_threads_count(bench->context->threads);
    if (bench->kernels->peak[type] == NULL)
        return PFM_OK;
    const double flops = bench->kernels->peak[type](20000, &sink);
    pfm_bench_row row = {"arithmetic", "in registers", NULL, type, 1, flops, 0, flops / bench->peak[type]};
    PFM_TRY(pfm_bench_add(bench, &row, err));
    peaks_job job = {bench, type, flops};
    row.threads = threads;
    row.flops = flops * 16 * threads;
    row.seconds = pfm_bench_time(run_all, &job);
    if (threads > 1)
        PFM_TRY(pfm_bench_add(bench, &row, err));
done:
    return status;
}

pfm_status pfm_bench_peaks(const pfm_context *context, char **json_out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_bench bench;
    PFM_TRY(pfm_bench_begin(context, "peaks", &bench, err));
    for (int type = 0; type < PFM_ACT_COUNT; type++)
        PFM_TRY(add_arithmetic(&bench, (pfm_act_type)type, err));
    const double bytes = 1 << 27, alone = 1e9 * json_real_value(json_object_get(bench.document, "read_alone"));
    pfm_bench_row row = {"reading", "128 MiB", NULL, -1, 1, 0, bytes, bytes / alone};
    PFM_TRY(pfm_bench_add(&bench, &row, err));
    row.threads = pfm_threads_count(context->threads);
    row.seconds = bytes / bench.read;
    if (row.threads > 1)
        PFM_TRY(pfm_bench_add(&bench, &row, err));
done:
    return pfm_bench_end(&bench, status, json_out, err);
}
