/* The pictures that a question is about: files as they are named, and the slices of series in the place of folders. */
#ifndef PFM_INFER_ASK_PICTURES_H
#define PFM_INFER_ASK_PICTURES_H

#include "pefomed/image.h"
#include "pefomed/infer.h"
#include "pefomed/series.h"

typedef struct pfm_asked_picture {
    pfm_image image;
    pfm_image_file file;       /* borrowed from the options, or from the series */
    pfm_image_applied applied; /* what made it */
    const pfm_series *series;  /* NULL where it is no slice of one */
    size_t slice;
} pfm_asked_picture;

typedef struct pfm_asked_pictures {
    pfm_asked_picture *items; /* [count] in the order in which the model sees them */
    size_t count, capacity;
    pfm_series *series; /* [options->image_count], empty where an image is no series */
    size_t series_count;
    char *slices;     /* which they were opened with; NULL: none were said */
} pfm_asked_pictures; /* start with {0} */

/* Finds the pictures and loads them; anew where they were loaded with other slices. slices, window: NULL where neither the
 * options nor the recipe says any. As pfm_series_open and pfm_image_load. */
pfm_status pfm_asked_pictures_load(pfm_asked_pictures *pictures, const pfm_ask_options *options, const char *slices,
                                   const char *window, const pfm_context *context, pfm_error *err) PFM_MUST_CHECK;
/* The same, but for the pixels of series: which are shown the recipe may still have to say. */
pfm_status pfm_asked_pictures_check(pfm_asked_pictures *pictures, const pfm_ask_options *options, const pfm_context *context,
                                    pfm_error *err) PFM_MUST_CHECK;
void pfm_asked_pictures_free(pfm_asked_pictures *pictures);
/* Warns of slices that lie where others do, and of text in the pixels. */
void pfm_asked_pictures_warn(const pfm_asked_pictures *pictures, const pfm_ask_options *options, const pfm_context *context);
/* *json = how a picture was made of its file, and which slice it is; the caller calls free(). */
pfm_status pfm_asked_picture_tell(const pfm_asked_picture *picture, char **json, pfm_error *err) PFM_MUST_CHECK;

#endif
