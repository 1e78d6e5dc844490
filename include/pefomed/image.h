/* Pictures: from a file's bytes to 8-bit RGB, resized as the models were trained on, and back to a file.
 *
 * JPEG, PNG, TIFF and WebP files are finished pictures, but for grey of 16 bits and more. What comes out of decoding and
 * resizing is what Pillow (13 or later) gives for `ImageOps.exif_transpose(Image.open(f)).convert("RGB")` and `.resize(...)`,
 * byte for byte: alpha is dropped, the orientation that a camera noted is undone, colour profiles and gamma are not applied,
 * CMYK in a JPEG is read in Adobe's inverted sense. Unlike Pillow, a file that ends before its end marker or whose data are
 * damaged is an error, never a picture with invented parts. docs/images.md says all of it.
 *
 * DICOM and NIfTI files, and PNG and TIFF of 16-bit grey, hold values; a window makes grey of them (PS3.3, C.11), docs/dicom.md
 * says how. A frame is decoded alone, and what is wrong with a file is said without what it holds of a patient.
 *
 * The functions keep no state and may run in several threads at once. */
#ifndef PEFOMED_IMAGE_H
#define PEFOMED_IMAGE_H

#include "pefomed/context.h"
#include "pefomed/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* More pixels than this (8192 x 8192) or a longer side are refused: with what decoders need beside it a picture stays within
 * 512 MiB. */
#define PFM_IMAGE_MAX_PIXELS 67108864
#define PFM_IMAGE_MAX_SIDE 1000000

typedef struct pfm_image {
    int width, height; /* at least 1 */
    uint8_t *rgb;      /* [height][width][3], row-major */
} pfm_image;

/* Releases the pixels and zeroes the struct; NULL and {0} are allowed. */
void pfm_image_free(pfm_image *image);

/* *out = the picture in a file; its kind is told by its content, never by its name. The caller calls pfm_image_free.
 * IO: the file cannot be read. FORMAT: no picture, cut short, damaged or too large. UNSUPPORTED: a kind that is not read. */
pfm_status pfm_image_load(const char *path, pfm_image *out, pfm_error *err) PFM_MUST_CHECK;

/* The same from bytes; `name` is what errors call them. On error *out is {0}. */
pfm_status pfm_image_decode(const void *bytes, size_t size, const char *name, pfm_image *out, pfm_error *err) PFM_MUST_CHECK;

/* What a file says of text burned into its pixels (DICOM's Burned In Annotation). */
typedef enum pfm_burned_in { PFM_BURNED_IN_NOT_SAID, PFM_BURNED_IN_NO, PFM_BURNED_IN_YES } pfm_burned_in;

/* What made a picture out of a file. */
typedef struct pfm_image_applied {
    char kind[16];                          /* "JPEG", "PNG", "DICOM", "TIFF", "WebP", "NIfTI" */
    int frame, frames;                      /* which one it is, from 0, and how many there are */
    double pixel_aspect;                    /* a pixel's height by its width; 1: they are square, or nothing says otherwise */
    char rows_toward[4], columns_toward[4]; /* to which side of the patient a row goes, from left to right, and a column, from
                                               top to bottom: "L", "R", "A", "P", "H" (head), "F" (feet), of what is oblique
                                               the largest share first, as "LA"; "" where the file does not say. Nothing is
                                               turned by it */
    bool has_values;                        /* false for a finished picture, of which the rest says nothing */
    char modality[17];                      /* "CT" */
    char window[24];   /* "file:0" (of the file's windows), "lut:0" (of its VOI LUTs), "given", a name as "lung", "percentile",
                          "full", or "stored": 8-bit values as they are */
    char function[16]; /* "LINEAR", "LINEAR_EXACT", "SIGMOID"; "LUT" */
    double center, width; /* in the units of the values; NaN for a LUT */
    bool has_modality_lut;
    double slope, intercept; /* unit = stored * slope + intercept, where there is no modality LUT */
    bool inverted;           /* MONOCHROME1: high is dark */
    int orientation;         /* how the camera was held, as EXIF counts it, which was undone: 1 to 8 */
    char axes[3]; /* of NIfTI: which side of the patient lies to the right and below, in its letters, as "LP"; "": not known */
    char fit[16]; /* how it became a square where that is not by squashing all of it: "crop", ...; "" */
    pfm_burned_in burned_in;
    bool looked_for_text; /* with pfm_image_find_text; loading does not */
    int text_rows;        /* how many were found */
} pfm_image_applied;

/* *rows = how many rows of what looks like text are in the pixels, of letters at least 4 pixels high
 * (docs/privacy.md says what is found and how often); 0: none was found, which proves nothing. */
pfm_status pfm_image_find_text(const pfm_image *image, int *rows, pfm_error *err) PFM_MUST_CHECK;
/* The same, into what made the picture. */
pfm_status pfm_image_look_for_text(const pfm_image *image, pfm_image_applied *applied, pfm_error *err) PFM_MUST_CHECK;
/* Whether the file says that there is text in its pixels or some was found. */
bool pfm_image_has_text(const pfm_image_applied *applied);

/* "JPEG", ...: what the bytes, which may be the first of a file, begin as; NULL for what is not read. */
const char *pfm_image_kind_of(const void *bytes, size_t size);
/* Whether a file that begins so may hold values, of which a window makes a picture. Of DICOM and TIFF only decoding tells
 * whether it does (pfm_image_applied.has_values). */
bool pfm_image_may_hold_values(const void *bytes, size_t size);
/* How the camera was held that a whole JPEG, PNG or WebP file tells of, as EXIF counts it; 1 where it tells nothing, and of
 * other kinds. */
int pfm_image_orientation(const void *bytes, size_t size);
/* One picture of a file, and how it is turned. */
typedef struct pfm_image_file {
    const char *path;
    int frame;     /* from 0 */
    bool mirrored; /* left and right are exchanged */
} pfm_image_file;

/* *out = the picture, as pfm_image_load_shown gives the first of a file. The caller calls pfm_image_free. USAGE also for a
 * frame that is not there. A JPEG 2000 frame is decoded on the context's threads, which must be idle; NULL: on the caller's. */
pfm_status pfm_image_load_file(const pfm_image_file *file, const char *window, const pfm_context *context, pfm_image *out,
                               pfm_image_applied *applied, pfm_error *err) PFM_MUST_CHECK;
/* The same from the file's bytes, on the caller's thread; applied NULL: it is not asked for. */
pfm_status pfm_image_decode_file(const void *bytes, size_t size, const pfm_image_file *file, const char *window, pfm_image *out,
                                 pfm_image_applied *applied, pfm_error *err) PFM_MUST_CHECK;

/* pfm_image_load and pfm_image_decode with a window, as `--window` takes it, for files that hold values (of others it says
 * nothing); NULL: the file's own. USAGE for a window that is none, or that the file has not. */
pfm_status pfm_image_load_shown(const char *path, const char *window, pfm_image *out, pfm_image_applied *applied,
                                pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_image_decode_shown(const void *bytes, size_t size, const char *name, const char *window, pfm_image *out,
                                  pfm_error *err) PFM_MUST_CHECK;
/* USAGE for what is no window; NULL is the file's own. */
pfm_status pfm_image_check_window(const char *window, pfm_error *err) PFM_MUST_CHECK;
/* *json = {"kind","frame","frames"}, "pixel_aspect" where pixels are not square, where the file says it "rows_toward" and
 * "columns_toward", "fit" where some of it was cut off or added, of values
 * {"modality","window","function","center","width","slope","intercept", "inverted"}, "burned_in" ("yes" or "no") where the file
 * says it, and "text_like" and "text_rows" where text was looked for; the caller calls free(). */
pfm_status pfm_image_applied_json(const pfm_image_applied *applied, char **json, pfm_error *err) PFM_MUST_CHECK;

/* *out = the picture at width x height by Pillow's bicubic (a = -0.5, support widened by the scale when shrinking, two passes
 * of 22-bit fixed point with 8 bits between them). The caller calls pfm_image_free. USAGE: a side that cannot be. */
pfm_status pfm_image_resize_bicubic(const pfm_image *in, int width, int height, pfm_image *out, pfm_error *err) PFM_MUST_CHECK;

/* The same with another of Pillow's filters: "bicubic", "bilinear", "lanczos", "box", "hamming", or of torchvision's:
 * "bicubic_torch", "bilinear_torch"; NULL: bicubic. */
pfm_status pfm_image_resize(const pfm_image *in, const char *filter, int width, int height, pfm_image *out,
                            pfm_error *err) PFM_MUST_CHECK;

/* How a picture becomes a model's square (docs/images.md). */
typedef struct pfm_image_fit {
    const char *fit;    /* "squash", "crop", "crop_round", "pad"; NULL: squash */
    const char *filter; /* as pfm_image_resize takes it */
    uint8_t fill[3];    /* what "pad" puts beside the picture */
} pfm_image_fit;

/* USAGE for a fit or filter that there is not, naming those that are. */
pfm_status pfm_image_check_fit(const pfm_image_fit *how, pfm_error *err) PFM_MUST_CHECK;
/* applied->fit = a fit, as pfm_image_fit names it. */
void pfm_image_record_fit(const char *name, pfm_image_applied *applied);
/* *out = size x size pixels. The caller calls pfm_image_free. USAGE also for a size that cannot be. */
pfm_status pfm_image_fit_square(const pfm_image *in, const pfm_image_fit *how, int size, pfm_image *out,
                                pfm_error *err) PFM_MUST_CHECK;

/* Writes an 8-bit RGB PNG, whole or not at all. */
pfm_status pfm_image_write_png(const pfm_image *image, const char *path, pfm_error *err) PFM_MUST_CHECK;

/* Writes a baseline JPEG of one component, whole or not at all: `grey` [height][width], quality 1..100. The same samples give
 * the same bytes on every machine (libjpeg's integer transform, its standard tables). USAGE: a size or quality that cannot be.
 */
pfm_status pfm_image_write_grey_jpeg(const uint8_t *grey, int width, int height, int quality, const char *path,
                                     pfm_error *err) PFM_MUST_CHECK;

/* Which picture of a file, and how it is shown. Zeroes mean the file's first frame as it is. */
typedef struct pfm_image_options {
    int frame;                  /* counts from 0 */
    const char *window;         /* "CENTER,WIDTH" or a name, for files that hold values; NULL: the file's own */
    bool square_pixels;         /* where the file's are not, resample to such; else rows and columns stay as they are */
    int size;                   /* both sides of the result as the model sees it; 0: the frame's own rows and columns */
    pfm_image_fit fit;          /* how it becomes that square */
    bool looks_for_text;        /* with pfm_image_look_for_text, in the frame as it is decoded */
    const pfm_context *context; /* whose threads, which must be idle, decode a JPEG 2000 frame; NULL: the caller's */
} pfm_image_options;

/* *out = the picture that a model would be given of a file. The caller calls pfm_image_free. As pfm_image_load; and USAGE: a
 * frame that the file lacks, a window on a file that has no values to choose from, a size that cannot be. */
pfm_status pfm_image_convert(const char *path, const pfm_image_options *options, pfm_image *out, pfm_image_applied *applied,
                             pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
