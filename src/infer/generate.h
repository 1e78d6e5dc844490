/* Answers: greedy decoding with a key-value store. Questions on one image share its prefix, several images are read at once and
 * all rows of a batch are decoded together. The same graph, packing and prompt as in training. */
#ifndef PFM_INFER_GENERATE_H
#define PFM_INFER_GENERATE_H

#include "train/session.h"

typedef struct pfm_request {
    const char *question;
    int32_t group; /* requests on one image stand together and share it */
} pfm_request;

typedef struct pfm_answer {
    char *text;         /* without the end of turn; owned by whoever got it */
    int32_t tokens;     /* generated, the end of turn included */
    double probability; /* of exactly this answer: the product over its tokens, the end of turn included */
} pfm_answer;

typedef struct pfm_generate_options {
    int32_t max_tokens; /* of an answer, the end of turn included */
    int32_t images;     /* read and answered at once */
    /* features f32 [grid * grid, channels] of the image of a request, asked once a group, in order */
    pfm_status (*features)(void *user, size_t request, float *features, pfm_error *err);
    /* NULL, or told each token as it is chosen */
    pfm_status (*on_token)(void *user, size_t request, int32_t id, pfm_error *err);
    void *user;
} pfm_generate_options;

/* answers [count] to requests [count], in their order. Loads the session's weights at the first call. MISMATCH names a question
 * that is too long. On error the answers made so far are freed and NULL. */
pfm_status pfm_generate(pfm_session *session, const pfm_request *requests, size_t count, const pfm_generate_options *options,
                        pfm_answer *answers, pfm_error *err) PFM_MUST_CHECK;

#endif
