/* Holds answers to a shape: of the tokens that may come next, those stay whose bytes the text can go on with. */
#ifndef PFM_INFER_GUIDE_H
#define PFM_INFER_GUIDE_H

#include "infer/json_shape.h"
#include "text/tokenizer.h"

/* The bytes of every token; made once a tokenizer, and not changed after. */
typedef struct pfm_guide_tokens pfm_guide_tokens;
pfm_status pfm_guide_tokens_create(const pfm_tokenizer *tokenizer, pfm_guide_tokens **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_guide_tokens_free(pfm_guide_tokens *tokens);

/* What answers are held to; borrowed by a pfm_decoding. */
typedef struct pfm_guide {
    const pfm_guide_tokens *tokens;
    const pfm_json_shape *shape;
} pfm_guide;

/* scores f32 [vocabulary]: -inf for each token that cannot come behind answer [count]; `end`, the token that ends an answer,
 * can where the text is whole, and where nothing else can. */
void pfm_guide_mask(const pfm_guide *guide, const int32_t *answer, size_t count, int32_t end, float *scores, size_t vocabulary);

#endif
