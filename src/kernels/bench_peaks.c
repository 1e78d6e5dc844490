/* What this machine can do: the figures that all others are compared with, on 1, 2, 4, ... and all threads. */
#include "kernels/bench.h"

#include "base/try.h"

enum { STEPS = 20000, ITEMS_PER_THREAD = 16 };

typedef struct peaks_job {
    pfm_threads *threads;
    int items;
    pfm_bench_peak peak;
} peaks_job;

static void compute_item(void *user, int item, int thread)
{
    (void)item;
    (void)thread;
    volatile float sink = 0;
    (void)((const peaks_job *)user)->peak(STEPS, &sink);
}

/* Several items a thread, so that a thread that starts late does not count. */
static void run_all(void *user)
{
    const peaks_job *job = user;
    pfm_threads_run(job->threads, job->items, compute_item, user);
}

static pfm_status add_arithmetic(pfm_bench *bench, int type, pfm_threads *threads, pfm_error *err)
{
    peaks_job job = {.threads = threads,
                     .items = ITEMS_PER_THREAD * pfm_threads_count(threads),
                     .peak = pfm_bench_peak_of(bench->kernels, type)};
    volatile float sink = 0;
    if (job.peak == NULL)
        return PFM_OK;
    pfm_bench_row row = {.name = "arithmetic",
                         .shape = "in registers",
                         .type = type,
                         .threads = pfm_threads_count(threads),
                         .flops = job.peak(STEPS, &sink) * job.items,
                         .seconds = pfm_bench_time(run_all, &job)};
    return pfm_bench_add(bench, &row, err);
}

static pfm_status add_reading(pfm_bench *bench, const float *data, pfm_threads *threads, pfm_error *err)
{
    const double bytes = PFM_BENCH_READ_FLOATS * sizeof(float);
    pfm_bench_row row = {.name = "reading",
                         .shape = "128 MiB",
                         .type = -1,
                         .threads = pfm_threads_count(threads),
                         .bytes = bytes,
                         .seconds = bytes / pfm_bench_read(bench->kernels, threads, data)};
    return pfm_bench_add(bench, &row, err);
}

static pfm_status measure(pfm_bench *bench, const float *data, int count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_threads *threads = NULL;
    PFM_TRY(pfm_threads_create(count, &threads, err));
    for (int type = 0; type < PFM_BENCH_TYPES; type++)
        PFM_TRY(add_arithmetic(bench, type, threads, err));
    PFM_TRY(add_reading(bench, data, threads, err));
done:
    pfm_threads_free(threads);
    return status;
}

pfm_status pfm_bench_peaks(const pfm_context *context, const pfm_bench_options *options, char **json_out, pfm_error *err)
{
    (void)options;
    pfm_status status = PFM_OK;
    pfm_bench bench;
    pfm_block memory = {0};
    const int most = pfm_threads_count(context->threads);
    PFM_TRY(pfm_bench_begin(context, "peaks", &bench, err));
    PFM_TRY(pfm_block_create(PFM_BENCH_READ_FLOATS * sizeof(float), &memory, err));
    memset(memory.data, 1, memory.bytes);
    for (int count = 1; count < most; count *= 2)
        PFM_TRY(measure(&bench, memory.data, count, err));
    PFM_TRY(measure(&bench, memory.data, most, err));
done:
    pfm_block_free(&memory);
    return pfm_bench_end(&bench, status, json_out, err);
}
