#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void render(const json_t *document, FILE *out)
{
    const json_t *pictures = json_object_get(document, "pictures"), *one;
    size_t i;
    json_array_foreach(pictures, i, one) render(one, out);
    if (pictures != NULL)
        return;
    fprintf(out, "%s: %lld x %lld pixels\n", json_string_value(json_object_get(document, "out")),
            (long long)json_integer_value(json_object_get(document, "width")),
            (long long)json_integer_value(json_object_get(document, "height")));
}

/* "R,G,B" */
static pfm_status read_fill(const cli_call *call, uint8_t fill[3], pfm_error *err)
{
    const char *text = cli_get(call, "fill");
    const char *at = text;
    if (text == NULL)
        return PFM_OK;
    for (int i = 0; i < 3; i++) {
        char *end = NULL;
        const unsigned long value = *at >= '0' && *at <= '9' ? strtoul(at, &end, 10) : 256;
        if (value > 255 || *end != (i < 2 ? ',' : '\0'))
            return pfm_error_set(err, PFM_ERROR_USAGE,
                                 "--fill cannot be '%.40s'; it is R,G,B, each 0 to 255, as in 122,116,104", text);
        fill[i] = (uint8_t)value;
        at = end + 1;
    }
    return PFM_OK;
}

typedef struct shown {
    const char *path, *out;
    const pfm_series *series; /* NULL: the picture is no slice of one */
    size_t slice;
} shown;

static pfm_status add_document(const shown *what, const pfm_image *image, const pfm_image_applied *applied, json_t **out,
                               pfm_error *err)
{
    char *how = NULL;
    pfm_status status = pfm_image_applied_json(applied, &how, err);
    if (status == PFM_OK && what->series != NULL)
        status = pfm_series_tell(what->series, what->slice, &how, err);
    if (status == PFM_OK) {
        *out = json_pack("{s:s, s:s, s:i, s:i, s:i, s:o}", "image", what->path, "out", what->out, "frame", applied->frame,
                         "width", image->width, "height", image->height, "shown", json_loads(how, 0, NULL));
        if (*out == NULL)
            status = pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not describe a picture");
    }
    free(how);
    return status;
}

/* Writes the picture that a model would be given of one file. */
static pfm_status write_one(const char *file, const pfm_image_options *options, const shown *what, json_t **out, pfm_error *err)
{
    pfm_image image = {0};
    pfm_image_applied applied;
    pfm_status status = pfm_image_convert(file, options, &image, &applied, err);
    if (status == PFM_OK)
        status = pfm_image_write_png(&image, what->out, err);
    if (status == PFM_OK)
        status = add_document(what, &image, &applied, out, err);
    pfm_image_free(&image);
    return status;
}

static bool ends_with_png(const char *text)
{
    const size_t length = strlen(text);
    return length > 4 && strcasecmp(text + length - 4, ".png") == 0;
}

/* "seen.png" of slice 7 is "seen-007.png". */
static char *name_slice(const char *out, int number)
{
    const size_t length = strlen(out) + 20, stem = strlen(out) - (ends_with_png(out) ? 4 : 0);
    char *name = malloc(length);
    if (name != NULL)
        (void)snprintf(name, length, "%.*s-%03d%s", (int)stem, out, number, out + stem);
    return name;
}

/* In the words that ask has for it. */
static void warn_of_lack(const cli_call *call, const char *path, const pfm_series *series)
{
    char lacks[120], text[4300];
    cli_progress_state state = {.quiet = cli_has(call, "quiet")};
    if (!pfm_series_lacks(series, lacks))
        return;
    (void)snprintf(text, sizeof text, "%.4096s: %s", path, lacks);
    cli_show_log(&state, PFM_LOG_WARNING, text);
}

/* One slice as OUT.png, each of several as OUT-NUMBER.png. */
static pfm_status write_series(const char *path, const char *out, const pfm_series *series, pfm_image_options *options,
                               json_t **document, pfm_error *err)
{
    json_t *list = json_array();
    pfm_status status = PFM_OK;
    for (size_t i = 0; status == PFM_OK && i < series->count; i++) {
        char *name = series->count > 1 ? name_slice(out, series->slices[i].number) : strdup(out);
        json_t *one = NULL;
        options->frame = series->slices[i].frame;
        if (name == NULL)
            status = pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not name a picture");
        const shown what = {path, name, series, i};
        if (status == PFM_OK)
            status = write_one(series->slices[i].path, options, &what, &one, err);
        if (status == PFM_OK && json_array_append_new(list, one) != 0)
            status = pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not describe the pictures");
        free(name);
    }
    if (status == PFM_OK && series->count > 1)
        *document = json_pack("{s:s, s:I, s:s, s:O}", "image", path, "slices", (json_int_t)series->total, "order",
                              series->order, "pictures", list);
    else if (status == PFM_OK)
        *document = json_incref(json_array_get(list, 0));
    if (*document != NULL && series->count > 1 && series->asked > 0 &&
        json_object_set_new(*document, "slices_asked", json_integer((json_int_t)series->asked)) != 0)
        status = pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not describe the pictures");
    json_decref(list);
    return status;
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    const char *path = cli_operand(call, 0), *out = cli_operand(call, 1);
    const char *slices = cli_get(call, "slices"), *chosen = cli_get(call, "series");
    int64_t frame = 0, size = 0;
    json_t *document = NULL;
    pfm_series series = {0};
    pfm_status status = cli_get_integer(call, "frame", 0, 1000000, &frame, err);
    if (status == PFM_OK)
        status = cli_get_integer(call, "size", 1, 10000, &size, err);
    pfm_image_options options = {.looks_for_text = true,
                                 .frame = (int)frame,
                                 .window = cli_get(call, "window"),
                                 .square_pixels = cli_has(call, "square-pixels"),
                                 .size = (int)size,
                                 .fit = {.fit = cli_get(call, "fit"), .filter = cli_get(call, "filter")}};
    if (status == PFM_OK)
        status = read_fill(call, options.fit.fill, err);
    if (status == PFM_OK && size == 0 &&
        (options.fit.fit != NULL || options.fit.filter != NULL || cli_get(call, "fill") != NULL))
        status =
            pfm_error_set(err, PFM_ERROR_USAGE, "--fit, --filter and --fill say how a picture becomes a square; give --size");
    const bool is_series = slices != NULL || pfm_series_is(path, slices);
    if (status == PFM_OK && is_series && cli_get(call, "frame") != NULL)
        status = pfm_error_set(err, PFM_ERROR_USAGE, "--frame is of one file; choose slices of a series with --slices");
    if (status == PFM_OK && !is_series && chosen != NULL)
        status = pfm_error_set(err, PFM_ERROR_USAGE, "--series chooses among the series of a folder; %s is a file", path);
    if (status == PFM_OK && is_series)
        status = pfm_series_open(path, chosen, slices, &series, err);
    if (status == PFM_OK && is_series)
        warn_of_lack(call, path, &series);
    if (status == PFM_OK && is_series)
        status = write_series(path, out, &series, &options, &document, err);
    else if (status == PFM_OK)
        status = write_one(path, &options, &(shown){path, out, NULL, 0}, &document, err);
    if (status == PFM_OK)
        status = cli_print(call, document, render, err);
    json_decref(document);
    pfm_series_free(&series);
    return status;
}

static const cli_option options[] = {
    {"frame", "N", "which frame of a file that has several; they count from 0 (default 0)", NULL},
    {"window", "W", "CENTER,WIDTH or a window's name, for files that hold values (DICOM, NIfTI, 16-bit grey)", NULL},
    {"square-pixels", NULL, "where a pixel is higher than wide or the reverse, show it as it is in the body", NULL},
    {"series", "N|UID", "of a folder that holds several series: which", NULL},
    {"slices", "WHICH", "slices of a series: 8 (evenly spaced), 3,10,20, 40-60/5 or all (default: all of a folder)", NULL},
    {"size", "N", "resize to N x N, as a model sees it (default: the picture's own size)", NULL},
    {"fit", "HOW", "squash (default), crop, crop_round or pad to that square, as model.fit", NULL},
    {"filter", "NAME", "bicubic (default), bilinear, lanczos, box, hamming, bicubic_torch or bilinear_torch, as model.filter",
     NULL},
    {"fill", "R,G,B", "the colour that --fit pad puts beside the picture (default 0,0,0)", NULL},
    {0},
};

const cli_command cmd_image = {
    .name = "image",
    .arguments = "PATH OUT.png [--frame N] [--series N|UID] [--slices WHICH] [--window CENTER,WIDTH|NAME] [--square-pixels] "
                 "[--size N] [--fit HOW]",
    .summary = "writes the picture that a model would be given",
    .details =
        "PATH is a JPEG, PNG, DICOM, TIFF, WebP or NIfTI file, known by its content, or a folder. The result is an 8-bit RGB "
        "PNG: "
        "transparency is\n"
        "dropped, the orientation that a camera noted is undone, and --size resizes as training does (docs/images.md). N "
        "counts\n"
        "frames of DICOM, slices of NIfTI and pages of TIFF.\n"
        "Values of DICOM, NIfTI and 16-bit grey become grey through W: CENTER,WIDTH (with ,sigmoid or ,linear_exact behind); "
        "lung,\n"
        "bone, brain, abdomen, mediastinum, liver or stroke, in Hounsfield units; file, its own, which is the default; file:N "
        "or\n"
        "lut:N, where it has several; percentile; full. --json says what was applied (docs/dicom.md).\n"
        "Rows and columns stay as they are, also where a DICOM file's pixels are not square, unless --square-pixels.\n"
        "A folder is a series of DICOM files, sorted by where they lie; of several slices each is written, as "
        "OUT-NUMBER.png.\n\n"
        "pefomed image imgs/xmlab1/source.jpg seen.png --size 448\npefomed image scan.dcm seen.png --window lung\n"
        "pefomed image ct/ seen.png --slices 8",
    .options = options,
    .min_operands = 2,
    .max_operands = 2,
    .run = run,
};
