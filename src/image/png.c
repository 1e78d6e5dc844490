/* PNG by libpng, every colour type and depth, interlaced or not. */
#include "base/file.h"
#include "base/try.h"
#include "image/kinds.h"
#include "image/orientation.h"
#include "image/png_chunks.h"
#include "image/values.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

typedef struct reader {
    const unsigned char *bytes;
    size_t size, position;
    const char *name;
    pfm_image *out;
    png_structp png;
    png_infop info;
    int orientation;
    png_bytep *rows;
    uint16_t *wide;         /* 16-bit grey samples */
    unsigned char *strip;   /* rows that are not where they belong yet */
    pfm_orientation turned; /* how they come there */
    pfm_status status;
    pfm_error *err;
} reader;

static bool recognize(const unsigned char *bytes, size_t size)
{
    return size >= 8 && memcmp(bytes, "\x89PNG\r\n\x1A\n", 8) == 0;
}

static PNG_NORETURN void fail(png_structp png, png_const_charp reason)
{
    reader *r = png_get_error_ptr(png);
    r->status = pfm_error_set(r->err, PFM_ERROR_FORMAT, "%s is a damaged or truncated PNG: %s; copy it again", r->name, reason);
    png_longjmp(png, 1);
}

static void pass_over(png_structp png, png_const_charp warning)
{
    (void)png;
    (void)warning;
}

static void give_bytes(png_structp png, png_bytep out, size_t count)
{
    reader *r = png_get_io_ptr(png);
    if (count > r->size - r->position)
        png_error(png, "the file ends too early");
    memcpy(out, r->bytes + r->position, count);
    r->position += count;
}

/* Sets up the conversion to 8-bit RGB. Grey of 16 bits stays as it is: a window makes a picture of it. */
static bool set_transforms(reader *r)
{
    int depth = png_get_bit_depth(r->png, r->info), type = png_get_color_type(r->png, r->info);
    bool wide_grey = depth == 16 && type == PNG_COLOR_TYPE_GRAY;
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(r->png);
    if (type == PNG_COLOR_TYPE_GRAY && depth < 8)
        png_set_expand_gray_1_2_4_to_8(r->png);
    if (depth == 16 && !wide_grey)
        png_set_strip_16(r->png);
    if (wide_grey)
        png_set_swap(r->png); /* to this machine's order: x86-64's */
    if ((type & PNG_COLOR_MASK_COLOR) == 0 && !wide_grey)
        png_set_gray_to_rgb(r->png);
    png_set_strip_alpha(r->png); /* also what a palette's tRNS became */
    (void)png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    return wide_grey;
}

/* Bytes of the file's own samples: their inflating is what takes long. Where there are more than MOST_UNASKED, each byte of the
 * file stands for MOST_PACKED at most; deflate reaches 1032, with a picture in which nothing is. */
#define MOST_BYTES ((size_t)1 << 28)
#define MOST_UNASKED ((size_t)1 << 26)
enum { MOST_PACKED = 500 };

static pfm_status check_bytes(reader *r, int width, int height)
{
    const size_t bits = (size_t)png_get_bit_depth(r->png, r->info) * png_get_channels(r->png, r->info);
    if ((size_t)width * (size_t)height > MOST_BYTES * 8 / bits)
        return pfm_error_set(r->err, PFM_ERROR_FORMAT, "%s is %d x %d pixels of %zu bits; at most %zu bytes in all are read",
                             r->name, width, height, bits, MOST_BYTES);
    if (bits == 16 && png_get_channels(r->png, r->info) == 1)
        return pfm_values_check_size(r->name, width, height, 1, 2, r->err);
    const size_t samples = (size_t)width * (size_t)height * bits / 8;
    if (samples > MOST_UNASKED && samples / MOST_PACKED > r->size)
        return pfm_error_set(r->err, PFM_ERROR_FORMAT,
                             "%s has %zu bytes for %d x %d pixels, which only a picture of nothing can have, or one made to "
                             "exhaust its reader; at most %zu bytes of such pixels are read",
                             r->name, r->size, width, height, MOST_UNASKED);
    return PFM_OK;
}

static pfm_status make_room(reader *r, int width, int height, bool wide_grey)
{
    pfm_status status = PFM_OK;
    pfm_error *err = r->err;
    size_t row_bytes = (size_t)width * (wide_grey ? 2 : 3);
    PFM_TRY(pfm_allocate((size_t)height, sizeof *r->rows, &r->rows, err));
    if (wide_grey)
        PFM_TRY(pfm_allocate((size_t)width * (size_t)height, sizeof *r->wide, &r->wide, err));
    for (size_t y = 0; y < (size_t)height; y++)
        r->rows[y] = (wide_grey ? (unsigned char *)r->wide : r->out->rgb) + y * row_bytes;
done:
    return status;
}

/* Rows that are read before they are turned: as many as fit into a processor's cache, and the bytes from one to the next, no
 * multiple of a page, so that a column of them does too. */
enum { STRIP_ROWS = 64, STRIP_BYTES = 1 << 20, STRIP_PAD = 64 };

static size_t strip_stride(const reader *r)
{
    return ((size_t)r->turned.width * 3 + STRIP_PAD - 1) / STRIP_PAD * STRIP_PAD + STRIP_PAD;
}

static int strip_rows(const reader *r)
{
    const size_t fit = STRIP_BYTES / strip_stride(r);
    return fit < 1 ? 1 : fit > STRIP_ROWS ? STRIP_ROWS : (int)fit;
}

/* A picture of 8 bits that is to be turned and not interlaced goes to its place as it is read, and never stands there twice. */
static void read_turned(reader *r)
{
    const int rows = strip_rows(r);
    for (int y = 0; y < r->turned.height; y += rows) {
        const int count = r->turned.height - y < rows ? r->turned.height - y : rows;
        for (int i = 0; i < count; i++)
            png_read_row(r->png, r->strip + (size_t)i * strip_stride(r), NULL);
        pfm_orientation_place(&r->turned, r->strip, strip_stride(r), y, count, r->out);
    }
}

/* Everything that libpng may leave by a jump. No local variable is read after one. */
static void read_pixels(reader *r)
{
    if (setjmp(png_jmpbuf(r->png)) != 0)
        return;
    png_set_read_fn(r->png, r, give_bytes);
    png_set_user_limits(r->png, PFM_IMAGE_MAX_SIDE, PFM_IMAGE_MAX_SIDE);
    png_set_keep_unknown_chunks(r->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1); /* text, profiles, gamma: no part of the pixels */
    png_read_info(r->png, r->info);
    int width = (int)png_get_image_width(r->png, r->info), height = (int)png_get_image_height(r->png, r->info);
    r->status = check_bytes(r, width, height);
    if (r->status != PFM_OK)
        return;
    if (!pfm_png_is_whole(r->bytes, r->size)) /* rather now than when all before it is inflated */
        png_error(r->png, "the file ends too early");
    const bool interlaced = png_get_interlace_type(r->png, r->info) != PNG_INTERLACE_NONE;
    const bool wide_grey = set_transforms(r), in_strips = r->orientation > 1 && !interlaced && !wide_grey;
    r->turned = pfm_orientation_of(in_strips ? r->orientation : 1, width, height);
    if (png_get_rowbytes(r->png, r->info) != (size_t)width * (wide_grey ? 2 : 3))
        r->status = pfm_error_set(r->err, PFM_ERROR_UNSUPPORTED,
                                  "%s is a PNG of an unknown layout; convert it to an 8-bit RGB PNG", r->name);
    if (r->status == PFM_OK) /* of values too, whose size is checked alike */
        r->status =
            pfm_image_create(r->turned.swaps ? height : width, r->turned.swaps ? width : height, r->name, r->out, r->err);
    if (r->status == PFM_OK)
        r->status = in_strips ? pfm_allocate((size_t)strip_rows(r), strip_stride(r), &r->strip, r->err)
                              : make_room(r, width, height, wide_grey);
    if (r->status != PFM_OK)
        return;
    if (in_strips)
        read_turned(r);
    else
        png_read_image(r->png, r->rows);
    png_read_end(r->png, NULL);
}

/* What could not be turned while it was read. */
static pfm_status turn(reader *r) { return r->strip != NULL ? PFM_OK : pfm_orientation_apply(r->orientation, r->out, r->err); }

static pfm_status show_values(reader *r, const pfm_image_choice *choice, pfm_image_applied *applied)
{
    const pfm_values_meaning meaning = {.slope = 1};
    const pfm_dicom_frame frame = {
        .width = r->out->width, .height = r->out->height, .samples = 1, .bits = 16, .kind = DICOM_U16, .data = r->wide};
    pfm_image_free(r->out);
    return pfm_values_show(r->name, &frame, &meaning, choice, r->out, applied, r->err);
}

static pfm_status show(const unsigned char *bytes, size_t size, const char *name, const pfm_image_choice *choice,
                       pfm_image *out, pfm_image_applied *applied, pfm_error *err)
{
    reader r = {.bytes = bytes,
                .size = size,
                .name = name,
                .out = out,
                .orientation = pfm_png_orientation(bytes, size),
                .status = PFM_OK,
                .err = err};
    r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, fail, pass_over);
    r.info = r.png == NULL ? NULL : png_create_info_struct(r.png);
    if (r.info == NULL)
        r.status = pfm_error_set(err, PFM_ERROR_NO_MEMORY, "not enough memory to read %s", name);
    else
        read_pixels(&r);
    png_destroy_read_struct(&r.png, &r.info, NULL);
    if (r.status == PFM_OK && choice->frame != 0 && r.wide != NULL)
        r.status = pfm_image_check_finished(name, &(pfm_image_choice){.frame = choice->frame}, err);
    if (r.status == PFM_OK)
        r.status = r.wide != NULL ? show_values(&r, choice, applied) : pfm_image_check_finished(name, choice, err);
    if (r.status == PFM_OK)
        r.status = turn(&r);
    free(r.rows);
    free(r.wide);
    free(r.strip);
    return r.status;
}

/* By its first chunk, IHDR: grey of 16 bits. */
static bool may_hold_values(const unsigned char *bytes, size_t size)
{
    enum { DEPTH_AT = 24, COLOR_AT = 25 };
    return size > COLOR_AT && bytes[DEPTH_AT] == 16 && bytes[COLOR_AT] == PNG_COLOR_TYPE_GRAY;
}

const pfm_image_kind pfm_image_kind_png = {.name = "PNG",
                                           .recognize = recognize,
                                           .show = show,
                                           .orientation = pfm_png_orientation,
                                           .turns = true,
                                           .may_hold_values = may_hold_values};

typedef struct writer {
    pfm_buffer *bytes;
    png_structp png;
    png_infop info;
    pfm_status status;
    const char *path;
    pfm_error *err;
} writer;

static PNG_NORETURN void fail_writing(png_structp png, png_const_charp reason)
{
    writer *w = png_get_error_ptr(png);
    if (w->status == PFM_OK)
        w->status = pfm_error_set(w->err, PFM_ERROR_IO, "cannot write %s: %s", w->path, reason);
    png_longjmp(png, 1);
}

static void take_bytes(png_structp png, png_bytep bytes, size_t count)
{
    writer *w = png_get_io_ptr(png);
    w->status = pfm_buffer_append(w->bytes, bytes, count, w->err);
    if (w->status != PFM_OK)
        png_error(png, "not enough memory");
}

static void flush_nothing(png_structp png) { (void)png; }

/* grey [width]: room for a row of one channel; NULL: three are written. */
static void encode(writer *w, const pfm_image *image, uint8_t *grey)
{
    if (setjmp(png_jmpbuf(w->png)) != 0)
        return;
    png_set_write_fn(w->png, w, take_bytes, flush_nothing);
    png_set_user_limits(w->png, PFM_IMAGE_MAX_SIDE, PFM_IMAGE_MAX_SIDE);
    png_set_IHDR(w->png, w->info, (png_uint_32)image->width, (png_uint_32)image->height, 8,
                 grey != NULL ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(w->png, w->info);
    for (size_t y = 0; y < (size_t)image->height; y++) {
        const uint8_t *row = image->rgb + y * (size_t)image->width * 3;
        for (size_t x = 0; grey != NULL && x < (size_t)image->width; x++)
            grey[x] = row[3 * x];
        png_write_row(w->png, grey != NULL ? grey : row);
    }
    png_write_end(w->png, NULL);
}

static pfm_status write_to(const pfm_image *image, const char *path, bool quickly, uint8_t *grey, pfm_buffer *out,
                           pfm_error *err)
{
    pfm_status status = PFM_OK;
    writer w = {.bytes = out, .status = PFM_OK, .path = path, .err = err};
    w.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &w, fail_writing, pass_over);
    w.info = w.png == NULL ? NULL : png_create_info_struct(w.png);
    if (w.info == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "not enough memory to write %s", path);
    if (quickly) {
        png_set_compression_level(w.png, 1);
        png_set_filter(w.png, PNG_FILTER_TYPE_BASE, PNG_FILTER_SUB);
    }
    encode(&w, image, grey);
    status = w.status;
done:
    png_destroy_write_struct(&w.png, &w.info);
    return status;
}

static bool is_grey(const pfm_image *image)
{
    const size_t pixels = (size_t)image->width * (size_t)image->height;
    for (size_t i = 0; i < pixels; i++)
        if (image->rgb[3 * i] != image->rgb[3 * i + 1] || image->rgb[3 * i] != image->rgb[3 * i + 2])
            return false;
    return true;
}

pfm_status pfm_image_append_png(const pfm_image *image, const char *name, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint8_t *grey = NULL;
    if (is_grey(image))
        PFM_TRY(pfm_allocate((size_t)image->width, 1, &grey, err));
    PFM_TRY(write_to(image, name, true, grey, out, err));
done:
    free(grey);
    return status;
}

/* Of more pixels than this the best of five filters is not sought for each row: it takes longer than to decode them. */
#define LARGE_PIXELS ((size_t)1 << 24)

pfm_status pfm_image_encode_png(const pfm_image *image, const char *name, pfm_buffer *out, pfm_error *err)
{
    const size_t pixels = (size_t)image->width * (size_t)image->height;
    return write_to(image, name, pixels > LARGE_PIXELS, NULL, out, err);
}

pfm_status pfm_image_write_png(const pfm_image *image, const char *path, pfm_error *err)
{
    pfm_buffer bytes = {0};
    pfm_status status = pfm_image_encode_png(image, path, &bytes, err);
    if (status == PFM_OK)
        status = pfm_file_write(path, bytes.data, bytes.size, err);
    pfm_buffer_free(&bytes);
    return status;
}
