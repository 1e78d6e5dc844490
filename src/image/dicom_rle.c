/* RLE (PS3.5, G): a segment for each byte of a sample, the high one first, each packed as TIFF's PackBits. */
#include "base/try.h"
#include "image/dicom_codec.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER = 64, MOST_SEGMENTS = 15, MOST_PACKED = 128, STEP = 32 };

/* Copies up to 128 bytes; where there is room on both sides, of a length that the compiler knows. */
static void copy_some(unsigned char *to, const unsigned char *from, size_t count, bool roomy)
{
    if (!roomy) {
        memcpy(to, from, count);
        return;
    }
    for (size_t i = 0; i < count; i += STEP)
        memcpy(to + i, from + i, STEP);
}

static void repeat(unsigned char *to, unsigned char value, size_t count, bool roomy)
{
    if (!roomy) {
        memset(to, value, count);
        return;
    }
    for (size_t i = 0; i < count; i += STEP)
        memset(to + i, value, STEP);
}

/* Unpacks one segment. Returns how many of the `count` bytes there were. */
static size_t unpack(const unsigned char *bytes, size_t size, unsigned char *out, size_t count)
{
    size_t at = 0, made = 0;
    while (at < size && made < count) {
        const int code = bytes[at] < 128 ? bytes[at] : bytes[at] - 256;
        at++;
        if (code == -128)
            continue;
        const bool run = code < 0;
        size_t length = run ? (size_t)(1 - code) : (size_t)code + 1;
        const size_t there = run && at < size ? length : size - at;
        length = length < there ? length : there;
        length = length < count - made ? length : count - made;
        const bool roomy = count - made >= MOST_PACKED && size - at >= MOST_PACKED;
        if (run && length > 0)
            repeat(out + made, bytes[at], length, roomy);
        else if (!run)
            copy_some(out + made, bytes + at, length, roomy);
        made += length;
        at += run ? 1 : length;
    }
    return made;
}

/* Samples of one plane from their bytes [bytes][pixels], the high ones first; this machine keeps the low ones there. */
static void join(const unsigned char *planes, size_t pixels, size_t bytes, unsigned char *out)
{
    for (size_t i = 0; bytes == 2 && i < pixels; i++) {
        const uint16_t value = (uint16_t)(planes[i] << 8 | planes[pixels + i]);
        memcpy(out + 2 * i, &value, sizeof value);
    }
    for (size_t b = 0; bytes != 2 && b < bytes; b++)
        for (size_t i = 0; i < pixels; i++)
            out[i * bytes + bytes - 1 - b] = planes[b * pixels + i];
}

/* Segments `first` to `first` + `count`, one behind the other. */
static pfm_status unpack_segments(const pfm_dicom_stream *in, size_t segments, size_t first, size_t count, size_t pixels,
                                  unsigned char *out, pfm_error *err)
{
    for (size_t s = first; s < first + count; s++, out += pixels) {
        const size_t begin = pfm_dicom_u32(in->bytes + 4 + 4 * s, false);
        const size_t end = s + 1 < segments ? pfm_dicom_u32(in->bytes + 8 + 4 * s, false) : in->size;
        if (begin < HEADER || begin > end || end > in->size)
            return pfm_error_set(err, PFM_ERROR_FORMAT,
                                 "%s: segment %zu of a frame in RLE lies outside of it; the file is damaged", in->name, s);
        const size_t made = unpack(in->bytes + begin, end - begin, out, pixels);
        if (made < pixels)
            return pfm_error_set(err, PFM_ERROR_FORMAT,
                                 "%s: segment %zu of a frame in RLE ends after %zu of %zu samples; the file is damaged",
                                 in->name, s, made, pixels);
    }
    return PFM_OK;
}

pfm_status pfm_dicom_decode_rle(const pfm_dicom_stream *in, pfm_dicom_decoded *out, pfm_error *err)
{
    const pfm_dicom_layout *l = in->layout;
    const size_t pixels = (size_t)l->rows * (size_t)l->columns, bytes = (size_t)l->allocated / 8;
    const size_t segments = bytes * (size_t)l->samples;
    if (bytes == 0 || in->size < HEADER || pfm_dicom_u32(in->bytes, false) != segments || segments > MOST_SEGMENTS)
        return pfm_error_set(err, PFM_ERROR_FORMAT,
                             "%s: a frame in RLE does not begin with the %zu segments that it should have; "
                             "the file is damaged",
                             in->name, segments);
    if (pixels / 64 * segments > in->size) /* two bytes make 128 at most */
        return pfm_error_set(err, PFM_ERROR_FORMAT,
                             "%s: %zu bytes in RLE cannot be a frame of %d x %d pixels; the file is damaged", in->name,
                             in->size, l->columns, l->rows);
    pfm_status status = PFM_OK;
    unsigned char *data = NULL, *planes = NULL; /* of the bytes of one sample */
    PFM_TRY(pfm_allocate(pixels * segments, 1, &data, err));
    *out = (pfm_dicom_decoded){.bytes = (int)bytes, .precision = l->allocated, .planar = l->samples > 1, .data = data};
    if (bytes > 1)
        PFM_TRY(pfm_allocate(pixels * bytes, 1, &planes, err));
    for (size_t first = 0; first < segments; first += bytes, data += pixels * bytes) {
        PFM_TRY(unpack_segments(in, segments, first, bytes, pixels, bytes > 1 ? planes : data, err));
        if (bytes > 1)
            join(planes, pixels, bytes, data);
    }
done:
    free(planes);
    return status;
}
