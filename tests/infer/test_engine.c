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
    tiny_features(image->rgb[0], features);
    return told == atomic_load(&s->fail_at) ? pfm_error_set(err, PFM_ERROR_IO, "no features for this picture") : PFM_OK;
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

/* ---- what is shared ---- */

static void beginnings_and_features_are_found_again(void **state)
{
    (void)state;
    fixture f = {0};
    static job jobs[6];
    start(&f, PFM_PRECISION_F32, 1, false, 0, 0);
    const int pictures[6] = {0, 0, 0, 1, 0, 1};
    uint64_t shared[6];
    for (int i = 0; i < 6; i++) {
        prepare(&jobs[i], i % 2, pictures[i], 1, 4);
        submit(&f, &jobs[i]);
        wait_for(&jobs[i]);
        shared[i] = settled(&f).shared;
    }
    const pfm_engine_stats stats = settled(&f);
    assert_int_equal(shared[0], 0);
    assert_true(shared[1] >= 16 && shared[1] % 16 == 0); /* the same image, another question */
    assert_true(shared[2] - shared[1] >= shared[1]);     /* the same question again: at least as much */
    const uint64_t begun = shared[3] - shared[2];        /* another image: what stands before it, at most */
    assert_true(begun < shared[1]);
    assert_true(shared[5] - shared[4] > 0);
    assert_int_equal(stats.features, 2);
    assert_int_equal(atomic_load(&f.features.told), 2);
    assert_int_equal(stats.asked, 6);
    assert_int_equal(stats.answered, 6);
    assert_true(stats.read + stats.shared >= 6 * 30 && stats.generated > 0 && stats.steps > 0);
    forget(jobs, 6);
    finish(&f);
}

/* Requests that come together share what none of them has computed yet. */
static void requests_on_one_image_share_while_it_is_read(void **state)
{
    (void)state;
    enum { COUNT = 8 };
    fixture f = {0};
    static job jobs[COUNT], first;
    start(&f, PFM_PRECISION_F32, 2, false, 0, 0);
    prepare(&first, 4, 2, 1, 60);
    first.how.min_tokens = 60;
    submit(&f, &first); /* while this is answered the others gather */
    for (int i = 0; i < COUNT; i++) {
        prepare(&jobs[i], i % 4, 0, 1, 8);
        submit(&f, &jobs[i]);
    }
    for (int i = 0; i < COUNT; i++)
        wait_for(&jobs[i]);
    wait_for(&first);
    const pfm_engine_stats stats = settled(&f);
    assert_int_equal(stats.features, 2);
    assert_true(stats.shared >= (COUNT - 1) * 16);
    forget(jobs, COUNT);
    forget(&first, 1);
    finish(&f);
}

/* ---- what is held ---- */

static size_t row_bytes(void)
{
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = tiny_session(context, false, NULL, 0);
    const pfm_language_config *c = &session->model->language;
    const size_t bytes = 2 * sizeof(float) * (size_t)(c->layers * c->kv_heads * c->head_dim);
    pfm_session_free(session);
    pfm_context_free(context);
    return bytes;
}

/* A store of 200 tokens, and of about 350 beside room for features: whoever finds no place waits. */
static void memory_is_kept(void **state)
{
    (void)state;
    compare_company(PFM_PRECISION_F32, false, 200 * row_bytes(), 0);
    compare_company(PFM_PRECISION_BF16, false, 700 * row_bytes() / 2, 0);
}

static void what_never_fits_is_refused_at_once(void **state)
{
    (void)state;
    fixture f = {0};
    static job j;
    pfm_error err = PFM_ERROR_INIT;
    static const pfm_choices none = {NULL, 0};
    start(&f, PFM_PRECISION_F32, 1, false, 100 * row_bytes(), 0);
    prepare(&j, 0, 0, 1, 90);
    assert_error(pfm_engine_submit(f.engine, &j.request, NULL, &err), PFM_ERROR_MISMATCH, "the memory for answers holds");
    prepare(&j, 0, 0, 1, 5000);
    assert_error(pfm_engine_submit(f.engine, &j.request, NULL, &err), PFM_ERROR_MISMATCH, "\"Is the lung normal?\" takes");
    j.request.max_tokens = 0;
    assert_error(pfm_engine_submit(f.engine, &j.request, NULL, &err), PFM_ERROR_USAGE, "0 tokens");
    j.request.max_tokens = 3;
    j.request.adapter = 1;
    assert_error(pfm_engine_submit(f.engine, &j.request, NULL, &err), PFM_ERROR_USAGE, "adapter 1, which is not there");
    j.request.adapter = 0;
    j.request.image_count = 0;
    assert_error(pfm_engine_submit(f.engine, &j.request, NULL, &err), PFM_ERROR_USAGE, "about 1 images and 0 are given");
    j.request.image_count = 1;
    j.request.choices = &none;
    assert_error(pfm_engine_submit(f.engine, &j.request, NULL, &err), PFM_ERROR_USAGE, "nothing to choose among");
    j.request.choices = NULL;
    assert_int_equal(atomic_load(&j.ends), 0);
    submit(&f, &j); /* and it still works */
    wait_for(&j);
    assert_int_equal(j.status, PFM_OK);
    forget(&j, 1);
    pfm_engine_options options = {.memory = 1000, .features = show, .user = &f.features};
    pfm_engine *none_made = NULL;
    assert_error(pfm_engine_create(f.session, &options, &none_made, &err), PFM_ERROR_USAGE, "allow at least");
    options = (pfm_engine_options){.rows = 5000, .features = show};
    assert_error(pfm_engine_create(f.session, &options, &none_made, &err), PFM_ERROR_USAGE, "5000 requests");
    options = (pfm_engine_options){.context = 1 << 20, .features = show};
    assert_error(pfm_engine_create(f.session, &options, &none_made, &err), PFM_ERROR_USAGE, "this model's is");
    assert_null(none_made);
    finish(&f);
}

/* A second beginning stands behind that of a first; a long answer behind the second has room only where it was. */
static void what_is_found_makes_room_where_it_lies_in_the_way(void **state)
{
    (void)state;
    enum { ROWS = 130 };
    fixture f = {0};
    static job jobs[3];
    pfm_error err = PFM_ERROR_INIT;
    start(&f, PFM_PRECISION_F32, 1, false, ROWS * row_bytes(), 0);
    for (int i = 0; i < 2; i++) {
        prepare(&jobs[i], 0, i, 1, 4);
        submit(&f, &jobs[i]);
        wait_for(&jobs[i]);
    }
    int32_t most = ROWS;
    do {
        prepare(&jobs[2], 0, 1, 1, --most);
    } while (pfm_engine_submit(f.engine, &jobs[2].request, NULL, &err) != PFM_OK);
    wait_for(&jobs[2]);
    assert_int_equal(jobs[2].status, PFM_OK);
    assert_true(most > 60 && stats_of(&f).most_bytes <= ROWS * row_bytes());
    forget(jobs, 3);
    finish(&f);
}

/* ---- what is given up ---- */

static void cancelled_requests_end_and_give_their_room_back(void **state)
{
    (void)state;
    enum { COUNT = 6, LONG = 150 };
    fixture f = {0};
    static job jobs[COUNT], after;
    start(&f, PFM_PRECISION_F32, 2, false, 0, 2); /* two run, four wait */
    for (int i = 0; i < COUNT; i++) {
        prepare(&jobs[i], i % 3, i, 1, LONG);
        jobs[i].how.min_tokens = LONG;
        jobs[i].cancel_at = i < 2 ? 5 : 0;
        submit(&f, &jobs[i]);
        if (i == 3 || i == 4)
            pfm_engine_cancel(f.engine, jobs[i].ticket);
    }
    for (int i = 0; i < 5; i++) {
        if (i == 2)
            continue;
        wait_for(&jobs[i]);
        assert_int_equal(jobs[i].status, PFM_ERROR_INTERRUPTED);
        assert_string_equal(jobs[i].message, "the request was cancelled");
        assert_true(jobs[i].ids <= 6);
    }
    wait_for(&jobs[2]);
    wait_for(&jobs[5]);
    assert_int_equal(jobs[2].status, PFM_OK);
    assert_int_equal(jobs[5].answer.tokens, LONG);
    pfm_engine_stats stats = settled(&f);
    assert_int_equal(stats.ended, 4);
    assert_int_equal(stats.answered, 2);
    assert_true(stats.bytes < 6 * 64 * row_bytes() + 3 * 16 * 1280 * sizeof(float) + 1); /* beginnings, and features */
    pfm_engine_cancel(f.engine, jobs[0].ticket);                                         /* is not there any more */
    pfm_engine_cancel(f.engine, 12345);
    prepare(&after, 1, 0, 1, 4);
    submit(&f, &after);
    wait_for(&after);
    assert_int_equal(after.status, PFM_OK);
    forget(&after, 1);
    forget(jobs, COUNT);
    finish(&f);
}

static void stopping_finishes_or_gives_up(void **state)
{
    (void)state;
    enum { COUNT = 7 };
    static job jobs[COUNT];
    pfm_error err = PFM_ERROR_INIT;
    for (int finishes = 0; finishes < 2; finishes++) {
        fixture f = {0};
        start(&f, PFM_PRECISION_F32, 2, false, 0, 3);
        for (int i = 0; i < COUNT; i++) {
            prepare(&jobs[i], i, i, 1, 120);
            jobs[i].how.min_tokens = 120;
            submit(&f, &jobs[i]);
        }
        pfm_engine_stop(f.engine, finishes == 1);
        int answered = 0;
        for (int i = 0; i < COUNT; i++) { /* all have ended when it returns */
            assert_int_equal(atomic_load(&jobs[i].ends), 1);
            assert_true(jobs[i].status == PFM_OK || jobs[i].status == PFM_ERROR_INTERRUPTED);
            answered += jobs[i].status == PFM_OK;
        }
        assert_true(finishes == 1 ? answered == COUNT : answered < COUNT);
        assert_error(pfm_engine_submit(f.engine, &jobs[0].request, NULL, &err), PFM_ERROR_INTERRUPTED,
                     "takes no more requests");
        pfm_engine_stop(f.engine, true);
        forget(jobs, COUNT);
        finish(&f);
    }
}

static void *stop_and_finish(void *engine)
{
    pfm_engine_stop(engine, true);
    return NULL;
}

static void a_second_stop_hastens_the_first(void **state)
{
    (void)state;
    enum { COUNT = 40 };
    static job jobs[COUNT];
    fixture f = {0};
    pthread_t thread;
    start(&f, PFM_PRECISION_F32, 1, false, 0, 1); /* one after the other, 5000 tokens in all */
    for (int i = 0; i < COUNT; i++) {
        prepare(&jobs[i], i % TEXTS, i, 1, 125);
        jobs[i].how.min_tokens = 125;
        submit(&f, &jobs[i]);
    }
    assert_int_equal(pthread_create(&thread, NULL, stop_and_finish, f.engine), 0);
    wait_for(&jobs[0]);
    pfm_engine_stop(f.engine, false);
    pthread_join(thread, NULL);
    int answered = 0;
    for (int i = 0; i < COUNT; i++)
        answered += jobs[i].status == PFM_OK;
    assert_true(answered >= 1 && answered < COUNT);
    forget(jobs, COUNT);
    finish(&f);
}

/* ---- what goes wrong, and what goes its own way ---- */

static void features_that_fail_end_their_request_alone(void **state)
{
    (void)state;
    enum { COUNT = 6 };
    static job jobs[COUNT];
    fixture f = {0};
    start(&f, PFM_PRECISION_F32, 2, false, 0, 0);
    atomic_store(&f.features.fail_at, 2);
    int failed = 0;
    for (int i = 0; i < COUNT; i++) {
        prepare(&jobs[i], 0, i, 1, 5);
        submit(&f, &jobs[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        wait_for(&jobs[i]);
        failed += jobs[i].status == PFM_ERROR_IO;
        assert_true(jobs[i].status == PFM_OK || strcmp(jobs[i].message, "no features for this picture") == 0);
    }
    assert_int_equal(failed, 1);
    free(jobs[0].answer.text);
    prepare(&jobs[0], 0, 0, 1, 5);
    submit(&f, &jobs[0]);
    wait_for(&jobs[0]);
    assert_int_equal(jobs[0].status, PFM_OK);
    forget(jobs, COUNT);
    finish(&f);
}

/* With room for one image's features. A context stands in the way of sharing the prompt, not the features. */
static void features_that_fail_leave_nothing_behind(void **state)
{
    (void)state;
    static job jobs[3];
    fixture f = {0};
    pfm_answer alone;
    start(&f, PFM_PRECISION_F32, 1, false, 4 * 16 * 1280 * sizeof(float), 0);
    atomic_store(&f.features.fail_at, 2);
    for (int i = 0; i < 3; i++) {
        prepare(&jobs[i], 0, i % 2, 1, 5);
        jobs[i].request.context = i / 2;
        submit(&f, &jobs[i]);
        wait_for(&jobs[i]);
    }
    assert_int_equal(jobs[1].status, PFM_ERROR_IO);
    assert_int_equal(settled(&f).shared, 0);
    pfm_engine_stop(f.engine, true);
    ask_alone(f.session, &jobs[2], &alone);
    compare(&jobs[2], &alone, 2);
    pfm_answer_free(&alone);
    forget(jobs, 3);
    finish(&f);
}

static bool begins_character(char byte) { return ((unsigned char)byte & 0xC0) != 0x80; }

/* Texts that end an answer are cut out of its middle, so that they come over several tokens, and others only begin as they do.
 */
static void nothing_is_told_that_may_become_an_end(void **state)
{
    (void)state;
    enum { COUNT = 2 * TEXTS };
    static job jobs[COUNT];
    static char ends[COUNT][200];
    static char *stops[COUNT];
    fixture f = {0};
    pfm_answer alone;
    int cut = 0;
    start(&f, PFM_PRECISION_F32, 2, false, 0, 0);
    for (int i = 0; i < COUNT; i++) {
        prepare(&jobs[i], i / 2, i / 2, 1, 40);
        jobs[i].how.no_repeat_ngram = 2;
        submit(&f, &jobs[i]);
        wait_for(&jobs[i]);
        const char *text = jobs[i].answer.text;
        size_t begin = 0, end;
        while (begin < 5 || !begins_character(text[begin]))
            begin++;
        for (end = begin + 4; !begins_character(text[end]); end++)
            ;
        assert_true(strlen(text) > end);
        (void)snprintf(ends[i], sizeof ends[i], "%.*s%s", (int)(end - begin), text + begin, i % 2 == 0 ? "" : "@@@");
        free(jobs[i].answer.text);
        prepare(&jobs[i], i / 2, i / 2, 1, 40);
        stops[i] = ends[i];
        jobs[i].how.no_repeat_ngram = 2;
        jobs[i].how.stop = &stops[i];
        jobs[i].how.stop_count = 1;
        submit(&f, &jobs[i]);
        wait_for(&jobs[i]);
        cut += strlen(jobs[i].answer.text) <= begin;
    }
    assert_true(cut >= TEXTS);
    pfm_engine_stop(f.engine, true);
    for (int i = 0; i < COUNT; i++) {
        ask_alone(f.session, &jobs[i], &alone);
        compare(&jobs[i], &alone, (size_t)i); /* and the pieces are the answer */
        pfm_answer_free(&alone);
    }
    forget(jobs, COUNT);
    finish(&f);
}

static void beams_draws_and_choices_are_answered_between_steps(void **state)
{
    (void)state;
    enum { COUNT = 8 };
    static const char *const given[] = {"yes", "no", "left lung"};
    static const pfm_choices choices = {given, 3};
    static job jobs[COUNT];
    fixture f = {0};
    start(&f, PFM_PRECISION_F32, 2, false, 0, 0);
    for (int i = 0; i < COUNT; i++) {
        prepare(&jobs[i], i % TEXTS, i / 2, 1, 12);
        if (i % 4 == 1)
            jobs[i].how.beams = 3;
        if (i % 4 == 2)
            jobs[i].request.choices = &choices;
        if (i % 4 == 3) {
            jobs[i].how.draws = 4;
            jobs[i].how.temperature = 1;
            jobs[i].how.seed = 7;
        }
        submit(&f, &jobs[i]);
    }
    for (int i = 0; i < COUNT; i++)
        wait_for(&jobs[i]);
    pfm_engine_stop(f.engine, true);
    for (int i = 0; i < COUNT; i++) {
        pfm_answer alone;
        ask_alone(f.session, &jobs[i], &alone);
        compare(&jobs[i], &alone, (size_t)i);
        assert_true((jobs[i].ids > 0) == (i % 4 == 0));
        pfm_answer_free(&alone);
    }
    forget(jobs, COUNT);
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_alone_to_the_bit),
        cmocka_unit_test(rows_of_different_adapters_share_nothing),
        cmocka_unit_test(beginnings_and_features_are_found_again),
        cmocka_unit_test(requests_on_one_image_share_while_it_is_read),
        cmocka_unit_test(memory_is_kept),
        cmocka_unit_test(what_never_fits_is_refused_at_once),
        cmocka_unit_test(what_is_found_makes_room_where_it_lies_in_the_way),
        cmocka_unit_test(cancelled_requests_end_and_give_their_room_back),
        cmocka_unit_test(stopping_finishes_or_gives_up),
        cmocka_unit_test(a_second_stop_hastens_the_first),
        cmocka_unit_test(features_that_fail_end_their_request_alone),
        cmocka_unit_test(features_that_fail_leave_nothing_behind),
        cmocka_unit_test(nothing_is_told_that_may_become_an_end),
        cmocka_unit_test(beams_draws_and_choices_are_answered_between_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
