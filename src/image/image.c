#include "image/image.h"

#include "base/file.h"
#include "base/try.h"
#include "image/kinds.h"

#include <stdlib.h>
#include <string.h>

/* A file of encoded bytes larger than any picture within the pixel limit has reason to be. */
#define FILE_LIMIT ((size_t)1 << 30)

/* The longest side of a square within PFM_IMAGE_MAX_PIXELS. */
#define SIZE_LIMIT 13377

#define KIND_ADDRESS(kind) &pfm_image_kind_##kind,
static const pfm_image_kind *const kinds[] = {PFM_IMAGE_KINDS(KIND_ADDRESS)};

void pfm_image_free(pfm_image *image)
{
    if (image == NULL)
        return;
    free(image->rgb);
    *image = (pfm_image){0};
}

pfm_status pfm_image_create(int width, int height, const char *name, pfm_image *out, pfm_error *err)
{
    *out = (pfm_image){0};
    if (width < 1 || height < 1)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s is %d x %d pixels: there is no picture in it", name, width, height);
    if (width > PFM_IMAGE_MAX_SIDE || height > PFM_IMAGE_MAX_SIDE || width > PFM_IMAGE_MAX_PIXELS / height)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s is %d x %d pixels; at most %d in all and sides of %d are read", name,
                             width, height, PFM_IMAGE_MAX_PIXELS, PFM_IMAGE_MAX_SIDE);
    pfm_status status = pfm_allocate((size_t)width * (size_t)height, 3, &out->rgb, err);
    if (status == PFM_OK) {
        out->width = width;
        out->height = height;
    }
    return status;
}

static bool is_text(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size && i < 512; i++) {
        if (bytes[i] < 32 && strchr("\t\n\r\f", bytes[i]) == NULL)
            return false;
        if (bytes[i] == 0)
            return false;
    }
    return size > 0;
}

/* What a file that no kind recognises seems to be, to make the error one that a person can act on. */
static const char *describe(const unsigned char *bytes, size_t size)
{
    static const struct {
        size_t offset, length;
        const char *magic, *what;
    } known[] = {
        {128, 4, "DICM", "a DICOM file, which a later version will read"},
        {0, 4, "II*\0", "a TIFF file"},
        {0, 4, "MM\0*", "a TIFF file"},
        {0, 4, "GIF8", "a GIF file"},
        {0, 2, "BM", "a BMP file"},
        {8, 4, "WEBP", "a WebP file"},
        {0, 12, "\0\0\0\x0CjP  \r\n\x87\n", "a JPEG 2000 file"},
        {0, 4, "\xFF\x4F\xFF\x51", "a JPEG 2000 codestream"},
        {0, 5, "%PDF-", "a PDF file"},
        {0, 4, "PK\3\4", "a zip archive"},
        {0, 2, "\x1F\x8B", "a gzip file (NIfTI volumes often are)"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (size >= known[i].offset + known[i].length && memcmp(bytes + known[i].offset, known[i].magic, known[i].length) == 0)
            return known[i].what;
    }
    return NULL;
}

pfm_status pfm_image_decode(const void *bytes, size_t size, const char *name, pfm_image *out, pfm_error *err)
{
    *out = (pfm_image){0};
    if (size == 0)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s is empty: an image file (JPEG or PNG) is needed", name);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!kinds[i]->recognize(bytes, size))
            continue;
        pfm_status status = kinds[i]->decode(bytes, size, name, out, err);
        if (status != PFM_OK)
            pfm_image_free(out);
        return status;
    }
    const char *what = describe(bytes, size);
    if (what != NULL)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%s is %s; convert it to PNG or JPEG", name, what);
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s is %s, not an image; a JPEG or PNG file is needed", name,
                         is_text(bytes, size) ? "text" : "of an unknown kind");
}

pfm_status pfm_image_load(const char *path, pfm_image *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer file = {0};
    *out = (pfm_image){0};
    PFM_TRY(pfm_file_read(path, FILE_LIMIT, &file, err));
    PFM_TRY(pfm_image_decode(file.data, file.size, path, out, err));
done:
    pfm_buffer_free(&file);
    return status;
}

/* JPEG and PNG hold one picture of 8-bit values (or what was clipped to them): nothing to choose. */
static pfm_status check_options(const char *path, const pfm_image_options *options, pfm_error *err)
{
    if (options->frame != 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s has one frame, number 0; there is no frame %d", path, options->frame);
    if (options->window != NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s is a finished picture, to which no window applies; leave out --window",
                             path);
    if (options->size < 0 || options->size > SIZE_LIMIT)
        return pfm_error_set(err, PFM_ERROR_USAGE, "a picture cannot be resized to %d x %d; give a size from 1 to %d",
                             options->size, options->size, SIZE_LIMIT);
    return PFM_OK;
}

pfm_status pfm_image_convert(const char *path, const pfm_image_options *options, pfm_image *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_image own = {0};
    *out = (pfm_image){0};
    PFM_TRY(pfm_image_load(path, &own, err));
    PFM_TRY(check_options(path, options, err));
    if (options->size > 0) {
        PFM_TRY(pfm_image_resize_bicubic(&own, options->size, options->size, out, err));
    } else {
        *out = own;
        own = (pfm_image){0};
    }
done:
    pfm_image_free(&own);
    return status;
}
