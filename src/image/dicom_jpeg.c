/* JPEG (ISO 10918-1): what its headers say is checked before a decoder takes memory. A sound stream of 8 bits is
 * libjpeg-turbo's, a lossless one our own decoder's; DCMTK has the others, and says what is wrong with one. */
#include "base/try.h"
#include "image/dicom_codec.h"
#include "image/dicom_dcmtk.h"
#include "image/jpeg_lossless.h"

#include <string.h>

enum { MOST_SCANS = 64 /* a progressive picture has some ten */ };

/* What the markers say. */
typedef struct markers {
    int process; /* SOFn's n; -1: none came */
    int precision, components;
    unsigned width, height;
    unsigned char ids[3];
    int scans;
    bool jfif, adobe;
    int transform;
} markers;

static void read_frame_header(const unsigned char *at, size_t size, int process, markers *out)
{
    if (size < 8 || out->process >= 0)
        return;
    out->process = process;
    out->precision = at[2];
    out->height = (unsigned)at[3] << 8 | at[4];
    out->width = (unsigned)at[5] << 8 | at[6];
    out->components = at[7];
    for (int c = 0; c < 3 && c < out->components && 8 + 3 * (size_t)c < size; c++)
        out->ids[c] = at[8 + 3 * c];
}

/* Leaps over entropy-coded data: to the next marker that is no restart. */
static size_t leap_over_data(const unsigned char *bytes, size_t size, size_t at)
{
    for (; at + 1 < size; at++) {
        const unsigned char *next = memchr(bytes + at, 0xFF, size - 1 - at);
        if (next == NULL)
            return size;
        at = (size_t)(next - bytes);
        if (next[1] != 0 && next[1] != 0xFF && !(next[1] >= 0xD0 && next[1] <= 0xD7))
            return at;
    }
    return size;
}

static void read_markers(const unsigned char *bytes, size_t size, markers *out)
{
    *out = (markers){.process = -1};
    for (size_t at = 2; at + 4 <= size && bytes[at] == 0xFF;) {
        const unsigned char marker = bytes[at + 1], *value = bytes + at + 2;
        if (marker == 0xFF || marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) {
            at += marker == 0xFF ? 1 : 2;
            continue;
        }
        const size_t length = (size_t)value[0] << 8 | value[1];
        if (marker == 0xD9 || length < 2 || length > size - at - 2)
            break;
        if ((marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC) || marker == 0xF7)
            read_frame_header(value, length, marker - 0xC0, out);
        out->jfif |= marker == 0xE0 && length >= 7 && memcmp(value + 2, "JFIF", 4) == 0;
        if (marker == 0xEE && length >= 14 && memcmp(value + 2, "Adobe", 5) == 0) {
            out->adobe = true;
            out->transform = value[13];
        }
        at += 2 + length;
        if (marker == 0xDA) {
            out->scans++;
            at = leap_over_data(bytes, size, at);
        }
    }
}

/* Where the stream itself tells: components called R, G and B, or a JFIF file, whose colours are always YCbCr. */
static void read_colours(const markers *m, pfm_dicom_decoded *out)
{
    const bool named = memcmp(m->ids, "RGB", 3) == 0 || memcmp(m->ids, "rgb", 3) == 0;
    out->is_rgb = m->components == 3 && named;
    out->is_ybr = m->components == 3 && !named && m->jfif;
}

static pfm_status check_markers(const pfm_dicom_stream *in, const markers *m, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (m->process < 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: a frame in JPEG has no frame header; the file is damaged or cut short", in->name);
    if (m->process > 3)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "%s: a frame in JPEG is of a hierarchical or arithmetic process (SOF%d), which is not read here", in->name,
                 m->process);
    if (m->precision < 2 || m->precision > 16 || (m->process < 3 && m->precision != 8 && m->precision != 12))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: a frame in JPEG has samples of %d bits, which cannot be; the file is damaged", in->name,
                 m->precision);
    PFM_TRY(pfm_dicom_check_stream(in, "JPEG", m->width, m->height, (uint64_t)m->components, err));
    if (m->scans > MOST_SCANS)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: a frame in JPEG has more than %d scans, which no honest file has", in->name,
                 MOST_SCANS);
    /* At the least a bit for each lossless sample, or for each block of 64. */
    const size_t most = m->process == 3 ? 8 : 512;
    if (pfm_dicom_count_samples(in->layout) / most > in->size)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: %zu bytes in JPEG cannot be a frame of %d x %d pixels; the file is cut short", in->name,
                 in->size, in->layout->columns, in->layout->rows);
done:
    return status;
}

pfm_status pfm_dicom_decode_jpeg(const pfm_dicom_stream *in, pfm_dicom_decoded *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    markers m;
    char reason[100] = "";
    read_markers(in->bytes, in->size, &m);
    if (m.process == 0xF7 - 0xC0)
        return pfm_dicom_decode_jpegls(in, out, err);
    PFM_TRY(check_markers(in, &m, err));
    read_colours(&m, out);
    if (m.process == 3 && pfm_jpeg_lossless_decode(in, out))
        goto done;
    out->bytes = m.precision > 8 ? 2 : 1;
    out->precision = m.precision;
    const size_t size = pfm_dicom_count_samples(in->layout) * (size_t)out->bytes;
    PFM_TRY(pfm_allocate(size, 1, &out->data, err));
    if (m.process <= 1 && m.precision == 8 && pfm_dicom_decode_jpeg8(in, out->data))
        goto done;
    switch (pfm_dcmtk_decode_jpeg(in->bytes, in->size, m.precision, out->data, size, reason)) {
    case PFM_DCMTK_OK: break;
    case PFM_DCMTK_CUT: PFM_FAIL(PFM_ERROR_FORMAT, "%s: a frame in JPEG ends too early; copy the file again", in->name);
    case PFM_DCMTK_DAMAGED:
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: a frame in JPEG is damaged: %s; copy the file again", in->name, reason);
    case PFM_DCMTK_NO_MEMORY: PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not decode a frame of %s", in->name);
    }
done:
    return status;
}
