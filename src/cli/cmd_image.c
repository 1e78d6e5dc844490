#include "cli.h"

#include <stdlib.h>

static void render(const json_t *document, FILE *out)
{
    fprintf(out, "%s: %lld x %lld pixels\n", json_string_value(json_object_get(document, "out")),
            (long long)json_integer_value(json_object_get(document, "width")),
            (long long)json_integer_value(json_object_get(document, "height")));
}

/* "R,G,B" */
static pfm_status read_fill(const cli_call *call, uint8_t fill[3], pfm_error *err)
{
    const char *text = cli_get(call, "fill");
    unsigned r, g, b;
    char behind;
    if (text == NULL)
        return PFM_OK;
    if (sscanf(text, "%3u,%3u,%3u%c", &r, &g, &b, &behind) != 3 || r > 255 || g > 255 || b > 255)
        return pfm_error_set(err, PFM_ERROR_USAGE, "--fill cannot be '%.40s'; it is R,G,B, each 0 to 255, as in 122,116,104",
                             text);
    fill[0] = (uint8_t)r;
    fill[1] = (uint8_t)g;
    fill[2] = (uint8_t)b;
    return PFM_OK;
}

/* Writes the picture that a model would be given. */
static pfm_status run(cli_call *call, pfm_error *err)
{
    const char *path = cli_operand(call, 0), *out = cli_operand(call, 1);
    int64_t frame = 0, size = 0;
    pfm_status status = cli_get_integer(call, "frame", 0, 1000000, &frame, err);
    if (status == PFM_OK)
        status = cli_get_integer(call, "size", 1, 10000, &size, err);
    if (status != PFM_OK)
        return status;
    pfm_image image = {0};
    pfm_image_options options = {.frame = (int)frame,
                                 .window = cli_get(call, "window"),
                                 .square_pixels = cli_has(call, "square-pixels"),
                                 .size = (int)size,
                                 .fit = {.fit = cli_get(call, "fit"), .filter = cli_get(call, "filter")}};
    status = read_fill(call, options.fit.fill, err);
    if (status == PFM_OK && size == 0 &&
        (options.fit.fit != NULL || options.fit.filter != NULL || cli_get(call, "fill") != NULL))
        status =
            pfm_error_set(err, PFM_ERROR_USAGE, "--fit, --filter and --fill say how a picture becomes a square; give --size");
    if (status != PFM_OK)
        return status;
    pfm_image_applied applied;
    char *how = NULL;
    status = pfm_image_convert(path, &options, &image, &applied, err);
    if (status == PFM_OK)
        status = pfm_image_write_png(&image, out, err);
    if (status == PFM_OK)
        status = pfm_image_applied_json(&applied, &how, err);
    if (status == PFM_OK) {
        json_t *document = json_pack("{s:s, s:s, s:i, s:i, s:i, s:o}", "image", path, "out", out, "frame", (int)frame, "width",
                                     image.width, "height", image.height, "shown", json_loads(how, 0, NULL));
        status = cli_print(call, document, render, err);
        json_decref(document);
    }
    free(how);
    pfm_image_free(&image);
    return status;
}

static const cli_option options[] = {
    {"frame", "N", "which frame of a file that has several; they count from 0 (default 0)", NULL},
    {"window", "W", "CENTER,WIDTH or a window's name, for files that hold values (DICOM, NIfTI, 16-bit grey)", NULL},
    {"square-pixels", NULL, "where a pixel is higher than wide or the reverse, show it as it is in the body", NULL},
    {"size", "N", "resize to N x N, as a model sees it (default: the picture's own size)", NULL},
    {"fit", "HOW", "squash (default), crop, crop_round or pad to that square, as model.fit", NULL},
    {"filter", "NAME", "bicubic (default), bilinear, lanczos, box, hamming, bicubic_torch or bilinear_torch, as model.filter",
     NULL},
    {"fill", "R,G,B", "the colour that --fit pad puts beside the picture (default 0,0,0)", NULL},
    {0},
};

const cli_command cmd_image = {
    .name = "image",
    .arguments = "PATH OUT.png [--frame N] [--window CENTER,WIDTH|NAME] [--square-pixels] [--size N] [--fit HOW]",
    .summary = "writes the picture that a model would be given",
    .details =
        "PATH is a JPEG, PNG, DICOM, TIFF, WebP or NIfTI file, known by its content. The result is an 8-bit RGB PNG: "
        "transparency is\n"
        "dropped, the orientation that a camera noted is undone, and --size resizes as training does (docs/images.md). N "
        "counts\n"
        "frames of DICOM, slices of NIfTI and pages of TIFF.\n"
        "Values of DICOM, NIfTI and 16-bit grey become grey through W: CENTER,WIDTH (with ,sigmoid or ,linear_exact behind); "
        "lung,\n"
        "bone, brain, abdomen, mediastinum, liver or stroke, in Hounsfield units; file, its own, which is the default; file:N "
        "or\n"
        "lut:N, where it has several; percentile; full. --json says what was applied (docs/dicom.md).\n"
        "Rows and columns stay as they are, also where a DICOM file's pixels are not square, unless --square-pixels.\n\n"
        "pefomed image imgs/xmlab1/source.jpg seen.png --size 448\npefomed image scan.dcm seen.png --window lung",
    .options = options,
    .min_operands = 2,
    .max_operands = 2,
    .run = run,
};
