/* Any bytes as one compressed frame of a DICOM file: six say how large it is, of which values and whether it is RLE (little
 * endian: rows, columns, flags, bits stored), the rest is the codec's. So mutations stay within the streams, which fuzz_dicom.c
 * seldom reaches. */
#include "pefomed/image.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD = 6, MOST_SIDE = 512 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *put(uint8_t *at, const char *bytes, size_t count)
{
    memcpy(at, bytes, count);
    return at + count;
}

/* A number of group 0028. */
static uint8_t *put_number(uint8_t *at, unsigned group, unsigned element, unsigned value)
{
    const uint8_t bytes[10] = {0x28, 0, (uint8_t)element, (uint8_t)group,       'U', 'S',
                               2,    0, (uint8_t)value,   (uint8_t)(value >> 8)};
    memcpy(at, bytes, sizeof bytes);
    return at + sizeof bytes;
}

static uint8_t *put_item(uint8_t *at, size_t length)
{
    at = put(at, "\xFE\xFF\0\xE0", 4);
    for (int i = 0; i < 4; i++)
        *at++ = (uint8_t)(length >> 8 * i);
    return at;
}

static size_t make_file(const uint8_t *head, const uint8_t *stream, size_t size, uint8_t *out)
{
    const unsigned rows = (unsigned)(head[0] | head[1] << 8) % (MOST_SIDE + 1),
                   columns = (unsigned)(head[2] | head[3] << 8) % (MOST_SIDE + 1);
    const unsigned flags = head[4], bits = 8U << (flags >> 1 & 3) % 3, stored = 1 + (head[5] - 1U) % bits;
    uint8_t *at = out + 128;
    at = put(at, "DICM", 4);
    at = (flags >> 4 & 1) != 0 ? put(at,
                                     "\2\0\x10\0UI\x14\0"
                                     "1.2.840.10008.1.2.5\0",
                                     28)
                               : put(at,
                                     "\2\0\x10\0UI\x16\0"
                                     "1.2.840.10008.1.2.4.50",
                                     30);
    at = put_number(at, 0, 0x02, (flags & 1) != 0 ? 3 : 1);
    at = put_number(at, 0, 0x10, rows);
    at = put_number(at, 0, 0x11, columns);
    at = put_number(at, 1, 0x00, bits);
    at = put_number(at, 1, 0x01, stored);
    at = put_number(at, 1, 0x02, stored - 1);
    at = put_number(at, 1, 0x03, flags >> 3 & 1);
    at = put(at, "\xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF", 12);
    at = put_item(put_item(at, 0), size);
    if (size > 0)
        memcpy(at, stream, size);
    return (size_t)(put(at + size, "\xFE\xFF\xDD\xE0\0\0\0\0", 8) - out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_image image = {0};
    if (size < HEAD)
        return 0;
    uint8_t *file = calloc(size + 512, 1);
    if (file == NULL)
        return 0;
    const size_t length = make_file(data, data + HEAD, size - HEAD, file);
    pfm_status status = pfm_image_decode(file, length, "FILE", &image, &err);
    if (status == PFM_OK ? image.rgb == NULL || image.width < 1 || image.height < 1 : err.message[0] == '\0')
        abort();
    pfm_image_free(&image);
    free(file);
    return 0;
}
