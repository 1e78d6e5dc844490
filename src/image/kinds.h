/* The kinds of picture files that are read: a file and a line each (docs/add-a-format.md). */
#ifndef PFM_IMAGE_KINDS_H
#define PFM_IMAGE_KINDS_H

#include "image/image.h"

#include <stdbool.h>

typedef struct pfm_image_kind {
    const char *name; /* as errors write it: "JPEG" */
    /* Whether the bytes begin as this kind does. */
    bool (*recognize)(const unsigned char *bytes, size_t size);
    /* The picture in 8-bit RGB. *out is {0} before the call; what a failing call leaves in it is released by the caller. */
    pfm_status (*decode)(const unsigned char *bytes, size_t size, const char *name, pfm_image *out, pfm_error *err);
} pfm_image_kind;

#define PFM_IMAGE_KINDS(X)                                                                                                     \
    X(jpeg)                                                                                                                    \
    X(png)

#define PFM_IMAGE_KIND_DECLARE(kind) extern const pfm_image_kind pfm_image_kind_##kind;
PFM_IMAGE_KINDS(PFM_IMAGE_KIND_DECLARE)

#endif
