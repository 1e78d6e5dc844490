#include "data/sampler.h"

#include "base/memory.h"
#include "base/random.h"
#include "base/try.h"

#include <stdlib.h>

/* The upper halves of the random streams of this file: "samp" and "mixt". */
static const uint64_t STREAM = 0x73616d70, MIXTURE_STREAM = 0x6d697874;

/* The orders of all epochs of one member, or of the only one. */
typedef struct line {
    size_t rows, base, sets; /* base: the first row's number in the data set */
    uint64_t seed;
    size_t *by_set;        /* [rows]: row numbers, one set of images after the other */
    size_t *first;         /* [sets + 1]: where a set begins in by_set */
    size_t *shuffled;      /* [rows]: by_set, each set's rows shuffled */
    size_t *runs;          /* [run count]: where each run begins in shuffled; scratch */
    size_t *order, *marks; /* [rows]: the epoch's rows, and the number of the run of each */
    size_t epoch;          /* whose order this is; SIZE_MAX: none */
    size_t share;          /* of a mixture: its rows in each of the mixture's epochs */
} line;

struct pfm_sampler {
    size_t rows, group, batch, line_count;
    uint64_t seed;
    line *lines;
    size_t *order, *marks; /* [rows]: the epoch's, of a mixture its own, else the only line's */
    size_t *drawn, *runs;  /* [rows]: of a mixture's epoch before it is shuffled: rows, and where each run begins; scratch */
    size_t epoch;          /* of a mixture: whose order this is */
};

void pfm_sampler_free(pfm_sampler *sampler)
{
    if (sampler == NULL)
        return;
    for (size_t i = 0; i < sampler->line_count; i++) {
        line *l = &sampler->lines[i];
        free(l->by_set);
        free(l->first);
        free(l->shuffled);
        free(l->runs);
        free(l->order);
        free(l->marks);
    }
    if (sampler->line_count > 1) {
        free(sampler->order);
        free(sampler->marks);
    }
    free(sampler->drawn);
    free(sampler->runs);
    free(sampler->lines);
    free(sampler);
}

/* Sorts the rows by their images, keeping their order (counting sort). */
static pfm_status sort_by_set(line *l, const pfm_dataset *dataset, pfm_error *err)
{
    size_t *next = NULL;
    pfm_status status = pfm_allocate(l->sets, sizeof *next, &next, err);
    if (status != PFM_OK)
        return status;
    for (size_t i = 0; i < l->rows; i++)
        l->first[dataset->rows[l->base + i].image_set + 1]++;
    for (size_t i = 0; i < l->sets; i++) {
        l->first[i + 1] += l->first[i];
        next[i] = l->first[i];
    }
    for (size_t i = 0; i < l->rows; i++)
        l->by_set[next[dataset->rows[l->base + i].image_set]++] = l->base + i;
    free(next);
    return PFM_OK;
}

static pfm_status create_line(line *l, const pfm_dataset *dataset, pfm_error *err)
{
    pfm_status status = PFM_OK;
    l->sets = dataset->set_count;
    l->epoch = SIZE_MAX;
    PFM_TRY(pfm_allocate(l->rows, sizeof(size_t), &l->by_set, err));
    PFM_TRY(pfm_allocate(l->rows, sizeof(size_t), &l->shuffled, err));
    PFM_TRY(pfm_allocate(l->rows, sizeof(size_t), &l->runs, err));
    PFM_TRY(pfm_allocate(l->rows, sizeof(size_t), &l->order, err));
    PFM_TRY(pfm_allocate(l->rows, sizeof(size_t), &l->marks, err));
    PFM_TRY(pfm_allocate(l->sets + 1, sizeof(size_t), &l->first, err));
    PFM_TRY(sort_by_set(l, dataset, err));
done:
    return status;
}

/* Members draw from seeds of their own, the first from the sampler's. */
static uint64_t member_seed(uint64_t seed, size_t member)
{
    uint32_t counter[4] = {(uint32_t)member, 0, (uint32_t)MIXTURE_STREAM, 1}, out[4];
    pfm_philox(seed, counter, out);
    return member == 0 ? seed : (uint64_t)out[0] << 32 | out[1];
}

/* Where members begin and what each gives an epoch: whole rows, whose sum is the epoch. */
static pfm_status divide(pfm_sampler *sampler, const pfm_dataset *dataset, const double *ratios, pfm_error *err)
{
    double sum = 0, so_far = 0;
    size_t given = 0, base = 0;
    for (size_t i = 0; i < sampler->line_count; i++)
        sum += ratios[i];
    for (size_t i = 0; i < sampler->line_count; i++) {
        line *l = &sampler->lines[i];
        l->base = base;
        while (base < dataset->count && dataset->rows[base].member == (int)i)
            base++;
        l->rows = base - l->base;
        so_far += ratios[i];
        size_t end = i + 1 == sampler->line_count ? sampler->rows : (size_t)(so_far / sum * (double)sampler->rows + 0.5);
        l->share = end - given;
        given = end;
        if (l->share == 0 || l->rows == 0)
            return pfm_error_set(err, PFM_ERROR_USAGE,
                                 "member %zu of data.mixture gives no row to an epoch of %zu; raise its ratio or leave it out",
                                 i, sampler->rows);
    }
    return PFM_OK;
}

static pfm_status create_lines(pfm_sampler *sampler, const pfm_dataset *dataset, const double *ratios, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t count = ratios == NULL ? 1 : dataset->member_count;
    PFM_TRY(pfm_allocate(count, sizeof *sampler->lines, &sampler->lines, err));
    sampler->line_count = count;
    if (count > 1)
        PFM_TRY(divide(sampler, dataset, ratios, err));
    else
        sampler->lines[0].rows = sampler->rows;
    for (size_t i = 0; i < count; i++) {
        sampler->lines[i].seed = member_seed(sampler->seed, i);
        PFM_TRY(create_line(&sampler->lines[i], dataset, err));
    }
    if (count == 1) {
        sampler->order = sampler->lines[0].order;
        sampler->marks = sampler->lines[0].marks;
        goto done;
    }
    PFM_TRY(pfm_allocate(sampler->rows, sizeof(size_t), &sampler->order, err));
    PFM_TRY(pfm_allocate(sampler->rows, sizeof(size_t), &sampler->marks, err));
    PFM_TRY(pfm_allocate(sampler->rows, sizeof(size_t), &sampler->drawn, err));
    PFM_TRY(pfm_allocate(sampler->rows + 1, sizeof(size_t), &sampler->runs, err));
done:
    return status;
}

pfm_status pfm_sampler_create_mixture(const pfm_dataset *dataset, const double *ratios, int group, int batch, uint64_t seed,
                                      pfm_sampler **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_sampler *sampler = NULL;
    if (dataset->count == 0 || group < 1 || batch < 1)
        PFM_FAIL(PFM_ERROR_USAGE, "cannot draw steps of %d from %zu rows in groups of %d; all must be at least 1", batch,
                 dataset->count, group);
    PFM_TRY(pfm_allocate(1, sizeof *sampler, &sampler, err));
    sampler->rows = dataset->count;
    sampler->group = (size_t)group;
    sampler->batch = (size_t)batch;
    sampler->seed = seed;
    sampler->epoch = SIZE_MAX;
    PFM_TRY(create_lines(sampler, dataset, ratios, err));
    *out = sampler;
    sampler = NULL;
done:
    pfm_sampler_free(sampler);
    return status;
}

pfm_status pfm_sampler_create(const pfm_dataset *dataset, int group, int batch, uint64_t seed, pfm_sampler **out,
                              pfm_error *err)
{
    return pfm_sampler_create_mixture(dataset, NULL, group, batch, seed, out, err);
}

/* Makes the order of a line's epoch. A run's beginning tells its images and its end: the next multiple of `group` within
 * their rows. */
static pfm_status prepare_line(line *l, size_t group, size_t epoch, pfm_error *err)
{
    if (l->epoch == epoch)
        return PFM_OK;
    size_t *ends = NULL, count = 0, used = 0;
    pfm_status status = pfm_allocate(l->rows, sizeof *ends, &ends, err);
    if (status != PFM_OK)
        return status;
    pfm_random random = pfm_random_start(l->seed, STREAM << 32 | (uint32_t)epoch);
    for (size_t i = 0; i < l->rows; i++)
        l->shuffled[i] = l->by_set[i];
    for (size_t set = 0; set < l->sets; set++) {
        size_t begin = l->first[set], end = l->first[set + 1];
        pfm_random_shuffle(&random, l->shuffled + begin, end - begin);
        for (; begin < end; begin += group) {
            ends[begin] = end - begin < group ? end : begin + group;
            l->runs[count++] = begin;
        }
    }
    pfm_random_shuffle(&random, l->runs, count);
    for (size_t run = 0; run < count; run++) {
        for (size_t i = l->runs[run]; i < ends[l->runs[run]]; i++, used++) {
            l->order[used] = l->shuffled[i];
            l->marks[used] = run;
        }
    }
    free(ends);
    l->epoch = epoch;
    return PFM_OK;
}

/* Adds a member's rows of a mixture's epoch to those drawn; a run that the epochs' border divides is two. */
static pfm_status draw_member(pfm_sampler *sampler, line *l, size_t epoch, size_t *drawn, size_t *runs, pfm_error *err)
{
    size_t mark = SIZE_MAX;
    for (size_t i = 0; i < l->share; i++) {
        size_t at = epoch * l->share + i, place = at % l->rows;
        pfm_status status = prepare_line(l, sampler->group, at / l->rows, err);
        if (status != PFM_OK)
            return status;
        if (place == 0 || l->marks[place] != mark)
            sampler->runs[(*runs)++] = *drawn;
        mark = l->marks[place];
        sampler->drawn[(*drawn)++] = l->order[place];
    }
    return PFM_OK;
}

static pfm_status prepare_mixture(pfm_sampler *sampler, size_t epoch, pfm_error *err)
{
    size_t drawn = 0, count = 0, used = 0, *ends = NULL;
    pfm_status status = PFM_OK;
    if (sampler->epoch == epoch)
        return PFM_OK;
    sampler->epoch = SIZE_MAX;
    for (size_t i = 0; i < sampler->line_count; i++)
        PFM_TRY(draw_member(sampler, &sampler->lines[i], epoch, &drawn, &count, err));
    PFM_TRY(pfm_allocate(sampler->rows, sizeof *ends, &ends, err));
    for (size_t run = 0; run < count; run++)
        ends[sampler->runs[run]] = run + 1 < count ? sampler->runs[run + 1] : drawn;
    pfm_random random = pfm_random_start(sampler->seed, MIXTURE_STREAM << 32 | (uint32_t)epoch);
    pfm_random_shuffle(&random, sampler->runs, count);
    for (size_t run = 0; run < count; run++) {
        for (size_t i = sampler->runs[run]; i < ends[sampler->runs[run]]; i++, used++) {
            sampler->order[used] = sampler->drawn[i];
            sampler->marks[used] = run;
        }
    }
    sampler->epoch = epoch;
done:
    free(ends);
    return status;
}

static pfm_status prepare_epoch(pfm_sampler *sampler, size_t epoch, pfm_error *err)
{
    return sampler->line_count > 1 ? prepare_mixture(sampler, epoch, err)
                                   : prepare_line(&sampler->lines[0], sampler->group, epoch, err);
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
