/* An engine on the tiny system, and requests to it with all that comes of them. */
#ifndef PFM_TESTS_INFER_ENGINE_FIXTURE_H
#define PFM_TESTS_INFER_ENGINE_FIXTURE_H

#include "models/tiny.h"

#include "infer/engine.h"

#include <stdatomic.h>

enum { ENGINE_TEXTS = 7, ENGINE_MOST_IMAGES = 2, ENGINE_PICTURES = 3, ENGINE_PIECES = 4096 };
extern const char *const engine_texts[ENGINE_TEXTS];

/* One request and all that comes of it. */
typedef struct engine_job {
    pfm_image images[ENGINE_MOST_IMAGES];
    pfm_engine_request request;
    pfm_decoding how;
    uint64_t ticket;
    atomic_int ends;
    pfm_status status;
    char message[1000];
    pfm_answer answer; /* its text is a copy */
    char pieces[ENGINE_PIECES];
    size_t size;
    int32_t ids, cancel_at; /* so many tokens were told; the engine is told to cancel then */
    double log_probability;
    pfm_engine *engine;
} engine_job;

/* Of features: how often they were asked for, and the time that fails. */
typedef struct engine_source {
    atomic_int told, fail_at;
} engine_source;

typedef struct engine_fixture {
    pfm_context *context;
    pfm_session *session;
    pfm_engine *engine;
    engine_source features;
} engine_fixture;

/* A question on so many images from picture `picture` on, with greedy decoding. */
void engine_job_prepare(engine_job *j, int text, int picture, size_t images, int32_t max_tokens);
/* memory and rows as the engine takes them; several: the base (-1) answers beside the adapter (0). */
void engine_start(engine_fixture *f, pfm_precision precision, int threads, bool several, size_t memory, int32_t rows);
/* The features of a picture: user is its engine_source. */
pfm_status engine_show(void *user, const pfm_image *image, float *features, pfm_error *err);
void engine_finish(engine_fixture *f);
void engine_ask(engine_fixture *f, engine_job *j);
/* Until it has ended. */
void engine_wait(engine_job *j);
pfm_engine_stats engine_stats(engine_fixture *f);
/* Once nothing runs, and it has been counted. */
pfm_engine_stats engine_settled(engine_fixture *f);
/* What pfm_generate answers, while no engine works on the session. */
void engine_ask_alone(pfm_session *session, engine_job *j, pfm_answer *out);
/* To the bit, and what was told is the answer. */
void engine_compare(const engine_job *j, const pfm_answer *alone, size_t number);
void engine_forget(engine_job *jobs, size_t count);
/* Of keys and values of a token in f32. */
size_t engine_row_bytes(void);

#endif
