/* How answers are made: what a recipe says under eval (docs/decoding.md), as the decoder reads it. */
#ifndef PFM_INFER_DECODING_H
#define PFM_INFER_DECODING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum pfm_early_stopping {
    PFM_EARLY_FALSE, /* until no beam, at its length so far, is better than the worst that is kept */
    PFM_EARLY_TRUE,  /* until there are as many answers as beams */
    PFM_EARLY_NEVER  /* until no beam can become better */
} pfm_early_stopping;

typedef struct pfm_decoding {
    int min_tokens;     /* of an answer before it may end */
    double temperature; /* 0: the likeliest token; above: one is drawn */
    int draws;          /* answers drawn to each request, of which the one most like the others is taken; 1: the first */
    int top_k;          /* 0: all */
    double top_p, min_p, repetition_penalty;
    int no_repeat_ngram; /* 0: anything may come again */
    int beams;           /* 1: no search */
    double length_penalty;
    pfm_early_stopping early_stopping;
    char *const *stop; /* [stop_count] texts that end an answer; borrowed */
    size_t stop_count;
    uint64_t seed;                 /* of what is drawn */
    const struct pfm_guide *guide; /* what the answer is held to (guide.h), or NULL; borrowed */
} pfm_decoding;

/* The likeliest token each time, until the model ends its turn. */
static const pfm_decoding pfm_decoding_greedy = {
    .draws = 1, .top_p = 1, .repetition_penalty = 1, .beams = 1, .length_penalty = 1};

#endif
