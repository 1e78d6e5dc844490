#include "serve/watch.h"
#include "test.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static pfm_error err = PFM_ERROR_INIT;

static bool is_open(int other)
{
    struct pollfd p = {.fd = other, .events = POLLRDHUP};
    return poll(&p, 1, 0) == 0;
}

static void who_never_finishes_asking_is_cut_off(void **state)
{
    (void)state;
    enum { LATE, ASKED, AGAIN, COUNT };
    pfm_watch *watch = NULL;
    pfm_watched *watched[COUNT];
    int ends[COUNT][2];
    assert_ok(pfm_watch_create(0.5, &watch, &err));
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends[i]), 0);
        watched[i] = pfm_watch_add(watch, ends[i][0]);
        assert_non_null(watched[i]);
    }
    pfm_watch_asked(watch, watched[ASKED]);
    pfm_watch_asked(watch, watched[AGAIN]);
    pfm_watch_answered(watch, watched[AGAIN]);
    for (int i = 0; i < 60 && (is_open(ends[LATE][1]) || is_open(ends[AGAIN][1])); i++)
        usleep(100000);
    assert_false(is_open(ends[LATE][1]));
    assert_false(is_open(ends[AGAIN][1]));
    assert_true(is_open(ends[ASKED][1]));
    for (int i = 0; i < COUNT; i++) {
        pfm_watch_remove(watch, watched[i]);
        close(ends[i][0]);
        close(ends[i][1]);
    }
    pfm_watch_remove(watch, NULL);
    pfm_watch_free(watch);
}

static void who_has_time_is_left_alone(void **state)
{
    (void)state;
    pfm_watch *watch = NULL;
    int ends[2];
    assert_ok(pfm_watch_create(100, &watch, &err));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    pfm_watched *watched = pfm_watch_add(watch, ends[0]);
    usleep(1500000); /* it looks each second */
    assert_true(is_open(ends[1]));
    pfm_watch_remove(watch, watched);
    pfm_watch_free(watch);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(who_never_finishes_asking_is_cut_off),
                                       cmocka_unit_test(who_has_time_is_left_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
