/* The markers of a lossless JPEG. Whatever is not usual is left to DCMTK. */
#include "image/jpeg_lossless.h"

#include "base/memory.h"

#include <stdlib.h>

enum {
    SOI = 0xFFD8,
    EOI = 0xFFD9,
    SOF3 = 0xFFC3,
    DHT = 0xFFC4,
    SOS = 0xFFDA,
    DRI = 0xFFDD,
    APP0 = 0xFFE0,
    APP15 = 0xFFEF,
    COM = 0xFFFE
};

/* What has been read of the stream. */
typedef struct stream {
    const unsigned char *bytes;
    size_t size, at;
    int bits, components; /* 0: no frame header yet */
    unsigned char ids[3];
    int interval; /* pixels between restarts */
    int scanned;  /* components */
    pfm_jpeg_lossless_table tables[4];
} stream;

static int read16(const unsigned char *at) { return at[0] << 8 | at[1]; }

/* The frame's header; its sizes are the file's. */
static bool read_frame(stream *s, const unsigned char *value, size_t length, const pfm_dicom_layout *l)
{
    if (s->components != 0 || length < 6 || length != 6 + 3 * (size_t)value[5])
        return false;
    s->bits = value[0];
    s->components = value[5];
    if (s->bits < 2 || s->bits > 16 || read16(value + 1) != l->rows || read16(value + 3) != l->columns ||
        s->components != l->samples || s->components < 1 || s->components > 3)
        return false;
    for (int i = 0; i < s->components; i++) {
        s->ids[i] = value[6 + 3 * i];
        if (value[7 + 3 * i] != 0x11)
            return false;
    }
    return true;
}

static bool read_tables(stream *s, const unsigned char *value, size_t length)
{
    while (length >= 17) {
        size_t count = 0;
        for (int i = 1; i <= 16; i++)
            count += value[i];
        if (value[0] > 3 || count > 256 || count > length - 17 ||
            !pfm_jpeg_lossless_fill(&s->tables[value[0]], value + 1, value + 17))
            return false;
        value += 17 + count;
        length -= 17 + count;
    }
    return length == 0;
}

/* A scan's header: which components, in the frame's order, and how they are predicted. */
static bool read_scan_header(const stream *s, const unsigned char *value, size_t length, const pfm_dicom_layout *l,
                             pfm_jpeg_lossless_scan *out)
{
    const int count = length > 0 ? value[0] : 0;
    if (s->components == 0 || count == 0 || length != 4 + 2 * (size_t)count || count > s->components - s->scanned)
        return false;
    *out = (pfm_jpeg_lossless_scan){.width = l->columns, .height = l->rows, .components = count, .bits = s->bits};
    for (int i = 0; i < count; i++) {
        const int table = value[2 + 2 * i] >> 4;
        if (value[1 + 2 * i] != s->ids[s->scanned + i] || table > 3 || !s->tables[table].defined)
            return false;
        out->tables[i] = &s->tables[table];
    }
    const unsigned char *end = value + 1 + 2 * count;
    out->predictor = end[0];
    out->shift = end[2] & 15;
    out->interval = s->interval / l->columns;
    return out->predictor >= 1 && out->predictor <= 7 && end[1] == 0 && end[2] < 16 && out->shift < s->bits &&
           s->interval % l->columns == 0; /* H.1.1 has restarts between rows alone */
}

static bool read_scan(stream *s, const unsigned char *value, size_t length, const pfm_dicom_layout *l, pfm_dicom_decoded *out)
{
    pfm_jpeg_lossless_scan scan;
    const int bytes = s->bits > 8 ? 2 : 1;
    size_t used = 0;
    if (!read_scan_header(s, value, length, l, &scan))
        return false;
    if (out->data == NULL && pfm_allocate(pfm_dicom_count_samples(l), (size_t)bytes, &out->data, NULL) != PFM_OK)
        return false;
    if (!pfm_jpeg_lossless_decode_scan(s->bytes + s->at, s->size - s->at, &scan, s->components, bytes,
                                       (unsigned char *)out->data + s->scanned * bytes, &used))
        return false;
    s->at += used;
    s->scanned += scan.components;
    return true;
}

static bool read_segment(stream *s, int marker, const unsigned char *value, size_t length, const pfm_dicom_layout *l,
                         pfm_dicom_decoded *out)
{
    switch (marker) {
    case SOF3: return read_frame(s, value, length, l);
    case DHT: return read_tables(s, value, length);
    case SOS: return read_scan(s, value, length, l, out);
    case DRI: s->interval = length == 2 ? read16(value) : 0; return length == 2;
    default: return marker == COM || (marker >= APP0 && marker <= APP15);
    }
}

/* All up to the end of the last scan. */
static bool read_stream(stream *s, const pfm_dicom_layout *l, pfm_dicom_decoded *out)
{
    if (s->size <= 4 || read16(s->bytes) != SOI)
        return false;
    s->at = 2;
    while (s->components == 0 || s->scanned < s->components) {
        if (s->size - s->at < 4)
            return false;
        const int marker = read16(s->bytes + s->at);
        const size_t length = (size_t)read16(s->bytes + s->at + 2);
        if (length < 2 || length > s->size - s->at - 2)
            return false;
        const unsigned char *value = s->bytes + s->at + 4;
        s->at += 2 + length;
        if (!read_segment(s, marker, value, length - 2, l, out))
            return false;
    }
    return s->size - s->at >= 2 && read16(s->bytes + s->at) == EOI;
}

bool pfm_jpeg_lossless_decode(const pfm_dicom_stream *in, pfm_dicom_decoded *out)
{
    stream *s = NULL;
    bool sound = pfm_allocate(1, sizeof *s, &s, NULL) == PFM_OK;
    if (sound) {
        s->bytes = in->bytes;
        s->size = in->size;
        sound = read_stream(s, in->layout, out);
        out->bytes = s->bits > 8 ? 2 : 1;
        out->precision = s->bits;
        out->planar = false;
    }
    if (!sound) {
        free(out->data);
        out->data = NULL;
    }
    free(s);
    return sound;
}
