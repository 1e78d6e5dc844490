#include "image/image.h"

#include "base/context.h"
#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "image/kinds.h"
#include "image/orientation.h"
#include "image/window.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file of encoded bytes larger than any picture within the pixel limit has reason to be. */
#define FILE_LIMIT ((size_t)1 << 30)

/* The longest side of a square within PFM_IMAGE_MAX_PIXELS. */
#define SIZE_LIMIT 8192

/* As errors list them. */
#define KIND_NAMES "JPEG, PNG, DICOM, TIFF, WebP or NIfTI"

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
        {0, 4, "GIF8", "a GIF file"},
        {0, 2, "BM", "a BMP file"},
        {0, 12, "\0\0\0\x0CjP  \r\n\x87\n", "a JPEG 2000 file"},
        {0, 4, "\xFF\x4F\xFF\x51", "a JPEG 2000 codestream"},
        {0, 5, "%PDF-", "a PDF file"},
        {0, 4, "PK\3\4", "a zip archive"},
        {0, 2, "\x1F\x8B", "a gzip file that holds no NIfTI volume or is cut short"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (size >= known[i].offset + known[i].length && memcmp(bytes + known[i].offset, known[i].magic, known[i].length) == 0)
            return known[i].what;
    }
    return NULL;
}

pfm_status pfm_image_check_finished(const char *name, const pfm_image_choice *choice, pfm_error *err)
{
    if (choice->frame != 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s has one frame, number 0; there is no frame %d", name, choice->frame);
    if (choice->window != NULL && choice->strict)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s is a finished picture, to which no window applies; leave out --window",
                             name);
    return PFM_OK;
}

static const pfm_image_kind *find_kind(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i]->recognize(bytes, size))
            return kinds[i];
    return NULL;
}

const char *pfm_image_kind_of(const void *bytes, size_t size)
{
    const pfm_image_kind *kind = find_kind(bytes, size);
    return kind != NULL ? kind->name : NULL;
}

bool pfm_image_may_hold_values(const void *bytes, size_t size)
{
    const pfm_image_kind *kind = find_kind(bytes, size);
    return kind != NULL && kind->show != NULL && (kind->may_hold_values == NULL || kind->may_hold_values(bytes, size));
}

int pfm_image_orientation(const void *bytes, size_t size)
{
    const pfm_image_kind *kind = find_kind(bytes, size);
    return kind != NULL && kind->orientation != NULL ? kind->orientation(bytes, size) : 1;
}

static pfm_status decode_as(const pfm_image_kind *kind, const unsigned char *bytes, size_t size, const char *name,
                            const pfm_image_choice *choice, pfm_image *out, pfm_image_applied *applied, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *applied = (pfm_image_applied){.frame = choice->frame, .frames = 1, .orientation = 1, .pixel_aspect = 1};
    (void)snprintf(applied->kind, sizeof applied->kind, "%s", kind->name);
    if (kind->show != NULL) {
        PFM_TRY(kind->show(bytes, size, name, choice, out, applied, err));
    } else {
        PFM_TRY(pfm_image_check_finished(name, choice, err));
        PFM_TRY(kind->decode(bytes, size, name, out, err));
    }
    if (kind->orientation != NULL) {
        applied->orientation = kind->orientation(bytes, size);
        if (!kind->turns)
            PFM_TRY(pfm_orientation_apply(applied->orientation, out, err));
    }
done:
    if (status != PFM_OK)
        pfm_image_free(out);
    return status;
}

static pfm_status decode(const unsigned char *bytes, size_t size, const char *name, const pfm_image_choice *choice,
                         pfm_image *out, pfm_image_applied *applied, pfm_error *err)
{
    *out = (pfm_image){0};
    if (size == 0)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s is empty: an image file (" KIND_NAMES ") is needed", name);
    const pfm_image_kind *kind = find_kind(bytes, size);
    if (kind != NULL)
        return decode_as(kind, bytes, size, name, choice, out, applied, err);
    const char *what = describe(bytes, size);
    if (what != NULL)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%s is %s; convert it to PNG or JPEG", name, what);
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s is %s, not an image; a file of " KIND_NAMES " is needed", name,
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

/* Exchanges left and right, also in what is said of them. */
static pfm_status mirror(pfm_image *image, pfm_image_applied *applied, pfm_error *err)
{
    static const char sides[] = "LRAPHF"; /* each beside its opposite */
    for (char *side = applied->rows_toward; *side != '\0'; side++) {
        const char *known = strchr(sides, *side);
        if (known != NULL)
            *side = sides[(known - sides) ^ 1];
    }
    return pfm_orientation_apply(2, image, err);
}

pfm_status pfm_image_decode_file(const void *bytes, size_t size, const pfm_image_file *file, const char *window, pfm_image *out,
                                 pfm_image_applied *applied, pfm_error *err)
{
    const pfm_image_choice choice = {.frame = file->frame, .window = window};
    pfm_image_applied unused;
    applied = applied != NULL ? applied : &unused;
    pfm_status status = decode(bytes, size, file->path, &choice, out, applied, err);
    return status == PFM_OK && file->mirrored ? mirror(out, applied, err) : status;
}

void pfm_image_values_free(pfm_image_values *values)
{
    free(values->data);
    *values = (pfm_image_values){0};
}

pfm_status pfm_image_decode_values(const void *bytes, size_t size, const pfm_image_file *file, pfm_image_values *out,
                                   pfm_image_applied *applied, pfm_error *err)
{
    const pfm_image_choice choice = {.frame = file->frame, .values = out};
    pfm_image shown = {0};
    *out = (pfm_image_values){0};
    const pfm_status status = decode(bytes, size, file->path, &choice, &shown, applied, err);
    if (status != PFM_OK || applied->orientation != 1)
        pfm_image_values_free(out);
    pfm_image_free(&shown);
    return status;
}

static pfm_threads *threads_of(const pfm_context *context) { return context != NULL ? context->threads : NULL; }

pfm_status pfm_image_load_file(const pfm_image_file *file, const char *window, const pfm_context *context, pfm_image *out,
                               pfm_image_applied *applied, pfm_error *err)
{
    const pfm_image_choice choice = {.frame = file->frame, .window = window, .threads = threads_of(context)};
    pfm_status status = load(file->path, &choice, out, applied, err);
    return status == PFM_OK && file->mirrored ? mirror(out, applied, err) : status;
}

pfm_status pfm_image_check_window(const char *window, pfm_error *err)
{
    pfm_window parsed;
    return pfm_window_parse(window, &parsed, err);
}

/* The picture at the shape that it has where its pixels are square: the sparser way gets more of them. */
static pfm_status make_square(const char *path, pfm_image *image, double aspect, pfm_error *err)
{
    enum { MOST = 100 }; /* slices of a volume seen from the side are some twenty times as thick as wide */
    const double width = aspect < 1 ? image->width / aspect : image->width, height = image->height * (aspect > 1 ? aspect : 1);
    pfm_image square = {0};
    if (!(aspect > 1.0 / MOST && aspect < MOST) || width > PFM_IMAGE_MAX_SIDE || height > PFM_IMAGE_MAX_SIDE)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                             "%s: its pixels are %g times as high as wide, of which no picture with square ones is made; leave "
                             "out --square-pixels",
                             path, aspect);
    pfm_status status = pfm_image_resize_bicubic(image, (int)(width + 0.5), (int)(height + 0.5), &square, err);
    if (status != PFM_OK)
        return status;
    pfm_image_free(image);
    *image = square;
    return PFM_OK;
}

pfm_status pfm_image_convert(const char *path, const pfm_image_options *options, pfm_image *out, pfm_image_applied *applied,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_image own = {0};
    const pfm_image_choice choice = {
        .frame = options->frame, .window = options->window, .strict = true, .threads = threads_of(options->context)};
    *out = (pfm_image){0};
    if (options->size < 0 || options->size > SIZE_LIMIT)
        PFM_FAIL(PFM_ERROR_USAGE, "a picture cannot be resized to %d x %d; give a size from 1 to %d", options->size,
                 options->size, SIZE_LIMIT);
    PFM_TRY(pfm_image_check_fit(&options->fit, err));
    PFM_TRY(load(path, &choice, &own, applied, err));
    if (options->looks_for_text)
        PFM_TRY(pfm_image_look_for_text(&own, applied, err));
    if (options->square_pixels && applied->pixel_aspect != 1)
        PFM_TRY(make_square(path, &own, applied->pixel_aspect, err));
    if (options->size > 0) {
        PFM_TRY(pfm_image_fit_square(&own, &options->fit, options->size, out, err));
        pfm_image_record_fit(options->fit.fit, applied);
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
    if (applied->pixel_aspect != 1)
        PFM_TRY(pfm_json_take(document, "pixel_aspect", pfm_json_number(applied->pixel_aspect), err));
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
    if (applied->orientation > 1)
        PFM_TRY(pfm_json_take(document, "orientation", json_integer(applied->orientation), err));
    if (applied->axes[0] != '\0')
        PFM_TRY(pfm_json_take(document, "axes", json_string(applied->axes), err));
    if (applied->fit[0] != '\0')
        PFM_TRY(pfm_json_take(document, "fit", json_string(applied->fit), err));
    if (applied->burned_in != PFM_BURNED_IN_NOT_SAID)
        PFM_TRY(pfm_json_take(document, "burned_in", json_string(applied->burned_in == PFM_BURNED_IN_YES ? "yes" : "no"), err));
    if (applied->looked_for_text) {
        PFM_TRY(pfm_json_take(document, "text_like", json_boolean(applied->text_rows > 0), err));
        PFM_TRY(pfm_json_take(document, "text_rows", json_integer(applied->text_rows), err));
    }
    PFM_TRY(pfm_json_print(document, json, err));
done:
    json_decref(document);
    return status;
}
