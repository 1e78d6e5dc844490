#include "eval/bootstrap.h"

#include "base/map.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/try.h"

#include <math.h>
#include <stdlib.h>

/* Samples are summed so many at once, so that what a unit contributes is fetched once for all of them: beside many units, that
 * takes longer than the sums. */
enum { AT_ONCE = 8 };

/* Units that contribute the same numbers form a kind: a sample counts kinds, and sums them once at its end. */
typedef struct plan {
    const pfm_bootstrap *bootstrap;
    uint32_t *kind_of;    /* [units] */
    const double **kinds; /* [kinds] a unit of each kind */
    size_t kind_count;
    uint32_t *counts; /* [threads, AT_ONCE, kinds] */
    double *sums;     /* [threads, AT_ONCE, columns] */
    double *results;  /* [samples, values] */
} plan;

static pfm_status find_kinds(plan *p, pfm_error *err)
{
    const pfm_bootstrap *b = p->bootstrap;
    pfm_map map = {0};
    pfm_status status = PFM_OK;
    size_t capacity = 0, bytes = b->columns * sizeof(double);
    for (size_t i = 0; i < b->count; i++) {
        const double *unit = b->units + i * b->columns;
        int64_t kind = 0;
        if (!pfm_map_get(&map, (const char *)unit, bytes, &kind)) {
            kind = (int64_t)p->kind_count;
            PFM_TRY(pfm_map_set(&map, (const char *)unit, bytes, kind, err));
            PFM_TRY(pfm_array_reserve(&p->kinds, &capacity, p->kind_count + 1, sizeof *p->kinds, err));
            p->kinds[p->kind_count++] = unit;
        }
        p->kind_of[i] = (uint32_t)kind;
    }
done:
    pfm_map_free(&map);
    return status;
}

/* Draws a sample's units: 32 random bits give a number below count by multiplication, those that would favour some numbers
 * are thrown away (Lemire, Fast Random Integer Generation in an Interval, 2019). */
void pfm_bootstrap_draw(uint64_t seed, int sample, size_t unit_count, const uint32_t *kind_of, uint32_t *counts)
{
    uint32_t count = (uint32_t)unit_count, refused = (uint32_t)-count % count;
    size_t drawn = 0;
    for (uint64_t position = 0; drawn < count; position++) {
        uint32_t counter[4] = {(uint32_t)position, (uint32_t)(position >> 32), (uint32_t)sample, 0x626f6f74u}, words[4];
        pfm_philox(seed, counter, words);
        for (int i = 0; i < 4 && drawn < count; i++) {
            uint64_t product = (uint64_t)words[i] * count;
            if ((uint32_t)product < refused)
                continue;
            counts[kind_of == NULL ? (uint32_t)(product >> 32) : kind_of[product >> 32]]++;
            drawn++;
        }
    }
}

/* In fours, which the compiler makes one or two instructions of. */
static inline void add_times(double times, const double *restrict unit, size_t columns, double *restrict sums)
{
    size_t c = 0;
    for (; c + 4 <= columns; c += 4) {
        for (size_t i = 0; i < 4; i++)
            sums[c + i] += times * unit[c + i];
    }
    for (; c < columns; c++)
        sums[c] += times * unit[c];
}

static void run_samples(void *user, int group, int thread)
{
    const plan *p = user;
    const pfm_bootstrap *b = p->bootstrap;
    const size_t first = (size_t)group * AT_ONCE, count = b->samples - first < AT_ONCE ? b->samples - first : AT_ONCE;
    uint32_t *counts = p->counts + (size_t)thread * AT_ONCE * p->kind_count;
    double *sums = p->sums + (size_t)thread * AT_ONCE * b->columns;
    for (size_t i = 0; i < count * p->kind_count; i++)
        counts[i] = 0;
    for (size_t i = 0; i < count * b->columns; i++)
        sums[i] = 0;
    for (size_t s = 0; s < count; s++)
        pfm_bootstrap_draw(b->seed, (int)(first + s), b->count, p->kind_of, counts + s * p->kind_count);
    for (size_t k = 0; k < p->kind_count; k++) {
        for (size_t s = 0; s < count; s++) {
            const uint32_t times = counts[s * p->kind_count + k];
            if (times > 0) /* a third of single units are not drawn */
                add_times(times, p->kinds[k], b->columns, sums + s * b->columns);
        }
    }
    for (size_t s = 0; s < count; s++)
        b->statistics(b->user, sums + s * b->columns, p->results + (first + s) * b->values);
}

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double pfm_percentile(const double *sorted, size_t count, double percent)
{
    if (count == 0)
        return NAN;
    double place = percent / 100 * (double)(count - 1);
    size_t low = (size_t)place, high = low + 1 < count ? low + 1 : low;
    return sorted[low] + (sorted[high] - sorted[low]) * (place - (double)low);
}

void pfm_bootstrap_interval(double *values, size_t count, double *low, double *high)
{
    size_t defined = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isnan(values[i]))
            values[defined++] = values[i];
    }
    qsort(values, defined, sizeof *values, compare_numbers);
    *low = pfm_percentile(values, defined, 2.5);
    *high = pfm_percentile(values, defined, 97.5);
}

static void take_percentiles(const plan *p, double *column, double *low, double *high)
{
    const pfm_bootstrap *b = p->bootstrap;
    for (size_t v = 0; v < b->values; v++) {
        for (size_t s = 0; s < b->samples; s++)
            column[s] = p->results[s * b->values + v];
        pfm_bootstrap_interval(column, b->samples, &low[v], &high[v]);
    }
}

pfm_status pfm_bootstrap_run(const pfm_bootstrap *b, double *low, double *high, pfm_error *err)
{
    plan p = {.bootstrap = b};
    double *column = NULL;
    pfm_status status = PFM_OK;
    size_t threads = b->threads == NULL ? 1 : (size_t)pfm_threads_count(b->threads);
    if (b->count == 0 || b->count >= UINT32_MAX || b->samples == 0 || b->samples > INT32_MAX)
        PFM_FAIL(PFM_ERROR_USAGE, "a bootstrap needs between 1 and %u units, not %zu", UINT32_MAX - 1, b->count);
    PFM_TRY(pfm_allocate(b->count, sizeof *p.kind_of, &p.kind_of, err));
    PFM_TRY(find_kinds(&p, err));
    PFM_TRY(pfm_allocate(threads * AT_ONCE * p.kind_count, sizeof *p.counts, &p.counts, err));
    PFM_TRY(pfm_allocate(threads * AT_ONCE * b->columns, sizeof *p.sums, &p.sums, err));
    PFM_TRY(pfm_allocate(b->samples, b->values * sizeof(double), &p.results, err));
    PFM_TRY(pfm_allocate(b->samples, sizeof *column, &column, err));
    const int groups = (int)((b->samples + AT_ONCE - 1) / AT_ONCE);
    if (b->threads == NULL) {
        for (int g = 0; g < groups; g++)
            run_samples(&p, g, 0);
    } else {
        pfm_threads_run(b->threads, groups, run_samples, &p);
    }
    take_percentiles(&p, column, low, high);
done:
    free(p.kind_of);
    free(p.kinds);
    free(p.counts);
    free(p.sums);
    free(p.results);
    free(column);
    return status;
}
