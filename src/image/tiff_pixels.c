#include "image/tiff_pixels.h"

#include "base/memory.h"
#include "base/try.h"
#include "image/ink.h"
#include "image/values.h"

#include <stdlib.h>
#include <string.h>

static pfm_status refuse_damaged(const pfm_tiff_page *page, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s is a damaged or truncated TIFF: %.200s; copy it again", page->name,
                         page->said->message[0] != '\0' ? page->said->message : "pixels are missing");
}

/* A run of pixels of one row, as they lie in a strip or tile: of all samples, or of sample `plane` alone. */
typedef struct run {
    const unsigned char *bytes;
    int x, y, count, plane;
} run;

/* Where the runs of a page go. */
typedef struct sink {
    const pfm_tiff_page *page;
    unsigned char *values; /* [height][width] samples of values, or NULL */
    unsigned char *rgb;    /* [height][width][3] */
    unsigned char *ink;    /* [height][width], black ink of planes, or NULL */
    unsigned char *alpha;  /* the same of alpha that colours were multiplied by */
} sink;

/* Sample i of a run in 8 bits: of 16 the upper ones; fewer are an index, or a grey of that many steps. */
static unsigned sample_at(const pfm_tiff_page *page, const unsigned char *bytes, size_t i)
{
    if (page->bits == 8)
        return bytes[i];
    if (page->bits == 16)
        return bytes[2 * i + 1]; /* libtiff gives them in this machine's order: x86-64's */
    const size_t bit = i * (size_t)page->bits;
    return (unsigned)(bytes[bit / 8] >> (8 - (int)(bit % 8) - page->bits)) & ((1u << page->bits) - 1);
}

static void put_grey(const pfm_tiff_page *page, unsigned value, unsigned char *rgb)
{
    const unsigned most = page->bits < 8 ? (1u << page->bits) - 1 : 255;
    const unsigned grey = value * 255 / most;
    memset(rgb, (int)(page->photometric == PHOTOMETRIC_MINISWHITE ? 255 - grey : grey), 3);
}

static void put_palette(const pfm_tiff_page *page, unsigned value, unsigned char *rgb)
{
    for (int c = 0; c < 3; c++)
        rgb[c] = (unsigned char)(page->palette_of_bytes ? page->palette[c][value] : page->palette[c][value] >> 8);
}

/* A colour before it was multiplied by alpha, as Pillow divides. */
static unsigned char divide(unsigned colour, unsigned alpha)
{
    const unsigned value = alpha == 0 ? 0 : colour * 255 / alpha;
    return (unsigned char)(value > 255 ? 255 : value);
}

static void put_pixel(const pfm_tiff_page *page, const unsigned char *bytes, size_t i, unsigned char *rgb)
{
    const size_t first = i * (size_t)page->samples;
    if (page->photometric == PHOTOMETRIC_PALETTE) {
        put_palette(page, sample_at(page, bytes, first), rgb);
    } else if (page->photometric == PHOTOMETRIC_SEPARATED) {
        for (size_t c = 0; c < 3; c++)
            rgb[c] = pfm_ink_to_light(sample_at(page, bytes, first + c), 255 - sample_at(page, bytes, first + 3));
    } else if (page->photometric == PHOTOMETRIC_RGB) {
        for (size_t c = 0; c < 3; c++)
            rgb[c] = (unsigned char)sample_at(page, bytes, first + c);
        for (size_t c = 0; page->premultiplied && c < 3; c++)
            rgb[c] = divide(rgb[c], sample_at(page, bytes, first + 3));
    } else {
        put_grey(page, sample_at(page, bytes, first), rgb);
    }
}

/* A sample of a plane: colours to their channel, what changes all of them aside until all are there. */
static void put_plane(const sink *to, const run *r, size_t i, size_t pixel)
{
    const pfm_tiff_page *page = to->page;
    const unsigned value = sample_at(page, r->bytes, i);
    const bool coloured = page->photometric == PHOTOMETRIC_RGB || page->photometric == PHOTOMETRIC_SEPARATED;
    if (coloured && r->plane < 3)
        to->rgb[3 * pixel + (size_t)r->plane] = (unsigned char)value;
    else if (r->plane == 3 && to->ink != NULL)
        to->ink[pixel] = (unsigned char)value;
    else if (r->plane == 3 && to->alpha != NULL)
        to->alpha[pixel] = (unsigned char)value;
    else if (!coloured && r->plane == 0 && page->photometric == PHOTOMETRIC_PALETTE)
        put_palette(page, value, to->rgb + 3 * pixel);
    else if (!coloured && r->plane == 0)
        put_grey(page, value, to->rgb + 3 * pixel);
}

/* Whole grey of 8 bits, or colours that nothing else goes with; false: it is something else. */
static bool put_bytes(const pfm_tiff_page *page, const unsigned char *bytes, size_t count, unsigned char *rgb)
{
    const bool dark = page->photometric == PHOTOMETRIC_MINISBLACK, light = page->photometric == PHOTOMETRIC_MINISWHITE;
    const unsigned char flip = light ? 255 : 0;
    if (page->bits != 8 || page->planes)
        return false;
    if (page->photometric == PHOTOMETRIC_RGB && page->samples == 3) {
        memcpy(rgb, bytes, 3 * count);
        return true;
    }
    if (!(dark || light) || page->samples != 1)
        return false;
    for (size_t i = 0; i < count; i++)
        rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = bytes[i] ^ flip;
    return true;
}

static void put_run(const sink *to, const run *r)
{
    const size_t first = (size_t)r->y * (size_t)to->page->width + (size_t)r->x;
    if (to->values != NULL) {
        const size_t bytes = (size_t)to->page->bits / 8;
        memcpy(to->values + first * bytes, r->bytes, (size_t)r->count * bytes);
        return;
    }
    if (put_bytes(to->page, r->bytes, (size_t)r->count, to->rgb + 3 * first))
        return;
    for (size_t i = 0; i < (size_t)r->count; i++) {
        if (to->page->planes)
            put_plane(to, r, i, first + i);
        else
            put_pixel(to->page, r->bytes, i, to->rgb + 3 * (first + i));
    }
}

/* Strips, a row at a time, so that a strip of the whole page needs no memory of its own. */
static pfm_status read_rows(const pfm_tiff_page *page, const sink *to, pfm_error *err)
{
    pfm_status status = PFM_OK;
    unsigned char *row = NULL;
    const size_t needed = ((size_t)page->width * (size_t)(page->planes ? 1 : page->samples) * (size_t)page->bits + 7) / 8;
    const tmsize_t bytes = TIFFScanlineSize(page->tiff);
    if (bytes < (tmsize_t)needed)
        return refuse_damaged(page, err);
    PFM_TRY(pfm_allocate((size_t)bytes, 1, &row, err));
    for (int plane = 0; plane < (page->planes ? page->samples : 1); plane++) {
        for (int y = 0; y < page->height; y++) {
            if (TIFFReadScanline(page->tiff, row, (uint32_t)y, (uint16_t)plane) < 0 || page->said->message[0] != '\0') {
                status = refuse_damaged(page, err);
                goto done;
            }
            put_run(to, &(run){.bytes = row, .y = y, .count = page->width, .plane = plane});
        }
    }
done:
    free(row);
    return status;
}

static void put_tile(const pfm_tiff_page *page, const sink *to, const unsigned char *tile, int x, int y, int width, int height,
                     int plane)
{
    const size_t row = ((size_t)width * (size_t)(page->planes ? 1 : page->samples) * (size_t)page->bits + 7) / 8;
    for (int j = 0; j < height && y + j < page->height; j++)
        put_run(to, &(run){.bytes = tile + (size_t)j * row,
                           .x = x,
                           .y = y + j,
                           .count = width < page->width - x ? width : page->width - x,
                           .plane = plane});
}

static pfm_status read_tiles(const pfm_tiff_page *page, const sink *to, pfm_error *err)
{
    pfm_status status = PFM_OK;
    unsigned char *tile = NULL;
    uint32_t width = 0, height = 0;
    (void)TIFFGetField(page->tiff, TIFFTAG_TILEWIDTH, &width);
    (void)TIFFGetField(page->tiff, TIFFTAG_TILELENGTH, &height);
    const tmsize_t bytes = TIFFTileSize(page->tiff);
    const size_t row = ((size_t)width * (size_t)(page->planes ? 1 : page->samples) * (size_t)page->bits + 7) / 8;
    if (bytes <= 0 || (size_t)bytes < row * height)
        return refuse_damaged(page, err);
    PFM_TRY(pfm_allocate((size_t)bytes, 1, &tile, err));
    for (int plane = 0; plane < (page->planes ? page->samples : 1); plane++) {
        for (int64_t y = 0; y < page->height; y += height) {
            for (int64_t x = 0; x < page->width; x += width) {
                const uint32_t number = TIFFComputeTile(page->tiff, (uint32_t)x, (uint32_t)y, 0, (uint16_t)plane);
                if (TIFFReadEncodedTile(page->tiff, number, tile, bytes) < bytes || page->said->message[0] != '\0') {
                    status = refuse_damaged(page, err);
                    goto done;
                }
                put_tile(page, to, tile, (int)x, (int)y, (int)width, (int)height, plane);
            }
        }
    }
done:
    free(tile);
    return status;
}

/* YCbCr that no JPEG holds: libtiff's own conversion. */
static pfm_status read_by_libtiff(const pfm_tiff_page *page, pfm_image *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint32_t *raster = NULL;
    const size_t pixels = (size_t)page->width * (size_t)page->height;
    if (pixels > (size_t)1 << 25)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s is a YCbCr TIFF of %d x %d pixels, which is too large to read", page->name, page->width,
                 page->height);
    PFM_TRY(pfm_allocate(pixels, sizeof *raster, &raster, err));
    if (!TIFFReadRGBAImageOriented(page->tiff, (uint32_t)page->width, (uint32_t)page->height, raster, page->orientation, 1) ||
        page->said->message[0] != '\0') {
        status = refuse_damaged(page, err);
        goto done;
    }
    for (size_t i = 0; i < pixels; i++) {
        out->rgb[3 * i] = (uint8_t)TIFFGetR(raster[i]);
        out->rgb[3 * i + 1] = (uint8_t)TIFFGetG(raster[i]);
        out->rgb[3 * i + 2] = (uint8_t)TIFFGetB(raster[i]);
    }
done:
    free(raster);
    return status;
}

/* What the fourth plane does to the colours, which are all there now. */
static void finish_planes(const sink *to, size_t pixels)
{
    for (size_t i = 0; i < pixels; i++) {
        for (size_t c = 0; c < 3; c++) {
            unsigned char *value = to->rgb + 3 * i + c;
            if (to->ink != NULL)
                *value = pfm_ink_to_light(*value, 255u - to->ink[i]);
            else if (to->alpha != NULL)
                *value = divide(*value, to->alpha[i]);
        }
    }
}

static pfm_status read_picture(const pfm_tiff_page *page, pfm_image *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sink to = {.page = page};
    const size_t pixels = (size_t)page->width * (size_t)page->height;
    PFM_TRY(pfm_image_create(page->width, page->height, page->name, out, err));
    to.rgb = out->rgb;
    if (page->photometric == PHOTOMETRIC_YCBCR) {
        PFM_TRY(read_by_libtiff(page, out, err));
        goto done;
    }
    if (page->planes && page->photometric == PHOTOMETRIC_SEPARATED)
        PFM_TRY(pfm_allocate(pixels, 1, &to.ink, err));
    if (page->planes && page->premultiplied)
        PFM_TRY(pfm_allocate(pixels, 1, &to.alpha, err));
    PFM_TRY(TIFFIsTiled(page->tiff) ? read_tiles(page, &to, err) : read_rows(page, &to, err));
    if (to.ink != NULL || to.alpha != NULL)
        finish_planes(&to, pixels);
done:
    free(to.ink);
    free(to.alpha);
    return status;
}

pfm_status pfm_tiff_show(const pfm_tiff_page *page, const pfm_image_choice *choice, pfm_image *out, pfm_image_applied *applied,
                         pfm_error *err)
{
    pfm_status status = PFM_OK;
    sink to = {.page = page};
    if (page->frame_kind < 0) {
        const pfm_image_choice rest = {.window = choice->window, .strict = choice->strict};
        PFM_TRY(pfm_image_check_finished(page->name, &rest, err));
        PFM_TRY(read_picture(page, out, err));
        goto done;
    }
    PFM_TRY(pfm_allocate((size_t)page->width * (size_t)page->height, (size_t)page->bits / 8, &to.values, err));
    PFM_TRY(TIFFIsTiled(page->tiff) ? read_tiles(page, &to, err) : read_rows(page, &to, err));
    const pfm_dicom_frame frame = {.width = page->width,
                                   .height = page->height,
                                   .samples = 1,
                                   .bits = page->bits,
                                   .kind = (pfm_dicom_kind)page->frame_kind,
                                   .data = to.values};
    const pfm_values_meaning meaning = {.slope = 1, .inverted = page->photometric == PHOTOMETRIC_MINISWHITE};
    PFM_TRY(pfm_values_show(page->name, &frame, &meaning, choice, out, applied, err));
done:
    free(to.values);
    return status;
}
