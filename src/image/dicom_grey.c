#include "image/dicom_grey.h"

#include "base/try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BINS = 65536, MOST_WINDOWS = 64 };

#define VOI_MACRO DICOM_TAG(0x0028, 0x9132)
#define VALUE_MACRO DICOM_TAG(0x0028, 0x9145)

void pfm_dicom_grey_free(pfm_dicom_grey *grey)
{
    pfm_dicom_lut_free(&grey->modality_lut);
    pfm_dicom_lut_free(&grey->voi_lut);
}

double pfm_dicom_grey_value(const pfm_dicom_grey *grey, double stored)
{
    if (grey->modality_lut.count > 0)
        return pfm_dicom_lut_apply(&grey->modality_lut, stored);
    return stored * grey->slope + grey->intercept;
}

static pfm_status find_in_group(pfm_dicom *file, uint32_t groups, size_t item, uint32_t macro, uint32_t tag,
                                pfm_dicom_element *out, bool *found, pfm_error *err)
{
    const pfm_dicom_element *sequence = pfm_dicom_find(file, groups);
    pfm_dicom_set set;
    pfm_dicom_element inner;
    *found = false;
    if (sequence == NULL)
        return PFM_OK;
    pfm_status status = pfm_dicom_get_item(file, sequence, item, &set, found, err);
    if (status == PFM_OK && *found)
        status = pfm_dicom_find_in(file, &set, macro, &inner, found, err);
    if (status == PFM_OK && *found)
        status = pfm_dicom_get_item(file, &inner, 0, &set, found, err);
    if (status == PFM_OK && *found)
        status = pfm_dicom_find_in(file, &set, tag, out, found, err);
    return status;
}

pfm_status pfm_dicom_find_of_frame(pfm_dicom *file, int index, uint32_t macro, uint32_t tag, pfm_dicom_element *out,
                                   bool *found, pfm_error *err)
{
    pfm_status status = find_in_group(file, DICOM_TAG(0x5200, 0x9230), (size_t)index, macro, tag, out, found, err);
    if (status == PFM_OK && !*found)
        status = find_in_group(file, DICOM_TAG(0x5200, 0x9229), 0, macro, tag, out, found, err);
    if (status != PFM_OK || *found)
        return status;
    const pfm_dicom_element *own = pfm_dicom_find(file, tag);
    *found = own != NULL;
    if (own != NULL)
        *out = *own;
    return PFM_OK;
}

/* *count = how many numbers an element has for the frame, at most `most`. */
static pfm_status read_numbers(pfm_dicom *file, int index, uint32_t macro, uint32_t tag, double *out, size_t most,
                               size_t *count, pfm_error *err)
{
    pfm_dicom_element element;
    bool found = false, good = true;
    *count = 0;
    pfm_status status = pfm_dicom_find_of_frame(file, index, macro, tag, &element, &found, err);
    if (status != PFM_OK || !found)
        return status;
    *count = pfm_dicom_numbers(&element, "DS", out, most, &good);
    return good ? PFM_OK
                : pfm_error_set(err, PFM_ERROR_FORMAT, "%s: (%04X,%04X) holds what is no number; the file is damaged",
                                file->name, tag >> 16, tag & 0xFFFF);
}

/* Whether values of a unit are Hounsfield units. Of CT they are where its type is missing, or US (unspecified), as many
 * scanners write. */
static bool means_hounsfield(const char *modality, const pfm_dicom_element *type)
{
    char unit[17];
    pfm_dicom_code(type, unit, sizeof unit);
    return strcmp(unit, "HU") == 0 ||
           (strcmp(modality, "CT") == 0 && (type == NULL || unit[0] == '\0' || strcmp(unit, "US") == 0));
}

static pfm_status read_modality(pfm_dicom *file, const pfm_dicom_layout *layout, int index, pfm_dicom_grey *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_dicom_element *sequence = pfm_dicom_find(file, DICOM_TAG(0x0028, 0x3000));
    pfm_dicom_set item;
    pfm_dicom_element type = {0};
    size_t slopes = 0, intercepts = 0;
    double slope = 1, intercept = 0;
    bool found = false, typed = false;
    pfm_dicom_code(pfm_dicom_find(file, DICOM_TAG(0x0008, 0x0060)), out->modality, sizeof out->modality);
    if (sequence != NULL)
        PFM_TRY(pfm_dicom_get_item(file, sequence, 0, &item, &found, err));
    if (found) {
        out->has_units = true;
        PFM_TRY(pfm_dicom_lut_read(file, &item, layout->is_signed, &out->modality_lut, err));
        PFM_TRY(pfm_dicom_find_in(file, &item, DICOM_TAG(0x0028, 0x3004), &type, &typed, err));
        out->is_hounsfield = means_hounsfield(out->modality, typed ? &type : NULL);
        goto done;
    }
    PFM_TRY(read_numbers(file, index, VALUE_MACRO, DICOM_TAG(0x0028, 0x1053), &slope, 1, &slopes, err));
    PFM_TRY(read_numbers(file, index, VALUE_MACRO, DICOM_TAG(0x0028, 0x1052), &intercept, 1, &intercepts, err));
    PFM_TRY(pfm_dicom_find_of_frame(file, index, VALUE_MACRO, DICOM_TAG(0x0028, 0x1054), &type, &typed, err));
    if (slopes == 1 && intercepts == 1) {
        out->has_units = true;
        out->is_hounsfield = means_hounsfield(out->modality, typed ? &type : NULL);
        out->slope = slope;
        out->intercept = intercept;
    }
done:
    return status;
}

static void read_padding(const pfm_dicom *file, const pfm_dicom_layout *layout, pfm_dicom_grey *out)
{
    const char *vr = layout->is_signed ? "SS" : "US";
    double limit = 0;
    bool good = true;
    out->pads = pfm_dicom_numbers(pfm_dicom_find(file, DICOM_TAG(0x0028, 0x0120)), vr, &out->pad_low, 1, &good) == 1 && good;
    out->pad_high = out->pad_low;
    if (out->pads && pfm_dicom_numbers(pfm_dicom_find(file, DICOM_TAG(0x0028, 0x0121)), vr, &limit, 1, &good) == 1 && good) {
        out->pad_high = limit > out->pad_low ? limit : out->pad_low;
        out->pad_low = limit < out->pad_low ? limit : out->pad_low;
    }
}

static bool is_padding(const pfm_dicom_grey *grey, double stored)
{
    return grey->pads && stored >= grey->pad_low && stored <= grey->pad_high;
}

/* *found = whether there is item `index`. */
static pfm_status read_voi_lut(pfm_dicom *file, const pfm_dicom_layout *layout, int frame, int index, pfm_dicom_grey *out,
                               bool *found, pfm_error *err)
{
    pfm_dicom_element sequence;
    pfm_dicom_set item;
    pfm_status status = pfm_dicom_find_of_frame(file, frame, VOI_MACRO, DICOM_TAG(0x0028, 0x3010), &sequence, found, err);
    if (status == PFM_OK && *found)
        status = pfm_dicom_get_item(file, &sequence, (size_t)index, &item, found, err);
    const bool is_signed = out->modality_lut.count == 0 && (layout->is_signed || out->intercept < 0 || out->slope < 0);
    if (status == PFM_OK && *found)
        status = pfm_dicom_lut_read(file, &item, is_signed, &out->voi_lut, err);
    if (status == PFM_OK && *found) {
        out->chosen = "lut";
        out->index = index;
    }
    return status;
}

/* *found = whether window `index` is there and can be applied; *count = how many there are. */
static pfm_status read_window(pfm_dicom *file, int frame, int index, pfm_dicom_grey *out, bool *found, size_t *count,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    double centers[MOST_WINDOWS], widths[MOST_WINDOWS];
    size_t other = 0;
    pfm_dicom_element element = {0};
    char name[17];
    *found = false;
    PFM_TRY(read_numbers(file, frame, VOI_MACRO, DICOM_TAG(0x0028, 0x1050), centers, MOST_WINDOWS, count, err));
    PFM_TRY(read_numbers(file, frame, VOI_MACRO, DICOM_TAG(0x0028, 0x1051), widths, MOST_WINDOWS, &other, err));
    *count = other < *count ? other : *count;
    if ((size_t)index >= *count)
        goto done;
    out->window = (pfm_window){.center = centers[index], .width = widths[index]};
    PFM_TRY(pfm_dicom_find_of_frame(file, frame, VOI_MACRO, DICOM_TAG(0x0028, 0x1056), &element, found, err));
    pfm_dicom_code(*found ? &element : NULL, name, sizeof name);
    *found = pfm_window_is_good(&out->window);
    if (name[0] != '\0' && !pfm_window_find_function(name, &out->window.function))
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "%s: its VOI LUT Function (0028,1056) is '%s'; LINEAR, LINEAR_EXACT and SIGMOID are read; "
                 "choose another window, as --window percentile",
                 file->name, name);
    *found = pfm_window_is_good(&out->window);
    out->chosen = "file";
    out->index = index;
done:
    return status;
}

/* The file's own choice; of one that has none, or whose window has no width, the values as they are where they fill 8 bits,
 * else all but the outermost. */
static pfm_status choose_own(pfm_dicom *file, const pfm_dicom_layout *layout, int index, const pfm_dicom_frame *frame,
                             pfm_dicom_grey *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bool found = false;
    size_t count = 0;
    PFM_TRY(read_voi_lut(file, layout, index, 0, out, &found, err));
    if (found)
        goto done;
    PFM_TRY(read_window(file, index, 0, out, &found, &count, err));
    if (found)
        goto done;
    out->index = 0;
    if (frame->bits <= 8 && frame->kind == DICOM_U8 && out->modality_lut.count == 0 && out->slope == 1 && out->intercept == 0) {
        const double most = (double)((1 << frame->bits) - 1);
        out->chosen = "stored";
        out->window = (pfm_window){.center = most / 2, .width = most, .function = PFM_WINDOW_LINEAR_EXACT};
        goto done;
    }
    out->chosen = "percentile";
    PFM_TRY(pfm_dicom_grey_measure(out, frame, 0.005, &out->window, err));
done:
    return status;
}

static pfm_status choose_of_file(pfm_dicom *file, const pfm_dicom_layout *layout, int index, const pfm_window *wanted,
                                 pfm_dicom_grey *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bool found = false;
    size_t count = 0;
    if (wanted->choice == PFM_WINDOW_LUT) {
        PFM_TRY(read_voi_lut(file, layout, index, wanted->index, out, &found, err));
        if (!found)
            PFM_FAIL(PFM_ERROR_USAGE, "%s has no VOI LUT of number %d; choose another window", file->name, wanted->index);
        goto done;
    }
    PFM_TRY(read_window(file, index, wanted->index, out, &found, &count, err));
    if ((size_t)wanted->index >= count)
        PFM_FAIL(PFM_ERROR_USAGE, "%s has %zu window%s (they count from 0); there is no window %d", file->name, count,
                 count == 1 ? "" : "s", wanted->index);
    if (!found)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: its window %d has a width of %g, which no window has; choose another window",
                 file->name, wanted->index, out->window.width);
done:
    return status;
}

pfm_status pfm_dicom_grey_choose(const char *name, const pfm_dicom_frame *frame, const pfm_window *wanted, pfm_dicom_grey *out,
                                 pfm_error *err)
{
    const bool measured = wanted->choice == PFM_WINDOW_PERCENTILE || wanted->choice == PFM_WINDOW_FULL;
    if (wanted->choice == PFM_WINDOW_NAMED && !out->is_hounsfield)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "%s: the window %s is in Hounsfield units, which the values of this file are not (modality %s); "
                             "give CENTER,WIDTH, or leave the window to the file",
                             name, wanted->name, out->modality[0] != '\0' ? out->modality : "not given");
    if (measured) {
        out->chosen = wanted->choice == PFM_WINDOW_FULL ? "full" : "percentile";
        return pfm_dicom_grey_measure(out, frame, wanted->choice == PFM_WINDOW_FULL ? 0 : 0.005, &out->window, err);
    }
    out->window = *wanted;
    out->chosen = wanted->choice == PFM_WINDOW_NAMED ? wanted->name : "given";
    return PFM_OK;
}

pfm_status pfm_dicom_grey_read(pfm_dicom *file, const pfm_dicom_layout *layout, int index, const pfm_dicom_frame *frame,
                               const pfm_window *wanted, pfm_dicom_grey *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *out = (pfm_dicom_grey){.slope = 1, .inverted = layout->colour == DICOM_MONOCHROME1};
    PFM_TRY(read_modality(file, layout, index, out, err));
    read_padding(file, layout, out);
    switch (wanted->choice) {
    case PFM_WINDOW_OWN: PFM_TRY(choose_own(file, layout, index, frame, out, err)); break;
    case PFM_WINDOW_OF_FILE:
    case PFM_WINDOW_LUT: PFM_TRY(choose_of_file(file, layout, index, wanted, out, err)); break;
    default: PFM_TRY(pfm_dicom_grey_choose(file->name, frame, wanted, out, err)); break;
    }
done:
    return status;
}

/* How often values occur: bin i counts those from `from + i / scale` on. */
typedef struct tally {
    uint32_t *bins;
    size_t count;
    double from, scale;
} tally;

/* Of samples of 8 or 16 bits, each value of which has a bin. The same one many times in a row would wait for itself: they are
 * counted in two places in turn. */
static pfm_status tally_whole(const pfm_dicom_grey *grey, const pfm_dicom_frame *frame, size_t count, tally *out,
                              pfm_error *err)
{
    int low, high;
    pfm_dicom_find_extent(frame, &low, &high);
    const size_t bins = (size_t)(high - low) + 1;
    *out = (tally){.count = bins, .from = low, .scale = 1};
    pfm_status status = pfm_allocate(2 * bins, sizeof *out->bins, &out->bins, err);
    if (status != PFM_OK)
        return status;
    if (frame->kind <= DICOM_S8)
        for (size_t i = 0; i < count; i++)
            out->bins[(i & 1) * bins + pfm_dicom_place(frame->data, true, i, low)]++;
    else
        for (size_t i = 0; i < count; i++)
            out->bins[(i & 1) * bins + pfm_dicom_place(frame->data, false, i, low)]++;
    for (size_t i = 0; i < bins; i++)
        out->bins[i] = is_padding(grey, out->from + (double)i) ? 0 : out->bins[i] + out->bins[bins + i];
    return PFM_OK;
}

/* The lowest and highest value that counts; false where none does. */
static bool find_range(const pfm_dicom_grey *grey, const pfm_dicom_frame *frame, size_t count, double *low, double *high)
{
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        const double stored = pfm_dicom_sample(frame, i);
        if (!isfinite(stored) || is_padding(grey, stored))
            continue;
        *low = !any || stored < *low ? stored : *low;
        *high = !any || stored > *high ? stored : *high;
        any = true;
    }
    return any;
}

/* Of samples between these. */
static pfm_status tally_between(const pfm_dicom_grey *grey, const pfm_dicom_frame *frame, size_t count, double low, double high,
                                tally *out, pfm_error *err)
{
    pfm_status status = pfm_allocate(BINS, sizeof *out->bins, &out->bins, err);
    if (status != PFM_OK)
        return status;
    out->count = BINS;
    out->from = low;
    out->scale = high - low < BINS && frame->kind < DICOM_F32 ? 1 : (BINS - 1) / (high - low);
    for (size_t i = 0; i < count; i++) {
        const double stored = pfm_dicom_sample(frame, i);
        if (isfinite(stored) && !is_padding(grey, stored))
            out->bins[(size_t)((stored - out->from) * out->scale)]++;
    }
    return PFM_OK;
}

/* *low and *high: where `share` of the values lie outside on either side; false: there are none. */
static bool cut_tails(const tally *of, double share, double *low, double *high)
{
    size_t total = 0, below = 0, first = 0, last = of->count - 1;
    for (size_t i = 0; i < of->count; i++)
        total += of->bins[i];
    const double left_out = share * (double)total;
    for (; first < of->count - 1 && (double)(below + of->bins[first]) <= left_out; first++)
        below += of->bins[first];
    for (below = 0; last > first && (double)(below + of->bins[last]) <= left_out; last--)
        below += of->bins[last];
    *low = of->from + (double)first / of->scale;
    *high = of->from + (double)last / of->scale;
    return total > 0;
}

pfm_status pfm_dicom_grey_measure(const pfm_dicom_grey *grey, const pfm_dicom_frame *frame, double share, pfm_window *out,
                                  pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t count = (size_t)frame->width * (size_t)frame->height;
    const bool whole = frame->kind <= DICOM_S16;
    double low = 0, high = 0, cut_low, cut_high;
    tally values = {0};
    if (whole)
        PFM_TRY(tally_whole(grey, frame, count, &values, err));
    const bool any = whole ? cut_tails(&values, 0, &low, &high) : find_range(grey, frame, count, &low, &high);
    if (any && high > low && share > 0) {
        if (!whole)
            PFM_TRY(tally_between(grey, frame, count, low, high, &values, err));
        (void)cut_tails(&values, share, &cut_low, &cut_high);
        if (cut_high > cut_low) { /* else almost all are the same: then what differs is what there is to see */
            low = cut_low;
            high = cut_high;
        }
    }
    const double a = pfm_dicom_grey_value(grey, any ? low : 0), b = pfm_dicom_grey_value(grey, any ? high : 0);
    const double width = fabs(b - a);
    *out = (pfm_window){.center = (a + b) / 2, .width = width > 0 ? width : 1, .function = PFM_WINDOW_LINEAR_EXACT};
done:
    free(values.bins);
    return status;
}
