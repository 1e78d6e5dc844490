#include "base/file.h"
#include "client/client_internal.h"
#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;

static pfm_client_question ask(const pfm_client_message *message)
{
    return (pfm_client_question){
        .label = "q", .messages = message, .message_count = 1, .temperature = NAN, .top_p = NAN, .seed = -1};
}

static void check(const pfm_client_question *question, const char *wanted)
{
    pfm_buffer body = {0};
    assert_ok(pfm_chat_body_append("m", question, &body, &err));
    assert_string_equal(body.data, wanted);
    pfm_buffer_free(&body);
}

static void test_text(void **state)
{
    (void)state;
    const pfm_client_part part = {.text = "a \"b\"\n\xC3\xA4"};
    const pfm_client_message message = {"user", &part, 1};
    pfm_client_question question = ask(&message);
    check(&question, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a \\\"b\\\"\\n\xC3\xA4\"}]}");
    static const char *const stop[] = {"x", "\n"};
    question.temperature = 0.5;
    question.top_p = 0.25;
    question.max_tokens = 7;
    question.seed = 0;
    question.stop = stop;
    question.stop_count = 2;
    question.repeat = 3; /* is of the key alone */
    check(&question,
          "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a \\\"b\\\"\\n\xC3\xA4\"}],\"temperature\":0.5,"
          "\"top_p\":0.25,\"max_tokens\":7,\"seed\":0,\"stop\":[\"x\",\"\\n\"]}");
}

static const char *write_image(const char *name, const char *bytes, size_t size)
{
    const char *path = test_path(test_scratch_folder(), name);
    assert_ok(pfm_file_write(path, bytes, size, &err));
    return path;
}

/* The base64 of 8, 9 and 10 bytes ends in three ways. */
static void test_images(void **state)
{
    (void)state;
    static const char *const wanted[] = {"/9j/2gAC/9k=", "/9j/2gACYf/Z", "/9j/2gACYWL/2Q=="};
    static const char *const pictures[] = {"\xFF\xD8\xFF\xDA\0\2\xFF\xD9",
                                           "\xFF\xD8\xFF\xDA\0\2"
                                           "a\xFF\xD9",
                                           "\xFF\xD8\xFF\xDA\0\2"
                                           "ab\xFF\xD9"};
    char body[300];
    for (size_t i = 0; i < 3; i++) {
        const pfm_client_part parts[] = {{.image = write_image("a.jpg", pictures[i], 8 + i)}, {.text = "t"}};
        const pfm_client_message message = {"user", parts, 2};
        const pfm_client_question question = ask(&message);
        (void)snprintf(
            body, sizeof body,
            "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
            "\"data:image/jpeg;base64,%s\"}},{\"type\":\"text\",\"text\":\"t\"}]}]}",
            wanted[i]);
        check(&question, body);
        assert_ok(pfm_chat_images_check(&question, &err));
    }
}

static void test_image_types(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *type;
    } all[] = {{"\xFF\xD8\xFF\xE0", "image/jpeg"}, {"\x89PNG\r\n\x1A\n", "image/png"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_string_equal(pfm_client_image_type((const unsigned char *)all[i].bytes, strlen(all[i].bytes)), all[i].type);
    assert_null(pfm_client_image_type((const unsigned char *)"\x89PN", 3));
    assert_null(pfm_client_image_type((const unsigned char *)"DICM", 4));
    assert_null(pfm_client_image_type((const unsigned char *)"GIF89a", 6));
    const pfm_client_part parts[] = {{.image = write_image("a.dcm", "DICM", 4)}};
    const pfm_client_message message = {"user", parts, 1};
    const pfm_client_question question = ask(&message);
    assert_error(pfm_chat_images_check(&question, &err), PFM_ERROR_UNSUPPORTED, "a.dcm is neither JPEG nor PNG");
    const pfm_client_part empty[] = {{.image = write_image("b.png", "", 0)}};
    const pfm_client_message second = {"user", empty, 1};
    const pfm_client_question other = ask(&second);
    assert_error(pfm_chat_images_check(&other, &err), PFM_ERROR_UNSUPPORTED, "b.png is neither");
}

static void get_key(const pfm_client_question *question, const char *url, const char *model, pfm_hash_hex out)
{
    json_t *request = NULL;
    assert_ok(pfm_chat_request_create(url, model, question, &request, &err));
    assert_ok(pfm_call_log_key(request, out, &err));
    json_decref(request);
}

/* Whatever is asked, and of whom, makes another key; where a picture lies and what the question is called do not. */
static void test_keys(void **state)
{
    (void)state;
    pfm_hash_hex keys[12], same;
    size_t count = 0;
    pfm_client_part parts[] = {{.image = write_image("a.png", "\x89PNG\r\n\x1A\n1", 9)}, {.text = "t"}};
    const pfm_client_message message = {"user", parts, 2};
    pfm_client_question question = ask(&message);
    get_key(&question, "http://a", "m", keys[count++]);
    question.label = "another name";
    parts[0].image = write_image("c.png", "\x89PNG\r\n\x1A\n1", 9);
    get_key(&question, "http://a", "m", same);
    assert_string_equal(keys[0], same);
    get_key(&question, "http://b", "m", keys[count++]);
    get_key(&question, "http://a", "n", keys[count++]);
    question.temperature = 0;
    get_key(&question, "http://a", "m", keys[count++]);
    question.seed = 1;
    get_key(&question, "http://a", "m", keys[count++]);
    question.max_tokens = 1;
    get_key(&question, "http://a", "m", keys[count++]);
    question.repeat = 1;
    get_key(&question, "http://a", "m", keys[count++]);
    question.repeat = 2;
    get_key(&question, "http://a", "m", keys[count++]);
    parts[1].text = "u";
    get_key(&question, "http://a", "m", keys[count++]);
    parts[0].image = write_image("d.png", "\x89PNG\r\n\x1A\n2", 9);
    get_key(&question, "http://a", "m", keys[count++]);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(keys[i], keys[j]);
    parts[1].text = "\xFF";
    json_t *request = NULL;
    assert_error(pfm_chat_request_create("http://a", "m", &question, &request, &err), PFM_ERROR_FORMAT,
                 "another name holds a text");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text), cmocka_unit_test(test_images),
                                       cmocka_unit_test(test_image_types), cmocka_unit_test(test_keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
