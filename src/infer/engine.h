/* Answers to requests that come and go, from one thread of the engine's own: in each step it reads a bounded part of new
 * prompts and makes one token of every answer that is under way, in one run of the graph. Prompts that begin alike, images
 * included, share the keys and values of what they have in common, also later, as long as there is room; features of an image
 * that was seen before are not computed again. An answer has the bits that pfm_generate gives to the same request alone,
 * whoever is answered beside it.
 *
 * Beam search, decoding->draws above 1, choices, and models whose visual tokens stand beside the sequence are answered by
 * pfm_generate between two steps, one at a time: who is being answered waits meanwhile, the text comes in one piece, what it
 * takes in memory comes on top, and cancelling takes effect before or after it. */
#ifndef PFM_INFER_ENGINE_H
#define PFM_INFER_ENGINE_H

#include "infer/generate.h"
#include "pefomed/image.h"

typedef struct pfm_engine pfm_engine;

typedef struct pfm_engine_options {
    size_t memory;   /* bytes of keys, values and features that it may hold; 0: an eighth of the machine's, at most 4 GiB, and
                        no more than the context's memory leaves */
    int32_t rows;    /* answered at once, 1..1024; 0: 64 */
    int32_t context; /* most tokens of prompt and answer of one request; 0: the model's own */
    /* features f32 [positions, channels] of an image, on the engine's thread; NULL: by the session's vision encoder */
    pfm_status (*features)(void *user, const pfm_image *image, float *features, pfm_error *err);
    void *user; /* handed to features */
} pfm_engine_options;

typedef struct pfm_engine_request {
    pfm_question question;        /* its images are images[0..question.images - 1] */
    int32_t adapter;              /* which of the session's it goes through: 0 its own, -1 the base */
    int32_t context;              /* what a router may see of it, see pfm_sequence */
    const pfm_image *images;      /* [image_count] decoded; borrowed until the request has ended */
    size_t image_count;           /* as question.images */
    const pfm_decoding *decoding; /* borrowed until it has ended; NULL: greedy */
    int32_t max_tokens;           /* of the answer, the end of turn included */
    const pfm_choices *choices;   /* NULL: it is free; borrowed until it has ended */
    /* NULL, or told each token as it is taken: its id, its log-probability by the model alone, and the text that is certain by
     * now, often none, always whole characters and nothing that may still become a text that ends the answer. All of these
     * texts are the answer's. One piece for a whole answer has id -1 and log-probability NAN. On the engine's thread. */
    void (*on_token)(void *user, const char *text, size_t bytes, int32_t id, double log_probability);
    /* Told once, always: the answer where status is PFM_OK, else NULL and why; both borrowed for the call. INTERRUPTED: it was
     * cancelled, or the engine stops. On the engine's thread; neither may call pfm_engine_stop or pfm_engine_free. */
    void (*on_end)(void *user, pfm_status status, const pfm_answer *answer, const pfm_error *err);
    void *user;
} pfm_engine_request;

typedef struct pfm_engine_stats {
    size_t waiting, running;           /* now */
    uint64_t asked, answered, ended;   /* so far; ended: without an answer */
    uint64_t read, generated, shared;  /* tokens: of prompts computed, of answers, and of prompts that were there already */
    uint64_t features, features_found; /* computed, and found in memory */
    uint64_t steps;                    /* runs of the graph */
    size_t bytes, most_bytes, memory;  /* of keys, values and features: held now, at most so far, and the bound */
} pfm_engine_stats;

/* Loads the weights; the session and its context are borrowed and used by nobody else until the engine is freed. Adapters were
 * added before. USAGE: options that cannot be, or memory that is too little. */
pfm_status pfm_engine_create(pfm_session *session, const pfm_engine_options *options, pfm_engine **out,
                             pfm_error *err) PFM_MUST_CHECK;
/* Stops it as pfm_engine_stop(engine, false) does; NULL is allowed. */
void pfm_engine_free(pfm_engine *engine);

/* From any thread. Copies the struct and the question. *ticket (NULL allowed) names it and is set before it can end. MISMATCH:
 * it is too long for the model, for options.context or for the memory; USAGE as pfm_model_encode, or for an adapter that is not
 * there; INTERRUPTED: the engine stops. On error neither callback is called. */
pfm_status pfm_engine_submit(pfm_engine *engine, const pfm_engine_request *request, uint64_t *ticket,
                             pfm_error *err) PFM_MUST_CHECK;
/* From any thread: it ends with INTERRUPTED within a step, unless it ended before. */
void pfm_engine_cancel(pfm_engine *engine, uint64_t ticket);
void pfm_engine_stats_get(pfm_engine *engine, pfm_engine_stats *out);

/* Takes no more requests and returns when none is left. finish: what runs and waits is answered first; else it is cancelled,
 * also by a second call from another thread. */
void pfm_engine_stop(pfm_engine *engine, bool finish);

#endif
