/* How a picture of any shape becomes a model's square: a function in square.c and a line. */
#ifndef PFM_IMAGE_SQUARE_H
#define PFM_IMAGE_SQUARE_H

#include "image/image.h"

/* squash: both sides to the square's, whatever the shape (PeFoMed, BLIP-2, timm's crop mode "squash").
 * crop: the short side to the square's, and of the long one the middle (CLIP's processor in transformers).
 * crop_round: the same, an odd rest rounded to even as torchvision does (open_clip, timm's EVA).
 * pad: the picture in the middle of a square of the fill colour, which is resized (LLaVA's expand2square). */
#define PFM_FITS(X)                                                                                                            \
    X(squash)                                                                                                                  \
    X(crop)                                                                                                                    \
    X(crop_round)                                                                                                              \
    X(pad)

/* What is done: the picture lies at (left, top) of a canvas, that is resized to width x height, of which the square at (x, y)
 * is taken. */
typedef struct pfm_fit_plan {
    int canvas_width, canvas_height, left, top;
    int64_t width, height, x, y;
} pfm_fit_plan;

/* Part of a resized picture, to the same bytes as if all of it were computed: [rows][columns] from (x, y) on. */
typedef struct pfm_resize_part {
    int64_t width, height; /* of the whole */
    int64_t x, y;
    int columns, rows;
} pfm_resize_part;
struct pfm_resize_filter;
pfm_status pfm_resize_make(const pfm_image *in, const struct pfm_resize_filter *filter, const pfm_resize_part *part,
                           pfm_image *out, pfm_error *err) PFM_MUST_CHECK;

#endif
