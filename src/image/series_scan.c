/* What files say of the slices in them: the series, the plane, where it lies (PS3.3, C.7.6.2 and C.7.6.16). */
#include "base/file.h"
#include "base/try.h"
#include "image/dicom_grey.h"
#include "image/image.h"
#include "image/series.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PER_FRAME DICOM_TAG(0x5200, 0x9230)
#define PLACE DICOM_TAG(0x0020, 0x9113)
#define POSITION DICOM_TAG(0x0020, 0x0032)
#define PLANE DICOM_TAG(0x0020, 0x9116)
#define ORIENTATION DICOM_TAG(0x0020, 0x0037)
#define ITEM_END DICOM_TAG(0xFFFE, 0xE00D)

void pfm_series_scan_free(pfm_series_scan *scan)
{
    for (size_t i = 0; i < scan->name_count; i++)
        free(scan->names[i]);
    for (size_t i = 0; i < scan->uid_count; i++)
        free(scan->uids[i]);
    free(scan->names);
    free(scan->uids);
    free(scan->entries);
    *scan = (pfm_series_scan){0};
}

static bool read_numbers(const pfm_dicom_element *element, const char *vr, double *out, size_t count)
{
    bool good = true;
    if (element == NULL || pfm_dicom_numbers(element, vr, out, count, &good) != count || !good)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!isfinite(out[i]))
            return false;
    return true;
}

/* The cosines of a row and of a column: lengths near 1, at right angles. */
static bool is_plane(const double *o)
{
    const double row = o[0] * o[0] + o[1] * o[1] + o[2] * o[2], column = o[3] * o[3] + o[4] * o[4] + o[5] * o[5];
    const double both = o[0] * o[3] + o[1] * o[4] + o[2] * o[5];
    return fabs(row - 1) < 0.05 && fabs(column - 1) < 0.05 && fabs(both) < 0.05;
}

/* What an element of functional group `macro` says in a frame's own item. */
static pfm_status read_of_frame(pfm_dicom *file, const pfm_dicom_set *item, uint32_t macro, uint32_t tag, double *out,
                                size_t count, bool *has, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dicom_element inner, element;
    pfm_dicom_set set;
    bool found = false;
    PFM_TRY(pfm_dicom_find_in(file, item, macro, &inner, &found, err));
    if (found)
        PFM_TRY(pfm_dicom_get_item(file, &inner, 0, &set, &found, err));
    if (found)
        PFM_TRY(pfm_dicom_find_in(file, &set, tag, &element, &found, err));
    if (found)
        *has = read_numbers(&element, "DS", out, count);
done:
    return status;
}

/* The same of all frames: there is no frame of this number, so that what they share is left, or what the file says. */
static pfm_status read_of_all(pfm_dicom *file, uint32_t macro, uint32_t tag, double *out, size_t count, bool *has,
                              pfm_error *err)
{
    pfm_dicom_element element;
    bool found = false;
    pfm_status status = pfm_dicom_find_of_frame(file, INT32_MAX, macro, tag, &element, &found, err);
    *has = status == PFM_OK && found && read_numbers(&element, "DS", out, count);
    return status;
}

/* The first item of what is left of a sequence, which is then passed over, so that a thousand frames are walked once. */
static pfm_status next_item(pfm_dicom *file, pfm_dicom_element *left, pfm_dicom_set *item, bool *found, pfm_error *err)
{
    pfm_status status = pfm_dicom_get_item(file, left, 0, item, found, err);
    if (status != PFM_OK || !*found)
        return status;
    const unsigned char *end = left->value + left->length, *next = item->data + item->size;
    if (end - next >= 8 && pfm_dicom_u16(next, left->big) == ITEM_END >> 16 &&
        pfm_dicom_u16(next + 2, left->big) == (ITEM_END & 0xFFFF))
        next += 8;
    left->length = (size_t)(end - next);
    left->value = next;
    return PFM_OK;
}

static pfm_status number_uid(pfm_series_scan *scan, const pfm_dicom *file, size_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char uid[65];
    pfm_dicom_text(pfm_dicom_find(file, DICOM_TAG(0x0020, 0x000E)), uid, sizeof uid);
    for (size_t i = scan->uid_count; i > 0; i--) { /* most files are of the series of the one before */
        if (strcmp(scan->uids[i - 1], uid) == 0) {
            *out = i - 1;
            return PFM_OK;
        }
    }
    if (scan->uid_count == PFM_SERIES_MOST)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s holds more than %d series; give each a folder of its own", scan->path, PFM_SERIES_MOST);
    PFM_TRY(pfm_array_reserve(&scan->uids, &scan->uid_capacity, scan->uid_count + 1, sizeof *scan->uids, err));
    PFM_TRY(pfm_string_copy(uid, &scan->uids[scan->uid_count], err));
    *out = scan->uid_count++;
done:
    return status;
}

static bool is_localizer(const pfm_dicom *file)
{
    char text[200];
    pfm_dicom_text(pfm_dicom_find(file, DICOM_TAG(0x0008, 0x0008)), text, sizeof text);
    return strstr(text, "LOCALIZER") != NULL;
}

static pfm_status add_frames(pfm_series_scan *scan, pfm_dicom *file, pfm_series_entry *common, int frames, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_dicom_element *sequence = pfm_dicom_find(file, PER_FRAME);
    pfm_dicom_element left = {0};
    bool found = sequence != NULL;
    if (found)
        left = *sequence;
    if (scan->count + (size_t)frames > PFM_SERIES_MOST_SLICES)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s has more than %d slices; give each series a folder of its own", scan->path,
                 PFM_SERIES_MOST_SLICES);
    PFM_TRY(pfm_array_reserve(&scan->entries, &scan->capacity, scan->count + (size_t)frames, sizeof *scan->entries, err));
    PFM_TRY(read_of_all(file, PLACE, POSITION, common->position, 3, &common->has_position, err));
    PFM_TRY(read_of_all(file, PLANE, ORIENTATION, common->orientation, 6, &common->has_orientation, err));
    if (frames > 1) /* one position for all of them is that of none in particular */
        common->has_position = false;
    for (int i = 0; i < frames; i++) {
        pfm_series_entry *entry = &scan->entries[scan->count];
        pfm_dicom_set item;
        *entry = *common;
        entry->frame = i;
        if (found)
            PFM_TRY(next_item(file, &left, &item, &found, err));
        if (found)
            PFM_TRY(read_of_frame(file, &item, PLACE, POSITION, entry->position, 3, &entry->has_position, err));
        if (found)
            PFM_TRY(read_of_frame(file, &item, PLANE, ORIENTATION, entry->orientation, 6, &entry->has_orientation, err));
        entry->has_orientation = entry->has_orientation && is_plane(entry->orientation);
        scan->count++;
    }
done:
    return status;
}

static bool has_pixels(const pfm_dicom *file)
{
    return pfm_dicom_find(file, DICOM_TAG(0x7FE0, 0x0010)) != NULL || pfm_dicom_find(file, DICOM_TAG(0x7FE0, 0x0008)) != NULL ||
           pfm_dicom_find(file, DICOM_TAG(0x7FE0, 0x0009)) != NULL;
}

/* A file of another kind, alone: as many slices as it has pictures. */
static pfm_status add_other(pfm_series_scan *scan, const char *path, pfm_error *err)
{
    pfm_image image = {0};
    pfm_image_applied applied;
    pfm_status status = pfm_image_load_shown(path, NULL, &image, &applied, err);
    pfm_image_free(&image);
    if (status != PFM_OK)
        return status;
    if (applied.frames > PFM_SERIES_MOST_SLICES)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s has %d pictures; %d are the most", path, applied.frames,
                             PFM_SERIES_MOST_SLICES);
    status = pfm_array_reserve(&scan->entries, &scan->capacity, (size_t)applied.frames, sizeof *scan->entries, err);
    for (int i = 0; status == PFM_OK && i < applied.frames; i++)
        scan->entries[scan->count++] = (pfm_series_entry){.frame = i, .has_instance = true};
    return status;
}

pfm_status pfm_series_scan_file(pfm_series_scan *scan, const char *path, int number, pfm_error *err)
{
    pfm_mapping mapping = {0};
    pfm_status status = pfm_mapping_open(path, &mapping, err);
    if (status != PFM_OK)
        return status;
    if (pfm_dicom_begins(mapping.data, mapping.size, mapping.size))
        status = pfm_series_scan_bytes(scan, mapping.data, mapping.size, path, number, err);
    else if (scan->names == NULL)
        status = add_other(scan, path, err);
    pfm_mapping_close(&mapping);
    return status;
}

pfm_status pfm_series_scan_bytes(pfm_series_scan *scan, const void *bytes, size_t size, const char *name, int number,
                                 pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dicom file = {0};
    pfm_series_entry common = {.file = number};
    double frames = 1;
    PFM_TRY(pfm_dicom_open(bytes, size, name, &file, err));
    if (!has_pixels(&file) && !file.cut) /* a report, or a directory; one that is cut short says so where it is decoded */
        goto done;
    PFM_TRY(number_uid(scan, &file, &common.uid, err));
    pfm_dicom_code(pfm_dicom_find(&file, DICOM_TAG(0x0008, 0x0060)), common.modality, sizeof common.modality);
    common.is_localizer = is_localizer(&file);
    common.has_instance = read_numbers(pfm_dicom_find(&file, DICOM_TAG(0x0020, 0x0013)), "IS", &common.instance, 1);
    common.has_series_number = read_numbers(pfm_dicom_find(&file, DICOM_TAG(0x0020, 0x0011)), "IS", &common.series_number, 1);
    if (!read_numbers(pfm_dicom_find(&file, DICOM_TAG(0x0028, 0x0008)), "IS", &frames, 1))
        frames = 1;
    if (frames < 1 || frames > PFM_SERIES_MOST_SLICES || frames != floor(frames))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: Number of Frames (0028,0008) is no whole number from 1 to %d; the file is damaged",
                 name, PFM_SERIES_MOST_SLICES);
    PFM_TRY(add_frames(scan, &file, &common, (int)frames, err));
done:
    pfm_dicom_close(&file);
    return status;
}
