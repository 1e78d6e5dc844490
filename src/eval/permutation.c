#include "eval/permutation.h"

#include "base/memory.h"
#include "base/random.h"
#include "base/try.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

typedef struct plan {
    const pfm_permutation *permutation;
    const double **units; /* those that an exchange changes */
    size_t unit_count;
    double *sums;    /* [threads, columns] */
    double *results; /* [trials, values] */
} plan;

static bool is_zero(const double *unit, size_t columns)
{
    for (size_t c = 0; c < columns; c++) {
        if (unit[c] != 0)
            return false;
    }
    return true;
}

static void run_trial(void *user, int trial, int thread)
{
    const plan *p = user;
    const pfm_permutation *of = p->permutation;
    double *sums = p->sums + (size_t)thread * of->columns;
    uint32_t words[4] = {0};
    for (size_t c = 0; c < of->columns; c++)
        sums[c] = of->middle[c];
    for (size_t u = 0; u < p->unit_count; u++) {
        if (u % 128 == 0) {
            const uint32_t counter[4] = {(uint32_t)(u / 128), (uint32_t)(u / 128 >> 32), (uint32_t)trial, 0x73776170u};
            pfm_philox(of->seed, counter, words);
        }
        const double sign = words[u % 128 / 32] >> u % 32 & 1 ? -1 : 1;
        for (size_t c = 0; c < of->columns; c++)
            sums[c] += sign * p->units[u][c];
    }
    of->statistics(of->user, sums, p->results + (size_t)trial * of->values);
}

/* Sums in another order differ in their last digits: as large within those is as large. */
static void count_trials(const plan *p, const double *observed, double *out)
{
    const size_t values = p->permutation->values;
    for (size_t v = 0; v < values; v++) {
        size_t as_large = 1;
        const double least = fabs(observed[v]) * (1 - 1e-9) - 1e-12;
        for (size_t t = 0; t < PFM_PERMUTATION_TRIALS; t++)
            as_large += fabs(p->results[t * values + v]) >= least;
        out[v] = isnan(observed[v]) ? NAN : (double)as_large / (PFM_PERMUTATION_TRIALS + 1);
    }
}

pfm_status pfm_permutation_run(const pfm_permutation *of, double *p, pfm_error *err)
{
    pfm_status status = PFM_OK;
    plan made = {.permutation = of};
    double *observed = NULL;
    size_t threads = of->threads == NULL ? 1 : (size_t)pfm_threads_count(of->threads);
    PFM_TRY(pfm_allocate(of->count, sizeof *made.units, &made.units, err));
    PFM_TRY(pfm_allocate(threads * of->columns, sizeof *made.sums, &made.sums, err));
    PFM_TRY(pfm_allocate(PFM_PERMUTATION_TRIALS, of->values * sizeof *made.results, &made.results, err));
    PFM_TRY(pfm_allocate(of->values, sizeof *observed, &observed, err));
    for (size_t c = 0; c < of->columns; c++)
        made.sums[c] = of->middle[c];
    for (size_t u = 0; u < of->count; u++) {
        const double *unit = of->units + u * of->columns;
        for (size_t c = 0; c < of->columns; c++)
            made.sums[c] += unit[c];
        if (!is_zero(unit, of->columns))
            made.units[made.unit_count++] = unit;
    }
    of->statistics(of->user, made.sums, observed);
    if (of->threads == NULL) {
        for (int t = 0; t < PFM_PERMUTATION_TRIALS; t++)
            run_trial(&made, t, 0);
    } else {
        pfm_threads_run(of->threads, PFM_PERMUTATION_TRIALS, run_trial, &made);
    }
    count_trials(&made, observed, p);
done:
    free(made.units);
    free(made.sums);
    free(made.results);
    free(observed);
    return status;
}
