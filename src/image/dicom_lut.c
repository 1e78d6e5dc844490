#include "base/try.h"
#include "image/dicom_grey.h"

#include <stdlib.h>
#include <string.h>

void pfm_dicom_lut_free(pfm_dicom_lut *lut)
{
    free(lut->values);
    *lut = (pfm_dicom_lut){0};
}

double pfm_dicom_lut_apply(const pfm_dicom_lut *lut, double value)
{
    const double at = value - lut->first;
    if (!(at > 0))
        return lut->values[0];
    return lut->values[at < (double)lut->count ? (size_t)at : lut->count - 1];
}

static pfm_status refuse(const pfm_dicom *file, uint32_t tag, const char *what, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: the lookup table at (%04X,%04X) %s; the file is damaged", file->name,
                         tag >> 16, tag & 0xFFFF, what);
}

/* How many entries, the first input, bits an entry (PS3.3, C.11.1.1): the same three numbers for every kind of table. */
static pfm_status read_descriptor(const pfm_dicom *file, const pfm_dicom_element *element, bool is_signed, pfm_dicom_lut *out,
                                  pfm_error *err)
{
    double three[3] = {0};
    bool good = true;
    const size_t count = pfm_dicom_numbers(element, "US", three, 3, &good);
    if (!good || count < 3 || three[2] < 1 || three[2] > 16)
        return refuse(file, element->tag, "has a descriptor that cannot be", err);
    if (three[0] < 0) /* written as signed, though it never is */
        three[0] += 65536;
    out->count = three[0] == 0 ? 65536 : (size_t)three[0];
    out->first = is_signed && three[1] > 32767 ? three[1] - 65536 : three[1];
    out->bits = (int)three[2];
    return PFM_OK;
}

/* Entries in words, or in bytes where there are too few bytes for that. */
static pfm_status read_entries(const pfm_dicom *file, const pfm_dicom_element *data, pfm_dicom_lut *out, pfm_error *err)
{
    const bool words = data->length >= out->count * 2;
    if (!words && (data->length < out->count || out->bits > 8))
        return refuse(file, data->tag, "is shorter than its descriptor says", err);
    pfm_status status = pfm_allocate(out->count, sizeof *out->values, &out->values, err);
    for (size_t i = 0; status == PFM_OK && i < out->count; i++) {
        const bool turned = data->big && strcmp(data->vr, "OW") == 0 && (i ^ 1) < data->length;
        out->values[i] = words ? pfm_dicom_u16(data->value + 2 * i, data->big) : data->value[turned ? i ^ 1 : i];
    }
    return status;
}

pfm_status pfm_dicom_lut_read(pfm_dicom *file, const pfm_dicom_set *item, bool is_signed, pfm_dicom_lut *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dicom_element descriptor, data;
    bool described = false, found = false;
    PFM_TRY(pfm_dicom_find_in(file, item, DICOM_TAG(0x0028, 0x3002), &descriptor, &described, err));
    PFM_TRY(pfm_dicom_find_in(file, item, DICOM_TAG(0x0028, 0x3006), &data, &found, err));
    if (!described || !found || data.undefined)
        PFM_TRY(refuse(file, DICOM_TAG(0x0028, 0x3006), "is missing, or its descriptor", err));
    PFM_TRY(read_descriptor(file, &descriptor, is_signed, out, err));
    PFM_TRY(read_entries(file, &data, out, err));
done:
    return status;
}

/* ---- palettes ---- */

/* A segmented table (PS3.3, C.7.9.2) on its way into entries. */
typedef struct expansion {
    const pfm_dicom_element *data;
    size_t words, made, steps;
    pfm_dicom_lut *out;
} expansion;

static uint16_t word(const expansion *e, size_t at) { return pfm_dicom_u16(e->data->value + 2 * at, e->data->big); }

static void add_entry(expansion *e, uint16_t value)
{
    if (e->made < e->out->count)
        e->out->values[e->made++] = value;
}

/* Segments from word *at on, `most` of them; one that points back to others is expanded here, but none of those. */
static bool expand(expansion *e, size_t at, size_t most, bool may_point)
{
    for (size_t n = 0; n < most && at + 2 <= e->words && e->made < e->out->count; n++) {
        const unsigned code = word(e, at), length = word(e, at + 1);
        if (++e->steps > 1000000)
            return false;
        if (code == 0) { /* values one by one */
            if (length > e->words - at - 2)
                return false;
            for (size_t i = 0; i < length; i++)
                add_entry(e, word(e, at + 2 + i));
            at += 2 + length;
        } else if (code == 1) { /* a line from the last value to this one */
            if (at + 3 > e->words || e->made == 0)
                return false;
            const double from = e->out->values[e->made - 1], to = word(e, at + 2);
            for (size_t i = 1; i <= length; i++)
                add_entry(e, (uint16_t)(from + (to - from) * (double)i / length + 0.5));
            at += 3;
        } else if (code == 2 && may_point && at + 4 <= e->words) { /* segments that stand at an offset in bytes */
            const size_t offset = word(e, at + 2) | (size_t)word(e, at + 3) << 16;
            if (!expand(e, offset / 2, length, false))
                return false;
            at += 4;
        } else {
            return false;
        }
    }
    return true;
}

static pfm_status read_segments(const pfm_dicom *file, const pfm_dicom_element *data, pfm_dicom_lut *out, pfm_error *err)
{
    expansion e = {.data = data, .words = data->length / 2, .out = out};
    pfm_status status = pfm_allocate(out->count, sizeof *out->values, &out->values, err);
    if (status == PFM_OK && (!expand(&e, 0, SIZE_MAX, true) || e.made < out->count))
        return refuse(file, data->tag, "has segments that do not make as many entries as its descriptor says", err);
    return status;
}

/* Some say 16 bits of entries that fill 8. */
static void correct_bits(pfm_dicom_lut *lut)
{
    uint16_t most = 0;
    for (size_t i = 0; i < lut->count; i++)
        most = lut->values[i] > most ? lut->values[i] : most;
    if (lut->bits > 8 && most < 256)
        lut->bits = 8;
    else if (lut->bits <= 8 && most > 255)
        lut->bits = 16;
}

pfm_status pfm_dicom_palette_read(pfm_dicom *file, int colour, pfm_dicom_lut *out, pfm_error *err)
{
    const uint32_t n = (uint32_t)colour;
    const pfm_dicom_element *descriptor = pfm_dicom_find(file, DICOM_TAG(0x0028, 0x1101 + n));
    const pfm_dicom_element *whole = pfm_dicom_find(file, DICOM_TAG(0x0028, 0x1201 + n)),
                            *segmented = pfm_dicom_find(file, DICOM_TAG(0x0028, 0x1221 + n));
    double sign = 0;
    bool good = true;
    pfm_status status = PFM_OK;
    if (descriptor == NULL || (whole == NULL && segmented == NULL))
        PFM_TRY(refuse(file, DICOM_TAG(0x0028, 0x1101 + n), "of its PALETTE COLOR is missing", err));
    (void)pfm_dicom_numbers(pfm_dicom_find(file, DICOM_TAG(0x0028, 0x0103)), "US", &sign, 1, &good);
    PFM_TRY(read_descriptor(file, descriptor, sign == 1, out, err));
    PFM_TRY(whole != NULL ? read_entries(file, whole, out, err) : read_segments(file, segmented, out, err));
    correct_bits(out);
done:
    return status;
}
