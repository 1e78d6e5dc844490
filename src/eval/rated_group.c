#include "eval/rated_group.h"

#include "base/try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const pfm_rated_level_names[PFM_LEVEL_COUNT] = {"nominal", "ordinal", "interval"};

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The item's scores, sorted. */
static size_t take_item(const double *const *columns, size_t count, size_t item, double *scores)
{
    size_t taken = 0;
    for (size_t r = 0; r < count; r++) {
        if (!isnan(columns[r][item]))
            scores[taken++] = columns[r][item] + 0.0; /* no minus zero */
    }
    qsort(scores, taken, sizeof *scores, compare_numbers);
    return taken;
}

static pfm_status find_levels(const double *const *columns, size_t count, pfm_rated_group *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t all = 0;
    PFM_TRY(pfm_allocate(out->items * count, sizeof *out->levels, &out->levels, err));
    for (size_t i = 0; i < out->items; i++)
        all += take_item(columns, count, i, out->levels + all);
    qsort(out->levels, all, sizeof *out->levels, compare_numbers);
    for (size_t i = 0; i < all; i++) {
        if (out->level_count == 0 || out->levels[i] != out->levels[out->level_count - 1])
            out->levels[out->level_count++] = out->levels[i];
    }
done:
    return status;
}

static pfm_status add_item(size_t item, const double *scores, size_t count, size_t *used, size_t *capacity,
                           pfm_rated_group *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    out->first[item] = *used;
    out->scores[item] = (uint32_t)count;
    PFM_TRY(pfm_array_reserve(&out->entries, capacity, *used + count + 1, sizeof *out->entries, err));
    for (size_t s = 0; s < count; s++) {
        if (s > 0 && scores[s] == scores[s - 1]) {
            out->entries[*used - 1].times++;
            continue;
        }
        const double *at = bsearch(&scores[s], out->levels, out->level_count, sizeof *scores, compare_numbers);
        out->entries[(*used)++] = (pfm_rated_entry){.level = (uint32_t)(at - out->levels), .times = 1};
    }
    out->paired += count >= 2;
    if (count > out->most) {
        out->most = (uint32_t)count;
        out->fullest = 0;
    }
    out->fullest += count > 0 && count == out->most;
done:
    return status;
}

pfm_status pfm_rated_group_create(const double *const *columns, size_t count, size_t items, pfm_rated_group *out,
                                  pfm_error *err)
{
    pfm_status status = PFM_OK;
    double *scores = NULL;
    size_t used = 0, capacity = 0;
    *out = (pfm_rated_group){.items = items};
    PFM_TRY(pfm_allocate(count, sizeof *scores, &scores, err));
    PFM_TRY(pfm_allocate(items + 1, sizeof *out->first, &out->first, err));
    PFM_TRY(pfm_allocate(items, sizeof *out->scores, &out->scores, err));
    PFM_TRY(find_levels(columns, count, out, err));
    for (size_t i = 0; i < items; i++)
        PFM_TRY(add_item(i, scores, take_item(columns, count, i, scores), &used, &capacity, out, err));
    out->first[items] = used;
done:
    free(scores);
    if (status != PFM_OK)
        pfm_rated_group_free(out);
    return status;
}

void pfm_rated_group_free(pfm_rated_group *group)
{
    free(group->levels);
    free(group->first);
    free(group->scores);
    free(group->entries);
    *group = (pfm_rated_group){0};
}

size_t pfm_rated_group_scratch(const pfm_rated_group *group) { return (2 * group->level_count + 1) * sizeof(double); }

/* Sum over pairs of times times distance: of n values x, n sum (x - mean)^2 is the sum of (x - y)^2 over pairs. */
static double spread(const pfm_rated_entry *entries, size_t count, const double *places)
{
    double n = 0, sum = 0, squares = 0;
    for (size_t e = 0; e < count; e++) {
        n += entries[e].times;
        sum += entries[e].times * (places[entries[e].level] - places[entries[0].level]);
    }
    double mean = places[entries[0].level] + sum / n;
    for (size_t e = 0; e < count; e++)
        squares += entries[e].times * (places[entries[e].level] - mean) * (places[entries[e].level] - mean);
    return n * squares;
}

static double differing(const pfm_rated_entry *entries, size_t count)
{
    double n = 0, same = 0;
    for (size_t e = 0; e < count; e++) {
        n += entries[e].times;
        same += (double)entries[e].times * entries[e].times;
    }
    return (n * n - same) / 2;
}

/* Distances of all scores to all: places NULL counts those that differ. */
static double expect(const double *margin, size_t count, const double *places, double n)
{
    double same = 0, mean = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        same += margin[i] * margin[i];
        mean += places == NULL ? 0 : margin[i] * places[i] / n;
    }
    if (places == NULL)
        return (n * n - same) / 2;
    for (size_t i = 0; i < count; i++)
        squares += margin[i] * (places[i] - mean) * (places[i] - mean);
    return n * squares;
}

static double alpha(const pfm_rated_group *g, const uint32_t *counts, const double *margin, const double *places, double n)
{
    double seen = 0, expected = expect(margin, g->level_count, places, n);
    size_t used = 0;
    for (size_t i = 0; i < g->level_count; i++)
        used += margin[i] > 0;
    if (used < 2)
        return NAN;
    for (size_t i = 0; i < g->items; i++) {
        const pfm_rated_entry *entries = g->entries + g->first[i];
        size_t count = g->first[i + 1] - g->first[i];
        if (counts[i] > 0 && count > 1)
            seen +=
                counts[i] * (places == NULL ? differing(entries, count) : spread(entries, count, places)) / (g->scores[i] - 1);
    }
    return 1 - (n - 1) * seen / expected;
}

/* Of items with `most` scores: (mean share of agreeing pairs - by chance) / (1 - by chance). */
static double fleiss(const pfm_rated_group *g, const uint32_t *counts, double *margin)
{
    double items = 0, agreed = 0, chance = 0, most = g->most;
    if (g->most < 2)
        return NAN;
    memset(margin, 0, g->level_count * sizeof *margin);
    for (size_t i = 0; i < g->items; i++) {
        const pfm_rated_entry *entries = g->entries + g->first[i];
        size_t count = g->first[i + 1] - g->first[i];
        if (g->scores[i] != g->most || counts[i] == 0)
            continue;
        items += counts[i];
        for (size_t e = 0; e < count; e++)
            margin[entries[e].level] += (double)counts[i] * entries[e].times;
        agreed += counts[i] * (1 - 2 * differing(entries, count) / (most * (most - 1)));
    }
    if (items == 0)
        return NAN;
    size_t used = 0;
    for (size_t l = 0; l < g->level_count; l++) {
        used += margin[l] > 0;
        chance += margin[l] / (items * most) * (margin[l] / (items * most));
    }
    return used < 2 ? NAN : (agreed / items - chance) / (1 - chance);
}

void pfm_rated_group_measure(const void *user, const uint32_t *counts, void *scratch, double *values)
{
    const pfm_rated_group *g = user;
    double *margin = scratch, *middles = margin + g->level_count, n = 0, below = 0;
    memset(margin, 0, g->level_count * sizeof *margin);
    for (size_t i = 0; i < g->items; i++) {
        if (g->scores[i] < 2 || counts[i] == 0)
            continue;
        n += (double)counts[i] * g->scores[i];
        for (size_t e = g->first[i]; e < g->first[i + 1]; e++)
            margin[g->entries[e].level] += (double)counts[i] * g->entries[e].times;
    }
    for (size_t l = 0; l < g->level_count; l++) {
        middles[l] = below + margin[l] / 2;
        below += margin[l];
    }
    values[PFM_LEVEL_NOMINAL] = alpha(g, counts, margin, NULL, n);
    values[PFM_LEVEL_ORDINAL] = alpha(g, counts, margin, middles, n);
    values[PFM_LEVEL_INTERVAL] = alpha(g, counts, margin, g->levels, n);
    values[PFM_GROUP_FLEISS] = fleiss(g, counts, margin);
}
