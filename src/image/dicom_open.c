/* Where in a file the data set is, and how it is written (PS3.10, 7; PS3.5, A): with preamble and meta header or without, and
 * as its bytes say where they contradict what the file says of itself. */
#include "image/dicom_open.h"

#include "base/try.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <libdeflate.h>
#include <zlib.h>

#define PREAMBLE 132

/* A data set that was deflated. More than this no single picture needs; a bomb ends here. */
#define MOST_INFLATED ((size_t)160 << 20)

/* The first elements of a data set without anything before it: of low groups, in order, each with a length that fits. */
static bool is_data_set(const unsigned char *bytes, size_t size, size_t total)
{
    const bool big = size >= 8 && bytes[0] == 0;
    size_t at = 0;
    uint32_t last = 0;
    for (int i = 0; i < 3; i++) {
        if (at + 12 > size)
            return i > 0 && at <= total && at + 12 > size && size < total;
        const uint32_t group = pfm_dicom_u16(bytes + at, big), tag = group << 16 | pfm_dicom_u16(bytes + at + 2, big);
        const bool low = i == 0 ? group == 2 || group == 8 : group >= 2 && group <= 0x10;
        if (!low || tag <= last)
            return false;
        const unsigned char *vr = bytes + at + 4;
        size_t length = pfm_dicom_u32(vr, big), header = 8;
        if (isupper(vr[0]) && isupper(vr[1])) {
            header = memcmp(vr, "OB", 2) == 0 || memcmp(vr, "SQ", 2) == 0 || memcmp(vr, "UN", 2) == 0 ? 12 : 8;
            length = header == 12 ? pfm_dicom_u32(vr + 4, big) : pfm_dicom_u16(vr + 2, big);
        }
        if (length > 4096 || length % 2 != 0 || length + header > total - at)
            return false;
        last = tag;
        at += header + length;
    }
    return true;
}

bool pfm_dicom_begins(const unsigned char *bytes, size_t size, size_t total)
{
    return (size >= PREAMBLE && memcmp(bytes + 128, "DICM", 4) == 0) || is_data_set(bytes, size, total);
}

/* The meta header, group 2, in explicit little endian whatever follows; *at then stands behind it. */
static void read_meta(const unsigned char *bytes, size_t size, size_t *at, char syntax[65])
{
    while (size - *at >= 8 && pfm_dicom_u16(bytes + *at, false) == 2) {
        const unsigned char *vr = bytes + *at + 4;
        const bool says = isupper(vr[0]) && isupper(vr[1]);
        const bool is_wide = says && (memcmp(vr, "OB", 2) == 0 || memcmp(vr, "UN", 2) == 0 || memcmp(vr, "UT", 2) == 0);
        const size_t header = is_wide ? 12 : 8;
        if (size - *at < header)
            return;
        const size_t length = is_wide ? pfm_dicom_u32(vr + 4, false)
                              : says  ? pfm_dicom_u16(vr + 2, false)
                                      : pfm_dicom_u32(vr, false);
        if (length > size - *at - header)
            return;
        if (pfm_dicom_u16(bytes + *at + 2, false) == 0x0010) {
            const pfm_dicom_element element = {.value = bytes + *at + header, .length = length};
            pfm_dicom_text(&element, syntax, 65);
            if (strspn(syntax, "0123456789.") < strlen(syntax)) /* no identifier of a standard */
                syntax[0] = '\0';
        }
        *at += header + length;
    }
}

static void free_inflate(z_stream *stream) { (void)inflateEnd(stream); }

/* A whole deflated data set at once, which libdeflate does in a third of zlib's time. What is damaged or cut short, or larger
 * than is read, is left to the slow way, which keeps what there is: *whole is then false. */
static pfm_status inflate_whole(pfm_dicom *file, const unsigned char *bytes, size_t size, bool *whole, pfm_error *err)
{
    pfm_status status = PFM_OK;
    enum libdeflate_result result = LIBDEFLATE_INSUFFICIENT_SPACE;
    struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
    pfm_buffer *out = &file->inflated;
    out->capacity = size < MOST_INFLATED / 8 ? 4 * size + (1 << 16) : MOST_INFLATED / 2;
    *whole = false;
    if (decompressor == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not inflate %s", file->name);
    for (; result == LIBDEFLATE_INSUFFICIENT_SPACE && out->capacity <= MOST_INFLATED; out->capacity *= 2) {
        free(out->data);
        out->data = NULL;
        PFM_TRY(pfm_allocate(out->capacity, 1, &out->data, err));
        result = libdeflate_deflate_decompress(decompressor, bytes, size, out->data, out->capacity, &out->size);
        if (result == LIBDEFLATE_SUCCESS)
            break;
    }
    *whole = result == LIBDEFLATE_SUCCESS;
    if (!*whole)
        pfm_buffer_free(&file->inflated);
done:
    libdeflate_free_decompressor(decompressor);
    return status;
}

/* The same a piece after the other (PS3.5, A.5: RFC 1951, without header). */
static pfm_status inflate_pieces(pfm_dicom *file, const unsigned char *bytes, size_t size, pfm_error *err)
{
    enum { PIECE = 1 << 16 };
    pfm_status status = PFM_OK;
    z_stream stream = {0};
    unsigned char *piece = NULL;
    int code = Z_OK;
    bool begun = false;
    PFM_TRY(pfm_allocate(PIECE, 1, &piece, err));
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not inflate %s", file->name);
    begun = true;
    stream.next_in = (z_const Bytef *)(uintptr_t)bytes;
    stream.avail_in = size < UINT32_MAX ? (uInt)size : UINT32_MAX;
    while (code == Z_OK) {
        stream.next_out = piece;
        stream.avail_out = PIECE;
        code = inflate(&stream, Z_NO_FLUSH);
        if (code == Z_MEM_ERROR)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not inflate %s", file->name);
        if (file->inflated.size + PIECE > MOST_INFLATED)
            PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                     "%s is a deflated DICOM file of more than %zu MiB when inflated; write it in another transfer syntax",
                     file->name, MOST_INFLATED >> 20);
        PFM_TRY(pfm_buffer_append(&file->inflated, piece, PIECE - stream.avail_out, err));
    }
    if (code != Z_STREAM_END && file->inflated.size == 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: its deflated data set is damaged or cut short; copy it again", file->name);
done:
    if (begun)
        free_inflate(&stream);
    free(piece);
    return status;
}

static pfm_status inflate_set(pfm_dicom *file, const unsigned char *bytes, size_t size, pfm_error *err)
{
    bool whole = false;
    pfm_status status = inflate_whole(file, bytes, size, &whole, err);
    if (status == PFM_OK && !whole)
        status = inflate_pieces(file, bytes, size, err);
    file->set.data = (const unsigned char *)file->inflated.data;
    file->set.size = file->inflated.size;
    return status;
}

/* As the first element says: its group is a low number, and two letters stand for its value representation or do not. */
static void choose_encoding(pfm_dicom_set *set)
{
    if (set->size < 8)
        return;
    const unsigned little = pfm_dicom_u16(set->data, false), big = pfm_dicom_u16(set->data, true);
    if (little != big)
        set->big = big < little;
    set->implicit = !(isupper(set->data[4]) && isupper(set->data[5]));
}

pfm_status pfm_dicom_open(const unsigned char *bytes, size_t size, const char *name, pfm_dicom *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t at = size >= PREAMBLE && memcmp(bytes + 128, "DICM", 4) == 0 ? PREAMBLE : 0;
    *out = (pfm_dicom){.name = name};
    if (!pfm_dicom_begins(bytes, size, size))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s is no DICOM file", name);
    read_meta(bytes, size, &at, out->syntax);
    out->set = (pfm_dicom_set){.data = bytes + at, .size = size - at};
    if (strcmp(out->syntax, "1.2.840.10008.1.2.1.99") == 0)
        PFM_TRY(inflate_set(out, bytes + at, size - at, err));
    choose_encoding(&out->set);
    PFM_TRY(pfm_dicom_list(out, err));
done:
    return status;
}
