/* What the encoders of the BERT family differ in. Inside this folder. */
#ifndef PFM_MODELS_TEXT_TEXT_FAMILY_H
#define PFM_MODELS_TEXT_TEXT_FAMILY_H

#include "models/text/text_encoder.h"

/* Hugging Face's names, behind a prefix that a file may have. */
struct pfm_text_family {
    const char *model_type;
    const char *begin, *end;                              /* the tokens around every text */
    bool wants_space;                                     /* see pfm_text_encoder_wants_space */
    const char *words, *positions, *types, *norm;         /* of the embedding; types NULL: none */
    const char *block;                                    /* with %d for the layer */
    const char *query, *key, *value, *mixed, *mixed_norm; /* within a block */
    const char *up, *down, *last_norm;
    const char *const *ignored; /* patterns of tensors that an encoder's file may have beside */
    pfm_status (*read_config)(const json_t *json, const char *path, pfm_text_config *out, pfm_error *err);
};

extern const pfm_text_family pfm_text_bert, pfm_text_roberta, pfm_text_distilbert;

#endif
