/* Inside of the engine: its thread, what is asked of it and when it stops (engine.c, engine_run.c), one request from the
 * outside in (engine_request.c), the store of keys and values (engine_store.c), features in memory (engine_features.c), one run
 * of the graph for all (engine_step.c), and what is answered alone (engine_single.c). */
#ifndef PFM_INFER_ENGINE_INTERNAL_H
#define PFM_INFER_ENGINE_INTERNAL_H

#include "infer/engine.h"
#include "infer/engine_store.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    PFM_ENGINE_PROMPT_TOKENS = 512, /* of prompts that a step reads */
    PFM_ENGINE_BESIDE_TOKENS = 128, /* the same where answers are under way, whose next tokens wait for it */
    PFM_ENGINE_PICTURES = 4,        /* that a step reads, or as many as a block may show */
};

/* A request while it waits and runs. The engine's thread alone has what stands behind `next`. */
typedef struct pfm_engine_entry {
    uint64_t ticket;
    pfm_engine_request asked; /* its question is a copy */
    const pfm_decoding *how;
    size_t prompt;         /* tokens */
    pfm_hash_hex *digests; /* [blocks] */
    size_t blocks;
    pfm_hash_hex *pictures; /* [image_count] hashes of the pixels */
    bool alone;             /* pfm_generate answers it */
    atomic_bool cancelled;
    struct pfm_engine_entry *next; /* that waits */
    pfm_ids ids;                   /* prompt and answer */
    pfm_engine_place place;
    int32_t read; /* tokens of the own part whose keys and values are there */
    bool answers; /* the prompt is read */
    double log_probability;
    pfm_text_stream *stream;
    pfm_buffer text; /* of the answer, as far as it is certain */
    size_t told;     /* bytes of it */
    bool over;       /* to be ended behind the step, */
    pfm_status status;
    pfm_error error;
    pfm_answer answer; /* with this */
} pfm_engine_entry;

/* Features of an image that are kept. */
typedef struct pfm_engine_features {
    pfm_hash_hex picture;
    float *values;
    uint64_t used;
} pfm_engine_features;

/* An image in the step at hand. */
typedef struct pfm_engine_picture {
    const char *hash; /* of an entry, borrowed */
    int32_t adapter, context;
} pfm_engine_picture;

struct pfm_engine {
    pfm_session *session;
    pfm_model *model;
    pfm_engine_options options;
    int32_t rows, context; /* the options', or what stands for 0 */
    size_t memory, row_bytes, feature_bytes, feature_memory;
    /* ---- under the mutex ---- */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t thread;
    bool started, stopping, finishing, stopped;
    uint64_t tickets;
    pfm_engine_entry *first, *last; /* that wait */
    pfm_engine_entry **running;     /* [rows], changed by the engine's thread alone */
    size_t running_count;
    pfm_engine_stats stats;
    /* ---- the engine's thread alone ---- */
    pfm_engine_store store;
    pfm_model_graph graph;
    pfm_executor *executor;
    pfm_kv_store kv;
    pfm_block kv_memory;
    pfm_engine_features *features; /* [feature_count] */
    size_t feature_count, feature_capacity;
    uint64_t feature_clock;
    float *image_features; /* of one image, where they are not kept */
    /* of the step at hand */
    pfm_pack pack;
    size_t most_pictures;
    pfm_engine_picture *pictures; /* [most_pictures] */
    size_t picture_count, computed;
    void *visual;                /* what the graph reads of them */
    int32_t *visual_adapters;    /* [most_pictures * visual tokens] */
    int32_t *image_contexts;     /* [most_pictures] */
    pfm_engine_entry **answered; /* [rows] whose next token is made */
    size_t *chosen;              /* [rows] */
    float *best;                 /* [rows] its log-probability */
    float *scores;               /* [threads, vocabulary] */
    int32_t *scratch;            /* [threads, vocabulary] */
    pfm_engine_stats counts;     /* what a step adds to stats */
};

/* ---- engine_request.c ---- */

/* Checks it, and makes what can be made on the caller's thread. */
pfm_status pfm_engine_entry_create(const pfm_engine *engine, const pfm_engine_request *request, pfm_engine_entry **out,
                                   pfm_error *err) PFM_MUST_CHECK;
void pfm_engine_entry_free(pfm_engine_entry *entry);
/* Tells how it ended and frees it. */
void pfm_engine_entry_end(pfm_engine *engine, pfm_engine_entry *entry, pfm_status status, const pfm_error *err);
/* Takes a token of its answer and tells what is certain of the text. */
pfm_status pfm_engine_entry_take(const pfm_engine *engine, pfm_engine_entry *entry, int32_t id, double log_probability,
                                 pfm_error *err) PFM_MUST_CHECK;

/* ---- engine_features.c ---- */

/* Whether an image's features are at hand. */
bool pfm_engine_features_kept(const pfm_engine *engine, const char *picture);
/* *values = the features of an entry's image, until the next call. */
pfm_status pfm_engine_features_get(pfm_engine *engine, const pfm_engine_entry *entry, size_t image, const float **values,
                                   pfm_error *err) PFM_MUST_CHECK;
void pfm_engine_features_free(pfm_engine *engine);

/* ---- engine_step.c ---- */

/* Room for steps: the graph, the executor, the pack. */
pfm_status pfm_engine_step_prepare(pfm_engine *engine, pfm_error *err) PFM_MUST_CHECK;
void pfm_engine_step_free(pfm_engine *engine);
/* One run for all that run; entries that are over are marked. On error nothing is known of what the run should have stored. */
pfm_status pfm_engine_step(pfm_engine *engine, pfm_error *err) PFM_MUST_CHECK;

/* ---- engine_single.c ---- */

/* Whether pfm_generate answers it. */
bool pfm_engine_is_single(const pfm_engine *engine, const pfm_engine_request *request);
pfm_status pfm_engine_single(pfm_engine *engine, pfm_engine_entry *entry, pfm_error *err) PFM_MUST_CHECK;

/* ---- engine_run.c ---- */

void *pfm_engine_work(void *argument); /* the engine */

#endif
