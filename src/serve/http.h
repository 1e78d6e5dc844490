/* Requests and replies, without the library that carries them (http.c has libmicrohttpd). */
#ifndef PFM_SERVE_HTTP_H
#define PFM_SERVE_HTTP_H

#include "base/json.h"

#include <stdbool.h>
#include <sys/types.h>

enum { PFM_HTTP_PLACES = 3 };

typedef struct pfm_http_request {
    const char *method, *path; /* the path unescaped, without the query */
    const char *body;          /* [size], a NUL behind it */
    size_t size;
    char *places[PFM_HTTP_PLACES]; /* what stands at the route's {places}, NULL where it has fewer */
    double started;                /* of the clock of base/process.h */
    void *carrier;
} pfm_http_request;

/* The value of a header or of the query; NULL where it is not there. Borrowed until the reply is sent. */
const char *pfm_http_header(const pfm_http_request *request, const char *name);
const char *pfm_http_query(const pfm_http_request *request, const char *name);
/* A name of the query that is not known; NULL: all are. Borrowed until the reply is sent. */
const char *pfm_http_query_other(const pfm_http_request *request, bool (*is_known)(void *user, const char *name), void *user);
/* Whether the client has hung up. */
bool pfm_http_is_gone(const pfm_http_request *request);

/* A body that is made while it is sent. read: up to `most` bytes, waiting for at least one; 0: the end; -1: it broke off. */
typedef struct pfm_http_stream {
    ssize_t (*read)(void *user, char *out, size_t most);
    void (*free)(void *user);
    void *user;
} pfm_http_stream;

typedef struct pfm_http_reply {
    unsigned status;   /* 0: 200, or of an error what its code says */
    const char *type;  /* of the content, a static text; NULL: application/json */
    pfm_buffer body;   /* taken */
    const char *fixed; /* [fixed_size] in place of a body: bytes of the program's own */
    size_t fixed_size;
    pfm_http_stream stream; /* in place of both, where read is set; taken */
    const char *code;       /* of an error, as OpenAI names it, a static text; NULL: as its status says */
    bool page;              /* it is a part of the page, which may load its own parts and nothing else */
    const char *tag;        /* of the page: what its bytes are known by, a static text; a client that has them gets 304 */
} pfm_http_reply;

/* Says which status and code an error has. Returns the pfm_status, so that `return pfm_http_refuse(...)` reads well. */
pfm_status pfm_http_refuse(pfm_http_reply *reply, unsigned status, const char *code, pfm_error *err, const char *format, ...)
    PFM_PRINTF(5, 6);
/* A reply of a document, which is taken; NULL is NO_MEMORY, a constructor that failed. */
pfm_status pfm_http_reply_json(pfm_http_reply *reply, json_t *document, pfm_error *err) PFM_MUST_CHECK;
/* The body of a reply that failed: {"error":{"message","type","code"}}; its status is set. */
pfm_status pfm_http_describe_error(pfm_http_reply *reply, const pfm_error *failure, pfm_error *err) PFM_MUST_CHECK;

struct pfm_server;
typedef struct pfm_http pfm_http;
/* Listens where the options say, and hands each request to a route, each on a thread of its own. USAGE where it cannot. */
pfm_status pfm_http_open(struct pfm_server *server, pfm_http **out, pfm_error *err) PFM_MUST_CHECK;
/* *out = "http://127.0.0.1:8080/". Release with free(). */
pfm_status pfm_http_address(const pfm_http *http, char **out, pfm_error *err) PFM_MUST_CHECK;
/* No new connection is taken, and what comes on open ones is refused; returns when nothing is answered any more, or after so
 * many seconds. */
void pfm_http_drain(pfm_http *http, double seconds);
void pfm_http_close(pfm_http *http);

#endif
