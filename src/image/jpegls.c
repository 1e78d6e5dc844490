/* The markers of a JPEG-LS stream. Whatever is not usual is left to CharLS. */
#include "image/jpegls.h"

#include "image/jpeg_stream.h"

enum { SOF55 = 0xFFF7, LSE = 0xFFF8, APP8 = 0xFFE8 };

/* What has been read of the stream. */
typedef struct stream {
    pfm_jpeg_stream head;
    pfm_dicom_decoded *out;
    pfm_jpegls_preset preset; /* 0: as by default */
    bool by_lines;
} stream;

static int clamp_step(int value, int low, int most) { return value > most || value < low ? low : value; }

static int larger(int a, int b) { return a > b ? a : b; }

/* The quantiser's steps by default (C.2.4.1.1). */
static void fill_preset(pfm_jpegls_preset *p, int bits)
{
    if (p->most == 0)
        p->most = (1 << bits) - 1;
    const int near = p->near, most = p->most;
    int steps[3] = {3, 7, 21};
    int *const to[3] = {&p->t1, &p->t2, &p->t3};
    int low = near + 1;
    for (int i = 0; i < 3; i++) {
        const int margin = (3 + 2 * i) * near;
        if (most >= 128) {
            const int factor = ((most < 4095 ? most : 4095) + 128) / 256;
            steps[i] = factor * (steps[i] - 2 - i) + 2 + i + margin;
        } else {
            steps[i] = larger(2 + i, steps[i] / (256 / (most + 1)) + margin);
        }
        if (*to[i] == 0)
            *to[i] = clamp_step(steps[i], low, most);
        low = *to[i];
    }
    if (p->reset == 0)
        p->reset = 64;
}

/* Of a largest value that the bits do not have, CharLS and the standard think differently. */
static bool preset_can_be(const pfm_jpegls_preset *p, int bits)
{
    return p->most == (1 << bits) - 1 && p->near < 256 && p->near <= p->most / 2 && p->t1 > p->near && p->t1 <= p->t2 &&
           p->t2 <= p->t3 && p->t3 <= p->most && p->reset >= 3 && p->reset <= larger(255, p->most);
}

static bool read_preset(stream *s, const unsigned char *value, size_t length)
{
    if (length != 11 || value[0] != 1)
        return false;
    s->preset = (pfm_jpegls_preset){.most = pfm_jpeg_read16(value + 1),
                                    .t1 = pfm_jpeg_read16(value + 3),
                                    .t2 = pfm_jpeg_read16(value + 5),
                                    .t3 = pfm_jpeg_read16(value + 7),
                                    .reset = pfm_jpeg_read16(value + 9)};
    return true;
}

/* A scan's header and the scan behind it. */
static bool read_scan(stream *s, const unsigned char *value, size_t length)
{
    pfm_jpeg_stream *h = &s->head;
    const pfm_dicom_layout *l = h->layout;
    const int count = length > 0 ? value[0] : 0, bytes = h->bits > 8 ? 2 : 1;
    if (h->components == 0 || count == 0 || length != 4 + 2 * (size_t)count || count > h->components - h->scanned ||
        (count > 1 && count != h->components))
        return false;
    for (int i = 0; i < count; i++)
        if (value[1 + 2 * i] != h->ids[h->scanned + i] || value[2 + 2 * i] != 0)
            return false;
    const unsigned char *end = value + 1 + 2 * count;
    pfm_jpegls_preset preset = s->preset;
    preset.near = end[0];
    fill_preset(&preset, h->bits);
    if (end[1] != (count > 1 ? 1 : 0) || end[2] != 0 || !preset_can_be(&preset, h->bits))
        return false;
    const size_t plane = (size_t)l->rows * (size_t)l->columns * (size_t)bytes;
    size_t used = 0;
    if (!pfm_jpeg_make_room(h, s->out) ||
        !pfm_jpegls_decode_scan(h->bytes + h->at, h->size - h->at, &preset, l->columns, l->rows, count, bytes,
                                (unsigned char *)s->out->data + plane * (size_t)h->scanned, &used))
        return false;
    h->at += used;
    h->scanned += count;
    s->by_lines = count > 1;
    return true;
}

static bool read_segment(void *user, int marker, const unsigned char *value, size_t length)
{
    stream *s = user;
    switch (marker) {
    case SOF55: return pfm_jpeg_read_frame(&s->head, value, length);
    case LSE: return read_preset(s, value, length);
    case PFM_JPEG_SOS: return read_scan(s, value, length);
    case APP8: return false; /* it may tell of a transform of colours */
    default: return pfm_jpeg_is_aside(marker);
    }
}

bool pfm_jpegls_decode(const pfm_dicom_stream *in, pfm_dicom_decoded *out)
{
    stream s = {.head = {.bytes = in->bytes, .size = in->size, .layout = in->layout}, .out = out};
    const bool sound = pfm_jpeg_read_stream(&s.head, read_segment, &s, out);
    out->planar = sound && s.head.components > 1 && !s.by_lines;
    return sound;
}
