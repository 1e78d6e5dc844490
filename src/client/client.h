/* Questions to a language model behind any server that speaks OpenAI's interface: POST URL/chat/completions, several at once,
 * tried again after pauses, each attempt a line of a log (call_log.h). A question whose answer the log holds is not asked
 * again: a log that is complete replays without a network.
 *
 * What a server does wrong is the failure of one question, one sentence, and never the end of the program. */
#ifndef PFM_CLIENT_CLIENT_H
#define PFM_CLIENT_CLIENT_H

#include "base/memory.h"
#include "client/call_log.h"
#include "pefomed/client.h"

#include <stdbool.h>
#include <stddef.h>

/* Appends to `png` what is sent of a file that servers do not take. */
typedef pfm_status (*pfm_client_picture)(void *user, pfm_buffer *png, pfm_error *err);

/* A text or a picture: one of the two. */
typedef struct pfm_client_part {
    const char *text;
    const char *image;          /* its file: JPEG or PNG, of which the pixels are sent, unless there is */
    pfm_client_picture picture; /* NULL, or what makes a PNG of it, whatever it is */
    void *picture_user;
    const char *image_sha256; /* of the file, or of all that the picture is made from; NULL, of a file: it is computed */
} pfm_client_part;

typedef struct pfm_client_message {
    const char *role;             /* "user", "system" */
    const pfm_client_part *parts; /* [count], at least one */
    size_t count;
} pfm_client_message;

/* What is asked. Everything but label makes the key by which the log knows it. Strings are borrowed. */
typedef struct pfm_client_question {
    const char *model;                  /* by the server's name; NULL: the client's own */
    const char *label;                  /* what messages and the log call it, "diagnosis of MPX1106" */
    const pfm_client_message *messages; /* [message_count] */
    size_t message_count;
    double temperature, top_p; /* NaN: not said */
    int max_tokens;            /* 0: not said */
    int64_t seed;              /* negative: not said */
    const char *const *stop;   /* [stop_count] texts that end the answer */
    size_t stop_count;
    const json_t *response_format; /* NULL, or what a server that can holds its reply to, as the body has it */
    int repeat;                    /* 0, or which time the same is asked, from 1: each is a question of its own */
} pfm_client_question;

typedef struct pfm_client_answer {
    char *text;     /* NULL: there is none */
    char *error;    /* why, in one sentence; NULL where there is a text */
    int attempts;   /* made by this call; 0: the log had it */
    int logged;     /* attempts that the log holds, those of earlier calls too */
    bool cut_short; /* by max_tokens or the server's own limit */
} pfm_client_answer;
void pfm_client_answer_free(pfm_client_answer *answer);

typedef struct pfm_client pfm_client;

/* USAGE: a URL that is none, a host that is not this machine where allow_remote is false, options out of their ranges, an API
 * key that cannot be sent. Opens no connection. */
pfm_status pfm_client_create(pfm_context *context, const pfm_client_options *options, pfm_client **out,
                             pfm_error *err) PFM_MUST_CHECK;
void pfm_client_free(pfm_client *client);

/* Whether what is asked stays on this machine. */
bool pfm_client_is_local(const pfm_client *client);
/* The URL as it is known by: as libcurl reads it, without a slash at its end. Borrowed. */
const char *pfm_client_url(const pfm_client *client);

/* Called for each question once it is known what becomes of it, while others still wait; `answer` has a text or an error. What
 * it returns ends the asking, unless it is PFM_OK. */
typedef pfm_status (*pfm_client_listener)(void *user, size_t question, const pfm_client_answer *answer, pfm_error *err);
void pfm_client_listen(pfm_client *client, pfm_client_listener listener, void *user);

/* answers [count] (to be {0}) to questions [count]; the caller frees each. Equal questions are asked once. INTERRUPTED, NETWORK
 * (no server is there, after all attempts): what was answered until then is in the log, and the same call goes on from there.
 * IO: a picture cannot be read, the log not be written. UNSUPPORTED: a picture of a kind that servers do not take. */
pfm_status pfm_client_ask(pfm_client *client, pfm_call_log *log, const pfm_client_question *questions, size_t count,
                          pfm_client_answer *answers, pfm_error *err) PFM_MUST_CHECK;
/* The same from the log alone, without a connection: why it failed where only attempts that failed stand there, and neither
 * text nor error where none does. */
pfm_status pfm_client_recall(pfm_client *client, pfm_call_log *log, const pfm_client_question *questions, size_t count,
                             pfm_client_answer *answers, pfm_error *err) PFM_MUST_CHECK;

#endif
