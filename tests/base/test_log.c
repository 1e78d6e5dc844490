/* What a context tells, from many threads. */
#include "base/context.h"

#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

enum { THREADS = 8, MESSAGES = 200 };

/* A listener as callers write them: it locks nothing. */
typedef struct listener {
    volatile int inside;
    int messages, reports, overlaps;
} listener;

static void enter(listener *l)
{
    l->overlaps += l->inside != 0;
    l->inside = 1;
    (void)sched_yield(); /* another thread would come in here */
    l->inside = 0;
}

static void hear(void *user, pfm_log_level level, const char *message)
{
    listener *l = user;
    enter(l);
    l->messages += level == PFM_LOG_INFO && strncmp(message, "message ", 8) == 0;
}

static void follow(void *user, const pfm_progress *progress)
{
    listener *l = user;
    enter(l);
    l->reports += strcmp(progress->task, "work") == 0;
}

static void *talk(void *user)
{
    for (int i = 0; i < MESSAGES; i++) {
        pfm_log(user, PFM_LOG_INFO, "message %d", i);
        pfm_report_progress(user, "work", "steps", i, MESSAGES, NULL);
    }
    return NULL;
}

static void listeners_hear_one_thread_at_a_time(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    listener l = {0};
    pfm_context *context = NULL;
    pthread_t threads[THREADS];
    const pfm_context_options options = {.threads = 1, .log = hear, .progress = follow, .user = &l};
    assert_ok(pfm_context_create(&options, &context, &err));
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, talk, context), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(l.overlaps, 0);
    assert_int_equal(l.messages, THREADS * MESSAGES);
    assert_int_equal(l.reports, THREADS * MESSAGES);
    pfm_context_free(context);
}

static void nobody_listens(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = NULL;
    const pfm_context_options options = {.threads = 1};
    assert_ok(pfm_context_create(&options, &context, &err));
    (void)talk(context);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(listeners_hear_one_thread_at_a_time), cmocka_unit_test(nobody_listens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
