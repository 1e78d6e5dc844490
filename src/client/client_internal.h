/* Between the client's own files. */
#ifndef PFM_CLIENT_INTERNAL_H
#define PFM_CLIENT_INTERNAL_H

#include "base/memory.h"
#include "client/client.h"

#include <curl/curl.h>

/* ---- the address (client_url.c) ---- */

/* *base = the URL as it is known by, without a slash or /chat/completions at its end; *local = whether its host is this
 * machine. USAGE: it is none, holds what does not belong there, or is not local and allow_remote is false. */
pfm_status pfm_client_url_read(const char *url, bool allow_remote, char **base, bool *local, pfm_error *err) PFM_MUST_CHECK;

/* ---- what is asked (chat_body.c, client_image.c) ---- */

/* *out = what the key is made from: URL, model, messages with pictures by their SHA-256, settings. */
pfm_status pfm_chat_request_create(const char *url, const char *model, const pfm_client_question *question, json_t **out,
                                   pfm_error *err) PFM_MUST_CHECK;
/* Appends the body that is sent, with the pictures in it. */
pfm_status pfm_chat_body_append(const char *model, const pfm_client_question *question, pfm_buffer *out,
                                pfm_error *err) PFM_MUST_CHECK;
/* Looks whether all pictures of a question can be sent. */
pfm_status pfm_chat_images_check(const pfm_client_question *question, pfm_error *err) PFM_MUST_CHECK;

/* "image/png" by the first bytes of a file; NULL where it is none that servers take. */
const char *pfm_client_image_type(const unsigned char *bytes, size_t size);
/* Appends what shows the picture of a JPEG or PNG, and nothing that is written beside it. FORMAT for a damaged one. */
pfm_status pfm_client_copy_pixels(const unsigned char *bytes, size_t size, const char *path, pfm_buffer *out,
                                  pfm_error *err) PFM_MUST_CHECK;
/* Appends the picture as "data:image/png;base64,...". */
pfm_status pfm_client_image_append(const pfm_client_part *part, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

/* ---- what comes back (chat_reply.c) ---- */

typedef struct pfm_chat_reply {
    char *text, *finish; /* finish may be NULL */
    json_t *usage;       /* whole numbers alone, or NULL */
} pfm_chat_reply;
/* *out (to be {0}) = the answer in the body of a 200. FORMAT says in one sentence what is wrong with it. */
pfm_status pfm_chat_reply_read(const char *body, size_t size, pfm_chat_reply *out, pfm_error *err) PFM_MUST_CHECK;
void pfm_chat_reply_free(pfm_chat_reply *reply);
/* Sets NETWORK with what a server says that answers with another status. */
pfm_status pfm_chat_reply_refuse(long status, const char *body, size_t size, pfm_error *err);

/* ---- one attempt (client_transfer.c) ---- */

enum { PFM_CLIENT_MOST_BYTES = 16 << 20 }; /* of a reply */

struct pfm_client {
    pfm_context *context;
    pfm_client_options options;
    char *url, *endpoint, *model;
    bool local;
    struct curl_slist *headers;
    double next_start;            /* when the rate allows the next attempt */
    pfm_client_listener listener; /* NULL: nobody listens */
    void *listener_user;
};

typedef struct pfm_transfer {
    CURL *curl;
    size_t call; /* whose it is */
    bool busy, too_large;
    pfm_buffer out, in;
    double started;
} pfm_transfer;

/* Begins to send `out`. */
pfm_status pfm_transfer_start(const pfm_client *client, CURLM *multi, pfm_transfer *transfer, pfm_error *err) PFM_MUST_CHECK;
void pfm_transfer_free(pfm_transfer *transfer);

/* What became of it. */
typedef struct pfm_outcome {
    pfm_chat_reply reply; /* text NULL: it failed, */
    pfm_error error;      /* for this reason */
    long status;
    double seconds, wait; /* wait: what the server asks to, 0 where it does not */
    bool again;           /* another attempt may succeed */
    bool unreachable;     /* there is no server */
} pfm_outcome;
void pfm_transfer_finish(const pfm_client *client, pfm_transfer *transfer, CURLcode code, pfm_outcome *out);

#endif
