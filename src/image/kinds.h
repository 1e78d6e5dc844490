/* The kinds of picture files that are read: a file and a line each (docs/add-a-format.md). */
#ifndef PFM_IMAGE_KINDS_H
#define PFM_IMAGE_KINDS_H

#include "base/threads.h"
#include "image/image.h"

#include <stdbool.h>

/* Which picture of a file, and how it is shown. */
typedef struct pfm_image_choice {
    int frame;
    const char *window;       /* NULL: the file's own */
    bool strict;              /* a window on what has no values to choose from is an error, else nothing */
    pfm_image_values *values; /* NULL, or where the values are wanted too */
    pfm_threads *threads;     /* idle ones that may help; NULL: none */
} pfm_image_choice;

typedef struct pfm_image_kind {
    const char *name; /* as errors write it: "JPEG" */
    /* Whether the bytes begin as this kind does. */
    bool (*recognize)(const unsigned char *bytes, size_t size);
    /* The picture in 8-bit RGB; NULL of a kind that has `show`. *out is {0} before the call; what a failing call leaves in it
     * is released by the caller. */
    pfm_status (*decode)(const unsigned char *bytes, size_t size, const char *name, pfm_image *out, pfm_error *err);
    /* The same of a kind with several frames, or values that a window makes grey; NULL of one with neither. *applied is as for
     * a finished picture before the call. */
    pfm_status (*show)(const unsigned char *bytes, size_t size, const char *name, const pfm_image_choice *choice,
                       pfm_image *out, pfm_image_applied *applied, pfm_error *err);
    /* How the camera was held (orientation.h), which is undone after decoding; NULL of a kind that cannot say so, or
     * undoes it itself. */
    int (*orientation)(const unsigned char *bytes, size_t size);
    bool turns; /* what `orientation` says it undoes itself, while it decodes */
    /* Whether the begin of a file of a kind with `show` leaves open that it holds values; NULL: it always does. */
    bool (*may_hold_values)(const unsigned char *bytes, size_t size);
} pfm_image_kind;

/* USAGE where a choice says more of a finished picture than there is to choose: another frame than the first, or a window. */
pfm_status pfm_image_check_finished(const char *name, const pfm_image_choice *choice, pfm_error *err) PFM_MUST_CHECK;

#define PFM_IMAGE_KINDS(X)                                                                                                     \
    X(jpeg)                                                                                                                    \
    X(png)                                                                                                                     \
    X(dicom)                                                                                                                   \
    X(tiff)                                                                                                                    \
    X(webp)                                                                                                                    \
    X(nifti)

#define PFM_IMAGE_KIND_DECLARE(kind) extern const pfm_image_kind pfm_image_kind_##kind;
PFM_IMAGE_KINDS(PFM_IMAGE_KIND_DECLARE)

#endif
