/* From the scores of the next token to a token: what changes them (processor_list.h), and the draw. Each processor gives the
 * values and the -inf that transformers' of the same name gives; docs/decoding.md says where it is named otherwise. */
#ifndef PFM_INFER_PROCESSORS_H
#define PFM_INFER_PROCESSORS_H

#include "infer/decoding.h"

typedef struct pfm_scoring {
    const pfm_decoding *how;
    const int32_t *ids;   /* [count] the prompt, then the answer so far; negative where no token stands (an image's) */
    size_t count, prompt; /* the prompt's share */
    int32_t end;          /* the id that ends an answer, or -1 */
    float *scores;        /* f32 [vocabulary], changed in place; -inf: it cannot come */
    size_t vocabulary;
    int32_t *scratch; /* [vocabulary] */
} pfm_scoring;

/* false: scores stay as they are. */
bool pfm_processors_act(const pfm_decoding *how);
void pfm_processors_apply(const pfm_scoring *row);

/* In [0,1): the draw of a request for its answer's token number `position`. It depends on nothing else, so that who is answered
 * beside whom, and by how many threads, changes nothing. */
double pfm_draw_uniform(uint64_t seed, uint64_t request, size_t position);
/* The first id at which the sum of the ids' probabilities, softmax(scores) in f64, comes above u; the likeliest where u is too
 * near to 1 for that. */
int32_t pfm_draw_token(const float *scores, size_t vocabulary, double u);

#endif
