/* Where one frame lies among all (PS3.5, 8.2 and A.4), without reading the others. */
#include "base/try.h"
#include "image/dicom_codec.h"
#include "image/dicom_syntax.h"

#include <string.h>

size_t pfm_dicom_count_samples(const pfm_dicom_layout *layout)
{
    return (size_t)layout->rows * (size_t)layout->columns * (size_t)layout->samples;
}

static pfm_status refuse_frame(const pfm_dicom *file, const pfm_dicom_layout *layout, int index, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_USAGE, "%s has %d frame%s, number%s 0%s%d; there is no frame %d", file->name,
                         layout->frames, layout->frames == 1 ? "" : "s", layout->frames == 1 ? "" : "s",
                         layout->frames == 1 ? "" : " to ", layout->frames == 1 ? 0 : layout->frames - 1, index);
}

/* Bits of a frame that nothing compresses. Colour at half the width takes two samples a pixel. */
static uint64_t frame_bits(const pfm_dicom_layout *layout, int samples)
{
    return (uint64_t)layout->rows * (uint64_t)layout->columns * (uint64_t)samples * (uint64_t)layout->allocated;
}

static pfm_status find_native(pfm_dicom *file, const pfm_dicom_layout *layout, int index, const unsigned char **bytes,
                              size_t *size, int *first_bit, pfm_error *err)
{
    const bool halved = layout->colour == DICOM_YBR_FULL_422 || layout->colour == DICOM_YBR_PARTIAL;
    /* Some say 422 of data that have every sample: their length tells. */
    const bool all = !halved || layout->pixels->length >= frame_bits(layout, 3) / 8 * (uint64_t)layout->frames;
    const uint64_t bits = frame_bits(layout, all ? layout->samples : 2), begin = bits * (uint64_t)index, end = begin + bits;
    if ((end + 7) / 8 > layout->pixels->length)
        return pfm_error_set(
            err, PFM_ERROR_FORMAT,
            "%s: frame %d of %d x %d pixels ends at byte %llu of its pixel data, of which there are %zu; the file "
            "is cut short or damaged",
            file->name, index, layout->columns, layout->rows, (unsigned long long)((end + 7) / 8), layout->pixels->length);
    *bytes = layout->pixels->value + begin / 8;
    *size = (size_t)((end + 7) / 8 - begin / 8);
    *first_bit = (int)(begin % 8);
    return PFM_OK;
}

/* Whether a fragment begins a frame by itself: as a JPEG or JPEG-LS, a JPEG 2000 codestream, or one in a file does; of RLE as
 * its header does, by the number of segments and where the first is. */
static bool begins_stream(const pfm_dicom *file, const pfm_dicom_layout *layout, const unsigned char *bytes, size_t size)
{
    if (strcmp(file->syntax, PFM_DICOM_RLE) == 0)
        return size >= 64 && pfm_dicom_u32(bytes + 4, false) == 64 &&
               pfm_dicom_u32(bytes, false) == (uint32_t)(layout->samples * layout->allocated / 8);
    return size >= 4 && (memcmp(bytes, "\xFF\xD8\xFF", 3) == 0 || memcmp(bytes, "\xFF\x4F\xFF\x51", 4) == 0 ||
                         memcmp(bytes, "\0\0\0\x0C", 4) == 0);
}

/* How the fragments that follow the table of offsets make frames. */
typedef struct division {
    size_t fragments, begun;    /* how many there are; how many begin a frame by themselves */
    size_t first;               /* where behind the table the first is */
    const unsigned char *table; /* little endian, of `width` bytes each */
    size_t entries, width;
} division;

static uint64_t table_entry(const division *d, size_t i)
{
    const unsigned char *at = d->table + i * d->width;
    const uint64_t low = pfm_dicom_u32(at, false);
    return d->width == 8 ? low | (uint64_t)pfm_dicom_u32(at + 4, false) << 32 : low;
}

static pfm_status divide(pfm_dicom *file, const pfm_dicom_layout *layout, division *out, pfm_error *err)
{
    const pfm_dicom_element *extended = pfm_dicom_find(file, DICOM_TAG(0x7FE0, 0x0001));
    const unsigned char *bytes = NULL;
    size_t at = 0, size = 0;
    bool found = false;
    *out = (division){.width = 4};
    pfm_status status = pfm_dicom_next_fragment(file, layout->pixels, &at, &bytes, &size, &found, err);
    if (status != PFM_OK)
        return status;
    out->first = at;
    out->table = bytes;
    out->entries = found ? size / 4 : 0;
    if (extended != NULL)
        *out = (division){.first = at, .table = extended->value, .entries = extended->length / 8, .width = 8};
    while (status == PFM_OK && found) {
        status = pfm_dicom_next_fragment(file, layout->pixels, &at, &bytes, &size, &found, err);
        out->fragments += found;
        out->begun += found && begins_stream(file, layout, bytes, size);
    }
    return status;
}

/* Which frame a fragment belongs to, given that of the one before it. */
static size_t frame_of(const pfm_dicom_layout *layout, const division *d, size_t number, size_t offset, bool begins,
                       size_t before)
{
    const size_t frames = (size_t)layout->frames;
    if (frames == 1)
        return 0;
    if (d->fragments == frames)
        return number;
    if (d->entries == frames) {
        size_t frame = before;
        while (frame + 1 < frames && table_entry(d, frame + 1) <= offset)
            frame++;
        return frame;
    }
    return number > 0 && begins ? before + 1 : before;
}

static pfm_status join(pfm_buffer *joined, const unsigned char **bytes, size_t *size, const unsigned char *more, size_t count,
                       pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (*bytes == NULL) {
        *bytes = more;
        *size = count;
        return PFM_OK;
    }
    if (joined->size == 0)
        PFM_TRY(pfm_buffer_append(joined, *bytes, *size, err));
    PFM_TRY(pfm_buffer_append(joined, more, count, err));
    *bytes = (const unsigned char *)joined->data;
    *size = joined->size;
done:
    return status;
}

static pfm_status find_encapsulated(pfm_dicom *file, const pfm_dicom_layout *layout, int index, pfm_buffer *joined,
                                    const unsigned char **bytes, size_t *size, pfm_error *err)
{
    pfm_status status = PFM_OK;
    division d;
    size_t at, frame = 0;
    bool found = true;
    PFM_TRY(divide(file, layout, &d, err));
    at = d.first;
    for (size_t number = 0; found && frame <= (size_t)index; number++) {
        const unsigned char *piece = NULL;
        size_t length = 0, offset = at - d.first;
        PFM_TRY(pfm_dicom_next_fragment(file, layout->pixels, &at, &piece, &length, &found, err));
        if (!found)
            break;
        frame = frame_of(layout, &d, number, offset, begins_stream(file, layout, piece, length), frame);
        if (frame == (size_t)index)
            PFM_TRY(join(joined, bytes, size, piece, length, err));
    }
    if (*bytes == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT,
                 "%s: frame %d of the %d that it speaks of is not in its pixel data; the file is cut short or damaged",
                 file->name, index, layout->frames);
done:
    return status;
}

pfm_status pfm_dicom_find_frame(pfm_dicom *file, const pfm_dicom_layout *layout, int index, pfm_buffer *joined,
                                const unsigned char **bytes, size_t *size, int *first_bit, pfm_error *err)
{
    *bytes = NULL;
    *size = 0;
    *first_bit = 0;
    if (index < 0 || index >= layout->frames)
        return refuse_frame(file, layout, index, err);
    if (layout->pixels->undefined)
        return find_encapsulated(file, layout, index, joined, bytes, size, err);
    return find_native(file, layout, index, bytes, size, first_bit, err);
}
