#include "base/threads.h"
#include "test.h"

static void count_item(void *user, int item, int thread)
{
    int *counts = user;
    counts[item] += 1;
    assert_true(thread >= 0 && thread < 3);
}

static void test_every_item_runs_once(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_threads *threads = NULL;
    assert_ok(pfm_threads_create(3, &threads, &err));
    for (int round = 0; round < 2000; round++) {
        int counts[64] = {0};
        int items = round % 65;
        pfm_threads_run(threads, items, count_item, counts);
        for (int i = 0; i < 64; i++)
            assert_int_equal(counts[i], i < items);
    }
    pfm_threads_free(threads);
}

static void test_bad_counts(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_threads *threads = NULL;
    assert_error(pfm_threads_create(0, &threads, &err), PFM_ERROR_USAGE, "0 threads");
    assert_error(pfm_threads_create(5000, &threads, &err), PFM_ERROR_USAGE, "5000 threads");
    pfm_threads_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_item_runs_once), cmocka_unit_test(test_bad_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
