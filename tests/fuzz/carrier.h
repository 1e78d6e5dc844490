/* The part of libmicrohttpd that the server is carried by, without sockets: what its headers say, for one request at a time. */
#ifndef PFM_TESTS_FUZZ_CARRIER_H
#define PFM_TESTS_FUZZ_CARRIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CARRIER_MOST_VALUES = 32 };

typedef struct carrier_value {
    const char *name, *value; /* of an argument without '=', NULL */
} carrier_value;

/* A request as it was sent, and the path without escapes. */
typedef struct carrier_request {
    char *method, *path;
    carrier_value headers[CARRIER_MOST_VALUES], arguments[CARRIER_MOST_VALUES];
    size_t header_count, argument_count;
    const char *body; /* [size] */
    size_t size;
} carrier_request;

/* What came back; `status` 0: the connection was closed without a reply. */
typedef struct carrier_reply {
    unsigned status;
    carrier_value headers[CARRIER_MOST_VALUES];
    size_t header_count;
    char *body; /* [size], a NUL behind it */
    size_t size;
} carrier_reply;

/* Whether MHD_start_daemon was called, from any thread. */
bool carrier_is_started(void);
/* NULL where there is none. */
const char *carrier_find(const carrier_value *values, size_t count, const char *name);
/* Splits text [size], a NUL behind it, which it writes to and which the request borrows: a line with method and target, lines
 * of headers, an empty line, the body. False: what libmicrohttpd would not hand on. */
bool carrier_parse(char *text, size_t size, carrier_request *out);
/* Hands a request to the server, which must have been started, its body in two pieces; the caller frees the reply. */
void carrier_ask(const carrier_request *request, carrier_reply *out);
void carrier_reply_free(carrier_reply *reply);

#endif
