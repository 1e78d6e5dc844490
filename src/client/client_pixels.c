/* A picture without what a camera, a scanner or a person wrote beside it: servers are sent pixels and nothing else. */
#include "base/try.h"
#include "client/client_internal.h"

#include <string.h>

static pfm_status refuse(const char *path, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_FORMAT,
                         "%s is damaged, so that what it says of a patient cannot be taken out; it is not sent", path);
}

/* The end of what a scan's header is followed by: the next marker that is no part of it. */
static size_t find_scan_end(const unsigned char *bytes, size_t size, size_t at)
{
    while (at + 1 < size && (bytes[at] != 0xFF || bytes[at + 1] == 0 || (bytes[at + 1] >= 0xD0 && bytes[at + 1] <= 0xD7)))
        at++;
    return at + 1 < size ? at : size;
}

/* Whether a segment is needed to show the picture: comments and applications' are not, but for Adobe's colours and a JFIF
 * header without a picture of its own. */
static bool is_shown(const unsigned char *segment, size_t length)
{
    enum { JFIF_LENGTH = 16, ADOBE_LENGTH = 14 };
    const unsigned char marker = segment[1];
    if (marker == 0xE0)
        return length == JFIF_LENGTH && memcmp(segment + 4, "JFIF", 5) == 0;
    if (marker == 0xEE)
        return length == ADOBE_LENGTH && memcmp(segment + 4, "Adobe", 5) == 0;
    return (marker < 0xE0 || marker > 0xEF) && marker != 0xFE;
}

static pfm_status copy_jpeg(const unsigned char *bytes, size_t size, const char *path, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = pfm_buffer_append(out, bytes, 2, err);
    for (size_t at = 2; status == PFM_OK;) {
        if (at + 2 <= size && bytes[at] == 0xFF && bytes[at + 1] == 0xFF) { /* fill bytes */
            at++;
            continue;
        }
        if (at + 2 <= size && bytes[at] == 0xFF && bytes[at + 1] == 0xD9)
            return pfm_buffer_append(out, bytes + at, 2, err); /* what stands behind the end is not the picture's */
        if (at + 4 > size || bytes[at] != 0xFF)
            return refuse(path, err);
        const size_t length = (size_t)bytes[at + 2] << 8 | bytes[at + 3], begin = at;
        if (length < 2 || length > size - at - 2)
            return refuse(path, err);
        at += 2 + length;
        const bool scan = bytes[begin + 1] == 0xDA;
        if (scan)
            at = find_scan_end(bytes, size, at);
        if (is_shown(bytes + begin, length))
            status = pfm_buffer_append(out, bytes + begin, at - begin, err);
    }
    return status;
}

static pfm_status copy_png(const unsigned char *bytes, size_t size, const char *path, pfm_buffer *out, pfm_error *err)
{
    static const char *const shown[] = {"IHDR", "PLTE", "IDAT", "tRNS", "gAMA", "cHRM", "sRGB", "sBIT", "bKGD", "pHYs", "IEND"};
    enum { SIGNATURE = 8, AROUND = 12 };
    pfm_status status = pfm_buffer_append(out, bytes, SIGNATURE, err);
    for (size_t at = SIGNATURE; status == PFM_OK;) {
        if (at + AROUND > size)
            return refuse(path, err);
        const size_t length =
            (size_t)bytes[at] << 24 | (size_t)bytes[at + 1] << 16 | (size_t)bytes[at + 2] << 8 | bytes[at + 3];
        const char *kind = (const char *)bytes + at + 4;
        if (length > size - at - AROUND)
            return refuse(path, err);
        for (size_t i = 0; status == PFM_OK && i < sizeof shown / sizeof *shown; i++) {
            if (memcmp(kind, shown[i], 4) == 0)
                status = pfm_buffer_append(out, bytes + at, length + AROUND, err);
        }
        if (memcmp(kind, "IEND", 4) == 0)
            break;
        at += length + AROUND;
    }
    return status;
}

pfm_status pfm_client_copy_pixels(const unsigned char *bytes, size_t size, const char *path, pfm_buffer *out, pfm_error *err)
{
    return bytes[0] == 0xFF ? copy_jpeg(bytes, size, path, out, err) : copy_png(bytes, size, path, out, err);
}
