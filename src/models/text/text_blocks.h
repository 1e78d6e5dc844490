/* The graph of a text encoder. Inside this folder. */
#ifndef PFM_MODELS_TEXT_TEXT_BLOCKS_H
#define PFM_MODELS_TEXT_TEXT_BLOCKS_H

#include "models/text/text_family.h"
#include "nn/builder.h"

/* What is bound at a run, i32 [tokens,1] each. */
typedef struct pfm_text_values {
    pfm_value ids, positions, types; /* types PFM_NO_VALUE where the family has none */
} pfm_text_values;

/* *hidden f32 [tokens, hidden] behind `layer` blocks. Parameters have the names of the family, without a prefix. */
pfm_status pfm_text_build(const pfm_text_config *config, pfm_builder *builder, const pfm_text_values *values, int layer,
                          pfm_value *hidden, pfm_error *err) PFM_MUST_CHECK;

#endif
