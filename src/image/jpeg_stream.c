#include "image/jpeg_stream.h"

#include "base/memory.h"

#include <stdlib.h>

enum { SOI = 0xFFD8, EOI = 0xFFD9 };

bool pfm_jpeg_read_frame(pfm_jpeg_stream *s, const unsigned char *value, size_t length)
{
    if (s->components != 0 || length < 6 || length != 6 + 3 * (size_t)value[5])
        return false;
    s->bits = value[0];
    s->components = value[5];
    if (s->bits < 2 || s->bits > 16 || pfm_jpeg_read16(value + 1) != s->layout->rows ||
        pfm_jpeg_read16(value + 3) != s->layout->columns || s->components != s->layout->samples || s->components < 1 ||
        s->components > 3)
        return false;
    for (int i = 0; i < s->components; i++) {
        s->ids[i] = value[6 + 3 * i];
        if (value[7 + 3 * i] != 0x11)
            return false;
    }
    return true;
}

static int bytes_of(const pfm_jpeg_stream *s) { return s->bits > 8 ? 2 : 1; }

bool pfm_jpeg_make_room(const pfm_jpeg_stream *s, pfm_dicom_decoded *out)
{
    return out->data != NULL ||
           pfm_allocate(pfm_dicom_count_samples(s->layout), (size_t)bytes_of(s), &out->data, NULL) == PFM_OK;
}

static bool read_segments(pfm_jpeg_stream *s,
                          bool (*segment)(void *user, int marker, const unsigned char *value, size_t length), void *user)
{
    if (s->size <= 4 || pfm_jpeg_read16(s->bytes) != SOI)
        return false;
    s->at = 2;
    while (s->components == 0 || s->scanned < s->components) {
        if (s->size - s->at < 4)
            return false;
        const unsigned char *begin = s->bytes + s->at;
        const size_t length = (size_t)pfm_jpeg_read16(begin + 2);
        if (length < 2 || length > s->size - s->at - 2)
            return false;
        s->at += 2 + length;
        if (!segment(user, pfm_jpeg_read16(begin), begin + 4, length - 2))
            return false;
    }
    return s->size - s->at >= 2 && pfm_jpeg_read16(s->bytes + s->at) == EOI;
}

bool pfm_jpeg_read_stream(pfm_jpeg_stream *s,
                          bool (*segment)(void *user, int marker, const unsigned char *value, size_t length), void *user,
                          pfm_dicom_decoded *out)
{
    if (!read_segments(s, segment, user)) {
        free(out->data);
        out->data = NULL;
        return false;
    }
    out->bytes = bytes_of(s);
    out->precision = s->bits;
    return true;
}
