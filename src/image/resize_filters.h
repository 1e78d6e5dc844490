/* The filters of resizing, each Pillow's of the same name: a function in resize_filters.c and a line. */
#ifndef PFM_IMAGE_RESIZE_FILTERS_H
#define PFM_IMAGE_RESIZE_FILTERS_H

/* name, how far it reaches to each side */
#define PFM_RESIZE_FILTERS(X)                                                                                                  \
    X(bicubic, 2.0)                                                                                                            \
    X(bilinear, 1.0)                                                                                                           \
    X(lanczos, 3.0)                                                                                                            \
    X(box, 0.5)                                                                                                                \
    X(hamming, 1.0)

typedef struct pfm_resize_filter {
    const char *name;
    double reach;
    double (*weight)(double x);
} pfm_resize_filter;

/* NULL: "bicubic"; NULL for a name that there is not. */
const pfm_resize_filter *pfm_resize_filter_find(const char *name);
/* The names, as errors list them. */
extern const char pfm_resize_filter_names[];

#endif
