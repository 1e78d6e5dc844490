/* A run as a server: an HTTP interface that speaks to programs as OpenAI's does, and the page for people (docs/serve.md). */
#ifndef PEFOMED_SERVE_H
#define PEFOMED_SERVE_H

#include "pefomed/context.h"
#include "pefomed/infer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is refused, and with which status. 0 takes what stands behind each. */
typedef struct pfm_serve_limits {
    size_t body;     /* bytes of a request: 413; 64 MiB */
    int images;      /* of a request: 400; 16 */
    int tokens;      /* of an answer: 400; 1,024 */
    int waiting;     /* requests that wait or are answered: 503; 64 */
    int connections; /* open at once, more are closed; 256 */
    double seconds;  /* of a request, from its head to its answer's end: 504; 300 */
} pfm_serve_limits;

typedef struct pfm_serve_options {
    const char *run;   /* a run's folder, or a recipe file: the untrained model */
    const char *host;  /* the address to listen on; NULL: 127.0.0.1 */
    int port;          /* 0: one that is free */
    const char *token; /* what clients must show (Authorization: Bearer); NULL: nothing, which only loopback allows */
    const char *certificate, *key;     /* PEM files for TLS; NULL: without */
    const pfm_named_adapter *adapters; /* [adapter_count] that are served beside the run's own */
    size_t adapter_count;
    const char *state; /* the file of what is kept across runs; NULL: serve/state.sqlite in the context's home */
    const char *const *prediction_folders; /* [..count] whose files of predictions studies may be made of; none: no files */
    size_t prediction_folder_count;
    const char *const *image_folders; /* [..count] where the images lie that predictions name; none: none is shown */
    size_t image_folder_count;
    uint64_t keep;   /* bytes of images opened on the page that are held in memory; 0: 512 MiB */
    uint64_t memory; /* bytes that requests may hold in keys, values and features; 0: a share of the machine's */
    pfm_serve_limits limits;
    void (*listening)(void *user, const char *address); /* told once, "http://127.0.0.1:8080/" */
    void *user;
} pfm_serve_options;

/* Listens, loads the model, and answers until the context's interrupt flag is set; then finishes what runs and returns OK.
 * USAGE: another address than loopback without a token, an address or port that cannot be had. As pfm_session_open. */
pfm_status pfm_serve(pfm_context *context, const pfm_serve_options *options, pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
