#include "infer/engine_fixture.h"

#include <math.h>
#include <unistd.h>

/* ---- what is asked ---- */

const char *const engine_texts[ENGINE_TEXTS] = {
    "Is the lung normal?",
    "Is the lung normal, or not?",
    "Where is the lesion?",
    "Which organ is abnormal? 12",
    "What?",
    "Is the lung on the left side normal, or is there anything to be seen?",
    "Describe all that you see here, from the top to the bottom, as a radiologist would."};

static uint8_t pixels[ENGINE_PICTURES][3] = {{0}, {1}, {2}};

static void take_token(void *user, const char *text, size_t bytes, int32_t id, double log_probability)
{
    engine_job *j = user;
    assert_true(atomic_load(&j->ends) == 0 && j->size + bytes < ENGINE_PIECES);
    if (bytes > 0)
        memcpy(j->pieces + j->size, text, bytes);
    j->size += bytes;
    j->pieces[j->size] = '\0';
    j->ids += id >= 0;
    j->log_probability += log_probability;
    if (j->ids == j->cancel_at)
        pfm_engine_cancel(j->engine, j->ticket);
}

static void take_end(void *user, pfm_status status, const pfm_answer *answer, const pfm_error *err)
{
    engine_job *j = user;
    j->status = status;
    assert_true((status == PFM_OK) == (answer != NULL) && (status == PFM_OK) == (err == NULL));
    if (err != NULL)
        memcpy(j->message, err->message, sizeof j->message);
    if (answer != NULL) {
        j->answer = (pfm_answer){.tokens = answer->tokens, .probability = answer->probability};
        j->answer.text = strdup(answer->text);
        assert_non_null(j->answer.text);
    }
    (void)atomic_fetch_add(&j->ends, 1);
}

void engine_job_prepare(engine_job *j, int text, int picture, size_t images, int32_t max_tokens)
{
    *j = (engine_job){.how = pfm_decoding_greedy};
    for (size_t i = 0; i < images; i++)
        j->images[i] = (pfm_image){1, 1, pixels[((size_t)picture + i) % ENGINE_PICTURES]};
    j->request = (pfm_engine_request){.question = {engine_texts[text], images},
                                      .images = j->images,
                                      .image_count = images,
                                      .decoding = &j->how,
                                      .max_tokens = max_tokens,
                                      .on_token = take_token,
                                      .on_end = take_end,
                                      .user = j};
}

/* ---- features ---- */

pfm_status engine_show(void *user, const pfm_image *image, float *features, pfm_error *err)
{
    engine_source *s = user;
    const int told = atomic_fetch_add(&s->told, 1) + 1;
    tiny_features(image->rgb[0], features);
    return told == atomic_load(&s->fail_at) ? pfm_error_set(err, PFM_ERROR_IO, "no features for this picture") : PFM_OK;
}

static pfm_status show_again(void *user, size_t request, size_t image, float *features, pfm_error *err)
{
    (void)request;
    (void)err;
    tiny_features(((const engine_job *)user)->images[image].rgb[0], features);
    return PFM_OK;
}

/* ---- sessions and engines ---- */

static pfm_session *create(pfm_context *context, bool several)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_session *session = tiny_session(context, false, NULL, 0);
    pfm_model_graph graph;
    const int64_t one[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 1, [PFM_DIM_ANSWERS] = 1, [PFM_DIM_VISUAL] = TINY_VISUAL};
    if (several)
        assert_ok(pfm_session_choose_adapters(session, &err));
    assert_ok(pfm_model_build(session->model, one, false, false, &graph, &err));
    assert_ok(pfm_session_load_weights(session, &err));
    pfm_model_graph_free(&graph);
    tiny_set_weights(session, true);
    return session;
}

void engine_start(engine_fixture *f, pfm_precision precision, int threads, bool several, size_t memory, int32_t rows)
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_engine_options options = {.memory = memory, .rows = rows, .features = engine_show, .user = &f->features};
    f->context = tiny_context(NULL, threads, precision);
    f->session = create(f->context, several);
    assert_ok(pfm_engine_create(f->session, &options, &f->engine, &err));
}

void engine_finish(engine_fixture *f)
{
    pfm_engine_free(f->engine);
    pfm_session_free(f->session);
    pfm_context_free(f->context);
    *f = (engine_fixture){0};
}

void engine_ask(engine_fixture *f, engine_job *j)
{
    pfm_error err = PFM_ERROR_INIT;
    j->engine = f->engine;
    assert_ok(pfm_engine_submit(f->engine, &j->request, &j->ticket, &err));
}

void engine_wait(engine_job *j)
{
    for (int i = 0; i < 60000 && atomic_load(&j->ends) == 0; i++)
        (void)usleep(1000);
    assert_int_equal(atomic_load(&j->ends), 1);
}

pfm_engine_stats engine_stats(engine_fixture *f)
{
    pfm_engine_stats stats;
    pfm_engine_stats_get(f->engine, &stats);
    return stats;
}

/* Nothing runs, and it has been counted. */
pfm_engine_stats engine_settled(engine_fixture *f)
{
    pfm_engine_stats stats = engine_stats(f);
    for (int i = 0; i < 10000 && (stats.running > 0 || stats.waiting > 0); i++) {
        (void)usleep(1000);
        stats = engine_stats(f);
    }
    (void)usleep(20000);
    return engine_stats(f);
}

/* What pfm_generate answers, before an engine runs on the session or after. */
void engine_ask_alone(pfm_session *session, engine_job *j, pfm_answer *out)
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_request request = {.question = j->request.question, .adapter = j->request.adapter, .choices = j->request.choices};
    const pfm_generate_options options = {.max_tokens = j->request.max_tokens,
                                          .decoding = &j->how,
                                          .images = ENGINE_MOST_IMAGES,
                                          .list_choices = true,
                                          .features = show_again,
                                          .user = j};
    assert_ok(pfm_generate(session, &request, 1, &options, out, &err));
}

void engine_compare(const engine_job *j, const pfm_answer *alone, size_t number)
{
    assert_int_equal(j->status, PFM_OK);
    if (strcmp(j->answer.text, alone->text) != 0 || j->answer.tokens != alone->tokens ||
        (j->answer.probability != alone->probability && !isnan(alone->probability)))
        fail_msg("request %zu: '%s' of %d tokens, %.17g; alone '%s' of %d, %.17g", number, j->answer.text,
                 (int)j->answer.tokens, j->answer.probability, alone->text, (int)alone->tokens, alone->probability);
    assert_string_equal(j->pieces, j->answer.text);
    if (j->ids > 0) {
        assert_int_equal(j->ids, j->answer.tokens);
        assert_true(fabs(j->log_probability - log(j->answer.probability)) < 1e-9);
    }
}

void engine_forget(engine_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(jobs[i].answer.text);
}

size_t engine_row_bytes(void)
{
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = tiny_session(context, false, NULL, 0);
    const pfm_language_config *c = &session->model->language;
    const size_t bytes = 2 * sizeof(float) * (size_t)(c->layers * c->kv_heads * c->head_dim);
    pfm_session_free(session);
    pfm_context_free(context);
    return bytes;
}
