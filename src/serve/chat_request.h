/* What a program asks by POST /v1/chat/completions, as OpenAI's reference has it. What cannot be done here is refused by name;
 * nothing is passed over in silence. */
#ifndef PFM_SERVE_CHAT_REQUEST_H
#define PFM_SERVE_CHAT_REQUEST_H

#include "base/json.h"
#include "models/model.h"

typedef struct pfm_chat_image {
    pfm_buffer bytes;   /* of a file of any kind that is read (pefomed/image.h) */
    const char *kept;   /* or NULL, or the id of an image that was opened before (POST /api/images) */
    const char *window; /* NULL: the run's, or the file's own */
    int frame;
    bool blank; /* an even grey of its size is shown in its place */
} pfm_chat_image;

/* Texts are borrowed from the document, or from `texts`. */
typedef struct pfm_chat_request {
    json_t *document;
    const char *model;
    pfm_chat_turn *turns; /* [turn_count], the last a user's */
    size_t turn_count;
    char **texts;           /* [turn_count] those that were put together, or NULL */
    pfm_chat_image *images; /* [image_count] of all turns, in their order */
    size_t image_count, image_capacity;
    const char **stop; /* [stop_count] */
    size_t stop_count;
    bool stream, include_usage, logprobs, wants_json;
    const json_t *schema; /* of wants_json; NULL: any object */
    int answers;          /* how many are wanted */
    int max_tokens;       /* 0: not said */
    /* What is not said is NAN, and -1. */
    double temperature, top_p, min_p, repetition_penalty;
    int top_k;
    int64_t seed;
} pfm_chat_request;

/* What a request may hold. */
typedef struct pfm_chat_limits {
    size_t images;
    int answers;
} pfm_chat_limits;

/* From the body of a request. FORMAT: no JSON; USAGE names the key that cannot be. The caller frees it, also on error. */
pfm_status pfm_chat_request_read(const char *body, size_t size, const pfm_chat_limits *limits, pfm_chat_request *out,
                                 pfm_error *err) PFM_MUST_CHECK;
void pfm_chat_request_free(pfm_chat_request *request);

#endif
