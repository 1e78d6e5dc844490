/* A chat completion while it is being answered: what the engine tells, and what a connection's thread waits for. */
#ifndef PFM_SERVE_CHAT_JOB_H
#define PFM_SERVE_CHAT_JOB_H

#include "infer/guide.h"
#include "serve/chat_request.h"
#include "serve/server.h"

/* One of the answers that are wanted. */
typedef struct pfm_chat_answer {
    struct pfm_chat_job *job;
    pfm_decoding decoding;
    uint64_t ticket;
    /* Of the job's lock: */
    pfm_buffer text; /* all that came so far */
    size_t sent;     /* of it, in a streamed answer */
    json_t *tokens;  /* of a request with logprobs: {"token","logprob",...} of each that came */
    size_t tokens_sent;
    int32_t last;  /* the newest token */
    int32_t count; /* tokens that were generated */
    double probability;
    bool begun, ended; /* in the engine: submitted, over */
    bool recorded;     /* or nothing is: its end may be told */
    pfm_record_receipt receipt;
    bool told, finished; /* in a streamed answer: its first and its last event were sent */
    pfm_status status;
    pfm_error err;
} pfm_chat_answer;

typedef struct pfm_chat_job {
    pfm_server *server;
    const pfm_http_request *http;
    const pfm_served_model *model;
    pfm_chat_request request;
    pfm_image *images;          /* [request.image_count] */
    pfm_image_applied *applied; /* what made them */
    pfm_hash_hex *hashes;       /* of their files' bytes; NULL where nothing is recorded */
    char **grounded;            /* [request.turn_count] what is retrieved put in, or NULL */
    pfm_json_shape *shape;      /* what answers are held to, or NULL */
    pfm_guide guide;
    char id[48];
    int64_t created;
    int32_t max_tokens, prompt_tokens;
    pfm_chat_answer *answers; /* [request.answers] */
    pthread_mutex_t lock;
    pthread_cond_t news;
    bool first_token; /* has come */
    bool entered;     /* one of the server's places is taken */
    double looked;    /* when it was last looked whether the client is still there */
} pfm_chat_job;

/* Reads a request, its images, its prompt, and asks the engine. The caller frees it. */
pfm_status pfm_chat_job_create(pfm_server *server, const pfm_http_request *http, pfm_http_reply *reply, pfm_chat_job **out,
                               pfm_error *err) PFM_MUST_CHECK;
/* Ends what is still being answered; waits until the engine has let go of it. NULL is allowed. */
void pfm_chat_job_free(pfm_chat_job *job);
/* What the model is asked; its texts are the job's. */
pfm_question pfm_chat_job_question(const pfm_chat_job *job);
/* Locked: waits a moment for news. What the client's leaving or the end of its time does: INTERRUPTED, with reply's status. */
pfm_status pfm_chat_job_wait(pfm_chat_job *job, pfm_http_reply *reply, pfm_error *err) PFM_MUST_CHECK;

/* ---- chat_record.c ---- */

/* Keeps the hash of an image's bytes, where answers are recorded. */
pfm_status pfm_chat_job_hash(pfm_chat_job *job, size_t image, const pfm_buffer *bytes, pfm_error *err) PFM_MUST_CHECK;
/* Locked, but not while it writes: records the answers that have ended well and are not recorded yet, so that their ends may be
 * told. */
pfm_status pfm_chat_job_record(pfm_chat_job *job, pfm_error *err) PFM_MUST_CHECK;
/* Records what was sent of answers whose end nobody was told. */
void pfm_chat_job_record_broken(pfm_chat_job *job);

/* ---- chat_write.c ---- */

/* "stop", or "length" where the answer is as long as it may be. */
const char *pfm_chat_finish(const pfm_chat_job *job, const pfm_chat_answer *answer);

/* The whole answer as a JSON document: a chat.completion. All answers have ended well. */
pfm_status pfm_chat_reply_write(pfm_chat_job *job, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;
/* Locked: appends the events ("data: ...") that are due, up to the one that ends the stream. *over = that one was appended. */
pfm_status pfm_chat_events_write(pfm_chat_job *job, pfm_buffer *out, bool *over, pfm_error *err) PFM_MUST_CHECK;
/* Appends the event of a failure. */
pfm_status pfm_chat_events_fail(const pfm_error *failure, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

#endif
