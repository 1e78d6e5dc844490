/* NIfTI of either version, plain or gzipped: one slice, whose values become grey as those of DICOM do. The library is asked
 * what a header means; which bytes are read is decided here, after all sizes were checked. */
#include "base/file.h"
#include "base/try.h"
#include "image/nifti_header.h"
#include "image/orientation.h"
#include "image/values.h"

#include <stdlib.h>
#include <string.h>

#include <zlib.h>

/* Deflate makes at most this many bytes of one. */
#define MOST_DEFLATED 1032

/* What may stand behind the values. */
#define MOST_BEHIND ((uint32_t)1 << 26)

static bool is_gzip(const unsigned char *bytes, size_t size) { return size >= 18 && bytes[0] == 0x1F && bytes[1] == 0x8B; }

/* Reads from the begin on, inflated where the file is gzipped. */
typedef struct stream {
    const unsigned char *bytes;
    size_t size, position; /* of a plain file */
    bool inflates, ended;  /* ended: the last member's checksum was right */
    z_stream z;
} stream;

static bool stream_open(const unsigned char *bytes, size_t size, stream *s)
{
    *s = (stream){.bytes = bytes, .size = size, .inflates = is_gzip(bytes, size)};
    s->z.next_in = (unsigned char *)(uintptr_t)bytes;
    s->z.avail_in = (uInt)(size < UINT32_MAX ? size : UINT32_MAX); /* files are at most 1 GiB */
    return !s->inflates || inflateInit2(&s->z, 16 + MAX_WBITS) == Z_OK;
}

static void stream_close(stream *s)
{
    if (s->inflates)
        (void)inflateEnd(&s->z);
}

/* Inflates up to `count` bytes; less only where the data end or are damaged. A file may be several gzip members. */
static size_t inflate_some(stream *s, unsigned char *out, size_t count)
{
    s->z.next_out = out;
    s->z.avail_out = (uInt)count;
    while (s->z.avail_out > 0) {
        const int result = inflate(&s->z, Z_NO_FLUSH);
        s->ended = result == Z_STREAM_END;
        if (result == Z_STREAM_END && s->z.avail_in > 0 && inflateReset(&s->z) == Z_OK)
            continue;
        if (result != Z_OK)
            break;
    }
    return count - s->z.avail_out;
}

/* out [count] = the next bytes; NULL passes them over. Returns how many there were. */
static size_t stream_read(stream *s, unsigned char *out, size_t count)
{
    unsigned char passed[16384];
    size_t done = 0;
    if (!s->inflates) {
        done = count < s->size - s->position ? count : s->size - s->position;
        if (out != NULL)
            memcpy(out, s->bytes + s->position, done);
        s->position += done;
        return done;
    }
    while (done < count) {
        size_t want = count - done < (1 << 24) ? count - done : 1 << 24, got;
        if (out == NULL && want > sizeof passed)
            want = sizeof passed;
        got = inflate_some(s, out != NULL ? out + done : passed, want);
        done += got;
        if (got < want)
            break;
    }
    return done;
}

static bool recognize(const unsigned char *bytes, size_t size)
{
    unsigned char head[PFM_NIFTI_HEADER_BYTES];
    stream s;
    if (!is_gzip(bytes, size))
        return pfm_nifti_begins(bytes, size);
    const bool opened = stream_open(bytes, size, &s);
    const size_t got = opened ? stream_read(&s, head, sizeof head) : 0;
    if (opened)
        stream_close(&s);
    return pfm_nifti_begins(head, got);
}

/* What a gzip file says at its end of its size, modulo 2^32; a file of several members, as bgzip writes them, says it of its
 * last. */
static uint32_t gzip_size(const unsigned char *bytes, size_t size)
{
    return bytes[size - 4] | (uint32_t)bytes[size - 3] << 8 | (uint32_t)bytes[size - 2] << 16 | (uint32_t)bytes[size - 1] << 24;
}

static bool has_members(const unsigned char *bytes) { return (bytes[3] & 4) != 0 && bytes[12] == 'B' && bytes[13] == 'C'; }

/* Whether the values that the header promises can all be in the file, before memory is taken for any. *must_end: a gzip file
 * tells of more than those, so that only its end can show that it is all there. */
static pfm_status check_length(const pfm_nifti *n, const unsigned char *bytes, size_t size, const char *name, bool *must_end,
                               pfm_error *err)
{
    const uint64_t frame = (uint64_t)n->width * (uint64_t)n->height * (uint64_t)(n->samples * n->sample_bytes);
    if ((uint64_t)n->frames > (UINT64_MAX >> 1) / frame)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: its NIfTI header says more values than any file has; it is damaged",
                             name);
    const uint64_t total = n->data_at + frame * (uint64_t)n->frames;
    const bool gzip = is_gzip(bytes, size);
    const uint32_t behind = gzip && !has_members(bytes) ? gzip_size(bytes, size) - (uint32_t)total : 0;
    const bool cut = gzip ? total > (uint64_t)size * MOST_DEFLATED || behind > MOST_BEHIND : total > size;
    *must_end = behind > 0;
    if (cut)
        return pfm_error_set(
            err, PFM_ERROR_FORMAT,
            "%s is cut short: its NIfTI header says %d x %d x %lld values, which is more than there is; copy it "
            "again",
            name, n->width, n->height, (long long)n->frames);
    return PFM_OK;
}

static void swap_bytes(unsigned char *data, size_t count, int bytes)
{
    for (size_t i = 0; i < count; i++, data += bytes)
        for (int a = 0, b = bytes - 1; a < b; a++, b--) {
            const unsigned char kept = data[a];
            data[a] = data[b];
            data[b] = kept;
        }
}

static void make_floats(unsigned char *data, size_t count, bool is_unsigned)
{
    for (size_t i = 0; i < count; i++, data += 8) {
        int64_t whole;
        memcpy(&whole, data, sizeof whole);
        const double value = is_unsigned ? (double)(uint64_t)whole : (double)whole;
        memcpy(data, &value, sizeof value);
    }
}

/* *data = the samples of slice `index`, in the machine's order; the caller calls free(). */
static pfm_status read_slice(stream *s, const pfm_nifti *n, size_t passed, int index, const char *name, unsigned char **data,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t samples = (size_t)n->width * (size_t)n->height * (size_t)n->samples, bytes = samples * (size_t)n->sample_bytes;
    const size_t before = n->data_at - passed + bytes * (size_t)index;
    PFM_TRY(pfm_allocate(bytes, 1, data, err));
    if (*data == NULL || stream_read(s, NULL, before) != before || stream_read(s, *data, bytes) != bytes)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s is damaged or cut short before the end of slice %d; copy it again", name, index);
    if (n->swapped && n->sample_bytes > 1)
        swap_bytes(*data, samples, n->sample_bytes);
    if (n->wide_integers)
        make_floats(*data, samples, n->unsigned_wide);
done:
    return status;
}

static pfm_status make_picture(const pfm_nifti *n, unsigned char *data, const char *name, const pfm_image_choice *choice,
                               pfm_image *out, pfm_image_applied *applied, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t pixels = (size_t)n->width * (size_t)n->height;
    if (n->samples > 1) {
        const pfm_image_choice rest = {.window = choice->window, .strict = choice->strict};
        PFM_TRY(pfm_image_check_finished(name, &rest, err));
        PFM_TRY(pfm_image_create(n->width, n->height, name, out, err));
        for (size_t i = 0; i < pixels; i++)
            memcpy(out->rgb + 3 * i, data + (size_t)n->samples * i, 3);
    } else {
        const pfm_dicom_frame frame = {
            .width = n->width, .height = n->height, .samples = 1, .bits = 8 * n->sample_bytes, .kind = n->kind, .data = data};
        const pfm_window own = {
            .center = n->low / 2 + n->high / 2, .width = n->high - n->low, .function = PFM_WINDOW_LINEAR_EXACT};
        const pfm_values_meaning meaning = {
            .slope = n->slope, .intercept = n->intercept, .may_be_hounsfield = true, .own = n->high > n->low ? &own : NULL};
        PFM_TRY(pfm_values_show(name, &frame, &meaning, choice, out, applied, err));
    }
    PFM_TRY(pfm_orientation_apply(n->orientation, out, err));
    memcpy(applied->axes, n->axes, sizeof n->axes);
    memcpy(applied->rows_toward, n->rows_toward, sizeof n->rows_toward);
    memcpy(applied->columns_toward, n->columns_toward, sizeof n->columns_toward);
done:
    return status;
}

static pfm_status show(const unsigned char *bytes, size_t size, const char *name, const pfm_image_choice *choice,
                       pfm_image *out, pfm_image_applied *applied, pfm_error *err)
{
    pfm_status status = PFM_OK;
    unsigned char head[PFM_NIFTI_HEADER_BYTES], *data = NULL;
    pfm_nifti n;
    stream s;
    bool must_end = false;
    if (!stream_open(bytes, size, &s))
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "not enough memory to read %s", name);
    const size_t got = stream_read(&s, head, 348);
    const bool second = got == 348 && pfm_nifti_header_bytes(head) > 348;
    const size_t more = second ? stream_read(&s, head + 348, sizeof head - 348) : 0;
    PFM_TRY(pfm_nifti_read_header(head, got + more, name, &n, err));
    PFM_TRY(check_length(&n, bytes, size, name, &must_end, err));
    applied->frames = (int)n.frames;
    if (choice->frame < 0 || choice->frame >= n.frames)
        PFM_FAIL(PFM_ERROR_USAGE, "%s has %lld slice%s (they count from 0); there is no frame %d", name, (long long)n.frames,
                 n.frames == 1 ? "" : "s", choice->frame);
    PFM_TRY(read_slice(&s, &n, got + more, choice->frame, name, &data, err));
    if (must_end)
        (void)stream_read(&s, NULL, SIZE_MAX); /* to the end */
    if (must_end && !s.ended)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s is damaged or cut short behind its values; copy it again", name);
    PFM_TRY(make_picture(&n, data, name, choice, out, applied, err));
done:
    free(data);
    stream_close(&s);
    return status;
}

const pfm_image_kind pfm_image_kind_nifti = {.name = "NIfTI", .recognize = recognize, .show = show};
