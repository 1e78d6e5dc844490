/* STAND-IN until the engine's branch is merged. */
#include "infer/engine.h"
#include "base/try.h"
#include "models/vision/feature_store.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
struct pfm_engine {
    pfm_session *session;
    pthread_mutex_t lock;
};
pfm_status pfm_engine_create(pfm_session *s, const pfm_engine_options *o, pfm_engine **out, pfm_error *err)
{
    (void)o;
    pfm_engine *e = NULL;
    pfm_status st = pfm_allocate(1, sizeof *e, &e, err);
    if (st == PFM_OK) {
        e->session = s;
        pthread_mutex_init(&e->lock, NULL);
        *out = e;
    }
    return st;
}
void pfm_engine_free(pfm_engine *e) { free(e); }
void pfm_engine_cancel(pfm_engine *e, uint64_t t)
{
    (void)e;
    (void)t;
}
void pfm_engine_stats_get(pfm_engine *e, pfm_engine_stats *out)
{
    (void)e;
    *out = (pfm_engine_stats){0};
}
void pfm_engine_stop(pfm_engine *e, bool f)
{
    (void)e;
    (void)f;
}
typedef struct one {
    pfm_engine *e;
    const pfm_engine_request *r;
} one;
static pfm_status feat(void *u, size_t q, size_t i, float *f, pfm_error *err)
{
    (void)q;
    one *o = u;
    return pfm_features_of_image(o->e->session->vision, &o->r->images[i], f, err);
}
pfm_status pfm_engine_submit(pfm_engine *e, const pfm_engine_request *r, uint64_t *ticket, pfm_error *err)
{
    (void)err;
    *ticket = 1;
    one o = {e, r};
    pfm_answer a = {0};
    pfm_error er = PFM_ERROR_INIT;
    const pfm_request q = {.question = r->question, .adapter = r->adapter};
    const pfm_generate_options g = {
        .max_tokens = r->max_tokens, .decoding = r->decoding, .images = 16, .features = feat, .user = &o};
    pthread_mutex_lock(&e->lock);
    pfm_status st = pfm_generate(e->session, &q, 1, &g, &a, &er);
    pthread_mutex_unlock(&e->lock);
    if (st == PFM_OK)
        r->on_token(r->user, a.text, strlen(a.text), -1, NAN);
    r->on_end(r->user, st, st == PFM_OK ? &a : NULL, &er);
    pfm_answer_free(&a);
    return PFM_OK;
}
