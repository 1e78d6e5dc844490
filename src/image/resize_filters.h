/* The filters of resizing, Pillow's of the same name and torchvision's: a function in resize_filters.c and a line. */
#ifndef PFM_IMAGE_RESIZE_FILTERS_H
#define PFM_IMAGE_RESIZE_FILTERS_H

#include <stdbool.h>

/* name, its function, how far that reaches to each side, whether it is computed as torchvision does on bytes: rows always
 * before columns, weights of 16 bits */
#define PFM_RESIZE_FILTERS(X)                                                                                                  \
    X(bicubic, bicubic, 2.0, false)                                                                                            \
    X(bilinear, bilinear, 1.0, false)                                                                                          \
    X(lanczos, lanczos, 3.0, false)                                                                                            \
    X(box, box, 0.5, false)                                                                                                    \
    X(hamming, hamming, 1.0, false)                                                                                            \
    X(bicubic_torch, bicubic, 2.0, true)                                                                                       \
    X(bilinear_torch, bilinear, 1.0, true)

typedef struct pfm_resize_filter {
    const char *name;
    double reach;
    double (*weight)(double x);
    bool as_torch;
} pfm_resize_filter;

/* NULL: "bicubic"; NULL for a name that there is not. */
const pfm_resize_filter *pfm_resize_filter_find(const char *name);
/* The names, as errors list them. */
extern const char pfm_resize_filter_names[];

#endif
