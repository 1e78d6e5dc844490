/* Beam search over the answers to one request, apart from the model: which answers go on, which are kept, when it is over. The
 * choices are those of transformers' _beam_search, in f32 as there. Scores are sums of log-probabilities as the processors left
 * them; a finished answer is weighed by its score over its length to the power of length_penalty. */
#ifndef PFM_INFER_BEAM_SEARCH_H
#define PFM_INFER_BEAM_SEARCH_H

#include "infer/decoding.h"
#include "text/tokenizer.h"

/* An answer so far and one more token. */
typedef struct pfm_beam_candidate {
    float score;            /* of all of it */
    double log_probability; /* the same by the model alone, whatever changed the scores */
    int32_t beam, token;    /* which of those that were going on, and what comes behind it */
    bool over;              /* it ends with this token */
    pfm_ids ids;            /* of one that is over: the whole answer */
} pfm_beam_candidate;

/* An answer that is over. */
typedef struct pfm_hypothesis {
    float score; /* weighed by its length */
    double log_probability;
    pfm_ids ids;
} pfm_hypothesis;

typedef struct pfm_beam_search {
    const pfm_decoding *how;
    int max_tokens;
    pfm_hypothesis *kept; /* [how->beams], of which `count` are there, the best first */
    size_t count;
} pfm_beam_search;

pfm_status pfm_beam_search_start(pfm_beam_search *search, const pfm_decoding *how, int max_tokens,
                                 pfm_error *err) PFM_MUST_CHECK;
void pfm_beam_search_free(pfm_beam_search *search);

/* How many candidates a step looks at: enough that as many as there are beams do not end. */
static inline size_t pfm_beam_candidates(const pfm_decoding *how) { return 2 * (size_t)how->beams; }
/* Puts one into a list of at most so many, the best first, of equal ones those that came first; *count grows up to `most`. */
void pfm_beam_candidate_insert(pfm_beam_candidate *list, size_t *count, size_t most, const pfm_beam_candidate *one);

/* One step, from the best candidates in their order, whose answers have `length` tokens; takes the ids of those that are over.
 * next [how->beams] = the numbers of those that go on. false: the search is over. */
bool pfm_beam_search_step(pfm_beam_search *search, pfm_beam_candidate *candidates, size_t count, int length, size_t *next,
                          size_t *next_count);

#endif
