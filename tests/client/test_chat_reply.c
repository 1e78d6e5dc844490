#include "client/client_internal.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;

static void test_answer(void **state)
{
    (void)state;
    static const char body[] = "{\"choices\":[{\"message\":{\"content\":\"a\\nb\"},\"finish_reason\":\"length\"},{}],\"usage\":"
                               "{\"prompt_tokens\":3,\"completion_tokens\":\"x\",\"details\":{\"a\":[]}}}";
    pfm_chat_reply reply = {0};
    assert_ok(pfm_chat_reply_read(body, strlen(body), &reply, &err));
    assert_string_equal(reply.text, "a\nb");
    assert_string_equal(reply.finish, "length");
    char *usage = json_dumps(reply.usage, JSON_COMPACT);
    assert_string_equal(usage, "{\"prompt_tokens\":3}");
    free(usage);
    pfm_chat_reply_free(&reply);
    static const char least[] = "{\"choices\":[{\"message\":{\"content\":\"\"}}]}";
    assert_ok(pfm_chat_reply_read(least, strlen(least), &reply, &err));
    assert_string_equal(reply.text, "");
    assert_null(reply.finish);
    assert_null(reply.usage);
    pfm_chat_reply_free(&reply);
}

/* Every beginning of an answer, and answers of other shapes: one sentence each. */
static void test_nonsense(void **state)
{
    (void)state;
    static const char whole[] = "{\"choices\":[{\"message\":{\"content\":\"a\"}}]}";
    static const char *const bodies[] = {"",
                                         "null",
                                         "{}",
                                         "[]",
                                         "{\"choices\":{}}",
                                         "{\"choices\":[]}",
                                         "{\"choices\":[1]}",
                                         "{\"choices\":[{\"message\":[]}]}",
                                         "{\"choices\":[{\"message\":{\"content\":null}}]}",
                                         "{\"choices\":[{\"message\":{\"content\":[\"a\"]}}]}",
                                         "{\"choices\":[{\"message\":{\"content\":\"a\\u0000b\"}}]}",
                                         "{\"choices\":[{\"message\":{\"content\":\"\xFF\"}}]}",
                                         "<html>\n<b>Bad\tgateway</b></html>",
                                         "{\"choices\":[{\"message\":{\"content\":\"a\"}}]} more"};
    pfm_chat_reply reply = {0};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        assert_error(pfm_chat_reply_read(bodies[i], strlen(bodies[i]), &reply, &err), PFM_ERROR_FORMAT, "the server's reply");
        assert_null(reply.text);
    }
    for (size_t size = 0; size < strlen(whole); size++)
        assert_error(pfm_chat_reply_read(whole, size, &reply, &err), PFM_ERROR_FORMAT, "is not JSON");
    assert_error(pfm_chat_reply_read("<b>\n\n\xFF</b>", 10, &reply, &err), PFM_ERROR_FORMAT, "<b> ?</b>");
    assert_error(pfm_chat_reply_read(NULL, 0, &reply, &err), PFM_ERROR_FORMAT, "is not JSON");
}

static void refuse(long status, const char *body, const char *part)
{
    assert_error(pfm_chat_reply_refuse(status, body, strlen(body), &err), PFM_ERROR_NETWORK, part);
}

static void test_refused(void **state)
{
    (void)state;
    refuse(500, "{\"error\":{\"message\":\"no\\nmemory\"}}", "answered 500: no memory");
    refuse(400, "{\"error\":\"bad\"}", "answered 400: bad");
    refuse(422, "{\"detail\":\"worse\"}", "answered 422: worse");
    refuse(502, "<h1>Bad</h1>", "answered 502: <h1>Bad</h1>");
    refuse(503, "", "answered 503");
    refuse(401, "{\"message\":\"who?\"}", "who?; put its key into PEFOMED_API_KEY");
    refuse(404, "{}", "the model's name?");
    refuse(301, "", "not followed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_answer), cmocka_unit_test(test_nonsense),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
