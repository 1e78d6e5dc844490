#include "image/image.h"

#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "image/kinds.h"
#include "image/window.h"

#include <stdio.h>
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

/* A picture of one frame with 8-bit values (or what was clipped to them): nothing to choose. */
static pfm_status check_choice(const char *name, const pfm_image_choice *choice, pfm_error *err)
{
    if (choice->frame != 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s has one frame, number 0; there is no frame %d", name, choice->frame);
    if (choice->window != NULL && choice->strict)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s is a finished picture, to which no window applies; leave out --window",
                             name);
    return PFM_OK;
}

static pfm_status decode(const unsigned char *bytes, size_t size, const char *name, const pfm_image_choice *choice,
                         pfm_image *out, pfm_image_applied *applied, pfm_error *err)
{
    *out = (pfm_image){0};
    if (size == 0)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s is empty: an image file (JPEG, PNG or DICOM) is needed", name);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!kinds[i]->recognize(bytes, size))
            continue;
        *applied = (pfm_image_applied){.frame = choice->frame, .frames = 1};
        (void)snprintf(applied->kind, sizeof applied->kind, "%s", kinds[i]->name);
        pfm_status status = kinds[i]->show == NULL ? check_choice(name, choice, err) : PFM_OK;
        if (status == PFM_OK)
            status = kinds[i]->show != NULL ? kinds[i]->show(bytes, size, name, choice, out, applied, err)
                                            : kinds[i]->decode(bytes, size, name, out, err);
        if (status != PFM_OK)
            pfm_image_free(out);
        return status;
    }
    const char *what = describe(bytes, size);
    if (what != NULL)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%s is %s; convert it to PNG or JPEG", name, what);
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s is %s, not an image; a JPEG, PNG or DICOM file is needed", name,
                         is_text(bytes, size) ? "text" : "of an unknown kind");
}

static pfm_status load(const char *path, const pfm_image_choice *choice, pfm_image *out, pfm_image_applied *applied,
                       pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_mapping file = {0}; /* of a file with many frames only what is looked at is read */
    *out = (pfm_image){0};
    PFM_TRY(pfm_mapping_open(path, &file, err));
    if (file.size > FILE_LIMIT)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s has %zu bytes; pictures of at most %zu are read", path, file.size, FILE_LIMIT);
    PFM_TRY(decode(file.data, file.size, path, choice, out, applied, err));
done:
    pfm_mapping_close(&file);
    return status;
}

pfm_status pfm_image_decode(const void *bytes, size_t size, const char *name, pfm_image *out, pfm_error *err)
{
    return pfm_image_decode_shown(bytes, size, name, NULL, out, err);
}

pfm_status pfm_image_decode_shown(const void *bytes, size_t size, const char *name, const char *window, pfm_image *out,
                                  pfm_error *err)
{
    const pfm_image_choice choice = {.window = window};
    pfm_image_applied applied;
    return decode(bytes, size, name, &choice, out, &applied, err);
}

pfm_status pfm_image_load(const char *path, pfm_image *out, pfm_error *err)
{
    pfm_image_applied applied;
    return pfm_image_load_shown(path, NULL, out, &applied, err);
}

pfm_status pfm_image_load_shown(const char *path, const char *window, pfm_image *out, pfm_image_applied *applied,
                                pfm_error *err)
{
    const pfm_image_choice choice = {.window = window};
    return load(path, &choice, out, applied, err);
}

static void mirror(pfm_image *image)
{
    const size_t width = (size_t)image->width;
    for (size_t y = 0; y < (size_t)image->height; y++) {
        uint8_t *row = image->rgb + 3 * width * y;
        for (size_t a = 0, b = width - 1; a < b; a++, b--) {
            uint8_t pixel[3];
            memcpy(pixel, row + 3 * a, 3);
            memcpy(row + 3 * a, row + 3 * b, 3);
            memcpy(row + 3 * b, pixel, 3);
        }
    }
}

pfm_status pfm_image_decode_file(const void *bytes, size_t size, const pfm_image_file *file, const char *window, pfm_image *out,
                                 pfm_error *err)
{
    const pfm_image_choice choice = {.frame = file->frame, .window = window};
    pfm_image_applied applied;
    pfm_status status = decode(bytes, size, file->path, &choice, out, &applied, err);
    if (status == PFM_OK && file->mirrored)
        mirror(out);
    return status;
}

pfm_status pfm_image_load_file(const pfm_image_file *file, const char *window, pfm_image *out, pfm_image_applied *applied,
                               pfm_error *err)
{
    const pfm_image_choice choice = {.frame = file->frame, .window = window};
    pfm_status status = load(file->path, &choice, out, applied, err);
    if (status == PFM_OK && file->mirrored)
        mirror(out);
    return status;
}

pfm_status pfm_image_check_window(const char *window, pfm_error *err)
{
    pfm_window parsed;
    return pfm_window_parse(window, &parsed, err);
}

pfm_status pfm_image_convert(const char *path, const pfm_image_options *options, pfm_image *out, pfm_image_applied *applied,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_image own = {0};
    const pfm_image_choice choice = {.frame = options->frame, .window = options->window, .strict = true};
    *out = (pfm_image){0};
    if (options->size < 0 || options->size > SIZE_LIMIT)
        PFM_FAIL(PFM_ERROR_USAGE, "a picture cannot be resized to %d x %d; give a size from 1 to %d", options->size,
                 options->size, SIZE_LIMIT);
    PFM_TRY(load(path, &choice, &own, applied, err));
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

pfm_status pfm_image_applied_json(const pfm_image_applied *applied, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *document = json_pack("{s:s, s:i, s:i}", "kind", applied->kind, "frame", applied->frame, "frames", applied->frames);
    if (document == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not describe a picture");
    if (applied->rows_toward[0] != '\0' && applied->columns_toward[0] != '\0') {
        PFM_TRY(pfm_json_take(document, "rows_toward", json_string(applied->rows_toward), err));
        PFM_TRY(pfm_json_take(document, "columns_toward", json_string(applied->columns_toward), err));
    }
    if (applied->has_values) {
        PFM_TRY(pfm_json_take(document, "modality", json_string(applied->modality), err));
        PFM_TRY(pfm_json_take(document, "window", json_string(applied->window), err));
        PFM_TRY(pfm_json_take(document, "function", json_string(applied->function), err));
        PFM_TRY(pfm_json_take(document, "center", pfm_json_number(applied->center), err));
        PFM_TRY(pfm_json_take(document, "width", pfm_json_number(applied->width), err));
        if (applied->has_modality_lut)
            PFM_TRY(pfm_json_take(document, "modality_lut", json_true(), err));
        PFM_TRY(pfm_json_take(document, "slope", pfm_json_number(applied->slope), err));
        PFM_TRY(pfm_json_take(document, "intercept", pfm_json_number(applied->intercept), err));
        PFM_TRY(pfm_json_take(document, "inverted", json_boolean(applied->inverted), err));
    }
    *json = json_dumps(document, JSON_COMPACT);
    if (*json == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not describe a picture");
done:
    json_decref(document);
    return status;
}
