/* JPEG 2000 and HTJ2K (ISO 15444-1 and -15), as a codestream or in a file of boxes: what is usual and sound by our own decoder,
 * all else by OpenJPEG. What a stream says of its sizes is checked before OpenJPEG sees it, which believes all of it. */
#include "base/try.h"
#include "image/dicom_codec.h"
#include "image/j2k.h"

#include <stdlib.h>
#include <string.h>

#include <openjpeg.h>

enum {
    SIZ = 0xFF51,
    COD = 0xFF52,
    COC = 0xFF53,
    SOT = 0xFF90,
    MOST_TILES = 4096,
    LEAST_BLOCK = 8, /* log2 of a code block's or precinct's samples: smaller ones cost more memory than their picture */
    LEAST_PRECINCT = 10
};

typedef struct source {
    const unsigned char *bytes;
    size_t size, at;
} source;

static OPJ_SIZE_T give(void *out, OPJ_SIZE_T count, void *user)
{
    source *s = user;
    const size_t left = s->size - s->at;
    if (left == 0)
        return (OPJ_SIZE_T)-1;
    count = count < left ? count : left;
    memcpy(out, s->bytes + s->at, count);
    s->at += count;
    return count;
}

static OPJ_OFF_T leap(OPJ_OFF_T count, void *user)
{
    source *s = user;
    const size_t left = s->size - s->at;
    if (count < 0)
        return -1;
    s->at += (uint64_t)count < left ? (size_t)count : left;
    return count;
}

static OPJ_BOOL seek(OPJ_OFF_T place, void *user)
{
    source *s = user;
    if (place < 0 || (uint64_t)place > s->size)
        return OPJ_FALSE;
    s->at = (size_t)place;
    return OPJ_TRUE;
}

/* Keeps the first thing that OpenJPEG complains of. */
static void note(const char *message, void *user)
{
    char *reason = user;
    if (reason[0] == '\0')
        for (size_t i = 0; i < 120 && message[i] != '\0' && message[i] != '\n'; i++) {
            reason[i] = message[i];
            reason[i + 1] = '\0';
        }
}

static void stay_silent(const char *message, void *user)
{
    (void)message;
    (void)user;
}

static unsigned read16(const unsigned char *at) { return (unsigned)at[0] << 8 | at[1]; }
static uint64_t read32(const unsigned char *at) { return (uint64_t)read16(at) << 16 | read16(at + 2); }

static pfm_status refuse(const pfm_dicom_stream *in, const char *reason, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: a frame in JPEG 2000 is damaged or cut short%s%s; copy it again", in->name,
                         reason[0] != '\0' ? ": " : "", reason);
}

/* The image's and the tiles' sizes (A.5.1): `at` is behind the marker, `size` its length. */
static pfm_status check_sizes(const pfm_dicom_stream *in, const unsigned char *at, size_t size, pfm_error *err)
{
    if (size < 41)
        return refuse(in, "its SIZ is too short", err);
    const uint64_t x1 = read32(at + 4), y1 = read32(at + 8), x0 = read32(at + 12), y0 = read32(at + 16),
                   tile_x = read32(at + 20), tile_y = read32(at + 24), tile_x0 = read32(at + 28), tile_y0 = read32(at + 32);
    if (x1 <= x0 || y1 <= y0 || tile_x == 0 || tile_y == 0 || tile_x0 > x0 || tile_y0 > y0)
        return refuse(in, "its sizes cannot be", err);
    pfm_status status = pfm_dicom_check_stream(in, "JPEG 2000", x1 - x0, y1 - y0, read16(at + 36), err);
    const uint64_t across = (x1 - tile_x0 + tile_x - 1) / tile_x, down = (y1 - tile_y0 + tile_y - 1) / tile_y;
    if (status == PFM_OK && (across > MOST_TILES || down > MOST_TILES || across * down > MOST_TILES))
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%s: a frame in JPEG 2000 has more than %d tiles", in->name,
                             MOST_TILES);
    return status;
}

/* Code blocks and precincts (A.6.1): `at` is where the levels stand in COD or COC. */
static bool blocks_are_small(const unsigned char *at, size_t size, bool precincts, size_t samples)
{
    enum { SMALL_PICTURE = 1 << 20 };
    if (samples <= SMALL_PICTURE || size < 5)
        return false;
    if ((at[1] & 15) + (at[2] & 15) + 4 < LEAST_BLOCK)
        return true;
    const size_t levels = at[0];
    for (size_t i = 1; precincts && i <= levels && 5 + i < size; i++) { /* that of the coarsest may be small */
        if ((at[5 + i] & 15) + (at[5 + i] >> 4) < LEAST_PRECINCT)
            return true;
    }
    return false;
}

/* Walks over the markers of the main header. */
static pfm_status check_header(const pfm_dicom_stream *in, const unsigned char *bytes, size_t size, pfm_error *err)
{
    bool sized = false;
    const size_t samples = pfm_dicom_count_samples(in->layout);
    for (size_t at = 2; at + 4 <= size;) {
        const unsigned marker = read16(bytes + at), length = read16(bytes + at + 2);
        const unsigned char *value = bytes + at + 2;
        if (marker == SOT || marker < 0xFF00 || length < 2 || length > size - at - 2)
            break;
        if (marker == SIZ && sized)
            return refuse(in, "it has two SIZ", err);
        if (marker == SIZ) {
            pfm_status status = check_sizes(in, value, length, err);
            if (status != PFM_OK)
                return status;
            sized = true;
        }
        const size_t head = marker == COD ? 7 : 4; /* in front of the levels */
        const bool has_blocks = marker == COD || marker == COC;
        if (has_blocks && length > head &&
            blocks_are_small(value + head, length - head, (value[marker == COD ? 2 : 3] & 1) != 0, samples))
            return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%s: a frame in JPEG 2000 has code blocks too small to be honest",
                                 in->name);
        at += 2 + length;
    }
    return sized ? PFM_OK : refuse(in, "it has no SIZ", err);
}

/* Where the codestream is in a file of boxes; a codestream by itself is one. */
static bool find_codestream(const pfm_dicom_stream *in, size_t *begin)
{
    *begin = 0;
    if (in->size >= 4 && memcmp(in->bytes, "\xFF\x4F\xFF\x51", 4) == 0)
        return true;
    for (size_t at = 0; in->size - at >= 8;) {
        const uint64_t length = read32(in->bytes + at);
        if (memcmp(in->bytes + at + 4, "jp2c", 4) == 0) {
            *begin = at + 8;
            return in->size - *begin >= 4 && memcmp(in->bytes + *begin, "\xFF\x4F\xFF\x51", 4) == 0;
        }
        if (length < 8 || length > in->size - at)
            return false;
        at += (size_t)length;
    }
    return false;
}

/* Component c's values to bytes; one at half the width or height is repeated. */
static void take_component(const opj_image_t *image, int c, const pfm_dicom_layout *l, int bytes, void *out)
{
    const opj_image_comp_t *from = &image->comps[c];
    const size_t width = (size_t)l->columns, step = (size_t)l->samples;
    for (size_t y = 0; y < (size_t)l->rows; y++) {
        const size_t row = y / from->dy < from->h ? y / from->dy : from->h - 1;
        const OPJ_INT32 *values = from->data + row * from->w;
        for (size_t x = 0; x < width; x++) {
            const size_t column = x / from->dx < from->w ? x / from->dx : from->w - 1, to = (y * width + x) * step + (size_t)c;
            const uint32_t value = (uint32_t)values[column];
            if (bytes == 1)
                ((uint8_t *)out)[to] = (uint8_t)value;
            else if (bytes == 2)
                ((uint16_t *)out)[to] = (uint16_t)value;
            else
                ((uint32_t *)out)[to] = value;
        }
    }
}

static pfm_status take_image(const pfm_dicom_stream *in, const opj_image_t *image, pfm_dicom_decoded *out, pfm_error *err)
{
    const pfm_dicom_layout *l = in->layout;
    if (image->numcomps != (OPJ_UINT32)l->samples)
        return refuse(in, "its components are not what they were", err);
    for (int c = 0; c < l->samples; c++) {
        const opj_image_comp_t *comp = &image->comps[c];
        if (comp->data == NULL || comp->w == 0 || comp->h == 0 || comp->dx == 0 || comp->dy == 0 || comp->prec < 1 ||
            comp->prec > 32 || comp->prec != image->comps[0].prec || comp->sgnd != image->comps[0].sgnd)
            return refuse(in, "its components do not fit each other", err);
    }
    out->precision = (int)image->comps[0].prec;
    out->is_signed = image->comps[0].sgnd != 0;
    out->bytes = out->precision > 16 ? 4 : out->precision > 8 ? 2 : 1;
    pfm_status status = pfm_allocate(pfm_dicom_count_samples(l), (size_t)out->bytes, &out->data, err);
    for (int c = 0; status == PFM_OK && c < l->samples; c++)
        take_component(image, c, l, out->bytes, out->data);
    return status;
}

static pfm_status run(const pfm_dicom_stream *in, opj_codec_t *codec, opj_stream_t *stream, pfm_dicom_decoded *out,
                      pfm_error *err)
{
    char reason[128] = "";
    opj_image_t *image = NULL;
    opj_dparameters_t parameters;
    opj_set_default_decoder_parameters(&parameters);
    opj_set_info_handler(codec, stay_silent, NULL);
    opj_set_warning_handler(codec, stay_silent, NULL);
    opj_set_error_handler(codec, note, reason);
    pfm_status status = PFM_OK;
    /* Cut short is damaged: what is missing would be made up. */
    if (!opj_setup_decoder(codec, &parameters) || !opj_decoder_set_strict_mode(codec, OPJ_TRUE) ||
        !opj_read_header(stream, codec, &image) || !opj_decode(codec, stream, image))
        PFM_TRY(refuse(in, reason, err));
    PFM_TRY(take_image(in, image, out, err));
done:
    opj_image_destroy(image);
    return status;
}

static pfm_status decode_by_openjpeg(const pfm_dicom_stream *in, size_t begin, pfm_dicom_decoded *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    opj_codec_t *codec = NULL;
    opj_stream_t *stream = NULL;
    source bytes = {in->bytes + begin, in->size - begin, 0}; /* boxes say nothing that the file does not */
    codec = opj_create_decompress(OPJ_CODEC_J2K);
    stream = opj_stream_create(1 << 16, OPJ_TRUE);
    if (codec == NULL || stream == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not decode a frame of %s", in->name);
    opj_stream_set_user_data(stream, &bytes, NULL);
    opj_stream_set_user_data_length(stream, bytes.size);
    opj_stream_set_read_function(stream, give);
    opj_stream_set_skip_function(stream, leap);
    opj_stream_set_seek_function(stream, seek);
    PFM_TRY(run(in, codec, stream, out, err));
done:
    if (stream != NULL)
        opj_stream_destroy(stream);
    if (codec != NULL)
        opj_destroy_codec(codec);
    return status;
}

pfm_status pfm_dicom_decode_jpeg2000(const pfm_dicom_stream *in, pfm_dicom_decoded *out, pfm_error *err)
{
    size_t begin = 0;
    if (!find_codestream(in, &begin))
        return refuse(in, "it does not begin as one", err);
    pfm_status status = check_header(in, in->bytes + begin, in->size - begin, err);
    if (status != PFM_OK || pfm_j2k_decode(in, in->bytes + begin, in->size - begin, out))
        return status;
    return decode_by_openjpeg(in, begin, out, err);
}
