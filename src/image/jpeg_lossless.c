/* The markers of a lossless JPEG. Whatever is not usual is left to DCMTK. */
#include "image/jpeg_lossless.h"

#include "base/memory.h"
#include "image/jpeg_stream.h"

#include <stdlib.h>

enum { SOF3 = 0xFFC3, DHT = 0xFFC4, DRI = 0xFFDD };

/* What has been read of the stream. */
typedef struct stream {
    pfm_jpeg_stream head;
    pfm_dicom_decoded *out;
    int interval; /* pixels between restarts */
    pfm_jpeg_lossless_table tables[4];
} stream;

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
static bool read_scan_header(const stream *s, const unsigned char *value, size_t length, pfm_jpeg_lossless_scan *out)
{
    const pfm_jpeg_stream *h = &s->head;
    const int count = length > 0 ? value[0] : 0, columns = h->layout->columns;
    if (h->components == 0 || count == 0 || length != 4 + 2 * (size_t)count || count > h->components - h->scanned)
        return false;
    *out = (pfm_jpeg_lossless_scan){.width = columns, .height = h->layout->rows, .components = count, .bits = h->bits};
    for (int i = 0; i < count; i++) {
        const int table = value[2 + 2 * i] >> 4;
        if (value[1 + 2 * i] != h->ids[h->scanned + i] || table > 3 || !s->tables[table].defined)
            return false;
        out->tables[i] = &s->tables[table];
    }
    const unsigned char *end = value + 1 + 2 * count;
    out->predictor = end[0];
    out->shift = end[2] & 15;
    out->interval = s->interval / columns;
    return out->predictor >= 1 && out->predictor <= 7 && end[1] == 0 && end[2] < 16 && out->shift < h->bits &&
           s->interval % columns == 0; /* H.1.1 has restarts between rows alone */
}

static bool read_scan(stream *s, const unsigned char *value, size_t length)
{
    pfm_jpeg_stream *h = &s->head;
    pfm_jpeg_lossless_scan scan;
    const int bytes = h->bits > 8 ? 2 : 1;
    size_t used = 0;
    if (!read_scan_header(s, value, length, &scan) || !pfm_jpeg_make_room(h, s->out) ||
        !pfm_jpeg_lossless_decode_scan(h->bytes + h->at, h->size - h->at, &scan, h->components, bytes,
                                       (unsigned char *)s->out->data + h->scanned * bytes, &used))
        return false;
    h->at += used;
    h->scanned += scan.components;
    return true;
}

static bool read_segment(void *user, int marker, const unsigned char *value, size_t length)
{
    stream *s = user;
    switch (marker) {
    case SOF3: return pfm_jpeg_read_frame(&s->head, value, length);
    case DHT: return read_tables(s, value, length);
    case PFM_JPEG_SOS: return read_scan(s, value, length);
    case DRI: s->interval = length == 2 ? pfm_jpeg_read16(value) : 0; return length == 2;
    default: return pfm_jpeg_is_aside(marker);
    }
}

bool pfm_jpeg_lossless_decode(const pfm_dicom_stream *in, pfm_dicom_decoded *out)
{
    stream *s = NULL;
    if (pfm_allocate(1, sizeof *s, &s, NULL) != PFM_OK)
        return false;
    s->head = (pfm_jpeg_stream){.bytes = in->bytes, .size = in->size, .layout = in->layout};
    s->out = out;
    const bool sound = pfm_jpeg_read_stream(&s->head, read_segment, s, out);
    out->planar = false;
    free(s);
    return sound;
}
