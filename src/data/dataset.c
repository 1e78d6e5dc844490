#include "data/dataset.h"

#include "base/context.h"
#include "base/map.h"
#include "base/try.h"
#include "data/format.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utf8proc.h>

enum { LONGEST_NAME = 200 }; /* of which is looked whether it is restricted */

static const pfm_dataset_format *const formats[] = {
#define ADDRESS(name) &pfm_dataset_##name,
    PFM_DATASET_LIST(ADDRESS)
#undef ADDRESS
};

static const pfm_dataset_format *find_format(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (strcmp(formats[i]->name, name) == 0)
            return formats[i];
    }
    return NULL;
}

const char *pfm_dataset_names(void)
{
#define COMMA(name) ", " #name
    return &(PFM_DATASET_LIST(COMMA))[2];
#undef COMMA
}

bool pfm_dataset_is_known(const char *name) { return find_format(name) != NULL; }

bool pfm_dataset_is_restricted(const char *name)
{
    char plain[LONGEST_NAME];
    size_t length = 0;
    for (; *name != '\0' && length + 1 < sizeof plain; name++)
        if (isalnum((unsigned char)*name))
            plain[length++] = (char)tolower((unsigned char)*name);
    plain[length] = '\0';
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (formats[i]->restricted != NULL && strstr(plain, formats[i]->restricted) != NULL)
            return true;
    return false;
}

const char *pfm_dataset_profile(const char *name)
{
    const pfm_dataset_format *format = find_format(name);
    return format != NULL && format->profile != NULL ? format->profile : "vqa";
}

static pfm_status get_format(const char *name, const pfm_dataset_format **out, pfm_error *err)
{
    *out = find_format(name);
    if (*out == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "there is no data set '%s'; there are %s", name, pfm_dataset_names());
    return PFM_OK;
}

static pfm_status list_splits(const pfm_dataset_format *format, const char *path, const pfm_dataset_options *options,
                              pfm_names *out, pfm_error *err)
{
    if (format->layout != NULL)
        return pfm_json_splits_list(format->layout, path, options, out, err);
    return format->list_splits(path, options, out, err);
}

static pfm_status read_rows(const pfm_dataset_format *format, const char *path, const char *split,
                            const pfm_dataset_options *options, pfm_rows *out, pfm_error *err)
{
    if (format->layout != NULL)
        return pfm_json_splits_read(format->layout, path, split, options, out, err);
    return format->read(path, split, options, out, err);
}

pfm_status pfm_dataset_list_splits(const char *name, const char *path, const pfm_dataset_options *options, pfm_names *out,
                                   pfm_error *err)
{
    const pfm_dataset_format *format = NULL;
    pfm_status status = get_format(name, &format, err);
    return status != PFM_OK ? status : list_splits(format, path, options, out, err);
}

pfm_status pfm_dataset_has_split(const char *name, const char *path, const char *split, const pfm_dataset_options *options,
                                 bool *out, pfm_error *err)
{
    pfm_names splits = {0};
    pfm_status status = pfm_dataset_list_splits(name, path, options, &splits, err);
    if (status == PFM_OK)
        *out = pfm_names_has(&splits, pfm_split_canonical(split));
    pfm_names_free(&splits);
    return status;
}

static pfm_status require_split(const pfm_dataset_format *format, const char *path, const char *split,
                                const pfm_dataset_options *options, pfm_error *err)
{
    pfm_names splits = {0};
    pfm_buffer text = {0};
    pfm_status status = PFM_OK;
    PFM_TRY(list_splits(format, path, options, &splits, err));
    if (!pfm_names_has(&splits, split)) {
        PFM_TRY(pfm_names_append(&splits, &text, err));
        PFM_FAIL(PFM_ERROR_USAGE, "%s has no split '%s' for %s; its splits: %s", path, split, format->name, text.data);
    }
done:
    pfm_buffer_free(&text);
    pfm_names_free(&splits);
    return status;
}

static void keep_first(pfm_rows *rows, size_t limit)
{
    for (; limit > 0 && rows->count > limit; rows->count--)
        pfm_row_free(&rows->items[rows->count - 1]);
}

/* Gives a row whose id an earlier row has an id of its own: "12", "12#2", "12#3". `seen` leads from an id to the row that has
 * it, copies[row] counts those that wanted it too. */
static pfm_status make_id_unique(pfm_rows *rows, size_t row, pfm_map *seen, size_t *copies, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int64_t owner = 0;
    char *own = rows->items[row].id, *made = NULL;
    if (pfm_map_get(seen, own, strlen(own), &owner)) {
        do {
            free(made);
            made = NULL;
            PFM_TRY(pfm_string_format(&made, err, "%s#%zu", own, ++copies[owner] + 1));
        } while (pfm_map_get(seen, made, strlen(made), NULL));
        free(own);
        rows->items[row].id = own = made;
    }
    status = pfm_map_set(seen, own, strlen(own), (int64_t)row, err);
done:
    return status;
}

static pfm_status make_ids_unique(pfm_rows *rows, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_map seen = {0};
    size_t *copies = NULL;
    PFM_TRY(pfm_allocate(rows->count, sizeof *copies, &copies, err));
    for (size_t i = 0; i < rows->count; i++)
        PFM_TRY(make_id_unique(rows, i, &seen, copies, err));
done:
    free(copies);
    pfm_map_free(&seen);
    return status;
}

/* *out = the key's number, in order of first appearance. */
static pfm_status number_of(pfm_map *seen, const char *key, size_t length, int *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int64_t number = (int64_t)seen->count;
    if (!pfm_map_get(seen, key, length, &number))
        status = pfm_map_set(seen, key, length, number, err);
    *out = (int)number;
    return status;
}

/* *out = the number of a list of images; rows without any have nothing in common. */
static pfm_status number_set(pfm_map *seen, const char *list, size_t length, size_t *count, int *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int64_t number = (int64_t)*count;
    if (length == 0 || !pfm_map_get(seen, list, length, &number)) {
        (*count)++;
        if (length > 0)
            status = pfm_map_set(seen, list, length, number, err);
    }
    *out = (int)number;
    return status;
}

/* Numbers the images, then the lists of their numbers, whose bytes stand in one buffer while the map borrows them. */
static pfm_status number_images(pfm_rows *rows, pfm_dataset *dataset, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_map images = {0}, sets = {0};
    pfm_buffer lists = {0};
    size_t at = 0;
    for (size_t i = 0; i < rows->count; i++) {
        for (size_t k = 0; k < rows->items[i].image_count; k++) {
            pfm_row_image *image = &rows->items[i].images[k];
            const char *key = pfm_row_image_key(image);
            PFM_TRY(number_of(&images, key, strlen(key), &image->index, err));
            PFM_TRY(pfm_buffer_append(&lists, &image->index, sizeof image->index, err));
        }
    }
    for (size_t i = 0; i < rows->count; i++) {
        size_t length = rows->items[i].image_count * sizeof rows->items[i].images->index;
        PFM_TRY(number_set(&sets, length > 0 ? lists.data + at : NULL, length, &dataset->set_count, &rows->items[i].image_set,
                           err));
        at += length;
    }
    dataset->image_count = images.count;
done:
    pfm_buffer_free(&lists);
    pfm_map_free(&images);
    pfm_map_free(&sets);
    return status;
}

static pfm_status check_grounding(const pfm_dataset_format *format, const pfm_dataset_options *options, pfm_error *err)
{
    if (options->grounding == NULL || strcmp(options->grounding, "none") == 0 || format->grounds)
        return PFM_OK;
    return pfm_error_set(err, PFM_ERROR_USAGE,
                         "%s has nothing to ground its questions in; leave data.grounding: %s out, which is for "
                         "medexpqa",
                         format->name, options->grounding);
}

pfm_status pfm_dataset_load(const char *name, const char *path, const char *split, const pfm_dataset_options *options,
                            pfm_dataset **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_dataset_format *format = NULL;
    pfm_dataset *dataset = NULL;
    pfm_rows rows = {0};
    split = pfm_split_canonical(split);
    PFM_TRY(get_format(name, &format, err));
    PFM_TRY(check_grounding(format, options, err));
    PFM_TRY(require_split(format, path, split, options, err));
    PFM_TRY(read_rows(format, path, split, options, &rows, err));
    if (rows.count == 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: the split '%s' holds no rows", path, split);
    keep_first(&rows, options->limit);
    PFM_TRY(pfm_rows_open_series(&rows, options->slices, err));
    PFM_TRY(pfm_allocate(1, sizeof *dataset, &dataset, err));
    PFM_TRY(pfm_string_copy(name, &dataset->name, err));
    PFM_TRY(pfm_string_copy(split, &dataset->split, err));
    PFM_TRY(make_ids_unique(&rows, err));
    PFM_TRY(number_images(&rows, dataset, err));
    dataset->rows = rows.items;
    dataset->count = rows.count;
    dataset->left_out = rows.left_out;
    dataset->left_out_why = rows.left_out_why;
    dataset->series = rows.series;
    dataset->short_series = rows.short_series;
    dataset->slices_asked = rows.slices_asked;
    rows = (pfm_rows){0};
    *out = dataset;
    dataset = NULL;
done:
    pfm_rows_free(&rows);
    pfm_dataset_free(dataset);
    return status;
}

pfm_status pfm_dataset_ground(const char *name, const pfm_dataset_options *options, const char *text, char **out,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_dataset_format *format = NULL;
    PFM_TRY(get_format(name, &format, err));
    PFM_TRY(check_grounding(format, options, err));
    if (format->ground != NULL && options->grounding != NULL && strcmp(options->grounding, "retrieved") == 0)
        PFM_TRY(format->ground(options, text, out, err));
    else
        PFM_TRY(pfm_string_copy(text, out, err));
done:
    return status;
}

static pfm_status join_names(pfm_dataset *const *members, size_t count, char **out, pfm_error *err)
{
    pfm_buffer text = {0};
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < count; i++)
        PFM_TRY(pfm_buffer_append_format(&text, err, "%s%s", i > 0 ? "+" : "", members[i]->name));
    PFM_TRY(pfm_string_copy_n(text.data, text.size, out, err));
done:
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_dataset_join(pfm_dataset *const *members, size_t count, pfm_dataset **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dataset *dataset = NULL;
    pfm_rows rows = {0};
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += members[i]->count;
    PFM_TRY(pfm_array_reserve(&rows.items, &rows.capacity, total, sizeof *rows.items, err));
    PFM_TRY(pfm_allocate(1, sizeof *dataset, &dataset, err));
    PFM_TRY(join_names(members, count, &dataset->name, err));
    PFM_TRY(pfm_string_copy(members[0]->split, &dataset->split, err));
    for (size_t i = 0; i < count; i++) {
        for (size_t r = 0; r < members[i]->count; r++) {
            rows.items[rows.count] = members[i]->rows[r];
            rows.items[rows.count++].member = (int)i;
        }
        members[i]->count = 0; /* the rows have another owner now */
        dataset->left_out += members[i]->left_out;
        dataset->left_out_why = members[i]->left_out > 0 ? members[i]->left_out_why : dataset->left_out_why;
        dataset->series += members[i]->series;
        dataset->short_series += members[i]->short_series;
        dataset->slices_asked = members[i]->short_series > 0 ? members[i]->slices_asked : dataset->slices_asked;
    }
    PFM_TRY(make_ids_unique(&rows, err));
    PFM_TRY(number_images(&rows, dataset, err));
    dataset->rows = rows.items;
    dataset->count = rows.count;
    dataset->member_count = count;
    rows = (pfm_rows){0};
    *out = dataset;
    dataset = NULL;
done:
    pfm_rows_free(&rows);
    pfm_dataset_free(dataset);
    return status;
}

void pfm_dataset_tell_left_out(const pfm_dataset *dataset, const pfm_context *context)
{
    if (dataset->left_out > 0)
        pfm_log(context, PFM_LOG_WARNING, "%s %s: %zu rows are left out, since they %s", dataset->name, dataset->split,
                dataset->left_out, dataset->left_out_why);
    if (dataset->short_series > 0)
        pfm_log(context, PFM_LOG_WARNING,
                "%s %s: %zu of %zu series have fewer than the %zu slices of data.slices; all are shown", dataset->name,
                dataset->split, dataset->short_series, dataset->series, dataset->slices_asked);
}

void pfm_dataset_free(pfm_dataset *dataset)
{
    if (dataset == NULL)
        return;
    pfm_rows rows = {.items = dataset->rows, .count = dataset->count};
    pfm_rows_free(&rows);
    free(dataset->name);
    free(dataset->split);
    free(dataset);
}

pfm_status pfm_dataset_check_images(const pfm_dataset *dataset, pfm_error *err)
{
    const pfm_row *first = NULL;
    const char *path = NULL;
    size_t missing = 0;
    int reason = 0, next = 0;
    for (size_t i = 0; i < dataset->count; i++) {
        const pfm_row *row = &dataset->rows[i];
        for (size_t k = 0; k < row->image_count; k++) {
            if (row->images[k].index < next) /* numbered in order of appearance: seen before */
                continue;
            next = row->images[k].index + 1;
            if (access(row->images[k].path, R_OK) == 0 || missing++ > 0)
                continue;
            first = row;
            path = row->images[k].path;
            reason = errno;
        }
    }
    if (missing == 0)
        return PFM_OK;
    char others[80] = "";
    if (missing > 1)
        (void)snprintf(others, sizeof others, " (and %zu more images of %zu)", missing - 1, dataset->image_count);
    return pfm_error_set(err, PFM_ERROR_IO, "%s %s, row %s: cannot open its image %s: %s%s", dataset->name, dataset->split,
                         first->id, path, strerror(reason), others);
}

pfm_status pfm_dataset_list_images(const pfm_dataset *dataset, pfm_image_file **out, pfm_error *err)
{
    pfm_status status = pfm_allocate(dataset->image_count, sizeof **out, out, err);
    for (size_t i = 0; status == PFM_OK && i < dataset->count; i++) {
        const pfm_row *row = &dataset->rows[i];
        for (size_t k = 0; k < row->image_count; k++)
            (*out)[row->images[k].index] = (pfm_image_file){.path = row->images[k].path, .frame = row->images[k].frame};
    }
    return status;
}

static void hash_text(pfm_hash *hash, const char *text) { pfm_hash_update(hash, text, strlen(text) + 1); }

static pfm_status hash_images(pfm_hash *hash, const pfm_row *row, bool *seen, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_hash_hex bytes;
    for (size_t k = 0; k < row->image_count; k++) {
        const pfm_row_image *image = &row->images[k];
        if (!seen[image->index]) {
            PFM_TRY(pfm_hash_file(image->path, bytes, err));
            hash_text(hash, bytes);
            seen[image->index] = true;
        }
        hash_text(hash, image->name);
        if (image->slice > 0) {
            char which[40];
            (void)snprintf(which, sizeof which, "slice %d frame %d", image->slice, image->frame);
            hash_text(hash, which);
        }
    }
done:
    return status;
}

static pfm_status hash_rows(const pfm_dataset *dataset, bool grounded, pfm_hash_hex out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_hash *hash = NULL;
    bool *seen = NULL;
    PFM_TRY(pfm_hash_create(&hash, err));
    PFM_TRY(pfm_allocate(dataset->image_count, sizeof *seen, &seen, err));
    for (size_t i = 0; i < dataset->count; i++) {
        const pfm_row *row = &dataset->rows[i];
        PFM_TRY(hash_images(hash, row, seen, err));
        hash_text(hash, grounded || row->ungrounded == NULL ? row->question : row->ungrounded);
        hash_text(hash, row->answer);
    }
    pfm_hash_finish(hash, out);
done:
    pfm_hash_free(hash);
    free(seen);
    return status;
}

pfm_status pfm_dataset_hash(const pfm_dataset *dataset, pfm_hash_hex out, pfm_error *err)
{
    return hash_rows(dataset, true, out, err);
}

pfm_status pfm_dataset_hash_ungrounded(const pfm_dataset *dataset, pfm_hash_hex out, pfm_error *err)
{
    return hash_rows(dataset, false, out, err);
}

pfm_status pfm_answer_prepare(const char *answer, bool lowercase, char **out, pfm_error *err)
{
    static const char blanks[] = " \t\r\n\v\f";
    answer += strspn(answer, blanks);
    size_t length = strlen(answer);
    while (length > 0 && strchr(blanks, answer[length - 1]) != NULL)
        length--;
    if (!lowercase)
        return pfm_string_copy_n(answer, length, out, err);
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    PFM_TRY(pfm_buffer_append(&text, "", 0, err));
    for (size_t i = 0; i < length;) {
        utf8proc_int32_t point = 0;
        utf8proc_uint8_t bytes[4];
        utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)answer + i, (utf8proc_ssize_t)(length - i), &point);
        if (used <= 0)
            PFM_FAIL(PFM_ERROR_FORMAT, "an answer is not UTF-8: %s", answer);
        utf8proc_ssize_t made = utf8proc_encode_char(utf8proc_tolower(point), bytes);
        PFM_TRY(pfm_buffer_append(&text, bytes, (size_t)made, err));
        i += (size_t)used;
    }
    *out = text.data;
    text = (pfm_buffer){0};
done:
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_dataset_order_by_images(const pfm_dataset *dataset, size_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t *next = NULL, *order = NULL;
    PFM_TRY(pfm_allocate(dataset->set_count + 1, sizeof *next, &next, err));
    PFM_TRY(pfm_allocate(dataset->count, sizeof *order, &order, err));
    for (size_t i = 0; i < dataset->count; i++)
        next[dataset->rows[i].image_set + 1]++;
    for (size_t set = 0; set < dataset->set_count; set++)
        next[set + 1] += next[set];
    for (size_t i = 0; i < dataset->count; i++)
        order[next[dataset->rows[i].image_set]++] = i;
    *out = order;
done:
    free(next);
    return status;
}
