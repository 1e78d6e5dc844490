/* Requests that come from several threads at any time, each against pfm_generate's answer to it alone, bit by bit; what is
 * shared, and what is held. */
#include "infer/engine_fixture.h"

#include <pthread.h>
#include <unistd.h>

/* ---- company ---- */

enum { JOBS = 48, ASKERS = 3 };

static void vary(engine_job *j, int i, bool several)
{
    static char never[] = "e", likely[] = "a";
    static char *const stops[] = {likely, never};
    engine_job_prepare(j, i % ENGINE_TEXTS, i / 3, (size_t)(i % 5 != 4) + (size_t)(i % 7 == 3 && i % 5 != 4), 3 + i * 5 % 37);
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
    engine_fixture *f;
    engine_job *jobs;
    int first;
} asker;

static void *ask_some(void *argument)
{
    const asker *a = argument;
    uint32_t state = 12345u + (uint32_t)a->first;
    for (int i = a->first; i < JOBS; i += ASKERS) {
        engine_ask(a->f, &a->jobs[i]);
        state = state * 1664525u + 1013904223u;
        if (state >> 30 != 0)
            (void)usleep(state >> 20);
    }
    return NULL;
}

static void compare_company(pfm_precision precision, bool several, size_t memory, int32_t rows)
{
    static engine_job jobs[JOBS];
    static pfm_answer alone[JOBS];
    engine_fixture f = {0};
    pthread_t threads[ASKERS];
    asker askers[ASKERS];
    engine_start(&f, precision, 2, several, memory, rows);
    for (int i = 0; i < JOBS; i++)
        vary(&jobs[i], i, several);
    for (int t = 0; t < ASKERS; t++) {
        askers[t] = (asker){&f, jobs, t};
        assert_int_equal(pthread_create(&threads[t], NULL, ask_some, &askers[t]), 0);
    }
    for (int t = 0; t < ASKERS; t++)
        pthread_join(threads[t], NULL);
    for (int i = 0; i < JOBS; i++)
        engine_wait(&jobs[i]);
    const pfm_engine_stats stats = engine_settled(&f);
    assert_int_equal(stats.answered, JOBS);
    assert_true(stats.most_bytes <= stats.memory && stats.memory > 0);
    assert_true(stats.shared > 0);
    pfm_engine_stop(f.engine, true);
    for (int i = 0; i < JOBS; i++) { /* the engine rests */
        engine_ask_alone(f.session, &jobs[i], &alone[i]);
        engine_compare(&jobs[i], &alone[i], (size_t)i);
        pfm_answer_free(&alone[i]);
    }
    engine_forget(jobs, JOBS);
    engine_finish(&f);
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
    engine_fixture f = {0};
    static engine_job jobs[6];
    engine_start(&f, PFM_PRECISION_F32, 1, false, 0, 0);
    const int pictures[6] = {0, 0, 0, 1, 0, 1};
    uint64_t shared[6];
    for (int i = 0; i < 6; i++) {
        engine_job_prepare(&jobs[i], i % 2, pictures[i], 1, 4);
        engine_ask(&f, &jobs[i]);
        engine_wait(&jobs[i]);
        shared[i] = engine_settled(&f).shared;
    }
    const pfm_engine_stats stats = engine_settled(&f);
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
    engine_forget(jobs, 6);
    engine_finish(&f);
}

/* Requests that come together share what none of them has computed yet. */
static void requests_on_one_image_share_while_it_is_read(void **state)
{
    (void)state;
    enum { COUNT = 8 };
    engine_fixture f = {0};
    static engine_job jobs[COUNT], first;
    engine_start(&f, PFM_PRECISION_F32, 2, false, 0, 0);
    engine_job_prepare(&first, 4, 2, 1, 60);
    first.how.min_tokens = 60;
    engine_ask(&f, &first); /* while this is answered the others gather */
    for (int i = 0; i < COUNT; i++) {
        engine_job_prepare(&jobs[i], i % 4, 0, 1, 8);
        engine_ask(&f, &jobs[i]);
    }
    for (int i = 0; i < COUNT; i++)
        engine_wait(&jobs[i]);
    engine_wait(&first);
    const pfm_engine_stats stats = engine_settled(&f);
    assert_int_equal(stats.features, 2);
    assert_true(stats.shared >= (COUNT - 1) * 16);
    engine_forget(jobs, COUNT);
    engine_forget(&first, 1);
    engine_finish(&f);
}

/* ---- what is held ---- */

/* A store of 200 tokens, and of about 350 beside room for features: whoever finds no place waits. */
static void memory_is_kept(void **state)
{
    (void)state;
    compare_company(PFM_PRECISION_F32, false, 200 * engine_row_bytes(), 0);
    compare_company(PFM_PRECISION_BF16, false, 700 * engine_row_bytes() / 2, 0);
}

static void what_never_fits_is_refused_at_once(void **state)
{
    (void)state;
    engine_fixture f = {0};
    static engine_job j;
    pfm_error err = PFM_ERROR_INIT;
    static const pfm_choices none = {NULL, 0};
    engine_start(&f, PFM_PRECISION_F32, 1, false, 100 * engine_row_bytes(), 0);
    engine_job_prepare(&j, 0, 0, 1, 90);
    assert_error(pfm_engine_submit(f.engine, &j.request, NULL, &err), PFM_ERROR_MISMATCH, "the memory for answers holds");
    engine_job_prepare(&j, 0, 0, 1, 5000);
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
    engine_ask(&f, &j); /* and it still works */
    engine_wait(&j);
    assert_int_equal(j.status, PFM_OK);
    engine_forget(&j, 1);
    pfm_engine_options options = {.memory = 1000, .features = engine_show, .user = &f.features};
    pfm_engine *none_made = NULL;
    assert_error(pfm_engine_create(f.session, &options, &none_made, &err), PFM_ERROR_USAGE, "allow at least");
    options = (pfm_engine_options){.rows = 5000, .features = engine_show};
    assert_error(pfm_engine_create(f.session, &options, &none_made, &err), PFM_ERROR_USAGE, "5000 requests");
    options = (pfm_engine_options){.context = 1 << 20, .features = engine_show};
    assert_error(pfm_engine_create(f.session, &options, &none_made, &err), PFM_ERROR_USAGE, "this model's is");
    assert_null(none_made);
    engine_finish(&f);
}

/* A second beginning stands behind that of a first; a long answer behind the second has room only where it was. */
static void what_is_found_makes_room_where_it_lies_in_the_way(void **state)
{
    (void)state;
    enum { ROWS = 130 };
    engine_fixture f = {0};
    static engine_job jobs[3];
    pfm_error err = PFM_ERROR_INIT;
    engine_start(&f, PFM_PRECISION_F32, 1, false, ROWS * engine_row_bytes(), 0);
    for (int i = 0; i < 2; i++) {
        engine_job_prepare(&jobs[i], 0, i, 1, 4);
        engine_ask(&f, &jobs[i]);
        engine_wait(&jobs[i]);
    }
    int32_t most = ROWS;
    do {
        engine_job_prepare(&jobs[2], 0, 1, 1, --most);
    } while (pfm_engine_submit(f.engine, &jobs[2].request, NULL, &err) != PFM_OK);
    engine_wait(&jobs[2]);
    assert_int_equal(jobs[2].status, PFM_OK);
    assert_true(most > 60 && engine_stats(&f).most_bytes <= ROWS * engine_row_bytes());
    engine_forget(jobs, 3);
    engine_finish(&f);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
