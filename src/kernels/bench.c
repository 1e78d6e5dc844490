#include "kernels/bench.h"

#include "base/process.h"
#include "base/random.h"
#include "base/try.h"

#include <stdio.h>
#include <stdlib.h>

double pfm_bench_time(void (*run)(void *user), void *user)
{
    enum { FEWEST = 3, MOST = 5000 };
    const double budget = 0.15;
    run(user);
    double best = INFINITY, begin = pfm_process_clock();
    for (int i = 0; i < MOST && (i < FEWEST || pfm_process_clock() - begin < budget); i++) {
        double start = pfm_process_clock();
        run(user);
        double seconds = pfm_process_clock() - start;
        best = seconds < best ? seconds : best;
    }
    return best;
}

pfm_status pfm_bench_numbers(pfm_act_type type, size_t n, void *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    void *array = NULL;
    pfm_random random = pfm_random_start(1, n);
    PFM_TRY(pfm_allocate(n, pfm_act_size(type), &array, err));
    for (size_t i = 0; i < n; i++) {
        float value = (float)pfm_random_u32(&random) * 0x1p-31f - 1;
        if (type == PFM_ACT_F32)
            ((float *)array)[i] = value;
        else
            ((pfm_bf16 *)array)[i] = pfm_bf16_from_f32(value);
    }
    memcpy(out, &array, sizeof array);
done:
    return status;
}

pfm_bench_peak pfm_bench_peak_of(const pfm_kernels *kernels, int type)
{
    return type == PFM_BENCH_INT8 ? kernels->peak_int8 : kernels->peak[type];
}

typedef struct peak_job {
    pfm_bench_peak peak;
    double flops;
} peak_job;

static void run_peak(void *user)
{
    peak_job *job = user;
    volatile float sink = 0;
    job->flops = job->peak(20000, &sink);
}

enum { READ_ITEMS = 64 };

typedef struct read_job {
    const pfm_kernels *kernels;
    pfm_threads *threads;
    const float *data;
    double sums[READ_ITEMS]; /* kept, so that the reading has a purpose */
} read_job;

static void read_item(void *user, int item, int thread)
{
    (void)thread;
    read_job *job = user;
    size_t part = PFM_BENCH_READ_FLOATS / READ_ITEMS;
    job->sums[item] = job->kernels->sum_squares(job->data + (size_t)item * part, part);
}

static void run_read(void *user)
{
    read_job *job = user;
    if (job->threads != NULL)
        pfm_threads_run(job->threads, READ_ITEMS, read_item, job);
    for (int item = 0; job->threads == NULL && item < READ_ITEMS; item++)
        read_item(job, item, 0);
}

double pfm_bench_read(const pfm_kernels *kernels, pfm_threads *threads, const float *data)
{
    read_job job = {.kernels = kernels, .threads = threads, .data = data};
    return PFM_BENCH_READ_FLOATS * sizeof(float) / pfm_bench_time(run_read, &job);
}

static pfm_status measure_machine(pfm_bench *bench, double *read_alone, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_block memory = {0};
    for (int type = 0; type < PFM_BENCH_TYPES; type++) {
        peak_job job = {pfm_bench_peak_of(bench->kernels, type), 0};
        if (job.peak == NULL)
            continue;
        double seconds = pfm_bench_time(run_peak, &job);
        bench->peak[type] = job.flops / seconds;
    }
    PFM_TRY(pfm_block_create(PFM_BENCH_READ_FLOATS * sizeof(float), &memory, err));
    memset(memory.data, 1, memory.bytes);
    bench->read = pfm_bench_read(bench->kernels, bench->context->threads, memory.data);
    *read_alone = pfm_bench_read(bench->kernels, NULL, memory.data);
done:
    pfm_block_free(&memory);
    return status;
}

/* The processor's name as Linux tells it, or "unknown". */
static void find_cpu_name(char out[128])
{
    char line[256];
    (void)snprintf(out, 128, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
            (void)snprintf(out, 128, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
            break;
        }
    }
    if (file != NULL)
        (void)fclose(file);
}

/* Figures of a reference kernel say nothing where this machine has a faster one. */
static pfm_status check_kernels(const pfm_context *context, pfm_error *err)
{
    pfm_kernels ref, best;
    const pfm_kernels *used = context->kernels;
    pfm_status status = pfm_kernels_select("ref", &ref, err);
    if (status == PFM_OK)
        status = pfm_kernels_select(NULL, &best, err);
    if (status != PFM_OK)
        return status;
    const char *slow = NULL;
#define CHECK(name, type, arguments, bound)                                                                                    \
    if (used->name == ref.name && best.name != ref.name)                                                                       \
        slow = #name;
#define CHECK_ACT(name, type, arguments, bound)                                                                                \
    for (int t = 0; t < PFM_ACT_COUNT; t++)                                                                                    \
        if (used->name[t] == ref.name[t] && best.name[t] != ref.name[t])                                                       \
            slow = #name;
    PFM_KERNEL_LIST(CHECK, CHECK_ACT)
    if (slow == NULL)
        return PFM_OK;
    return pfm_error_set(err, PFM_ERROR_MISMATCH,
                         "the kernel %s is the reference, but this machine has the level %s; leave PEFOMED_CPU unset", slow,
                         best.level);
}

static json_t *giga(double value) { return value > 0 ? json_real(value * 1e-9) : json_null(); }

pfm_status pfm_bench_begin(const pfm_context *context, const char *name, pfm_bench *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char cpu[128];
    double read_alone = 0;
    *out = (pfm_bench){.context = context, .kernels = context->kernels};
    PFM_TRY(check_kernels(context, err));
    find_cpu_name(cpu);
    PFM_TRY(measure_machine(out, &read_alone, err));
    out->document = json_object();
    out->rows = json_array();
    json_t *peak = json_object();
    PFM_TRY(pfm_json_take(out->document, "bench", json_string(name), err));
    PFM_TRY(pfm_json_take(out->document, "level", json_string(context->cpu_level), err));
    PFM_TRY(pfm_json_take(out->document, "threads", json_integer(pfm_threads_count(context->threads)), err));
    PFM_TRY(pfm_json_take(out->document, "cpu", json_string(cpu), err));
    PFM_TRY(pfm_json_take(out->document, "peak", peak, err));
    PFM_TRY(pfm_json_take(peak, "f32", giga(out->peak[PFM_ACT_F32]), err));
    PFM_TRY(pfm_json_take(peak, "bf16", giga(out->peak[PFM_ACT_BF16]), err));
    PFM_TRY(pfm_json_take(peak, "int8", giga(out->peak[PFM_BENCH_INT8]), err));
    PFM_TRY(pfm_json_take(out->document, "read", giga(out->read), err));
    PFM_TRY(pfm_json_take(out->document, "read_alone", giga(read_alone), err));
    PFM_TRY(pfm_json_take(out->document, "rows", json_incref(out->rows), err));
done:
    return status;
}

pfm_status pfm_bench_end(pfm_bench *bench, pfm_status status, char **json_out, pfm_error *err)
{
    if (status == PFM_OK) {
        *json_out = json_dumps(bench->document, JSON_COMPACT | JSON_REAL_PRECISION(9));
        if (*json_out == NULL)
            status = pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not write the figures down");
    }
    json_decref(bench->rows);
    json_decref(bench->document);
    return status;
}

static const char *const type_names[] = {[PFM_ACT_F32] = "f32", [PFM_ACT_BF16] = "bf16", [PFM_BENCH_INT8] = "int8"};

pfm_status pfm_bench_add(pfm_bench *bench, const pfm_bench_row *row, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const double work = row->flops + row->bytes;
    double peak = row->bytes > 0 ? bench->read : bench->peak[row->type < 0 ? PFM_ACT_F32 : row->type] * row->threads;
    json_t *object = json_object();
    if (pfm_interrupted(bench->context))
        PFM_FAIL(PFM_ERROR_INTERRUPTED, "interrupted: measuring stopped before the end");
    PFM_TRY(pfm_json_take(object, "name", json_string(row->name), err));
    PFM_TRY(pfm_json_take(object, "shape", json_string(row->shape), err));
    PFM_TRY(pfm_json_take(object, "type", row->type < 0 ? json_null() : json_string(type_names[row->type]), err));
    PFM_TRY(pfm_json_take(object, "by", json_string(row->by != NULL ? row->by : "own"), err));
    PFM_TRY(pfm_json_take(object, "threads", json_integer(row->threads), err));
    PFM_TRY(pfm_json_take(object, "work", json_real(work), err));
    PFM_TRY(pfm_json_take(object, "unit", json_string(row->bytes > 0 ? "byte" : "FLOP"), err));
    PFM_TRY(pfm_json_take(object, "seconds", json_real(row->seconds), err));
    PFM_TRY(pfm_json_take(object, "rate", json_real(work / row->seconds * 1e-9), err));
    PFM_TRY(pfm_json_take(object, "share", peak > 0 ? json_real(100 * work / row->seconds / peak) : json_null(), err));
    if (json_array_append(bench->rows, object) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not keep a figure");
done:
    json_decref(object);
    return status;
}
