/* Rows whose images are series: their slices take the place of the folder, or of the file with many frames. */
#include "data/format.h"

#include "base/file.h"
#include "base/map.h"
#include "base/try.h"
#include "pefomed/series.h"

#include <stdlib.h>
#include <string.h>

/* Series that were opened: questions about one are many. */
typedef struct opened {
    pfm_rows *rows; /* whose series are counted */
    pfm_map map;    /* borrows the keys */
    char **keys;
    pfm_series *series;
    size_t count, capacity, key_capacity;
} opened;

static void free_opened(opened *all)
{
    pfm_map_free(&all->map);
    for (size_t i = 0; i < all->count; i++) {
        free(all->keys[i]);
        pfm_series_free(&all->series[i]);
    }
    free(all->keys);
    free(all->series);
}

static pfm_status get_series(opened *all, const pfm_row *row, const pfm_row_image *image, const char *slices,
                             const pfm_series **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *key = NULL;
    int64_t known = (int64_t)all->count;
    pfm_error reason = PFM_ERROR_INIT;
    PFM_TRY(pfm_string_format(&key, err, "%s\n%s", row->series != NULL ? row->series : "", image->path));
    if (!pfm_map_get(&all->map, key, strlen(key), &known)) {
        PFM_TRY(pfm_array_reserve(&all->keys, &all->key_capacity, all->count + 1, sizeof *all->keys, err));
        PFM_TRY(pfm_array_reserve(&all->series, &all->capacity, all->count + 1, sizeof *all->series, err));
        const char *chosen = pfm_path_is_folder(image->path) ? row->series : NULL; /* of a file's frames there is one */
        status = pfm_series_open(image->path, chosen, slices, &all->series[all->count], &reason);
        if (status != PFM_OK)
            PFM_FAIL(status, "row %s: %s", row->id, reason.message);
        const pfm_series *series = &all->series[all->count];
        const bool is_several = series->total > 1; /* a lone picture is no short series */
        all->rows->series += is_several;
        all->rows->short_series += is_several && series->asked > 0;
        all->rows->slices_asked = series->asked > 0 ? series->asked : all->rows->slices_asked;
        all->keys[all->count++] = key;
        const char *kept = key;
        key = NULL;
        PFM_TRY(pfm_map_set(&all->map, kept, strlen(kept), known, err));
    }
    *out = &all->series[known];
done:
    free(key);
    return status;
}

static pfm_status add_slice(pfm_row_image *to, const pfm_row_image *from, const pfm_slice *slice, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *to = (pfm_row_image){.frame = slice->frame, .slice = slice->number};
    PFM_TRY(pfm_string_copy(from->name, &to->name, err));
    PFM_TRY(pfm_string_copy(slice->path, &to->path, err));
    if (slice->frame > 0) /* a line's end hardly is of a path */
        PFM_TRY(pfm_string_format(&to->key, err, "%s\nframe %d", slice->path, slice->frame));
done:
    return status;
}

static pfm_status open_row(opened *all, pfm_row *row, const char *slices, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_row out = {0};
    size_t capacity = 0;
    bool any = false;
    for (size_t i = 0; i < row->image_count; i++)
        any = any || pfm_series_is(row->images[i].path, slices);
    if (!any)
        return PFM_OK;
    for (size_t i = 0; i < row->image_count; i++) {
        pfm_row_image *image = &row->images[i];
        const pfm_series *series = NULL;
        if (pfm_series_is(image->path, slices))
            PFM_TRY(get_series(all, row, image, slices, &series, err));
        const size_t count = series != NULL ? series->count : 1;
        if (out.image_count + count > PFM_ROW_MOST_IMAGES)
            PFM_FAIL(PFM_ERROR_FORMAT, "row %s: %s brings it to %zu images, %d are the most; choose slices with data.slices",
                     row->id, image->name, out.image_count + count, PFM_ROW_MOST_IMAGES);
        PFM_TRY(pfm_array_reserve(&out.images, &capacity, out.image_count + count, sizeof *out.images, err));
        if (series == NULL) {
            out.images[out.image_count++] = *image;
            *image = (pfm_row_image){0};
        }
        for (size_t k = 0; series != NULL && k < count; k++)
            PFM_TRY(add_slice(&out.images[out.image_count++], image, &series->slices[k], err));
    }
    pfm_row_image *images = row->images;
    const size_t count = row->image_count;
    row->images = out.images;
    row->image_count = out.image_count;
    out.images = images;
    out.image_count = count;
done:
    pfm_row_free(&out);
    return status;
}

pfm_status pfm_rows_open_series(pfm_rows *rows, const char *slices, pfm_error *err)
{
    pfm_status status = PFM_OK;
    opened all = {.rows = rows};
    PFM_TRY(pfm_slices_check(slices, err));
    for (size_t i = 0; i < rows->count; i++)
        PFM_TRY(open_row(&all, &rows->items[i], slices, err));
done:
    free_opened(&all);
    return status;
}
