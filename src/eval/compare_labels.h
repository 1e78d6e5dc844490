/* Labels beside points of a plot, so that none covers another, a point or a bar. */
#ifndef PFM_EVAL_COMPARE_LABELS_H
#define PFM_EVAL_COMPARE_LABELS_H

#include <stdbool.h>
#include <stddef.h>

/* Pixels; y grows downwards. */
typedef struct pfm_box {
    double left, top, right, bottom;
} pfm_box;

typedef struct pfm_label {
    double x, y;          /* of the point */
    double low, high;     /* y of its bar's ends; equal to y where there is no bar */
    double width, height; /* of the text */
    pfm_box box;          /* where the text goes */
    bool far_away;        /* a line has to lead from the point to it */
} pfm_label;

bool pfm_boxes_overlap(const pfm_box *a, const pfm_box *b);
/* Sets box and far_away of each, the first first: the nearest free place around its point within the area, or the one
 * with the least against it. */
void pfm_labels_place(pfm_label *labels, size_t count, const pfm_box *area);

#endif
