/* RLE (PS3.5, G): a segment for each byte of a sample, the high one first, each packed as TIFF's PackBits. */
#include "base/try.h"
#include "image/dicom_codec.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER = 64, MOST_SEGMENTS = 15 };

/* Unpacks one segment, to every `stride`-th byte. Returns how many of the `count` samples there were. */
static size_t unpack(const unsigned char *bytes, size_t size, unsigned char *out, size_t stride, size_t count)
{
    size_t at = 0, made = 0;
    while (at < size && made < count) {
        const int code = bytes[at] < 128 ? bytes[at] : bytes[at] - 256;
        at++;
        const size_t length = code >= 0 ? (size_t)code + 1 : (size_t)(1 - code);
        if (code == -128)
            continue;
        const bool run = code < 0;
        const size_t have = run ? (at < size ? length : 0) : (length < size - at ? length : size - at);
        for (size_t i = 0; i < have && made < count; i++, made++)
            out[made * stride] = bytes[run ? at : at + i];
        at += run ? 1 : have;
    }
    return made;
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
    unsigned char *data = NULL;
    PFM_TRY(pfm_allocate(pixels * segments, 1, &data, err));
    *out = (pfm_dicom_decoded){.bytes = (int)bytes, .precision = l->allocated, .planar = l->samples > 1, .data = data};
    for (size_t s = 0; s < segments; s++) {
        const size_t begin = pfm_dicom_u32(in->bytes + 4 + 4 * s, false);
        const size_t end = s + 1 < segments ? pfm_dicom_u32(in->bytes + 8 + 4 * s, false) : in->size;
        if (begin < HEADER || begin > end || end > in->size)
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: segment %zu of a frame in RLE lies outside of it; the file is damaged", in->name,
                     s);
        /* The high byte comes first; this machine keeps the low one there. */
        unsigned char *plane = data + s / bytes * pixels * bytes + (bytes - 1 - s % bytes);
        const size_t made = unpack(in->bytes + begin, end - begin, plane, bytes, pixels);
        if (made < pixels)
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: segment %zu of a frame in RLE ends after %zu of %zu samples; the file is damaged",
                     in->name, s, made, pixels);
    }
done:
    return status;
}
