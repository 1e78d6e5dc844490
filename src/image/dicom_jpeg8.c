/* Sequential JPEG of 8 bits by libjpeg-turbo: its exact integer DCT and smooth upsampling, as DCMTK and Pillow have them. */
#include "image/dicom_codec.h"

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

/* What libjpeg may take: the coefficients of a frame whose components come one after the other. */
#define MOST_MEMORY (256L << 20)

typedef struct reader {
    struct jpeg_error_mgr errors; /* first, so that libjpeg's pointer to it is one to the reader */
    struct jpeg_decompress_struct info;
    jmp_buf escape;
} reader;

/* Leaves libjpeg, whose own reaction would be to end the process. */
static void fail(j_common_ptr info) { longjmp(((reader *)(void *)info->err)->escape, 1); }

/* After a warning pixels may be made up. */
static void fail_if_warned(j_common_ptr info, int level)
{
    if (level < 0)
        fail(info);
}

static void stay_silent(j_common_ptr info) { (void)info; }

/* Everything that libjpeg may leave by a jump. No local variable is read after one. */
static bool read_rows(reader *r, const pfm_dicom_stream *in, unsigned char *out)
{
    if (setjmp(r->escape) != 0)
        return false;
    jpeg_create_decompress(&r->info);
    r->info.mem->max_memory_to_use = MOST_MEMORY;
    jpeg_mem_src(&r->info, in->bytes, (unsigned long)in->size);
    (void)jpeg_read_header(&r->info, TRUE);
    r->info.out_color_space = r->info.jpeg_color_space; /* no colours are converted */
    const size_t row = (size_t)in->layout->columns * (size_t)in->layout->samples;
    if (r->info.image_width != (JDIMENSION)in->layout->columns || r->info.image_height != (JDIMENSION)in->layout->rows ||
        r->info.num_components != in->layout->samples)
        return false;
    (void)jpeg_start_decompress(&r->info);
    if (r->info.output_components != in->layout->samples)
        return false;
    while (r->info.output_scanline < r->info.output_height) {
        JSAMPROW to = out + row * r->info.output_scanline;
        (void)jpeg_read_scanlines(&r->info, &to, 1);
    }
    (void)jpeg_finish_decompress(&r->info);
    return true;
}

bool pfm_dicom_decode_jpeg8(const pfm_dicom_stream *in, void *out)
{
    reader r = {0};
    r.info.err = jpeg_std_error(&r.errors);
    r.errors.error_exit = fail;
    r.errors.emit_message = fail_if_warned;
    r.errors.output_message = stay_silent;
    const bool sound = read_rows(&r, in, out);
    jpeg_destroy_decompress(&r.info);
    return sound;
}
