#include "eval/resample.h"

#include "base/memory.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

/* Figures are taken in batches, so that the samples of many pairs need not be kept at once. */
enum { MOST_VALUES = 4096 };

typedef struct batch {
    const pfm_resampled_figures *figures;
    size_t count, values;
    const pfm_resample_options *options;
    uint32_t *counts; /* [threads, items] */
    char *scratch;    /* [threads, scratch_bytes] */
    size_t scratch_bytes;
    double *results; /* [samples, values] */
} batch;

static void compute_all(const batch *b, const uint32_t *counts, void *scratch, double *values)
{
    for (size_t f = 0; f < b->count; f++) {
        b->figures[f].compute(b->figures[f].user, counts, scratch, values);
        values += b->figures[f].values;
    }
}

static void run_sample(void *user, int sample, int thread)
{
    const batch *b = user;
    if (b->options->interrupt != NULL && *b->options->interrupt)
        return;
    uint32_t *counts = b->counts + (size_t)thread * b->options->items;
    memset(counts, 0, b->options->items * sizeof *counts);
    pfm_bootstrap_draw(b->options->seed, sample, b->options->items, NULL, counts);
    compute_all(b, counts, b->scratch + (size_t)thread * b->scratch_bytes, b->results + (size_t)sample * b->values);
}

static void take_intervals(const batch *b, double *column)
{
    const double *from = b->results;
    for (size_t f = 0; f < b->count; f++) {
        for (size_t v = 0; v < b->figures[f].values; v++, from++) {
            for (size_t s = 0; s < b->options->samples; s++)
                column[s] = from[s * b->values];
            pfm_bootstrap_interval(column, b->options->samples, &b->figures[f].low[v], &b->figures[f].high[v]);
        }
    }
}

static pfm_status run_batch(batch *b, size_t threads, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_resample_options *o = b->options;
    double *column = NULL, *now = NULL;
    PFM_TRY(pfm_allocate(threads * o->items, sizeof *b->counts, &b->counts, err));
    PFM_TRY(pfm_allocate(threads, b->scratch_bytes, &b->scratch, err));
    PFM_TRY(pfm_allocate(o->samples, b->values * sizeof(double), &b->results, err));
    PFM_TRY(pfm_allocate(o->samples, sizeof *column, &column, err));
    PFM_TRY(pfm_allocate(b->values, sizeof *now, &now, err));
    for (size_t i = 0; i < o->items; i++)
        b->counts[i] = 1;
    compute_all(b, b->counts, b->scratch, now);
    size_t place = 0;
    for (size_t f = 0; f < b->count; f++) {
        memcpy(b->figures[f].value, now + place, b->figures[f].values * sizeof *now);
        place += b->figures[f].values;
    }
    if (o->threads == NULL) {
        for (size_t s = 0; s < o->samples; s++)
            run_sample(b, (int)s, 0);
    } else {
        pfm_threads_run(o->threads, (int)o->samples, run_sample, b);
    }
    if (o->interrupt != NULL && *o->interrupt)
        PFM_FAIL(PFM_ERROR_INTERRUPTED, "stopped; nothing was written");
    take_intervals(b, column);
done:
    free(b->counts);
    free(b->scratch);
    free(b->results);
    free(column);
    free(now);
    return status;
}

pfm_status pfm_resample_run(const pfm_resampled_figures *figures, size_t count, const pfm_resample_options *options,
                            pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t threads = options->threads == NULL ? 1 : (size_t)pfm_threads_count(options->threads);
    if (options->items == 0 || options->items >= UINT32_MAX || options->samples == 0 || options->samples > INT32_MAX)
        PFM_FAIL(PFM_ERROR_USAGE, "intervals need between 1 and %u items, not %zu", UINT32_MAX - 1, options->items);
    for (size_t first = 0; first < count;) {
        batch b = {.figures = figures + first, .options = options, .scratch_bytes = sizeof(double)};
        while (first < count && (b.count == 0 || b.values + figures[first].values <= MOST_VALUES)) {
            size_t bytes = (figures[first].scratch_bytes + 63) / 64 * 64;
            b.scratch_bytes = bytes > b.scratch_bytes ? bytes : b.scratch_bytes;
            b.values += figures[first++].values;
            b.count++;
        }
        PFM_TRY(run_batch(&b, threads, err));
    }
done:
    return status;
}
