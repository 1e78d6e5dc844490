/* TIFF by libtiff, classic and BigTIFF: a page of a file. The chain of pages is followed and all sizes are checked here, before
 * libtiff takes memory for any. */
#include "base/try.h"
#include "image/dicom_pixels.h"
#include "image/orientation.h"
#include "image/tiff_pixels.h"
#include "image/values.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* More pages than this no file has that somebody looks at. */
#define MOST_PAGES 10000
/* Of one tile, and of what libtiff takes at once. */
#define MOST_MEMORY ((tmsize_t)1 << 27)

typedef struct source {
    const unsigned char *bytes;
    size_t size;
    uint64_t position;
    bool reads_pixels; /* then a warning tells of pixels that are not there */
    pfm_error said;    /* what libtiff last complained of */
} source;

static bool recognize(const unsigned char *bytes, size_t size)
{
    return size >= 8 && (memcmp(bytes, "II*\0", 4) == 0 || memcmp(bytes, "MM\0*", 4) == 0 ||
                         memcmp(bytes, "II+\0\10\0\0\0", 8) == 0 || memcmp(bytes, "MM\0+\0\10\0\0", 8) == 0);
}

static tmsize_t give_bytes(thandle_t handle, void *out, tmsize_t count)
{
    source *s = handle;
    const uint64_t left = s->position < s->size ? s->size - s->position : 0;
    const size_t got = (uint64_t)count < left ? (size_t)count : (size_t)left;
    if (got > 0)
        memcpy(out, s->bytes + s->position, got);
    s->position += got;
    return (tmsize_t)got;
}

static tmsize_t take_nothing(thandle_t handle, void *bytes, tmsize_t count)
{
    (void)handle;
    (void)bytes;
    (void)count;
    return 0;
}

static toff_t seek(thandle_t handle, toff_t offset, int whence)
{
    source *s = handle;
    s->position = whence == SEEK_SET ? offset : whence == SEEK_CUR ? s->position + offset : s->size + offset;
    return s->position;
}

static int close_nothing(thandle_t handle)
{
    (void)handle;
    return 0;
}

static toff_t size_of(thandle_t handle) { return ((source *)handle)->size; }

static int map(thandle_t handle, void **base, toff_t *size)
{
    const source *s = handle;
    *base = (void *)(uintptr_t)s->bytes; /* libtiff does not write to a file that it opened for reading */
    *size = s->size;
    return 1;
}

static void unmap(thandle_t handle, void *base, toff_t size)
{
    (void)handle;
    (void)base;
    (void)size;
}

static int note(TIFF *tiff, void *user, const char *module, const char *format, va_list arguments)
{
    (void)tiff;
    (void)module;
    source *s = user;
    if (s->said.message[0] == '\0') /* the first one is the cause of the others */
        (void)vsnprintf(s->said.message, sizeof s->said.message, format, arguments);
    return 1;
}

static int note_warning(TIFF *tiff, void *user, const char *module, const char *format, va_list arguments)
{
    const source *s = user;
    return s->reads_pixels ? note(tiff, user, module, format, arguments) : 1;
}

static TIFF *open_source(source *s)
{
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    TIFF *tiff = NULL;
    if (options == NULL)
        return NULL;
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, MOST_MEMORY);
    TIFFOpenOptionsSetErrorHandlerExtR(options, note, s);
    TIFFOpenOptionsSetWarningHandlerExtR(options, note_warning, s);
    tiff = TIFFClientOpenExt("TIFF", "r", s, give_bytes, take_nothing, seek, close_nothing, size_of, map, unmap, options);
    TIFFOpenOptionsFree(options);
    return tiff;
}

static uint64_t number_at(const source *s, uint64_t at, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++)
        value = value << 8 | s->bytes[at + (uint64_t)(s->bytes[0] == 'I' ? count - 1 - i : i)];
    return value;
}

/* *pages = how many there are, and *offset = where the directory of page `index` is, if there is one. */
static pfm_status find_page(const source *s, const char *name, int index, int *pages, uint64_t *offset, pfm_error *err)
{
    const bool big = s->bytes[2] == '+' || s->bytes[3] == '+';
    const int word = big ? 8 : 4, count_bytes = big ? 8 : 2, entry = big ? 20 : 12;
    uint64_t at = number_at(s, big ? 8 : 4, word);
    for (*pages = 0; at != 0; (*pages)++) {
        if (*pages == MOST_PAGES)
            return pfm_error_set(err, PFM_ERROR_FORMAT,
                                 "%s is a TIFF of more than %d pages, or one whose pages run in a circle", name, MOST_PAGES);
        const uint64_t entries =
            at < s->size && s->size - at >= (uint64_t)count_bytes ? number_at(s, at, count_bytes) : UINT64_MAX;
        if (entries > (s->size - (uint64_t)count_bytes - (uint64_t)word) / (uint64_t)entry ||
            at + (uint64_t)count_bytes + entries * (uint64_t)entry > s->size - (uint64_t)word)
            return pfm_error_set(err, PFM_ERROR_FORMAT,
                                 "%s is a damaged or truncated TIFF: page %d is not all there; copy it again", name, *pages);
        if (*pages == index)
            *offset = at;
        at = number_at(s, at + (uint64_t)count_bytes + entries * (uint64_t)entry, word);
    }
    if (index < 0 || index >= *pages)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s has %d page%s (they count from 0); there is no frame %d", name, *pages,
                             *pages == 1 ? "" : "s", index);
    return PFM_OK;
}

static pfm_status check_compression(const pfm_tiff_page *page, pfm_error *err)
{
    static const int known[] = {COMPRESSION_NONE,     COMPRESSION_CCITTRLE, COMPRESSION_CCITTFAX3,     COMPRESSION_CCITTFAX4,
                                COMPRESSION_LZW,      COMPRESSION_JPEG,     COMPRESSION_ADOBE_DEFLATE, COMPRESSION_DEFLATE,
                                COMPRESSION_PACKBITS, COMPRESSION_ZSTD};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i] == page->compression)
            return TIFFIsCODECConfigured((uint16_t)page->compression)
                       ? PFM_OK
                       : pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                                       "%s is compressed in a way that this libtiff was built without (%d)", page->name,
                                       page->compression);
    return pfm_error_set(
        err, PFM_ERROR_UNSUPPORTED,
        "%s is a TIFF compressed in a way that is not read (%d); none, CCITT, LZW, JPEG, deflate, PackBits and "
        "Zstandard are: convert it",
        page->name, page->compression);
}

/* Whether samples of grey are values rather than a picture: then *kind. */
static bool find_values(const pfm_tiff_page *page, int *kind)
{
    const bool is_signed = page->format == SAMPLEFORMAT_INT, is_float = page->format == SAMPLEFORMAT_IEEEFP;
    *kind = page->bits == 8 && is_signed    ? DICOM_S8
            : page->bits == 16 && !is_float ? (is_signed ? DICOM_S16 : DICOM_U16)
            : page->bits == 32              ? (is_float    ? DICOM_F32
                                               : is_signed ? DICOM_S32
                                                           : DICOM_U32)
            : page->bits == 64 && is_float  ? DICOM_F64
                                            : -1;
    return *kind >= 0;
}

static pfm_status check_colours(pfm_tiff_page *page, pfm_error *err)
{
    const bool grey = page->photometric == PHOTOMETRIC_MINISBLACK || page->photometric == PHOTOMETRIC_MINISWHITE;
    const bool palette = page->photometric == PHOTOMETRIC_PALETTE, ink = page->photometric == PHOTOMETRIC_SEPARATED;
    const bool known = grey || palette || ink || page->photometric == PHOTOMETRIC_RGB || page->photometric == PHOTOMETRIC_YCBCR;
    const int least = grey || palette ? 1 : ink ? 4 : 3;
    uint16_t *map[3] = {NULL}, ink_set = INKSET_CMYK;
    page->frame_kind = -1;
    (void)TIFFGetFieldDefaulted(page->tiff, TIFFTAG_INKSET, &ink_set);
    if (!known || (ink && ink_set != INKSET_CMYK))
        return pfm_error_set(
            err, PFM_ERROR_UNSUPPORTED,
            "%s is a TIFF in colours that are not read (PhotometricInterpretation %d); grey, RGB, palette, CMYK and "
            "YCbCr are: convert it",
            page->name, page->photometric);
    if (page->samples < least || page->samples > 8)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s is a TIFF of %d samples a pixel, which its colours are not made of",
                             page->name, page->samples);
    if (grey && page->samples == 1 && find_values(page, &page->frame_kind))
        return PFM_OK;
    const bool small = page->bits == 1 || page->bits == 2 || page->bits == 4;
    if (page->format == SAMPLEFORMAT_IEEEFP || page->format == SAMPLEFORMAT_INT ||
        !(page->bits == 8 || (page->bits == 16 && !palette) || (small && (grey || palette) && page->samples == 1)))
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                             "%s is a TIFF of %d bits a sample (format %d), which is not read here; "
                             "convert it to 8 or 16 bits",
                             page->name, page->bits, page->format);
    if (palette && !TIFFGetField(page->tiff, TIFFTAG_COLORMAP, &map[0], &map[1], &map[2]))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s is a TIFF of a palette that it does not have; copy it again",
                             page->name);
    page->palette_of_bytes = palette;
    for (int c = 0; palette && c < 3; c++) {
        page->palette[c] = map[c];
        for (int i = 0; i < 1 << page->bits; i++)
            page->palette_of_bytes = page->palette_of_bytes && map[c][i] < 256;
    }
    return PFM_OK;
}

/* What libtiff would take memory for. */
static pfm_status check_sizes(const pfm_tiff_page *page, uint32_t width, uint32_t height, pfm_error *err)
{
    pfm_image probe = {0};
    if (width > INT32_MAX || height > INT32_MAX)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s is %u x %u pixels, more than any picture; the file is damaged",
                             page->name, width, height);
    pfm_status status = pfm_image_create((int)width, (int)height, page->name, &probe, err);
    pfm_image_free(&probe);
    if (status == PFM_OK && page->frame_kind >= 0)
        status = pfm_values_check_size(page->name, width, height, page->samples, page->bits / 8, err);
    const uint64_t row = (uint64_t)width * (uint64_t)page->samples * (uint64_t)page->bits / 8;
    if (status == PFM_OK && (row > (uint64_t)MOST_MEMORY || row * height > (uint64_t)MOST_MEMORY * 8))
        return pfm_error_set(err, PFM_ERROR_FORMAT,
                             "%s is a TIFF page of %u x %u pixels of %d bits, which is too large to read", page->name, width,
                             height, page->samples * page->bits);
    if (status == PFM_OK && TIFFIsTiled(page->tiff)) {
        uint32_t tile_width = 0, tile_height = 0;
        (void)TIFFGetField(page->tiff, TIFFTAG_TILEWIDTH, &tile_width);
        (void)TIFFGetField(page->tiff, TIFFTAG_TILELENGTH, &tile_height);
        const uint64_t bytes = (uint64_t)tile_width * (uint64_t)page->samples * (uint64_t)page->bits / 8;
        if (tile_width == 0 || tile_height == 0 || tile_width > INT32_MAX || bytes > (uint64_t)MOST_MEMORY / tile_height)
            return pfm_error_set(err, PFM_ERROR_FORMAT, "%s is a TIFF of tiles of %u x %u, which is too large to read",
                                 page->name, tile_width, tile_height);
    }
    return status;
}

static pfm_status read_page(pfm_tiff_page *page, pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint32_t width = 0, height = 0;
    uint16_t bits = 1, samples = 1, format = SAMPLEFORMAT_UINT, photometric = 0, compression = 1, planar = 1, orientation = 1;
    uint16_t extra_count = 0, *extra = NULL;
    uint32_t xmp_bytes = 0;
    const unsigned char *xmp = NULL;
    TIFF *tiff = page->tiff;
    if (!TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width) || !TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height) ||
        !TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &photometric))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s is a TIFF that does not say its width, height or colours; copy it again", page->name);
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &bits);
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &format);
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &compression);
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &planar);
    if (!TIFFGetField(tiff, TIFFTAG_ORIENTATION, &orientation) && TIFFGetField(tiff, TIFFTAG_XMLPACKET, &xmp_bytes, &xmp))
        orientation = (uint16_t)pfm_orientation_of_xmp(xmp, xmp_bytes);
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_EXTRASAMPLES, &extra_count, &extra);
    page->bits = bits;
    page->samples = samples;
    page->format = format;
    page->photometric = photometric;
    page->compression = compression;
    page->planes = planar == PLANARCONFIG_SEPARATE && samples > 1;
    page->orientation = orientation;
    page->premultiplied =
        photometric == PHOTOMETRIC_RGB && samples == 4 && extra_count == 1 && extra[0] == EXTRASAMPLE_ASSOCALPHA;
    PFM_TRY(check_compression(page, err));
    PFM_TRY(check_colours(page, err));
    PFM_TRY(check_sizes(page, width, height, err));
    page->width = (int)width;
    page->height = (int)height;
    if (compression == COMPRESSION_JPEG && photometric == PHOTOMETRIC_YCBCR) { /* libjpeg makes RGB of it */
        (void)TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
        page->photometric = PHOTOMETRIC_RGB;
    }
done:
    return status;
}

static pfm_status show(const unsigned char *bytes, size_t size, const char *name, const pfm_image_choice *choice,
                       pfm_image *out, pfm_image_applied *applied, pfm_error *err)
{
    pfm_status status = PFM_OK;
    source s = {.bytes = bytes, .size = size};
    pfm_tiff_page page = {.name = name, .said = &s.said};
    uint64_t offset = 0;
    if (size < 24)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s is a TIFF cut short within its header; copy it again", name);
    PFM_TRY(find_page(&s, name, choice->frame, &applied->frames, &offset, err));
    page.tiff = open_source(&s);
    if (page.tiff == NULL || !TIFFSetSubDirectory(page.tiff, offset))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s is a damaged or truncated TIFF: %.200s; copy it again", name,
                 s.said.message[0] != '\0' ? s.said.message : "its pages cannot be read");
    PFM_TRY(read_page(&page, err));
    s.reads_pixels = true;
    s.said.message[0] = '\0';
    PFM_TRY(pfm_tiff_show(&page, choice, out, applied, err));
    applied->orientation = page.orientation >= 1 && page.orientation <= 8 ? page.orientation : 1;
    PFM_TRY(pfm_orientation_apply(applied->orientation, out, err));
done:
    if (page.tiff != NULL)
        TIFFClose(page.tiff);
    return status;
}

const pfm_image_kind pfm_image_kind_tiff = {.name = "TIFF", .recognize = recognize, .show = show};
