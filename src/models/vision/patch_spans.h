/* Who sees whom within a vision encoder: a picture's tokens all of that picture's. Inside this folder and of the models. */
#ifndef PFM_MODELS_VISION_PATCH_SPANS_H
#define PFM_MODELS_VISION_PATCH_SPANS_H

#include "ops/op.h"

/* Start with {0}. */
typedef struct pfm_patch_spans {
    pfm_attention_span *spans;
    int32_t *roots; /* [pictures + 1] */
} pfm_patch_spans;

/* For up to so many pictures of so many tokens each, one behind the other. *out is to be freed even where this fails. */
pfm_status pfm_patch_spans_create(int64_t pictures, int64_t tokens, pfm_patch_spans *out, pfm_error *err) PFM_MUST_CHECK;
void pfm_patch_spans_free(pfm_patch_spans *spans);
/* Those of the first pictures; borrowed. */
pfm_attention_set pfm_patch_spans_of(const pfm_patch_spans *spans, int64_t pictures);

#endif
