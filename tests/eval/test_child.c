#include "eval/child.h"
#include "test.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pfm_error err = PFM_ERROR_INIT;

/* What a context's owner heard. */
typedef struct heard {
    char messages[400];
    int progress;
    double last_done;
    int64_t memory;
    pid_t process;
} heard;

static void hear(void *user, pfm_log_level level, const char *message)
{
    heard *h = user;
    size_t length = strlen(h->messages);
    (void)snprintf(h->messages + length, sizeof h->messages - length, "%d %s;", (int)level, message);
    h->process = getpid();
}

static void watch(void *user, const pfm_progress *progress)
{
    heard *h = user;
    assert_string_equal(progress->task, "counting");
    assert_string_equal(progress->unit, "sheep");
    assert_string_equal(progress->note, "a \"note\"");
    assert_true(progress->total == 3);
    h->progress++;
    h->last_done = progress->done;
    h->memory = progress->memory;
}

static pfm_context *create(heard *h, const volatile int *interrupt)
{
    pfm_context *context = NULL;
    const pfm_context_options options = {.threads = 3,
                                         .seed = 42,
                                         .precision = PFM_PRECISION_F32,
                                         .log = hear,
                                         .progress = watch,
                                         .user = h,
                                         .interrupt = interrupt};
    assert_ok(pfm_context_create(&options, &context, &err));
    return context;
}

static pfm_status run(pfm_context *context, pfm_child_function function, void *user, json_t **result, pfm_error *outcome)
{
    *outcome = (pfm_error)PFM_ERROR_INIT;
    return pfm_child_run(context, 7, function, user, result, outcome, &err);
}

static pfm_status report(pfm_context *context, void *user, json_t **result, pfm_error *error)
{
    (void)error;
    for (int i = 1; i <= 3; i++)
        pfm_report_progress(context, "counting", "sheep", i, 3, "a \"note\"");
    pfm_log(context, PFM_LOG_WARNING, "%s\xff", "no UTF-8: "); /* whatever a file name holds */
    pfm_log(context, PFM_LOG_INFO, "two\nlines");
    *result = json_pack("{s:i,s:I,s:i,s:b,s:I}", "threads", pfm_context_threads(context), "seed",
                        (json_int_t)pfm_context_seed(context), "precision", (int)pfm_context_precision(context), "same user",
                        *(int *)user == 5, "process", (json_int_t)getpid());
    *(int *)user = 6;
    return PFM_OK;
}

/* The child has a context like ours; what it says comes to us, in our process; what it changes stays its own. */
static void test_what_it_says(void **state)
{
    (void)state;
    heard h = {0};
    json_t *result = NULL;
    pfm_error outcome;
    int user = 5;
    pfm_context *context = create(&h, NULL);
    assert_ok(run(context, report, &user, &result, &outcome));
    assert_int_equal(outcome.code, PFM_OK);
    assert_int_equal(user, 5);
    assert_string_equal(h.messages, "2 (not UTF-8);1 two\nlines;");
    assert_int_equal(h.process, getpid());
    assert_int_equal(h.progress, 3);
    assert_true(h.last_done == 3 && h.memory > 0);
    assert_int_equal(json_integer_value(json_object_get(result, "threads")), 3);
    assert_int_equal(json_integer_value(json_object_get(result, "seed")), 7);
    assert_int_equal(json_integer_value(json_object_get(result, "precision")), PFM_PRECISION_F32);
    assert_true(json_is_true(json_object_get(result, "same user")));
    assert_int_not_equal(json_integer_value(json_object_get(result, "process")), getpid());
    json_decref(result);
    pfm_context_free(context);
}

static pfm_status refuse(pfm_context *context, void *user, json_t **result, pfm_error *error)
{
    (void)context;
    (void)user;
    (void)result;
    return pfm_error_set(error, PFM_ERROR_MISMATCH, "the one has 3 rows, the other \"4\"");
}

static pfm_status die(pfm_context *context, void *user, json_t **result, pfm_error *error)
{
    (void)context;
    (void)result;
    (void)raise(*(int *)user);
    return pfm_error_set(error, PFM_ERROR_IO, "it lives");
}

static pfm_status leave(pfm_context *context, void *user, json_t **result, pfm_error *error)
{
    (void)context;
    (void)user;
    (void)result;
    (void)error;
    _exit(0);
}

static void test_how_it_ends(void **state)
{
    (void)state;
    heard h = {0};
    json_t *result = NULL;
    pfm_error outcome;
    pfm_context *context = create(&h, NULL);
    assert_ok(run(context, refuse, NULL, &result, &outcome));
    assert_int_equal(outcome.code, PFM_ERROR_MISMATCH);
    assert_string_equal(outcome.message, "the one has 3 rows, the other \"4\"");
    assert_null(result);
    int number = SIGKILL;
    assert_ok(run(context, die, &number, &result, &outcome));
    assert_int_equal(outcome.code, PFM_ERROR_NO_MEMORY);
    assert_non_null(strstr(outcome.message, "killed"));
    number = SIGUSR1;
    assert_ok(run(context, die, &number, &result, &outcome));
    assert_int_equal(outcome.code, PFM_ERROR_IO);
    assert_non_null(strstr(outcome.message, "signal 10"));
    assert_ok(run(context, leave, NULL, &result, &outcome));
    assert_int_equal(outcome.code, PFM_ERROR_IO);
    assert_non_null(strstr(outcome.message, "without a word"));
    assert_null(result);
    pfm_context_free(context);
}

static void wait_a_little(void)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    nanosleep(&pause, NULL);
}

static volatile int wish;

static void want(int number)
{
    (void)number;
    wish = 1;
}

/* Asks its parent to stop, as a user does, and waits until it hears of that. */
static pfm_status until_stopped(pfm_context *context, void *user, json_t **result, pfm_error *error)
{
    (void)user;
    (void)result;
    if (kill(getppid(), SIGUSR1) != 0)
        return pfm_error_set(error, PFM_ERROR_IO, "no parent");
    for (int i = 0; i < 4000 && !pfm_interrupted(context); i++)
        wait_a_little();
    return pfm_interrupted(context) ? pfm_error_set(error, PFM_ERROR_INTERRUPTED, "saved") : PFM_OK;
}

static void test_the_wish_to_stop(void **state)
{
    (void)state;
    heard h = {0};
    json_t *result = NULL;
    pfm_error outcome;
    const struct sigaction action = {.sa_handler = want};
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    pfm_context *context = create(&h, &wish);
    assert_ok(run(context, until_stopped, NULL, &result, &outcome));
    assert_int_equal(outcome.code, PFM_ERROR_INTERRUPTED);
    assert_string_equal(outcome.message, "saved");
    pfm_context_free(context);
}

static pfm_status linger(pfm_context *context, void *user, json_t **result, pfm_error *error)
{
    (void)context;
    (void)result;
    (void)error;
    *(volatile pid_t *)user = getpid();
    for (int i = 0; i < 100000; i++)
        wait_a_little();
    return PFM_OK;
}

/* One who dies without a chance to clean up leaves no child that goes on writing. */
static void test_it_dies_with_its_parent(void **state)
{
    (void)state;
    heard h = {0};
    pfm_context *context = create(&h, NULL);
    pid_t *grandchild = mmap(NULL, sizeof *grandchild, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(grandchild != MAP_FAILED);
    pid_t parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        json_t *result = NULL;
        pfm_error outcome;
        (void)run(context, linger, grandchild, &result, &outcome);
        _exit(0);
    }
    for (int i = 0; i < 4000 && *(volatile pid_t *)grandchild == 0; i++)
        wait_a_little();
    assert_true(*grandchild > 0);
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    char path[64], line[256] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)*grandchild);
    bool gone = false;
    for (int i = 0; i < 4000 && !gone; i++) { /* or a zombie that nobody has taken away yet */
        FILE *file = fopen(path, "re");
        gone = file == NULL || fgets(line, sizeof line, file) == NULL || strstr(line, ") Z ") != NULL;
        if (file != NULL)
            (void)fclose(file);
        wait_a_little();
    }
    assert_true(gone);
    (void)munmap(grandchild, sizeof *grandchild);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_it_says), cmocka_unit_test(test_how_it_ends),
                                       cmocka_unit_test(test_the_wish_to_stop), cmocka_unit_test(test_it_dies_with_its_parent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
