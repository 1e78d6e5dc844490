#include "data/sampler.h"

#include "base/memory.h"
#include "base/random.h"
#include "base/try.h"

#include <stdlib.h>

static const uint64_t STREAM = 0x73616d70; /* "samp": the upper half of the random streams of this file */

struct pfm_sampler {
    size_t rows, sets, group, batch;
    uint64_t seed;
    size_t *by_set;        /* [rows]: row numbers, one set of images after the other */
    size_t *first;         /* [sets + 1]: where a set begins in by_set */
    size_t *shuffled;      /* [rows]: by_set, each set's rows shuffled */
    size_t *runs;          /* [run count]: where each run begins in shuffled; scratch */
    size_t *order, *marks; /* [rows]: the epoch's rows, and the number of the run of each */
    size_t epoch;          /* whose order this is; SIZE_MAX: none */
};

void pfm_sampler_free(pfm_sampler *sampler)
{
    if (sampler == NULL)
        return;
    free(sampler->by_set);
    free(sampler->first);
    free(sampler->shuffled);
    free(sampler->runs);
    free(sampler->order);
    free(sampler->marks);
    free(sampler);
}

/* Sorts the rows by their images, keeping their order (counting sort). */
static pfm_status sort_by_set(pfm_sampler *sampler, const pfm_dataset *dataset, pfm_error *err)
{
    size_t *next = NULL;
    pfm_status status = pfm_allocate(sampler->sets, sizeof *next, &next, err);
    if (status != PFM_OK)
        return status;
    for (size_t i = 0; i < sampler->rows; i++)
        sampler->first[dataset->rows[i].image_set + 1]++;
    for (size_t i = 0; i < sampler->sets; i++) {
        sampler->first[i + 1] += sampler->first[i];
        next[i] = sampler->first[i];
    }
    for (size_t i = 0; i < sampler->rows; i++)
        sampler->by_set[next[dataset->rows[i].image_set]++] = i;
    free(next);
    return PFM_OK;
}

pfm_status pfm_sampler_create(const pfm_dataset *dataset, int group, int batch, uint64_t seed, pfm_sampler **out,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_sampler *sampler = NULL;
    if (dataset->count == 0 || group < 1 || batch < 1)
        PFM_FAIL(PFM_ERROR_USAGE, "cannot draw steps of %d from %zu rows in groups of %d; all must be at least 1", batch,
                 dataset->count, group);
    PFM_TRY(pfm_allocate(1, sizeof *sampler, &sampler, err));
    sampler->rows = dataset->count;
    sampler->sets = dataset->set_count;
    sampler->group = (size_t)group;
    sampler->batch = (size_t)batch;
    sampler->seed = seed;
    sampler->epoch = SIZE_MAX;
    PFM_TRY(pfm_allocate(sampler->rows, sizeof(size_t), &sampler->by_set, err));
    PFM_TRY(pfm_allocate(sampler->rows, sizeof(size_t), &sampler->shuffled, err));
    PFM_TRY(pfm_allocate(sampler->rows, sizeof(size_t), &sampler->runs, err));
    PFM_TRY(pfm_allocate(sampler->rows, sizeof(size_t), &sampler->order, err));
    PFM_TRY(pfm_allocate(sampler->rows, sizeof(size_t), &sampler->marks, err));
    PFM_TRY(pfm_allocate(sampler->sets + 1, sizeof(size_t), &sampler->first, err));
    PFM_TRY(sort_by_set(sampler, dataset, err));
    *out = sampler;
    sampler = NULL;
done:
    pfm_sampler_free(sampler);
    return status;
}

/* Makes the order of an epoch. A run's beginning tells its images and its end: the next multiple of `group` within their set.
 */
static pfm_status prepare_epoch(pfm_sampler *sampler, size_t epoch, pfm_error *err)
{
    if (sampler->epoch == epoch)
        return PFM_OK;
    size_t *ends = NULL, count = 0, used = 0;
    pfm_status status = pfm_allocate(sampler->rows, sizeof *ends, &ends, err);
    if (status != PFM_OK)
        return status;
    pfm_random random = pfm_random_start(sampler->seed, STREAM << 32 | (uint32_t)epoch);
    for (size_t i = 0; i < sampler->rows; i++)
        sampler->shuffled[i] = sampler->by_set[i];
    for (size_t set = 0; set < sampler->sets; set++) {
        size_t begin = sampler->first[set], end = sampler->first[set + 1];
        pfm_random_shuffle(&random, sampler->shuffled + begin, end - begin);
        for (; begin < end; begin += sampler->group) {
            ends[begin] = end - begin < sampler->group ? end : begin + sampler->group;
            sampler->runs[count++] = begin;
        }
    }
    pfm_random_shuffle(&random, sampler->runs, count);
    for (size_t run = 0; run < count; run++) {
        for (size_t i = sampler->runs[run]; i < ends[sampler->runs[run]]; i++, used++) {
            sampler->order[used] = sampler->shuffled[i];
            sampler->marks[used] = run;
        }
    }
    free(ends);
    sampler->epoch = epoch;
    return PFM_OK;
}

pfm_status pfm_sampler_step(pfm_sampler *sampler, size_t step, size_t *rows, int *groups, pfm_error *err)
{
    if (step > SIZE_MAX / sampler->batch - 1)
        return pfm_error_set(err, PFM_ERROR_USAGE, "step %zu is beyond what can be counted", step);
    size_t epoch = step * sampler->batch / sampler->rows, place = step * sampler->batch % sampler->rows, mark = SIZE_MAX;
    int group = -1;
    for (size_t i = 0; i < sampler->batch; i++, place++) {
        if (place == sampler->rows) {
            epoch++;
            place = 0;
            mark = SIZE_MAX;
        }
        pfm_status status = prepare_epoch(sampler, epoch, err);
        if (status != PFM_OK)
            return status;
        group += sampler->marks[place] != mark;
        mark = sampler->marks[place];
        rows[i] = sampler->order[place];
        if (groups != NULL)
            groups[i] = group;
    }
    return PFM_OK;
}

size_t pfm_sampler_count_steps(const pfm_sampler *sampler, double epochs)
{
    double steps = epochs * (double)sampler->rows / (double)sampler->batch;
    return steps < 1 ? 1 : (size_t)steps;
}
