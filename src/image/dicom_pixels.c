#include "image/dicom_pixels.h"

#include "base/try.h"
#include "image/dicom_codec.h"
#include "image/dicom_syntax.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double pfm_dicom_sample(const pfm_dicom_frame *frame, size_t i)
{
    switch (frame->kind) {
    case DICOM_U8: return ((const uint8_t *)frame->data)[i];
    case DICOM_S8: return ((const int8_t *)frame->data)[i];
    case DICOM_U16: return ((const uint16_t *)frame->data)[i];
    case DICOM_S16: return ((const int16_t *)frame->data)[i];
    case DICOM_U32: return ((const uint32_t *)frame->data)[i];
    case DICOM_S32: return ((const int32_t *)frame->data)[i];
    case DICOM_F32: return (double)((const float *)frame->data)[i];
    case DICOM_F64: return ((const double *)frame->data)[i];
    }
    return 0;
}

/* Each loop is of the comparisons that every x86-64 has for vectors: of bytes without a sign, of words with one. */
void pfm_dicom_find_extent(const pfm_dicom_frame *frame, int *low, int *high)
{
    const size_t pixels = (size_t)frame->width * (size_t)frame->height;
    const bool is_signed = frame->kind == DICOM_S8 || frame->kind == DICOM_S16;
    if (frame->kind <= DICOM_S8) {
        const uint8_t *values = frame->data, turn = is_signed ? 0x80 : 0;
        uint8_t least = UINT8_MAX, most = 0;
        for (size_t i = 0; i < pixels; i++) {
            const uint8_t value = values[i] ^ turn;
            least = value < least ? value : least;
            most = value > most ? value : most;
        }
        *low = least - turn;
        *high = most - turn;
        return;
    }
    const uint16_t *values = frame->data, turn = is_signed ? 0 : 0x8000;
    int16_t least = INT16_MAX, most = INT16_MIN;
    for (size_t i = 0; i < pixels; i++) {
        const int16_t value = (int16_t)(values[i] ^ turn);
        least = value < least ? value : least;
        most = value > most ? value : most;
    }
    *low = least + turn;
    *high = most + turn;
}

void pfm_dicom_frame_free(pfm_dicom_frame *frame)
{
    free(frame->owned);
    *frame = (pfm_dicom_frame){0};
}

pfm_status pfm_dicom_check_stream(const pfm_dicom_stream *in, const char *what, uint64_t width, uint64_t height,
                                  uint64_t samples, pfm_error *err)
{
    const pfm_dicom_layout *l = in->layout;
    if (width == (uint64_t)l->columns && height == (uint64_t)l->rows && samples == (uint64_t)l->samples)
        return PFM_OK;
    return pfm_error_set(
        err, PFM_ERROR_FORMAT,
        "%s: a frame in %s is %llu x %llu pixels of %llu samples, and the file says %d x %d of %d; it is damaged", in->name,
        what, (unsigned long long)width, (unsigned long long)height, (unsigned long long)samples, l->columns, l->rows,
        l->samples);
}

/* The `bits` above `shift` of every sample, signed or not, to the whole of it. */
static void settle(void *data, size_t count, size_t bytes, int shift, int bits, bool is_signed)
{
    const uint32_t mask = UINT32_MAX >> (32 - bits), sign = is_signed ? UINT32_C(1) << (bits - 1) : 0;
    if ((size_t)bits == bytes * 8 && shift == 0)
        return;
    if (bytes == 1) {
        uint8_t *samples = data, mask8 = (uint8_t)mask, sign8 = (uint8_t)sign;
        for (size_t i = 0; i < count; i++)
            samples[i] = (uint8_t)((((samples[i] >> shift) & mask8) ^ sign8) - sign8);
    } else if (bytes == 2) {
        uint16_t *samples = data, mask16 = (uint16_t)mask, sign16 = (uint16_t)sign;
        for (size_t i = 0; shift > 0 && i < count; i++)
            samples[i] = (uint16_t)(samples[i] >> shift);
        for (size_t i = 0; i < count; i++)
            samples[i] = (uint16_t)(((samples[i] & mask16) ^ sign16) - sign16);
    } else {
        uint32_t *samples = data;
        for (size_t i = 0; i < count; i++)
            samples[i] = (((samples[i] >> shift) & mask) ^ sign) - sign;
    }
}

static pfm_dicom_kind kind_of(size_t bytes, bool is_signed)
{
    return (bytes == 1 ? DICOM_U8 : bytes == 2 ? DICOM_U16 : DICOM_U32) + (is_signed ? 1 : 0);
}

/* [samples][pixels] to [pixels][samples]. */
static pfm_status interleave(void **data, size_t pixels, size_t samples, size_t bytes, pfm_error *err)
{
    unsigned char *to = NULL;
    const unsigned char *from = *data;
    pfm_status status = pfm_allocate(pixels * samples, bytes, &to, err);
    if (status != PFM_OK)
        return status;
    for (size_t s = 0; s < samples; s++)
        for (size_t i = 0; i < pixels; i++)
            memcpy(to + (i * samples + s) * bytes, from + (s * pixels + i) * bytes, bytes);
    free(*data);
    *data = to;
    return PFM_OK;
}

static void reverse_bytes(unsigned char *data, size_t size, size_t bytes)
{
    for (size_t i = 0; bytes == 2 && i + 2 <= size; i += 2) {
        uint16_t word;
        memcpy(&word, data + i, 2);
        word = (uint16_t)(word << 8 | word >> 8);
        memcpy(data + i, &word, 2);
    }
    if (bytes == 2)
        return;
    for (size_t at = 0; at + bytes <= size; at += bytes)
        for (size_t i = 0; i < bytes / 2; i++) {
            const unsigned char kept = data[at + i];
            data[at + i] = data[at + bytes - 1 - i];
            data[at + bytes - 1 - i] = kept;
        }
}

/* ---- pixels that nothing compresses ---- */

/* Bits, the first of a byte being its lowest (PS3.5, 8.1.1). */
static void unpack_bits(const unsigned char *bytes, int first, size_t count, unsigned char *out)
{
    for (size_t i = 0; i < count; i++) {
        const size_t at = i + (size_t)first;
        out[i] = bytes[at / 8] >> at % 8 & 1;
    }
}

/* Y Y B R for two pixels (PS3.3, C.7.6.3.1.2). */
static void expand_halved(const unsigned char *bytes, size_t pixels, unsigned char *out)
{
    for (size_t i = 0; i < pixels; i++) {
        const unsigned char *four = bytes + i / 2 * 4;
        out[3 * i] = four[i % 2];
        out[3 * i + 1] = four[2];
        out[3 * i + 2] = four[3];
    }
}

/* In which order bytes come where a sample has several, or where samples of one byte come in words. */
static size_t word_of(const pfm_dicom *file, const pfm_dicom_layout *l)
{
    const bool private_big = strcmp(file->syntax, "1.2.840.113619.5.2") == 0; /* of General Electric: the pixels alone are */
    const bool words = strcmp(l->pixels->vr, "OW") == 0;
    if (!l->pixels->big && !private_big)
        return 1;
    return l->allocated > 8 ? (size_t)l->allocated / 8 : words ? 2 : 1;
}

static bool is_ybr(pfm_dicom_colour colour)
{
    return colour == DICOM_YBR_FULL || colour == DICOM_YBR_FULL_422 || colour == DICOM_YBR_PARTIAL;
}

/* Whether samples stand in the file as a frame has them. */
static bool as_in_frame(const pfm_dicom_layout *l, const unsigned char *bytes, size_t wide, size_t word)
{
    const bool whole = l->is_float || (l->stored == l->allocated && l->high + 1 == l->stored);
    const uintptr_t begin = (uintptr_t)l->pixels->value, at = (uintptr_t)bytes;
    const bool of_file = at >= begin && at - begin < l->pixels->length; /* and not joined from fragments */
    return l->allocated >= 8 && word == 1 && whole && of_file && !l->planar && !is_ybr(l->colour) && at % wide == 0;
}

/* Copies the samples in their order, and in the machine's. */
static void copy_samples(const pfm_dicom_layout *l, const unsigned char *bytes, size_t size, int first, size_t word, void *out)
{
    const size_t count = pfm_dicom_count_samples(l), wide = l->allocated < 8 ? 1 : (size_t)l->allocated / 8;
    if (l->allocated == 1)
        unpack_bits(bytes, first, count, out);
    else if (l->allocated == 8 && l->samples == 3 && size < count)
        expand_halved(bytes, (size_t)l->rows * (size_t)l->columns, out);
    else
        memcpy(out, bytes, size);
    const bool odd = word > wide && size % word != 0 && bytes + size < l->pixels->value + l->pixels->length;
    if (odd) /* the last word's other byte */
        memcpy((unsigned char *)out + size, bytes + size, 1);
    if (word > 1)
        reverse_bytes(out, (count + (odd ? 1 : 0)) * wide, word);
}

static pfm_status read_native(const pfm_dicom *file, const pfm_dicom_layout *l, const unsigned char *bytes, size_t size,
                              int first, pfm_dicom_frame *out, pfm_error *err)
{
    const size_t pixels = (size_t)l->rows * (size_t)l->columns, count = pfm_dicom_count_samples(l);
    const size_t wide = l->allocated < 8 ? 1 : (size_t)l->allocated / 8, word = word_of(file, l);
    const bool halved = l->allocated == 8 && l->samples == 3 && size < count;
    pfm_status status = PFM_OK;
    out->bits = l->stored;
    out->kind = l->is_float ? (l->allocated == 64 ? DICOM_F64 : DICOM_F32) : kind_of(wide, l->is_signed && l->allocated > 1);
    if (as_in_frame(l, bytes, wide, word)) {
        out->data = bytes;
        goto done;
    }
    if (halved && l->columns % 2 != 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: %s needs an even number of columns, and there are %d; the file is damaged", file->name,
                 l->photometric, l->columns);
    PFM_TRY(pfm_allocate(count + 1, wide, &out->owned, err)); /* one more, so that words can be turned */
    copy_samples(l, bytes, size, first, word, out->owned);
    if (l->planar)
        PFM_TRY(interleave(&out->owned, pixels, (size_t)l->samples, wide, err));
    if (l->allocated > 1 && !l->is_float)
        settle(out->owned, count, wide, l->high + 1 - l->stored, l->stored, l->is_signed);
    out->data = out->owned;
done:
    return status;
}

/* A frame that nothing compresses, in fragments all the same (PS3.5, A.4.11). */
static pfm_status read_wrapped(const pfm_dicom *file, const pfm_dicom_layout *l, const unsigned char *bytes, size_t size,
                               pfm_dicom_frame *out, pfm_error *err)
{
    const size_t needed = (pfm_dicom_count_samples(l) * (size_t)l->allocated + 7) / 8;
    if (size < needed)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: a frame of %d x %d pixels has %zu bytes of %zu; the file is damaged",
                             file->name, l->columns, l->rows, size, needed);
    return read_native(file, l, bytes, needed, 0, out, err);
}

/* ---- compressed pixels ---- */

/* Which codec it is the stream itself shows; RLE alone begins as other things may. */
static pfm_status choose_codec(const pfm_dicom *file, const unsigned char *bytes, size_t size, pfm_dicom_codec **out,
                               pfm_error *err)
{
    static const struct {
        size_t length;
        const char *begin;
        pfm_dicom_codec *codec;
    } known[] = {{3, "\xFF\xD8\xFF", pfm_dicom_decode_jpeg},
                 {4, "\xFF\x4F\xFF\x51", pfm_dicom_decode_jpeg2000},
                 {12, "\0\0\0\x0CjP  \r\n\x87\n", pfm_dicom_decode_jpeg2000}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (size >= known[i].length && memcmp(bytes, known[i].begin, known[i].length) == 0) {
            *out = known[i].codec;
            return PFM_OK;
        }
    }
    if (strcmp(file->syntax, PFM_DICOM_RLE) == 0) {
        *out = pfm_dicom_decode_rle;
        return PFM_OK;
    }
    const pfm_dicom_syntax *syntax = pfm_dicom_find_syntax(file->syntax);
    if (syntax != NULL && !syntax->read)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%s holds %s, which is not read here; write its frames uncompressed",
                             file->name, syntax->name);
    return pfm_error_set(
        err, PFM_ERROR_FORMAT,
        "%s: its pixels begin neither as JPEG, JPEG-LS nor JPEG 2000 do (transfer syntax %s); the file is damaged", file->name,
        file->syntax[0] != '\0' ? file->syntax : "not given");
}

static pfm_status read_compressed(const pfm_dicom *file, const pfm_dicom_layout *l, const unsigned char *bytes, size_t size,
                                  pfm_dicom_frame *out, pfm_dicom_colour *colour, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dicom_codec *codec = NULL;
    pfm_dicom_decoded decoded = {0};
    const pfm_dicom_stream stream = {bytes, size, file->name, l, file->threads};
    const size_t pixels = (size_t)l->rows * (size_t)l->columns;
    PFM_TRY(choose_codec(file, bytes, size, &codec, err));
    PFM_TRY(codec(&stream, &decoded, err));
    const bool rle = codec == pfm_dicom_decode_rle;
    if (decoded.planar)
        PFM_TRY(interleave(&decoded.data, pixels, (size_t)l->samples, (size_t)decoded.bytes, err));
    out->bits = rle ? l->stored : decoded.precision;
    settle(decoded.data, pfm_dicom_count_samples(l), (size_t)decoded.bytes, rle ? l->high + 1 - l->stored : 0, out->bits,
           l->is_signed);
    out->kind = kind_of((size_t)decoded.bytes, l->is_signed);
    out->data = out->owned = decoded.data;
    decoded.data = NULL;
    if (decoded.is_rgb || decoded.is_ybr)
        *colour = decoded.is_rgb ? DICOM_RGB : DICOM_YBR_FULL;
    else if (*colour == DICOM_YBR_OF_CODEC)
        *colour = DICOM_RGB;
done:
    free(decoded.data);
    return status;
}

/* ---- colour ---- */

static unsigned char clip(float value) { return (unsigned char)(value < 0 ? 0 : value > 255 ? 255 : floorf(value + 0.5f)); }

/* PS3.3, C.7.6.3.1.2, the inverse of its equations; of YBR_PARTIAL those of studio levels. */
static void to_rgb(unsigned char *data, size_t pixels, bool partial)
{
    const float y_scale = partial ? 255.0f / 219 : 1, c_scale = partial ? 255.0f / 224 : 1, y_zero = partial ? 16 : 0;
    const float rr = 1.402f * c_scale, gb = (float)(-0.114 * 1.772 / 0.587) * c_scale,
                gr = (float)(-0.299 * 1.402 / 0.587) * c_scale, bb = 1.772f * c_scale;
    for (size_t i = 0; i < pixels; i++, data += 3) {
        const float y = ((float)data[0] - y_zero) * y_scale, b = (float)data[1] - 128, r = (float)data[2] - 128;
        data[0] = clip(y + rr * r);
        data[1] = clip(y + gb * b + gr * r);
        data[2] = clip(y + bb * b);
    }
}

pfm_status pfm_dicom_read_frame(pfm_dicom *file, const pfm_dicom_layout *layout, int index, pfm_dicom_frame *out,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer joined = {0};
    const unsigned char *bytes = NULL;
    size_t size = 0;
    int first = 0;
    pfm_dicom_colour colour = layout->colour;
    *out = (pfm_dicom_frame){.width = layout->columns, .height = layout->rows, .samples = layout->samples};
    PFM_TRY(pfm_dicom_find_frame(file, layout, index, &joined, &bytes, &size, &first, err));
    if (layout->pixels->undefined && strcmp(file->syntax, "1.2.840.10008.1.2.1.98") == 0)
        PFM_TRY(read_wrapped(file, layout, bytes, size, out, err));
    else if (layout->pixels->undefined)
        PFM_TRY(read_compressed(file, layout, bytes, size, out, &colour, err));
    else
        PFM_TRY(read_native(file, layout, bytes, size, first, out, err));
    if (is_ybr(colour) && out->kind == DICOM_U8)
        to_rgb(out->owned, (size_t)out->width * (size_t)out->height, colour == DICOM_YBR_PARTIAL);
done:
    pfm_buffer_free(&joined);
    if (status != PFM_OK)
        pfm_dicom_frame_free(out);
    return status;
}
