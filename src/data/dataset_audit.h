/* Inside the audit of a data set: its splits, the image files behind them, and what is reported. */
#ifndef PFM_DATA_DATASET_AUDIT_H
#define PFM_DATA_DATASET_AUDIT_H

#include "base/hash.h"
#include "data/format.h"
#include "data/near.h"
#include "pefomed/context.h"
#include "pefomed/image.h"

typedef enum audit_state { AUDIT_UNSEEN, AUDIT_GOOD, AUDIT_MISSING, AUDIT_UNREADABLE } audit_state;

typedef struct audit_image {
    const pfm_dataset *split;   /* the first that shows it */
    const pfm_row_image *image; /* of the first row there */
    size_t rows;                /* in all splits; a row counts once for each place where it shows the image */
    audit_state state;
    char *reason; /* of UNREADABLE */
    pfm_hash_hex hash;
    size_t bytes;
    int width, height;
    pfm_image_applied applied; /* of GOOD: what made it, with what was found of text in its pixels */
    pfm_near *near;            /* of GOOD */
} audit_image;

typedef struct audit {
    pfm_dataset **splits; /* [split_count] */
    size_t **image_of;    /* [split_count][image's index]: the number in images */
    size_t split_count, capacity;
    size_t own_count;    /* those of the data set itself, which stand first; the others are what it is held against */
    audit_image *images; /* distinct files, [image_count] */
    size_t image_count;
    const char *language_column; /* NULL where the format has none */
    size_t problems;
} audit;

/* The file behind an image of a row of split s. */
static inline size_t audit_image_of(const audit *state, size_t s, const pfm_row_image *image)
{
    return state->image_of[s][image->index];
}

/* Whether text seems to be burned into a picture. */
static inline bool audit_has_text(const audit_image *image)
{
    return image->state == AUDIT_GOOD && pfm_image_has_text(&image->applied);
}

/* Reads, hashes and decodes every image file. */
pfm_status pfm_audit_read_images(audit *state, const pfm_context *context, pfm_error *err) PFM_MUST_CHECK;

/* Each adds its member to the document and its findings to state->problems. */
pfm_status pfm_audit_add_splits(audit *state, json_t *document, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_audit_add_images(audit *state, json_t *document, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_audit_add_questions(audit *state, json_t *document, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_audit_add_leakage(audit *state, const pfm_context *context, json_t *document, pfm_error *err) PFM_MUST_CHECK;
/* "near" and "near_images" of a pair of splits. */
pfm_status pfm_audit_add_near(audit *state, const pfm_context *context, size_t a, size_t b, json_t *entry,
                              pfm_error *err) PFM_MUST_CHECK;

#endif
