/* What answers that are made token by token have in common, whoever makes them: from logits to a token, from ids to a text. */
#ifndef PFM_INFER_ROW_ANSWER_H
#define PFM_INFER_ROW_ANSWER_H

#include "infer/generate.h"

/* The row whose next token is chosen. */
typedef struct pfm_row_view {
    const pfm_decoding *how;
    const int32_t *ids;   /* [count] the prompt, then the answer so far */
    size_t count, prompt; /* the prompt's share */
    int32_t end;          /* the id that ends an answer, or -1 */
    uint64_t draws;       /* as pfm_request.draws */
} pfm_row_view;

/* Whether anything else than the likeliest token may be taken, so that scores are needed. */
bool pfm_row_needs_scores(const pfm_decoding *how);
/* scores [vocabulary] = logits - less, as processors change them; scratch [vocabulary]. */
void pfm_row_score(const pfm_row_view *row, const float *logits, float less, size_t vocabulary, float *scores,
                   int32_t *scratch);
/* The token by such scores: the likeliest, the first of equal ones, or a drawn one. */
size_t pfm_row_choose(const pfm_row_view *row, const float *scores, size_t vocabulary);

/* Whether one of the texts that end an answer stands in that of these ids. */
pfm_status pfm_row_find_stop(const pfm_tokenizer *tokenizer, const pfm_decoding *how, const int32_t *ids, size_t count,
                             bool *found, pfm_error *err) PFM_MUST_CHECK;
/* *out = text, tokens and probability of an answer of `count` ids; a text that ends it is cut off with all behind. */
pfm_status pfm_row_answer(const pfm_tokenizer *tokenizer, const pfm_decoding *how, const int32_t *ids, size_t count,
                          double log_probability, pfm_answer *out, pfm_error *err) PFM_MUST_CHECK;

#endif
