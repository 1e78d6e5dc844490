#include "image/series.h"

#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "pefomed/dicom.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Cosines that differ by less are one orientation; positions, in millimetres, one position. */
static const double SAME_COSINE = 1e-3, SAME_PLACE = 0.01;

/* ---- which belong together ---- */

static bool same_orientation(const pfm_series_entry *a, const pfm_series_entry *b)
{
    if (a->has_orientation != b->has_orientation)
        return false;
    for (int i = 0; a->has_orientation && i < 6; i++)
        if (fabs(a->orientation[i] - b->orientation[i]) > SAME_COSINE)
            return false;
    return true;
}

static void normal_of(const pfm_series_entry *entry, double *n)
{
    const double *o = entry->orientation;
    n[0] = o[1] * o[5] - o[2] * o[4];
    n[1] = o[2] * o[3] - o[0] * o[5];
    n[2] = o[0] * o[4] - o[1] * o[3];
}

typedef struct grouping {
    pfm_series_scan *scan;
    size_t *first; /* [count] an entry of each group */
    size_t *sizes;
    size_t count, capacity, size_capacity;
} grouping;

static pfm_status sort_into_groups(grouping *g, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < g->scan->count; i++) {
        pfm_series_entry *entry = &g->scan->entries[i];
        size_t k = 0;
        for (; k < g->count; k++) {
            const pfm_series_entry *other = &g->scan->entries[g->first[k]];
            if (entry->uid == other->uid && entry->is_localizer == other->is_localizer && same_orientation(entry, other))
                break;
        }
        if (k == PFM_SERIES_MOST)
            PFM_FAIL(PFM_ERROR_FORMAT, "%s holds more than %d series; give each a folder of its own", g->scan->path,
                     PFM_SERIES_MOST);
        if (k == g->count) {
            PFM_TRY(pfm_array_reserve(&g->first, &g->capacity, k + 1, sizeof *g->first, err));
            PFM_TRY(pfm_array_reserve(&g->sizes, &g->size_capacity, k + 1, sizeof *g->sizes, err));
            g->first[k] = i;
            g->sizes[k] = 0;
            g->count++;
        }
        entry->group = (int)k;
        g->sizes[k]++;
    }
done:
    return status;
}

static int compare(double a, double b) { return (a > b) - (a < b); }

/* Series by their numbers, those without behind them; else by their UIDs, pictures before localizers, by their planes, those
 * without behind them, and in the order of the files. It must be one order of all: no two may have the same rank. */
static bool comes_before(const grouping *g, size_t a, size_t b)
{
    const pfm_series_entry *x = &g->scan->entries[g->first[a]], *y = &g->scan->entries[g->first[b]];
    if (x->has_series_number != y->has_series_number)
        return x->has_series_number;
    int order = x->has_series_number ? compare(x->series_number, y->series_number) : 0;
    if (order == 0)
        order = strcmp(g->scan->uids != NULL ? g->scan->uids[x->uid] : "", g->scan->uids != NULL ? g->scan->uids[y->uid] : "");
    if (order == 0 && x->is_localizer != y->is_localizer)
        return !x->is_localizer;
    if (order == 0 && x->has_orientation != y->has_orientation)
        return x->has_orientation;
    for (int i = 0; order == 0 && x->has_orientation && i < 6; i++)
        order = compare(x->orientation[i], y->orientation[i]);
    return order != 0 ? order < 0 : a < b;
}

static size_t rank_of(const grouping *g, size_t group)
{
    size_t rank = 0;
    for (size_t k = 0; k < g->count; k++)
        rank += k != group && comes_before(g, k, group);
    return rank;
}

static const char *plane_of(const pfm_series_entry *entry)
{
    static const char *const names[] = {"sagittal", "coronal", "axial"};
    double n[3];
    if (!entry->has_orientation)
        return "";
    normal_of(entry, n);
    for (int i = 0; i < 3; i++)
        if (fabs(n[i]) > 0.9)
            return names[i];
    return "oblique";
}

/* ---- which is wanted ---- */

/* Appends "1: CT, axial, 20 slices; 2: ...", of at most a few; nothing of what a file says in words. */
static pfm_status list_groups(const grouping *g, pfm_buffer *out, pfm_error *err)
{
    enum { LISTED = 20 };
    pfm_status status = PFM_OK;
    for (size_t rank = 0; rank < g->count && rank < LISTED; rank++) {
        size_t k = 0;
        while (rank_of(g, k) != rank)
            k++;
        const pfm_series_entry *entry = &g->scan->entries[g->first[k]];
        const char *plane = plane_of(entry);
        PFM_TRY(pfm_buffer_append_format(out, err, "%s%zu: %s%s%s%s, %zu slice%s", rank > 0 ? "; " : "", rank + 1,
                                         entry->modality[0] != '\0' ? entry->modality : "no modality",
                                         plane[0] != '\0' ? " " : "", plane, entry->is_localizer ? " localizer" : "",
                                         g->sizes[k], g->sizes[k] == 1 ? "" : "s"));
    }
    if (g->count > LISTED)
        PFM_TRY(pfm_buffer_append_format(out, err, "; and %zu more", g->count - LISTED));
done:
    return status;
}

static pfm_status refuse_choice(const grouping *g, const char *what, pfm_error *err)
{
    pfm_buffer text = {0};
    pfm_status status = PFM_OK;
    PFM_TRY(list_groups(g, &text, err));
    PFM_FAIL(PFM_ERROR_USAGE,
             "%s holds %zu series%s; say which with --series NUMBER or UID (a table: in its column series): %s", g->scan->path,
             g->count, what, text.data);
done:
    pfm_buffer_free(&text);
    return status;
}

static bool is_number(const char *text)
{
    return text[strspn(text, "0123456789")] == '\0' && strlen(text) <= 9 && *text != '\0';
}

static pfm_status choose_group(const grouping *g, const char *series, size_t *out, pfm_error *err)
{
    size_t matches = 0;
    if (series == NULL && g->count > 1)
        return refuse_choice(g, "", err);
    *out = 0;
    if (series == NULL)
        return PFM_OK;
    for (size_t k = 0; k < g->count; k++) {
        const bool is = is_number(series)
                            ? rank_of(g, k) + 1 == strtoul(series, NULL, 10)
                            : g->scan->uids != NULL && strcmp(g->scan->uids[g->scan->entries[g->first[k]].uid], series) == 0;
        if (!is)
            continue;
        *out = k;
        matches++;
    }
    if (matches == 0)
        return refuse_choice(g, ", and none is the one that was said", err);
    return matches == 1 ? PFM_OK : refuse_choice(g, ", and several of that UID: give the number", err);
}

/* ---- in which order ---- */

typedef enum series_order { BY_POSITION, BY_INSTANCE, BY_NAME } series_order;

static int by_file(const pfm_series_entry *x, const pfm_series_entry *y)
{
    return x->file != y->file ? (x->file > y->file) - (x->file < y->file) : (x->frame > y->frame) - (x->frame < y->frame);
}

static int by_instance(const void *a, const void *b)
{
    const pfm_series_entry *x = a, *y = b;
    const int order = compare(x->instance, y->instance);
    return order != 0 ? order : by_file(x, y);
}

static int by_position(const void *a, const void *b)
{
    const pfm_series_entry *x = a, *y = b;
    const int order = compare(x->along, y->along);
    return order != 0 ? order : by_instance(a, b);
}

static int by_name(const void *a, const void *b) { return by_file(a, b); }

/* Sorts the entries of one series and counts those that lie where another one does. */
static series_order sort_slices(pfm_series_entry *slices, size_t count, size_t *duplicates)
{
    bool placed = true, numbered = true;
    double n[3] = {0};
    for (size_t i = 0; i < count; i++) {
        placed = placed && slices[i].has_position && slices[i].has_orientation;
        numbered = numbered && slices[i].has_instance;
    }
    if (placed)
        normal_of(&slices[0], n);
    for (size_t i = 0; i < count; i++)
        for (int k = 0; placed && k < 3; k++)
            slices[i].along += n[k] * slices[i].position[k];
    qsort(slices, count, sizeof *slices, placed ? by_position : numbered ? by_instance : by_name);
    *duplicates = 0;
    for (size_t i = 1; placed && i < count; i++)
        *duplicates += slices[i].along - slices[i - 1].along < SAME_PLACE;
    return placed ? BY_POSITION : numbered ? BY_INSTANCE : BY_NAME;
}

/* ---- the whole ---- */

static bool is_file(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISREG(about.st_mode);
}

static pfm_status scan_folder(pfm_series_scan *scan, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    size_t folders = 0;
    PFM_TRY(pfm_folder_list(scan->path, &scan->names, &scan->name_count, err));
    if (scan->name_count > PFM_SERIES_MOST_FILES)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s holds %zu files; %d are the most: give each series a folder of its own", scan->path,
                 scan->name_count, PFM_SERIES_MOST_FILES);
    for (size_t i = 0; i < scan->name_count; i++) {
        free(path);
        path = NULL;
        PFM_TRY(pfm_path_join(scan->path, scan->names[i], &path, err));
        folders += pfm_path_is_folder(path);
        if (scan->names[i][0] != '.' && is_file(path))
            PFM_TRY(pfm_series_scan_file(scan, path, (int)i, err));
    }
    if (scan->count == 0 && folders > 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s holds no pictures in DICOM itself, but %zu folders; name the one that holds the series",
                 scan->path, folders);
    if (scan->count == 0)
        PFM_FAIL(
            PFM_ERROR_FORMAT,
            "%s holds no pictures in DICOM; a folder stands for a series of DICOM files, other images are named one by one",
            scan->path);
done:
    free(path);
    return status;
}

static pfm_status take_slices(const pfm_series_scan *scan, const pfm_series_entry *slices, const char *wanted, pfm_series *out,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t *chosen = NULL, count = 0;
    out->asked = pfm_slices_asked(wanted) > out->total ? pfm_slices_asked(wanted) : 0;
    PFM_TRY(pfm_slices_choose(wanted, out->total, scan->path, &chosen, &count, err));
    PFM_TRY(pfm_allocate(count, sizeof *out->slices, &out->slices, err));
    for (; out->count < count; out->count++) {
        const pfm_series_entry *entry = &slices[chosen[out->count]];
        pfm_slice *slice = &out->slices[out->count];
        *slice = (pfm_slice){.frame = entry->frame, .number = (int)chosen[out->count] + 1, .file = entry->file + 1};
        if (scan->in_memory)
            continue;
        if (scan->names != NULL)
            PFM_TRY(pfm_path_join(scan->path, scan->names[entry->file], &slice->path, err));
        else
            PFM_TRY(pfm_string_copy(scan->path, &slice->path, err));
    }
done:
    free(chosen);
    return status;
}

bool pfm_series_is(const char *path, const char *slices)
{
    pfm_mapping file = {0};
    if (pfm_path_is_folder(path))
        return true;
    if (slices == NULL || pfm_mapping_open(path, &file, NULL) != PFM_OK)
        return false; /* a missing file is found missing elsewhere */
    const bool is = pfm_dicom_is(file.data, file.size, file.size);
    pfm_mapping_close(&file);
    return is;
}

/* All that is known of a group; the slices that are wanted, which are sorted. */
static pfm_status gather(const grouping *g, size_t group, const char *slices, pfm_series *out, pfm_error *err)
{
    static const char *const orders[] = {"position", "instance", "name"};
    pfm_status status = PFM_OK;
    pfm_series_entry *own = NULL;
    PFM_TRY(pfm_allocate(g->sizes[group], sizeof *own, &own, err));
    for (size_t i = 0; i < g->scan->count; i++)
        if (g->scan->entries[i].group == (int)group)
            own[out->total++] = g->scan->entries[i];
    out->number = (int)rank_of(g, group) + 1;
    out->of = (int)g->count;
    out->plane = plane_of(&own[0]);
    memcpy(out->modality, own[0].modality, sizeof out->modality);
    out->order = orders[sort_slices(own, out->total, &out->duplicates)];
    status = take_slices(g->scan, own, slices, out, err);
done:
    free(own);
    return status;
}

static void free_grouping(grouping *g)
{
    free(g->first);
    free(g->sizes);
    pfm_series_scan_free(g->scan);
}

pfm_status pfm_series_arrange(const pfm_series_file *files, size_t file_count, pfm_series **out, size_t *count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_series_scan scan = {.path = "what was given", .in_memory = true};
    grouping groups = {.scan = &scan};
    *out = NULL;
    *count = 0;
    if (file_count > PFM_SERIES_MOST_FILES)
        PFM_FAIL(PFM_ERROR_USAGE, "there are %zu files; %d are the most that are sorted at once", file_count,
                 PFM_SERIES_MOST_FILES);
    for (size_t i = 0; i < file_count; i++)
        if (pfm_dicom_is(files[i].bytes, files[i].size, files[i].size))
            PFM_TRY(pfm_series_scan_bytes(&scan, files[i].bytes, files[i].size, files[i].name, (int)i, err));
    PFM_TRY(sort_into_groups(&groups, err));
    PFM_TRY(pfm_allocate(groups.count, sizeof **out, out, err));
    *count = groups.count;
    for (size_t k = 0; k < groups.count; k++)
        PFM_TRY(gather(&groups, k, NULL, &(*out)[rank_of(&groups, k)], err));
done:
    for (size_t k = 0; status != PFM_OK && k < *count; k++)
        pfm_series_free(&(*out)[k]);
    if (status != PFM_OK) {
        free(*out);
        *out = NULL;
        *count = 0;
    }
    free_grouping(&groups);
    return status;
}

pfm_status pfm_series_open(const char *path, const char *series, const char *slices, pfm_series *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_series_scan scan = {.path = path};
    grouping groups = {.scan = &scan};
    size_t group = 0;
    *out = (pfm_series){0};
    PFM_TRY(pfm_slices_check(slices, err));
    PFM_TRY(pfm_path_is_folder(path) ? scan_folder(&scan, err) : pfm_series_scan_file(&scan, path, 0, err));
    if (scan.count == 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s holds no pixels", path);
    PFM_TRY(sort_into_groups(&groups, err));
    PFM_TRY(choose_group(&groups, series, &group, err));
    status = gather(&groups, group, slices, out, err);
done:
    if (status != PFM_OK)
        pfm_series_free(out);
    free_grouping(&groups);
    return status;
}

void pfm_series_free(pfm_series *series)
{
    for (size_t i = 0; i < series->count; i++)
        free(series->slices[i].path);
    free(series->slices);
    *series = (pfm_series){0};
}

bool pfm_series_lacks(const pfm_series *series, char out[120])
{
    const bool one = series->total == 1;
    (void)snprintf(out, 120, "%zu slices were asked for and there %s %zu; %s shown", series->asked, one ? "is" : "are",
                   series->total, one ? "it is" : "all are");
    return series->asked > 0;
}

pfm_status pfm_series_tell(const pfm_series *series, size_t slice, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_slice *own = &series->slices[slice];
    json_t *document = json_loads(*json, 0, NULL);
    char *text = NULL;
    if (document == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not describe a slice");
    PFM_TRY(pfm_json_take(document, "slice", json_integer(own->number), err));
    PFM_TRY(pfm_json_take(document, "slices", json_integer((json_int_t)series->total), err));
    if (series->asked > 0)
        PFM_TRY(pfm_json_take(document, "slices_asked", json_integer((json_int_t)series->asked), err));
    PFM_TRY(pfm_json_take(document, "file", json_integer(own->file), err));
    PFM_TRY(pfm_json_take(document, "series", json_integer(series->number), err));
    PFM_TRY(pfm_json_take(document, "order", json_string(series->order), err));
    if (series->duplicates > 0)
        PFM_TRY(pfm_json_take(document, "duplicates", json_integer((json_int_t)series->duplicates), err));
    PFM_TRY(pfm_json_print(document, &text, err));
    free(*json);
    *json = text;
done:
    json_decref(document);
    return status;
}
