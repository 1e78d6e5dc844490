/* What needs no server; with one: tests/cli/pipeline.test. */
#include "client/client.h"

#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;
static volatile int stop;

static pfm_context *make_context(void)
{
    pfm_context *context = NULL;
    const pfm_context_options options = {.threads = 1, .seed = 42, .interrupt = &stop};
    assert_ok(pfm_context_create(&options, &context, &err));
    return context;
}

static void refuse(pfm_client_options options, const char *part)
{
    pfm_client *client = NULL;
    pfm_context *context = make_context();
    assert_error(pfm_client_create(context, &options, &client, &err), PFM_ERROR_USAGE, part);
    assert_null(client);
    pfm_context_free(context);
}

static pfm_client_options defaults(void)
{
    pfm_client_options options = pfm_client_defaults();
    options.url = "http://127.0.0.1:9/v1"; /* the port at which what comes is discarded; nobody listens there */
    options.model = "m";
    options.pause = 0.001;
    options.retries = 1;
    return options;
}

static void test_refused(void **state)
{
    (void)state;
    pfm_client_options options = defaults();
    options.model = "";
    refuse(options, "the name of a model");
    options = defaults();
    options.url = NULL;
    refuse(options, "its URL");
    options = defaults();
    options.concurrency = 0;
    refuse(options, "1 to 256 questions at once");
    options = defaults();
    options.timeout = 0;
    refuse(options, "within a day");
    options = defaults();
    options.url = "http://example.com";
    refuse(options, "is not this machine");
    assert_int_equal(setenv("PEFOMED_API_KEY", "a\nX-Header: 1", 1), 0);
    refuse(defaults(), "PEFOMED_API_KEY holds a blank");
    assert_int_equal(unsetenv("PEFOMED_API_KEY"), 0);
}

/* One question asked three times: one of the log, one twice. */
static void test_log_first(void **state)
{
    (void)state;
    pfm_context *context = make_context();
    const pfm_client_options options = defaults();
    pfm_client *client = NULL;
    pfm_call_log *log = NULL;
    const pfm_client_part parts[] = {{.text = "a"}, {.text = "b"}};
    const pfm_client_message messages[] = {{"user", &parts[0], 1}, {"user", &parts[1], 1}};
    pfm_client_question questions[3];
    pfm_client_answer answers[3] = {{0}};
    for (int i = 0; i < 3; i++)
        questions[i] = (pfm_client_question){
            .label = "q", .messages = &messages[i == 1], .message_count = 1, .temperature = NAN, .top_p = NAN, .seed = -1};
    assert_ok(pfm_call_log_open(test_path(test_scratch_folder(), "calls.jsonl"), &log, &err));
    assert_ok(pfm_client_create(context, &options, &client, &err));
    assert_true(pfm_client_is_local(client));
    assert_error(pfm_client_ask(client, log, questions, 3, answers, &err), PFM_ERROR_NETWORK, "is the server running there?");
    json_t *request =
        json_pack("{s:s, s:s, s:[{s:s, s:s}]}", "url", options.url, "model", "m", "messages", "role", "user", "content", "a");
    pfm_hash_hex key;
    assert_ok(pfm_call_log_key(request, key, &err));
    assert_ok(pfm_call_log_append(
        log, &(pfm_call_line){.key = key, .label = "q", .request = request, .attempt = 1, .reply = "yes"}, &err));
    json_decref(request);
    stop = 1; /* which is seen where something must be asked, and only there */
    assert_error(pfm_client_ask(client, log, questions, 2, answers, &err), PFM_ERROR_INTERRUPTED, "the same command goes on");
    for (int i = 0; i < 3; i++)
        pfm_client_answer_free(&answers[i]);
    assert_ok(pfm_client_ask(client, log, questions, 1, answers, &err));
    assert_string_equal(answers[0].text, "yes");
    assert_int_equal(answers[0].attempts, 0);
    pfm_client_answer_free(&answers[0]);
    stop = 0;
    pfm_client_free(client);
    pfm_call_log_free(log);
    pfm_context_free(context);
}

static int heard[3];

static pfm_status hear(void *user, size_t question, const pfm_client_answer *answer, pfm_error *e)
{
    assert_ptr_equal(user, heard);
    heard[question]++;
    if (answer->text == NULL || strcmp(answer->text, "yes") != 0)
        return pfm_error_set(e, PFM_ERROR_MISMATCH, "another answer");
    return PFM_OK;
}

/* Who listens hears of each question once, also of one that is the same as another; recalling asks nobody. */
static void test_heard(void **state)
{
    (void)state;
    pfm_context *context = make_context();
    const pfm_client_options options = defaults();
    pfm_client *client = NULL;
    pfm_call_log *log = NULL;
    const pfm_client_part part = {.text = "heard"};
    const pfm_client_message message = {"user", &part, 1};
    pfm_client_question questions[3];
    pfm_client_answer answers[3] = {{0}};
    for (int i = 0; i < 3; i++)
        questions[i] = (pfm_client_question){.label = "q",
                                             .messages = &message,
                                             .message_count = 1,
                                             .temperature = NAN,
                                             .top_p = NAN,
                                             .seed = -1,
                                             .repeat = i == 2};
    assert_ok(pfm_call_log_open(test_path(test_scratch_folder(), "heard.jsonl"), &log, &err));
    assert_ok(pfm_client_create(context, &options, &client, &err));
    pfm_client_listen(client, hear, heard);
    assert_ok(pfm_client_recall(client, log, questions, 3, answers, &err));
    assert_true(answers[0].text == NULL && answers[0].error == NULL && answers[0].logged == 0);
    json_t *request = json_pack("{s:s, s:s, s:[{s:s, s:s}]}", "url", options.url, "model", "m", "messages", "role", "user",
                                "content", "heard");
    pfm_hash_hex key;
    assert_ok(pfm_call_log_key(request, key, &err));
    pfm_call_line line = {.key = key, .label = "q", .request = request, .attempt = 1, .error = "out of order"};
    assert_ok(pfm_call_log_append(log, &line, &err));
    assert_ok(pfm_client_recall(client, log, questions, 3, answers, &err));
    assert_string_equal(answers[1].error, "out of order");
    assert_null(answers[2].error);
    for (int i = 0; i < 3; i++)
        pfm_client_answer_free(&answers[i]);
    line.error = NULL;
    line.reply = "yes";
    assert_ok(pfm_call_log_append(log, &line, &err));
    json_decref(request);
    assert_ok(pfm_client_ask(client, log, questions, 2, answers, &err));
    assert_true(heard[0] == 1 && heard[1] == 1 && heard[2] == 0);
    assert_true(answers[0].logged == 2 && answers[0].attempts == 0 && answers[1].logged == 2);
    for (int i = 0; i < 2; i++)
        pfm_client_answer_free(&answers[i]);
    pfm_client_free(client);
    pfm_call_log_free(log);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused), cmocka_unit_test(test_log_first),
                                       cmocka_unit_test(test_heard)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
