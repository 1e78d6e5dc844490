/* The server's state, which its threads share. */
#ifndef PFM_SERVE_SERVER_H
#define PFM_SERVE_SERVER_H

#include "infer/engine.h"
#include "infer/recorder.h"
#include "pefomed/serve.h"
#include "serve/answer_file.h"
#include "serve/catalogue.h"
#include "serve/http.h"
#include "serve/run_log.h"
#include "serve/shelf.h"
#include "serve/store.h"
#include "serve/tally.h"

#include <pthread.h>

/* What /v1/models lists: the run's own, the base, the adapters. */
typedef struct pfm_served_model {
    char *name;
    int32_t adapter; /* as pfm_request has it; -1: the base, which is asked without the run's instruction */
} pfm_served_model;

typedef struct pfm_server {
    pfm_context *context;
    const pfm_serve_options *options;
    pfm_serve_limits limits; /* complete */
    bool is_loopback;        /* listens to this machine alone */
    int64_t created;         /* seconds since 1970 */
    pfm_tally tally;
    pfm_store *store;          /* what is kept across runs */
    pfm_shelf *shelf;          /* images that are opened on the page */
    pfm_catalogue *catalogue;  /* runs and predictions that are looked through */
    pfm_run_logs *logs;        /* of those runs */
    pfm_answer_files *answers; /* those predictions */
    pthread_mutex_t lock;      /* of what follows */
    pthread_cond_t changed;
    struct pfm_guide_tokens *guide_tokens; /* NULL until an answer is held to JSON */
    bool ready, stopping;                  /* the model is loaded; nothing new is begun */
    int decoding;                          /* images that are being decoded */
    bool agreeing;                         /* an agreement is being computed */
    int running;                           /* requests that wait or are answered */
    struct pfm_pacs *pacs;                 /* NULL: no DICOM storage service */
    pfm_recorder *recorder;                /* NULL: nothing is recorded */
    /* Once ready nothing of this changes. */
    pfm_session *session;
    pfm_engine *engine;
    pfm_served_model *models; /* [model_count] */
    size_t model_count;
} pfm_server;

/* Waits until the model is loaded. UNSUPPORTED (503) where the server stops before. */
pfm_status pfm_server_wait(pfm_server *server, pfm_http_reply *reply, pfm_error *err) PFM_MUST_CHECK;
/* Takes one of the places for requests that compute, or refuses (503); give it back. */
pfm_status pfm_server_enter(pfm_server *server, pfm_http_reply *reply, pfm_error *err) PFM_MUST_CHECK;
void pfm_server_leave(pfm_server *server);
/* Images are decoded by few at once, so that many large ones do not take all memory. */
void pfm_server_begin_decoding(pfm_server *server);
void pfm_server_end_decoding(pfm_server *server);
/* *out = the bytes of the model's tokens, borrowed; made at the first call. */
pfm_status pfm_server_get_guide_tokens(pfm_server *server, const struct pfm_guide_tokens **out, pfm_error *err) PFM_MUST_CHECK;
/* NULL where no model is called so. */
const pfm_served_model *pfm_server_find_model(const pfm_server *server, const char *name);

#endif
