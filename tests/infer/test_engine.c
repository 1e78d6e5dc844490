/* Requests that come from several threads at any time, each against pfm_generate's answer to it alone, bit by bit; what is
 * shared, what is held, what is given up. */
#include "models/tiny.h"

#include "infer/engine.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

/* ---- what is asked ---- */

static const char *const texts[] = {"Is the lung normal?",
                                    "Is the lung normal, or not?",
                                    "Where is the lesion?",
                                    "Which organ is abnormal? 12",
                                    "What?",
                                    "Is the lung on the left side normal, or is there anything to be seen?",
                                    "Describe all that you see here, from the top to the bottom, as a radiologist would."};
enum { TEXTS = sizeof texts / sizeof *texts, MOST_IMAGES = 2, PICTURES = 3, PIECES = 4096 };

static uint8_t pixels[PICTURES][3] = {{0}, {1}, {2}};

/* One request and all that comes of it. */
typedef struct job {
    pfm_image images[MOST_IMAGES];
    pfm_engine_request request;
    pfm_decoding how;
    uint64_t ticket;
    atomic_int ends;
    pfm_status status;
    char message[1000];
    pfm_answer answer; /* its text is a copy */
    char pieces[PIECES];
    size_t size;
    int32_t ids, cancel_at; /* so many tokens were told; the engine is told to cancel then */
    double log_probability;
    pfm_engine *engine;
} job;

static void take_token(void *user, const char *text, size_t bytes, int32_t id, double log_probability)
{
    job *j = user;
    assert_true(atomic_load(&j->ends) == 0 && j->size + bytes < PIECES);
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
    job *j = user;
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

static void prepare(job *j, int text, int picture, size_t images, int32_t max_tokens)
{
    *j = (job){.how = pfm_decoding_greedy};
    for (size_t i = 0; i < images; i++)
        j->images[i] = (pfm_image){1, 1, pixels[((size_t)picture + i) % PICTURES]};
    j->request = (pfm_engine_request){.question = {texts[text], images},
                                      .images = j->images,
                                      .image_count = images,
                                      .decoding = &j->how,
                                      .max_tokens = max_tokens,
                                      .on_token = take_token,
                                      .on_end = take_end,
                                      .user = j};
}

/* ---- features ---- */

typedef struct source {
    atomic_int told, fail_at;
} source;

static pfm_status show(void *user, const pfm_image *image, float *features, pfm_error *err)
{
    source *s = user;
    const int told = atomic_fetch_add(&s->told, 1) + 1;
    if (told == atomic_load(&s->fail_at))
        return pfm_error_set(err, PFM_ERROR_IO, "no features for this picture");
    tiny_features(image->rgb[0], features);
    return PFM_OK;
}

static pfm_status show_again(void *user, size_t request, size_t image, float *features, pfm_error *err)
{
    (void)request;
    (void)err;
    tiny_features(((const job *)user)->images[image].rgb[0], features);
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

typedef struct fixture {
    pfm_context *context;
    pfm_session *session;
    pfm_engine *engine;
    source features;
} fixture;

static void start(fixture *f, pfm_precision precision, int threads, bool several, size_t memory, int32_t rows)
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_engine_options options = {.memory = memory, .rows = rows, .features = show, .user = &f->features};
    f->context = tiny_context(NULL, threads, precision);
    f->session = create(f->context, several);
    assert_ok(pfm_engine_create(f->session, &options, &f->engine, &err));
}

static void finish(fixture *f)
{
    pfm_engine_free(f->engine);
    pfm_session_free(f->session);
    pfm_context_free(f->context);
    *f = (fixture){0};
}

static void submit(fixture *f, job *j)
{
    pfm_error err = PFM_ERROR_INIT;
    j->engine = f->engine;
    assert_ok(pfm_engine_submit(f->engine, &j->request, &j->ticket, &err));
}

static void wait_for(job *j)
{
    for (int i = 0; i < 60000 && atomic_load(&j->ends) == 0; i++)
        (void)usleep(1000);
    assert_int_equal(atomic_load(&j->ends), 1);
}

static pfm_engine_stats stats_of(fixture *f)
{
    pfm_engine_stats stats;
    pfm_engine_stats_get(f->engine, &stats);
    return stats;
}

/* Nothing runs, and it has been counted. */
static pfm_engine_stats settled(fixture *f)
{
    pfm_engine_stats stats = stats_of(f);
    for (int i = 0; i < 10000 && (stats.running > 0 || stats.waiting > 0); i++) {
        (void)usleep(1000);
        stats = stats_of(f);
    }
    (void)usleep(20000);
    return stats_of(f);
}

/* What pfm_generate answers, before an engine runs on the session or after. */
static void ask_alone(pfm_session *session, job *j, pfm_answer *out)
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_request request = {.question = j->request.question, .adapter = j->request.adapter, .choices = j->request.choices};
    const pfm_generate_options options = {.max_tokens = j->request.max_tokens,
                                          .decoding = &j->how,
                                          .images = MOST_IMAGES,
                                          .list_choices = true,
                                          .features = show_again,
                                          .user = j};
    assert_ok(pfm_generate(session, &request, 1, &options, out, &err));
}

static void compare(const job *j, const pfm_answer *alone, size_t number)
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

static void forget(job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(jobs[i].answer.text);
}

/* ---- company ---- */

enum { JOBS = 48, ASKERS = 3 };

static void vary(job *j, int i, bool several)
{
    static char never[] = "e", likely[] = "a";
    static char *const stops[] = {likely, never};
    prepare(j, i % TEXTS, i / 3, (size_t)(i % 5 != 4) + (size_t)(i % 7 == 3 && i % 5 != 4), 3 + i * 5 % 37);
    if (several)
        j->request.adapter = i % 3 == 1 ? -1 : 0;
    if (i % 4 == 1) {
        j->how.temperature = 0.9;
        j->how.top_k = 30;
        j->how.seed = (uint64_t)i;
    }
    if (i % 4 == 2) {
        j->how.repetition_penalty = 1.3;
        j->how.no_repeat_ngram = 3;
    }
    if (i % 6 == 5) {
        j->how.stop = stops;
        j->how.stop_count = 2;
        j->how.temperature = 1.5;
        j->how.seed = (uint64_t)i;
    }
}

typedef struct asker {
    fixture *f;
    job *jobs;
    int first;
} asker;

static void *ask_some(void *argument)
{
    const asker *a = argument;
    uint32_t state = 12345u + (uint32_t)a->first;
    for (int i = a->first; i < JOBS; i += ASKERS) {
        submit(a->f, &a->jobs[i]);
        state = state * 1664525u + 1013904223u;
        if (state >> 30 != 0)
            (void)usleep(state >> 20);
    }
    return NULL;
}

static void compare_company(pfm_precision precision, bool several, size_t memory, int32_t rows)
{
    static job jobs[JOBS];
    static pfm_answer alone[JOBS];
    fixture f = {0};
    pthread_t threads[ASKERS];
    asker askers[ASKERS];
    start(&f, precision, 2, several, memory, rows);
    for (int i = 0; i < JOBS; i++)
        vary(&jobs[i], i, several);
    for (int t = 0; t < ASKERS; t++) {
        askers[t] = (asker){&f, jobs, t};
        assert_int_equal(pthread_create(&threads[t], NULL, ask_some, &askers[t]), 0);
    }
    for (int t = 0; t < ASKERS; t++)
        pthread_join(threads[t], NULL);
    for (int i = 0; i < JOBS; i++)
        wait_for(&jobs[i]);
    const pfm_engine_stats stats = settled(&f);
    assert_int_equal(stats.answered, JOBS);
    assert_true(stats.most_bytes <= stats.memory && stats.memory > 0);
    assert_true(stats.shared > 0);
    pfm_engine_stop(f.engine, true);
    for (int i = 0; i < JOBS; i++) { /* the engine rests */
        ask_alone(f.session, &jobs[i], &alone[i]);
        compare(&jobs[i], &alone[i], (size_t)i);
        pfm_answer_free(&alone[i]);
    }
    forget(jobs, JOBS);
    finish(&f);
}

static void answers_are_those_alone_to_the_bit(void **state)
{
    (void)state;
    compare_company(PFM_PRECISION_F32, false, 0, 0);
    compare_company(PFM_PRECISION_BF16, false, 0, 0);
    compare_company(PFM_PRECISION_BF16, false, 0, 3);
}

static void rows_of_different_adapters_share_nothing(void **state)
{
    (void)state;
    compare_company(PFM_PRECISION_F32, true, 0, 0);
    compare_company(PFM_PRECISION_BF16, true, 0, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_alone_to_the_bit),
        cmocka_unit_test(rows_of_different_adapters_share_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
