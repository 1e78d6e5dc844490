/* How requests to the engine end: cancelled, stopped, by an error, at a text, and by pfm_generate. */
#include "infer/engine_fixture.h"

#include <pthread.h>

/* ---- what is given up ---- */

static void cancelled_requests_end_and_give_their_room_back(void **state)
{
    (void)state;
    enum { COUNT = 6, LONG = 150 };
    engine_fixture f = {0};
    static engine_job jobs[COUNT], after;
    engine_start(&f, PFM_PRECISION_F32, 2, false, 0, 2); /* two run, four wait */
    for (int i = 0; i < COUNT; i++) {
        engine_job_prepare(&jobs[i], i % 3, i, 1, LONG);
        jobs[i].how.min_tokens = LONG;
        jobs[i].cancel_at = i < 2 ? 5 : 0;
        engine_ask(&f, &jobs[i]);
        if (i == 3 || i == 4)
            pfm_engine_cancel(f.engine, jobs[i].ticket);
    }
    for (int i = 0; i < 5; i++) {
        if (i == 2)
            continue;
        engine_wait(&jobs[i]);
        assert_int_equal(jobs[i].status, PFM_ERROR_INTERRUPTED);
        assert_string_equal(jobs[i].message, "the request was cancelled");
        assert_true(jobs[i].ids <= 6);
    }
    engine_wait(&jobs[2]);
    engine_wait(&jobs[5]);
    assert_int_equal(jobs[2].status, PFM_OK);
    assert_int_equal(jobs[5].answer.tokens, LONG);
    pfm_engine_stats stats = engine_settled(&f);
    assert_int_equal(stats.ended, 4);
    assert_int_equal(stats.answered, 2);
    assert_true(stats.bytes < 6 * 64 * engine_row_bytes() + 3 * 16 * 1280 * sizeof(float) + 1); /* beginnings, and features */
    pfm_engine_cancel(f.engine, jobs[0].ticket);                                                /* is not there any more */
    pfm_engine_cancel(f.engine, 12345);
    engine_job_prepare(&after, 1, 0, 1, 4);
    engine_ask(&f, &after);
    engine_wait(&after);
    assert_int_equal(after.status, PFM_OK);
    engine_forget(&after, 1);
    engine_forget(jobs, COUNT);
    engine_finish(&f);
}

static void stopping_finishes_or_gives_up(void **state)
{
    (void)state;
    enum { COUNT = 7 };
    static engine_job jobs[COUNT];
    pfm_error err = PFM_ERROR_INIT;
    for (int finishes = 0; finishes < 2; finishes++) {
        engine_fixture f = {0};
        engine_start(&f, PFM_PRECISION_F32, 2, false, 0, 3);
        for (int i = 0; i < COUNT; i++) {
            engine_job_prepare(&jobs[i], i, i, 1, 120);
            jobs[i].how.min_tokens = 120;
            engine_ask(&f, &jobs[i]);
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
        engine_forget(jobs, COUNT);
        engine_finish(&f);
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
    static engine_job jobs[COUNT];
    engine_fixture f = {0};
    pthread_t thread;
    engine_start(&f, PFM_PRECISION_F32, 1, false, 0, 1); /* one after the other, 5000 tokens in all */
    for (int i = 0; i < COUNT; i++) {
        engine_job_prepare(&jobs[i], i % ENGINE_TEXTS, i, 1, 125);
        jobs[i].how.min_tokens = 125;
        engine_ask(&f, &jobs[i]);
    }
    assert_int_equal(pthread_create(&thread, NULL, stop_and_finish, f.engine), 0);
    engine_wait(&jobs[0]);
    pfm_engine_stop(f.engine, false);
    pthread_join(thread, NULL);
    int answered = 0;
    for (int i = 0; i < COUNT; i++)
        answered += jobs[i].status == PFM_OK;
    assert_true(answered >= 1 && answered < COUNT);
    engine_forget(jobs, COUNT);
    engine_finish(&f);
}

/* ---- what goes wrong, and what goes its own way ---- */

static void features_that_fail_end_their_request_alone(void **state)
{
    (void)state;
    enum { COUNT = 6 };
    static engine_job jobs[COUNT];
    engine_fixture f = {0};
    engine_start(&f, PFM_PRECISION_F32, 2, false, 0, 0);
    atomic_store(&f.features.fail_at, 2);
    int failed = 0;
    for (int i = 0; i < COUNT; i++) {
        engine_job_prepare(&jobs[i], 0, i, 1, 5);
        engine_ask(&f, &jobs[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        engine_wait(&jobs[i]);
        failed += jobs[i].status == PFM_ERROR_IO;
        assert_true(jobs[i].status == PFM_OK || strcmp(jobs[i].message, "no features for this picture") == 0);
    }
    assert_int_equal(failed, 1);
    free(jobs[0].answer.text);
    engine_job_prepare(&jobs[0], 0, 0, 1, 5);
    engine_ask(&f, &jobs[0]);
    engine_wait(&jobs[0]);
    assert_int_equal(jobs[0].status, PFM_OK);
    engine_forget(jobs, COUNT);
    engine_finish(&f);
}

/* With room for one image's features. A context stands in the way of sharing the prompt, not the features. */
static void features_that_fail_leave_nothing_behind(void **state)
{
    (void)state;
    static engine_job jobs[3];
    engine_fixture f = {0};
    pfm_answer alone;
    engine_start(&f, PFM_PRECISION_F32, 1, false, 4 * 16 * 1280 * sizeof(float), 0);
    atomic_store(&f.features.fail_at, 2);
    for (int i = 0; i < 3; i++) {
        engine_job_prepare(&jobs[i], 0, i % 2, 1, 5);
        jobs[i].request.context = i / 2;
        engine_ask(&f, &jobs[i]);
        engine_wait(&jobs[i]);
    }
    assert_int_equal(jobs[1].status, PFM_ERROR_IO);
    assert_int_equal(engine_settled(&f).shared, 0);
    pfm_engine_stop(f.engine, true);
    engine_ask_alone(f.session, &jobs[2], &alone);
    engine_compare(&jobs[2], &alone, 2);
    pfm_answer_free(&alone);
    engine_forget(jobs, 3);
    engine_finish(&f);
}

static bool begins_character(char byte) { return ((unsigned char)byte & 0xC0) != 0x80; }

/* Texts that end an answer are cut out of its middle, so that they come over several tokens, and others only begin as they do.
 */
static void nothing_is_told_that_may_become_an_end(void **state)
{
    (void)state;
    enum { COUNT = 2 * ENGINE_TEXTS };
    static engine_job jobs[COUNT];
    static char ends[COUNT][200];
    static char *stops[COUNT];
    engine_fixture f = {0};
    pfm_answer alone;
    int cut = 0;
    engine_start(&f, PFM_PRECISION_F32, 2, false, 0, 0);
    for (int i = 0; i < COUNT; i++) {
        engine_job_prepare(&jobs[i], i / 2, i / 2, 1, 40);
        jobs[i].how.no_repeat_ngram = 2;
        engine_ask(&f, &jobs[i]);
        engine_wait(&jobs[i]);
        const char *text = jobs[i].answer.text;
        size_t begin = 0, end;
        while (begin < 5 || !begins_character(text[begin]))
            begin++;
        for (end = begin + 4; !begins_character(text[end]); end++)
            ;
        assert_true(strlen(text) > end);
        (void)snprintf(ends[i], sizeof ends[i], "%.*s%s", (int)(end - begin), text + begin, i % 2 == 0 ? "" : "@@@");
        free(jobs[i].answer.text);
        engine_job_prepare(&jobs[i], i / 2, i / 2, 1, 40);
        stops[i] = ends[i];
        jobs[i].how.no_repeat_ngram = 2;
        jobs[i].how.stop = &stops[i];
        jobs[i].how.stop_count = 1;
        engine_ask(&f, &jobs[i]);
        engine_wait(&jobs[i]);
        cut += strlen(jobs[i].answer.text) <= begin;
    }
    assert_true(cut >= ENGINE_TEXTS);
    pfm_engine_stop(f.engine, true);
    for (int i = 0; i < COUNT; i++) {
        engine_ask_alone(f.session, &jobs[i], &alone);
        engine_compare(&jobs[i], &alone, (size_t)i); /* and the pieces are the answer */
        pfm_answer_free(&alone);
    }
    engine_forget(jobs, COUNT);
    engine_finish(&f);
}

static void beams_draws_and_choices_are_answered_between_steps(void **state)
{
    (void)state;
    enum { COUNT = 8 };
    static const char *const given[] = {"yes", "no", "left lung"};
    static const pfm_choices choices = {given, 3};
    static engine_job jobs[COUNT];
    engine_fixture f = {0};
    engine_start(&f, PFM_PRECISION_F32, 2, false, 0, 0);
    for (int i = 0; i < COUNT; i++) {
        engine_job_prepare(&jobs[i], i % ENGINE_TEXTS, i / 2, 1, 12);
        if (i % 4 == 1)
            jobs[i].how.beams = 3;
        if (i % 4 == 2)
            jobs[i].request.choices = &choices;
        if (i % 4 == 3) {
            jobs[i].how.draws = 4;
            jobs[i].how.temperature = 1;
            jobs[i].how.seed = 7;
        }
        engine_ask(&f, &jobs[i]);
    }
    for (int i = 0; i < COUNT; i++)
        engine_wait(&jobs[i]);
    pfm_engine_stop(f.engine, true);
    for (int i = 0; i < COUNT; i++) {
        pfm_answer alone;
        engine_ask_alone(f.session, &jobs[i], &alone);
        engine_compare(&jobs[i], &alone, (size_t)i);
        assert_true((jobs[i].ids > 0) == (i % 4 == 0));
        pfm_answer_free(&alone);
    }
    engine_forget(jobs, COUNT);
    engine_finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
