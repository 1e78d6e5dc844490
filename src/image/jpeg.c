/* JPEG by libjpeg-turbo: the exact integer DCT and smooth ("fancy") upsampling, which are its defaults and Pillow's. */
#include "base/file.h"
#include "base/try.h"
#include "image/ink.h"
#include "image/kinds.h"
#include "image/orientation.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

/* A progressive file may pretend to any number of passes over the whole picture; real ones have some ten. A small picture may
 * have more of them than a large one, whose passes take longer. */
#define MAX_SCANS 500
#define LEAST_SCANS 15
#define PASSED_PIXELS ((size_t)3 << 28)

/* What libjpeg may take, for the coefficients of a progressive picture above all. */
#define MOST_MEMORY (256L << 20)

typedef struct reader {
    struct jpeg_error_mgr errors; /* first, so that libjpeg's pointer to it is one to the reader */
    struct jpeg_progress_mgr progress;
    struct jpeg_decompress_struct info;
    jmp_buf escape;
    const char *name;
    pfm_image *out;
    unsigned char *ink; /* one row of CMYK */
    pfm_status status;
    pfm_error *err;
} reader;

static bool recognize(const unsigned char *bytes, size_t size)
{
    return size >= 3 && bytes[0] == 0xFF && bytes[1] == 0xD8 && bytes[2] == 0xFF;
}

/* Whether a segment APP1 holds this: behind its length is a name that ends with a zero byte. */
static bool is_segment(const unsigned char *segment, size_t length, const char *name)
{
    return length >= 2 + strlen(name) + 1 && memcmp(segment + 4, name, strlen(name) + 1) == 0;
}

/* What the first APP1 segment with EXIF says, before the picture's data begin; where it says nothing, the first with XMP. */
static int orientation(const unsigned char *bytes, size_t size)
{
    static const char exif_name[] = "Exif", xmp_name[] = "http://ns.adobe.com/xap/1.0/";
    int exif = -1, xmp = -1; /* not met yet */
    for (size_t at = 2; size - at >= 4 && bytes[at] == 0xFF;) {
        const unsigned marker = bytes[at + 1];
        const size_t length = (size_t)bytes[at + 2] << 8 | bytes[at + 3];
        if (marker == 0xFF) { /* filling */
            at++;
            continue;
        }
        if (marker == 0xDA || length < 2 || length > size - at - 2)
            break;
        if (marker == 0xE1 && exif < 0 && is_segment(bytes + at, length, exif_name))
            exif = pfm_orientation_of_exif(bytes + at + 4, length - 2);
        else if (marker == 0xE1 && xmp < 0 && is_segment(bytes + at, length, xmp_name))
            xmp = pfm_orientation_of_xmp(bytes + at + 4 + sizeof xmp_name, length - 2 - sizeof xmp_name);
        at += 2 + length;
    }
    return exif > 0 ? exif : xmp > 0 ? xmp : 1;
}

/* Leaves libjpeg, whose own reaction would be to end the process. */
static void fail(j_common_ptr info)
{
    reader *r = (reader *)(void *)info->err;
    char reason[JMSG_LENGTH_MAX];
    info->err->format_message(info, reason);
    bool other = info->err->msg_code == JERR_BAD_PRECISION || info->err->msg_code == JERR_SOF_UNSUPPORTED ||
                 info->err->msg_code == JERR_CONVERSION_NOTIMPL;
    if (info->err->msg_code == JERR_NO_BACKING_STORE) /* its way to say that it would need more than it may take */
        r->status =
            pfm_error_set(r->err, PFM_ERROR_FORMAT,
                          "%s is a progressive JPEG of %u x %u pixels, which takes more than %ld MiB to read; convert it to a "
                          "baseline JPEG or PNG",
                          r->name, r->info.image_width, r->info.image_height, MOST_MEMORY >> 20);
    else if (info->err->msg_code == JERR_OUT_OF_MEMORY)
        r->status = pfm_error_set(r->err, PFM_ERROR_NO_MEMORY, "not enough memory to read %s", r->name);
    else if (other)
        r->status = pfm_error_set(r->err, PFM_ERROR_UNSUPPORTED, "%s is a JPEG that is not read here: %s; convert it to PNG",
                                  r->name, reason);
    else
        r->status =
            pfm_error_set(r->err, PFM_ERROR_FORMAT, "%s is a damaged or truncated JPEG: %s; copy it again", r->name, reason);
    longjmp(r->escape, 1);
}

/* libjpeg invents pixels where data are missing and merely warns. A made-up picture is worse than an error here; warnings after
 * which every pixel is still right are passed over. */
static void judge_warning(j_common_ptr info, int level)
{
    if (level >= 0)
        return;
    switch (info->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC: fail(info); break;
    default: break;
    }
}

static void stay_silent(j_common_ptr info) { (void)info; }

static void limit_scans(j_common_ptr info)
{
    reader *r = (reader *)(void *)info->err;
    const size_t pixels = (size_t)r->info.image_width * r->info.image_height;
    int most = pixels > PASSED_PIXELS / MAX_SCANS ? (int)(PASSED_PIXELS / pixels) : MAX_SCANS;
    most = most < LEAST_SCANS ? LEAST_SCANS : most;
    if (r->info.input_scan_number > most) {
        r->status = pfm_error_set(r->err, PFM_ERROR_FORMAT, "%s is a JPEG of more than %d scans, which no honest file has",
                                  r->name, most);
        longjmp(r->escape, 1);
    }
}

/* One row of CMYK as Adobe writes it (0 is full ink) to RGB. */
static void ink_to_rgb(const unsigned char *ink, unsigned char *rgb, int width)
{
    for (int x = 0; x < width; x++, ink += 4, rgb += 3) {
        unsigned light = ink[3]; /* 255 - k */
        for (int c = 0; c < 3; c++)
            rgb[c] = pfm_ink_to_light(255u - ink[c], light);
    }
}

static bool choose_output(reader *r)
{
    int components = r->info.num_components;
    if (components == 1 || components == 3)
        r->info.out_color_space = JCS_RGB;
    else if (components == 4)
        r->info.out_color_space = JCS_CMYK;
    else
        r->status = pfm_error_set(r->err, PFM_ERROR_UNSUPPORTED, "%s is a JPEG of %d components; 1, 3 or 4 are read", r->name,
                                  components);
    return r->status == PFM_OK;
}

/* Everything between the creation of libjpeg's objects and their destruction; `fail` comes back to the setjmp. No local
 * variable is read after a jump. */
static void read_pixels(reader *r, const unsigned char *bytes, size_t size)
{
    if (setjmp(r->escape) != 0)
        return;
    jpeg_create_decompress(&r->info);
    r->info.progress = &r->progress;
    r->info.mem->max_memory_to_use = MOST_MEMORY;
    jpeg_mem_src(&r->info, bytes, (unsigned long)size);
    (void)jpeg_read_header(&r->info, TRUE);
    if (!choose_output(r))
        return;
    r->status = pfm_image_create((int)r->info.image_width, (int)r->info.image_height, r->name, r->out, r->err);
    if (r->status != PFM_OK)
        return;
    (void)jpeg_start_decompress(&r->info);
    size_t width = r->info.output_width;
    bool inked = r->info.out_color_space == JCS_CMYK;
    if (inked)
        r->status = pfm_allocate(width, 4, &r->ink, r->err);
    while (r->status == PFM_OK && r->info.output_scanline < r->info.output_height) {
        unsigned char *rgb = r->out->rgb + (size_t)r->info.output_scanline * width * 3;
        JSAMPROW row = inked ? r->ink : rgb;
        (void)jpeg_read_scanlines(&r->info, &row, 1);
        if (inked)
            ink_to_rgb(r->ink, rgb, (int)width);
    }
    if (r->status == PFM_OK)
        (void)jpeg_finish_decompress(&r->info);
}

static pfm_status decode(const unsigned char *bytes, size_t size, const char *name, pfm_image *out, pfm_error *err)
{
    reader r = {.name = name, .out = out, .err = err, .status = PFM_OK};
    r.info.err = jpeg_std_error(&r.errors);
    r.errors.error_exit = fail;
    r.errors.emit_message = judge_warning;
    r.errors.output_message = stay_silent;
    r.progress.progress_monitor = limit_scans;
    read_pixels(&r, bytes, size);
    jpeg_destroy_decompress(&r.info);
    free(r.ink);
    return r.status;
}

const pfm_image_kind pfm_image_kind_jpeg = {
    .name = "JPEG", .recognize = recognize, .decode = decode, .orientation = orientation};

typedef struct writer {
    struct jpeg_error_mgr errors; /* first, as in reader */
    struct jpeg_destination_mgr destination;
    struct jpeg_compress_struct info;
    jmp_buf escape;
    const char *path;
    pfm_buffer bytes;
    JOCTET piece[4096]; /* on its way to bytes */
    pfm_status status;
    pfm_error *err;
} writer;

static void keep(j_compress_ptr info, size_t count)
{
    writer *w = (writer *)(void *)info->err;
    w->status = pfm_buffer_append(&w->bytes, w->piece, count, w->err);
    if (w->status != PFM_OK)
        longjmp(w->escape, 1);
    w->destination.next_output_byte = w->piece;
    w->destination.free_in_buffer = sizeof w->piece;
}

static void begin_keeping(j_compress_ptr info) { keep(info, 0); }

static boolean keep_piece(j_compress_ptr info)
{
    keep(info, sizeof((writer *)(void *)info->err)->piece);
    return TRUE;
}

static void keep_rest(j_compress_ptr info)
{
    writer *w = (writer *)(void *)info->err;
    keep(info, sizeof w->piece - w->destination.free_in_buffer);
}

static void fail_writing(j_common_ptr info)
{
    writer *w = (writer *)(void *)info->err;
    char reason[JMSG_LENGTH_MAX];
    info->err->format_message(info, reason);
    pfm_status code = info->err->msg_code == JERR_OUT_OF_MEMORY ? PFM_ERROR_NO_MEMORY : PFM_ERROR_USAGE;
    w->status = pfm_error_set(w->err, code, "cannot write %s: %s", w->path, reason);
    longjmp(w->escape, 1);
}

/* Everything that libjpeg may leave by a jump. */
static void encode(writer *w, const uint8_t *grey, int width, int height, int quality)
{
    if (setjmp(w->escape) != 0)
        return;
    jpeg_create_compress(&w->info);
    w->destination.init_destination = begin_keeping;
    w->destination.empty_output_buffer = keep_piece;
    w->destination.term_destination = keep_rest;
    w->info.dest = &w->destination;
    w->info.image_width = (JDIMENSION)width;
    w->info.image_height = (JDIMENSION)height;
    w->info.input_components = 1;
    w->info.in_color_space = JCS_GRAYSCALE;
    jpeg_set_defaults(&w->info);
    jpeg_set_quality(&w->info, quality, TRUE);
    jpeg_start_compress(&w->info, TRUE);
    while (w->info.next_scanline < w->info.image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(grey + (size_t)w->info.next_scanline * (size_t)width);
        (void)jpeg_write_scanlines(&w->info, &row, 1);
    }
    jpeg_finish_compress(&w->info);
}

pfm_status pfm_image_write_grey_jpeg(const uint8_t *grey, int width, int height, int quality, const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    writer w = {.path = path, .err = err, .status = PFM_OK};
    if (width < 1 || height < 1 || width > JPEG_MAX_DIMENSION || height > JPEG_MAX_DIMENSION || quality < 1 || quality > 100)
        return pfm_error_set(err, PFM_ERROR_USAGE, "cannot write %s: a JPEG of %d x %d pixels and quality %d cannot be", path,
                             width, height, quality);
    w.info.err = jpeg_std_error(&w.errors);
    w.errors.error_exit = fail_writing;
    w.errors.output_message = stay_silent;
    encode(&w, grey, width, height, quality);
    PFM_TRY(w.status);
    PFM_TRY(pfm_file_write(path, w.bytes.data, w.bytes.size, err));
done:
    jpeg_destroy_compress(&w.info);
    pfm_buffer_free(&w.bytes);
    return status;
}
