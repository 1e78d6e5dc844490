/* The markers of a JPEG-LS stream. Whatever is not usual is left to CharLS. */
#include "image/jpegls.h"

#include "base/memory.h"

#include <stdlib.h>

enum {
    SOI = 0xFFD8,
    EOI = 0xFFD9,
    SOF55 = 0xFFF7,
    LSE = 0xFFF8,
    SOS = 0xFFDA,
    APP0 = 0xFFE0,
    APP8 = 0xFFE8,
    APP15 = 0xFFEF,
    COM = 0xFFFE
};

/* What has been read of the stream. */
typedef struct stream {
    const unsigned char *bytes;
    size_t size, at;
    int bits, components; /* 0: no frame header yet */
    unsigned char ids[3];
    pfm_jpegls_preset preset; /* 0: as by default */
    int scans;                /* decoded */
    bool by_lines;
} stream;

static int read16(const unsigned char *at) { return at[0] << 8 | at[1]; }

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

/* The frame's header; its sizes are the file's. */
static bool read_frame(stream *s, const unsigned char *value, size_t length, const pfm_dicom_layout *l)
{
    if (s->components != 0 || length < 6 || length != 6 + 3 * (size_t)value[5])
        return false;
    s->bits = value[0];
    s->components = value[5];
    if (s->bits < 2 || s->bits > 16 || read16(value + 1) != l->rows || read16(value + 3) != l->columns ||
        s->components != l->samples || s->components > 3)
        return false;
    for (int i = 0; i < s->components; i++) {
        s->ids[i] = value[6 + 3 * i];
        if (value[7 + 3 * i] != 0x11)
            return false;
    }
    return true;
}

static bool read_preset(stream *s, const unsigned char *value, size_t length)
{
    if (length != 11 || value[0] != 1)
        return false;
    s->preset = (pfm_jpegls_preset){.most = read16(value + 1),
                                    .t1 = read16(value + 3),
                                    .t2 = read16(value + 5),
                                    .t3 = read16(value + 7),
                                    .reset = read16(value + 9)};
    return true;
}

/* A scan's header and the scan behind it. */
static bool read_scan(stream *s, const unsigned char *value, size_t length, const pfm_dicom_layout *l, pfm_dicom_decoded *out)
{
    const int count = length > 0 ? value[0] : 0, bytes = s->bits > 8 ? 2 : 1;
    if (s->components == 0 || count == 0 || length != 4 + 2 * (size_t)count ||
        (count > 1 && (count != s->components || s->scans > 0)))
        return false;
    for (int i = 0; i < count; i++)
        if (value[1 + 2 * i] != s->ids[s->scans + i] || value[2 + 2 * i] != 0)
            return false;
    const unsigned char *end = value + 1 + 2 * count;
    pfm_jpegls_preset preset = s->preset;
    preset.near = end[0];
    fill_preset(&preset, s->bits);
    if (end[1] != (count > 1 ? 1 : 0) || end[2] != 0 || !preset_can_be(&preset, s->bits))
        return false;
    const size_t plane = (size_t)l->rows * (size_t)l->columns * (size_t)bytes;
    if (out->data == NULL && pfm_allocate(plane, (size_t)s->components, &out->data, NULL) != PFM_OK)
        return false;
    size_t used = 0;
    if (!pfm_jpegls_decode_scan(s->bytes + s->at, s->size - s->at, &preset, l->columns, l->rows, count, bytes,
                                (unsigned char *)out->data + plane * (size_t)s->scans, &used))
        return false;
    s->at += used;
    s->scans += count;
    s->by_lines = count > 1;
    return true;
}

bool pfm_jpegls_decode(const pfm_dicom_stream *in, pfm_dicom_decoded *out)
{
    stream s = {.bytes = in->bytes, .size = in->size, .at = 2};
    bool sound = in->size > 4 && read16(in->bytes) == SOI;
    while (sound && (s.components == 0 || s.scans < s.components)) {
        sound = s.size - s.at >= 4;
        if (!sound)
            break;
        const int marker = read16(s.bytes + s.at);
        const size_t length = (size_t)read16(s.bytes + s.at + 2);
        sound = length >= 2 && length <= s.size - s.at - 2;
        if (!sound)
            break;
        const unsigned char *value = s.bytes + s.at + 4;
        s.at += 2 + length;
        if (marker == SOF55)
            sound = read_frame(&s, value, length - 2, in->layout);
        else if (marker == LSE)
            sound = read_preset(&s, value, length - 2);
        else if (marker == SOS)
            sound = read_scan(&s, value, length - 2, in->layout, out);
        else /* APP8 may tell of a transform of colours */
            sound = marker == COM || (marker >= APP0 && marker <= APP15 && marker != APP8);
    }
    if (!sound || s.size - s.at < 2 || read16(s.bytes + s.at) != EOI) {
        free(out->data);
        out->data = NULL;
        return false;
    }
    out->bytes = s.bits > 8 ? 2 : 1;
    out->precision = s.bits;
    out->planar = s.components > 1 && !s.by_lines;
    return true;
}
