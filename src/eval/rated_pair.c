#include "eval/rated_pair.h"

#include "base/try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESS(name) &pfm_rated_##name,
const pfm_rated_measure *const pfm_rated_measures[] = {PFM_RATED_LIST(ADDRESS) NULL};

size_t pfm_rated_measure_count(void) { return sizeof pfm_rated_measures / sizeof *pfm_rated_measures - 1; }

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts and keeps each number once. */
static size_t make_distinct(double *numbers, size_t count)
{
    size_t kept = 0;
    qsort(numbers, count, sizeof *numbers, compare_numbers);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || numbers[i] != numbers[kept - 1])
            numbers[kept++] = numbers[i] + 0.0; /* no minus zero */
    }
    return kept;
}

static uint32_t find(const double *numbers, size_t count, double value)
{
    const double *at = bsearch(&value, numbers, count, sizeof *numbers, compare_numbers);
    return at == NULL ? UINT32_MAX : (uint32_t)(at - numbers);
}

static pfm_status take_scores(const double *a, const double *b, size_t items, pfm_rated_pair *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_allocate(items, sizeof *out->a, &out->a, err));
    PFM_TRY(pfm_allocate(items, sizeof *out->b, &out->b, err));
    PFM_TRY(pfm_allocate(items, sizeof *out->item, &out->item, err));
    for (size_t i = 0; i < items; i++) {
        if (isnan(a[i]) || isnan(b[i]))
            continue;
        out->a[out->n] = a[i];
        out->b[out->n] = b[i];
        out->item[out->n++] = (uint32_t)i;
    }
    out->a_count = make_distinct(out->a, out->n);
    out->b_count = make_distinct(out->b, out->n);
done:
    return status;
}

static int compare_words(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* A cell is (a's number, b's number) in one word, so that sorting words sorts cells. */
static pfm_status make_cells(const double *a, const double *b, pfm_rated_pair *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint64_t *cells = NULL;
    PFM_TRY(pfm_allocate(out->n, sizeof *cells, &cells, err));
    PFM_TRY(pfm_allocate(out->n, sizeof *out->item_cell, &out->item_cell, err));
    for (size_t i = 0; i < out->n; i++)
        cells[i] = (uint64_t)find(out->a, out->a_count, a[out->item[i]]) << 32 | find(out->b, out->b_count, b[out->item[i]]);
    qsort(cells, out->n, sizeof *cells, compare_words);
    for (size_t i = 0; i < out->n; i++) {
        if (out->cell_count == 0 || cells[i] != cells[out->cell_count - 1])
            cells[out->cell_count++] = cells[i];
    }
    PFM_TRY(pfm_allocate(out->cell_count, sizeof *out->cell_a, &out->cell_a, err));
    PFM_TRY(pfm_allocate(out->cell_count, sizeof *out->cell_b, &out->cell_b, err));
    for (size_t c = 0; c < out->cell_count; c++) {
        out->cell_a[c] = (uint32_t)(cells[c] >> 32);
        out->cell_b[c] = (uint32_t)cells[c];
    }
    for (size_t i = 0; i < out->n; i++) {
        uint64_t word =
            (uint64_t)find(out->a, out->a_count, a[out->item[i]]) << 32 | find(out->b, out->b_count, b[out->item[i]]);
        const uint64_t *at = bsearch(&word, cells, out->cell_count, sizeof *cells, compare_words);
        out->item_cell[i] = (uint32_t)(at - cells);
    }
done:
    free(cells);
    return status;
}

static bool are_whole(const double *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] != floor(numbers[i]))
            return false;
    }
    return true;
}

static pfm_status number_levels(const double *levels, size_t level_count, pfm_rated_pair *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    double *both = NULL;
    PFM_TRY(pfm_allocate(out->a_count, sizeof *out->a_level, &out->a_level, err));
    PFM_TRY(pfm_allocate(out->b_count, sizeof *out->b_level, &out->b_level, err));
    if (levels == NULL) {
        PFM_TRY(pfm_allocate(out->a_count + out->b_count, sizeof *both, &both, err));
        memcpy(both, out->a, out->a_count * sizeof *both);
        memcpy(both + out->a_count, out->b, out->b_count * sizeof *both);
        level_count = make_distinct(both, out->a_count + out->b_count);
        if (!are_whole(both, level_count))
            goto done;
        levels = both;
    }
    for (size_t i = 0; i < out->a_count; i++)
        out->a_level[i] = find(levels, level_count, out->a[i]);
    for (size_t i = 0; i < out->b_count; i++)
        out->b_level[i] = find(levels, level_count, out->b[i]);
    out->level_count = level_count;
    for (size_t i = 0; i < out->a_count + out->b_count; i++) { /* a mean of repeats may lie between levels */
        if ((i < out->a_count ? out->a_level[i] : out->b_level[i - out->a_count]) == UINT32_MAX)
            out->level_count = 0;
    }
done:
    free(both);
    return status;
}

pfm_status pfm_rated_pair_create(const double *a, const double *b, size_t items, const double *levels, size_t level_count,
                                 pfm_rated_pair *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *out = (pfm_rated_pair){0};
    PFM_TRY(take_scores(a, b, items, out, err));
    PFM_TRY(make_cells(a, b, out, err));
    PFM_TRY(number_levels(levels, level_count, out, err));
done:
    if (status != PFM_OK)
        pfm_rated_pair_free(out);
    return status;
}

void pfm_rated_pair_free(pfm_rated_pair *pair)
{
    free(pair->a);
    free(pair->b);
    free(pair->a_level);
    free(pair->b_level);
    free(pair->cell_a);
    free(pair->cell_b);
    free(pair->item);
    free(pair->item_cell);
    *pair = (pfm_rated_pair){0};
}

size_t pfm_rated_pair_room(const pfm_rated_pair *pair) { return 2 * (pair->a_count + pair->b_count + pair->level_count) + 2; }

size_t pfm_rated_pair_scratch(const pfm_rated_pair *pair)
{
    return pfm_rated_pair_room(pair) * sizeof(double) + pair->cell_count * sizeof(uint32_t);
}

/* The cells of a sample. */
static pfm_rated_counts count_cells(const pfm_rated_pair *pair, const uint32_t *counts, void *scratch)
{
    double *room = scratch;
    uint32_t *times = (uint32_t *)(room + pfm_rated_pair_room(pair));
    pfm_rated_counts of = {.pair = pair, .times = times, .room = room};
    memset(times, 0, pair->cell_count * sizeof *times);
    for (size_t i = 0; i < pair->n; i++) {
        times[pair->item_cell[i]] += counts[pair->item[i]];
        of.n += counts[pair->item[i]];
    }
    return of;
}

void pfm_rated_single_measure(const void *user, const uint32_t *counts, void *scratch, double *value)
{
    const pfm_rated_single *single = user;
    const pfm_rated_counts of = count_cells(single->pair, counts, scratch);
    *value = of.n == 0 ? NAN : single->measure->compute(&of);
}

void pfm_rated_pair_measure(const void *user, const uint32_t *counts, void *scratch, double *values)
{
    const pfm_rated_counts of = count_cells(user, counts, scratch);
    for (size_t m = 0; pfm_rated_measures[m] != NULL; m++)
        values[m] = of.n == 0 ? NAN : pfm_rated_measures[m]->compute(&of);
}

pfm_status pfm_rated_pair_compute(const pfm_rated_pair *pair, const pfm_rated_measure *measure, double *value, pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint32_t *times = NULL;
    double *room = NULL;
    *value = NAN;
    if (pair->n == 0)
        goto done;
    PFM_TRY(pfm_allocate(pair->cell_count, sizeof *times, &times, err));
    PFM_TRY(pfm_allocate(pfm_rated_pair_room(pair), sizeof *room, &room, err));
    for (size_t i = 0; i < pair->n; i++)
        times[pair->item_cell[i]]++;
    *value = measure->compute(&(pfm_rated_counts){.pair = pair, .times = times, .n = pair->n, .room = room});
done:
    free(times);
    free(room);
    return status;
}

void pfm_rated_margins(const pfm_rated_counts *counts, double *of_a, double *of_b)
{
    const pfm_rated_pair *pair = counts->pair;
    memset(of_a, 0, pair->a_count * sizeof *of_a);
    memset(of_b, 0, pair->b_count * sizeof *of_b);
    for (size_t c = 0; c < pair->cell_count; c++) {
        of_a[pair->cell_a[c]] += counts->times[c];
        of_b[pair->cell_b[c]] += counts->times[c];
    }
}

bool pfm_rated_is_constant(const double *margin, size_t count)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        used += margin[i] > 0;
    return used < 2;
}

static double mean_of(const double *values, const double *margin, size_t count, double n)
{
    double sum = 0, rest = 0, centre = values[0];
    for (size_t i = 0; i < count; i++)
        sum += margin[i] * (values[i] - centre);
    double mean = centre + sum / n;
    for (size_t i = 0; i < count; i++) /* once more around the mean: what rounding left */
        rest += margin[i] * (values[i] - mean);
    return mean + rest / n;
}

double pfm_rated_correlation(const pfm_rated_counts *counts, const double *x, const double *y, const double *of_a,
                             const double *of_b)
{
    const pfm_rated_pair *pair = counts->pair;
    if (pfm_rated_is_constant(of_a, pair->a_count) || pfm_rated_is_constant(of_b, pair->b_count))
        return NAN;
    double mean_x = mean_of(x, of_a, pair->a_count, (double)counts->n), xx = 0, yy = 0, xy = 0;
    double mean_y = mean_of(y, of_b, pair->b_count, (double)counts->n);
    for (size_t i = 0; i < pair->a_count; i++)
        xx += of_a[i] * (x[i] - mean_x) * (x[i] - mean_x);
    for (size_t i = 0; i < pair->b_count; i++)
        yy += of_b[i] * (y[i] - mean_y) * (y[i] - mean_y);
    for (size_t c = 0; c < pair->cell_count; c++)
        xy += counts->times[c] * (x[pair->cell_a[c]] - mean_x) * (y[pair->cell_b[c]] - mean_y);
    double both = xx * yy; /* one root of the product, where it fits, so that a column correlates with itself by exactly 1 */
    double r = xy / (isnormal(both) ? sqrt(both) : sqrt(xx) * sqrt(yy));
    return isfinite(r) ? fmax(-1, fmin(1, r)) : NAN;
}
