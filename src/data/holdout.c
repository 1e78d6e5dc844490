#include "data/format.h"

#include "base/map.h"
#include "base/random.h"
#include "base/try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t STREAM = 0x686f6c64; /* "hold": the random numbers of this file */

/* Rows of one image (and of one patient, where asked) belong together, also by way of others: a forest of row numbers in which
 * the first row of a set is its root. */
static size_t find_root(size_t *parent, size_t row)
{
    while (parent[row] != row) {
        parent[row] = parent[parent[row]];
        row = parent[row];
    }
    return row;
}

static void join(size_t *parent, size_t a, size_t b)
{
    a = find_root(parent, a);
    b = find_root(parent, b);
    parent[a > b ? a : b] = a > b ? b : a;
}

static pfm_status join_equal(pfm_map *seen, const char *text, size_t row, size_t *parent, pfm_error *err)
{
    int64_t other = 0;
    if (text == NULL)
        return PFM_OK;
    if (!pfm_map_get(seen, text, strlen(text), &other))
        return pfm_map_set(seen, text, strlen(text), (int64_t)row, err);
    join(parent, (size_t)other, row);
    return PFM_OK;
}

static size_t count_sets(size_t *parent, size_t rows)
{
    size_t count = 0;
    for (size_t i = 0; i < rows; i++)
        count += find_root(parent, i) == i;
    return count;
}

/* held[root] = the set is held back, for about `share` of the sets, and never for all of them. */
static pfm_status choose(size_t *parent, size_t rows, double share, uint64_t seed, bool *held, pfm_error *err)
{
    size_t *roots = NULL, count = 0;
    pfm_status status = pfm_allocate(rows, sizeof *roots, &roots, err);
    if (status != PFM_OK)
        return status;
    for (size_t i = 0; i < rows; i++) {
        if (find_root(parent, i) == i)
            roots[count++] = i;
    }
    pfm_random random = pfm_random_start(seed, STREAM);
    pfm_random_shuffle(&random, roots, count);
    size_t wanted = (size_t)floor(share * (double)count + 0.5);
    if (wanted == 0 && share > 0)
        wanted = 1;
    if (wanted >= count)
        wanted = count - 1;
    for (size_t i = 0; i < wanted; i++)
        held[roots[i]] = true;
    free(roots);
    return PFM_OK;
}

static void keep_rows(pfm_rows *rows, size_t *parent, const bool *held, bool wanted)
{
    size_t kept = 0;
    for (size_t i = 0; i < rows->count; i++) {
        if (held[find_root(parent, i)] != wanted) {
            pfm_row_free(&rows->items[i]);
            continue;
        }
        pfm_row row = rows->items[i];
        rows->items[i] = (pfm_row){0};
        rows->items[kept++] = row;
    }
    rows->count = kept;
}

pfm_status pfm_rows_hold_out(pfm_rows *rows, const char *split, const pfm_dataset_options *options, const char *name,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t *parent = NULL;
    bool *held = NULL, any_patient = false;
    pfm_map images = {0}, patients = {0};
    bool by_patient = options->validate_by != NULL && strcmp(options->validate_by, "patient") == 0;
    bool validate = strcmp(split, "validate") == 0;
    if (!validate && strcmp(split, "train") != 0)
        PFM_FAIL(PFM_ERROR_USAGE, "%s has no split '%s'", name, split);
    if (rows->count == 0)
        goto done;
    PFM_TRY(pfm_allocate(rows->count, sizeof *parent, &parent, err));
    PFM_TRY(pfm_allocate(rows->count, sizeof *held, &held, err));
    for (size_t i = 0; i < rows->count; i++)
        parent[i] = i;
    for (size_t i = 0; i < rows->count; i++) {
        any_patient = any_patient || rows->items[i].patient != NULL;
        for (size_t k = 0; k < rows->items[i].image_count; k++)
            PFM_TRY(join_equal(&images, rows->items[i].images[k].path, i, parent, err));
        if (by_patient)
            PFM_TRY(join_equal(&patients, rows->items[i].patient, i, parent, err));
    }
    if (by_patient && !any_patient)
        PFM_FAIL(PFM_ERROR_USAGE, "%s names no patients; set data.validate_by: image", name);
    if (by_patient && count_sets(parent, rows->count) == 1)
        PFM_FAIL(PFM_ERROR_USAGE,
                 "%s: all rows are of one patient (or share images), so that no patient can be held back; set "
                 "data.validate_by: image if files only say so since they were de-identified, or give a column 'split'",
                 name);
    PFM_TRY(choose(parent, rows->count, options->validate_share, options->seed, held, err));
    keep_rows(rows, parent, held, validate);
done:
    pfm_map_free(&images);
    pfm_map_free(&patients);
    free(parent);
    free(held);
    return status;
}
