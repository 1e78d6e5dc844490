/* Aligners: from the vision encoder's features to visual tokens of the language model's width. A kind is a file and a line. */
#ifndef PFM_MODELS_ALIGNER_ALIGNER_H
#define PFM_MODELS_ALIGNER_ALIGNER_H

#include "nn/builder.h"

typedef struct pfm_aligner_shape {
    int grid, channels; /* the encoder's features: grid x grid positions of so many channels */
    int merge;          /* neighbours a side that become one token */
    int64_t hidden;     /* the language model's width */
} pfm_aligner_shape;

typedef struct pfm_aligner {
    const char *name;
    int64_t (*tokens)(const pfm_aligner_shape *shape); /* visual tokens of an image */
    int64_t (*width)(const pfm_aligner_shape *shape);  /* columns of one row of the aligner's input */
    /* features f32 [grid * grid, channels] -> rows f32 [tokens, width] */
    void (*arrange)(const pfm_aligner_shape *shape, const float *features, float *rows);
    /* *visual f32 [visual, hidden] from features act [visual, width] */
    pfm_status (*build)(pfm_builder *builder, const pfm_aligner_shape *shape, pfm_value features, pfm_value *visual,
                        pfm_error *err);
} pfm_aligner;

extern const pfm_aligner pfm_aligner_concat_linear;

/* USAGE names an unknown kind. */
pfm_status pfm_aligner_find(const char *name, const pfm_aligner **out, pfm_error *err) PFM_MUST_CHECK;

#endif
