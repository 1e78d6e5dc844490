#include "serve/chat_request.h"
#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;
static const pfm_chat_limits limits = {.images = 2, .answers = 4};

static void read_ok(const char *body, pfm_chat_request *out)
{
    assert_ok(pfm_chat_request_read(body, strlen(body), &limits, out, &err));
}

static void all_that_can_be_said(void **state)
{
    (void)state;
    pfm_chat_request r;
    read_ok("{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":\"Be "
            "brief.\"},{\"role\":\"user\",\"content\":\"A\"},"
            "{\"role\":\"assistant\",\"content\":\"B\",\"refusal\":null},{\"role\":\"user\",\"content\":[{\"type\":\"text\","
            "\"text\":\"C\"}]}],\"stream\":true,\"stream_options\":{\"include_usage\":true},\"n\":2,\"max_tokens\":7,"
            "\"temperature\":0.5,\"top_p\":0.9,\"min_p\":0.1,\"top_k\":5,\"repetition_penalty\":1.1,\"seed\":9,\"stop\":[\"x\","
            "\"y\"],\"logprobs\":true,\"response_format\":{\"type\":\"text\"},\"user\":\"u\",\"tools\":[],\"tool_choice\":"
            "\"none\",\"presence_penalty\":0.0,\"logit_bias\":null}",
            &r);
    assert_string_equal(r.model, "m");
    assert_int_equal(r.turn_count, 4);
    assert_string_equal(r.turns[0].role, "system");
    assert_string_equal(r.turns[2].text, "B");
    assert_string_equal(r.turns[3].text, "C");
    assert_true(r.stream && r.include_usage && r.logprobs);
    assert_int_equal(r.answers, 2);
    assert_int_equal(r.max_tokens, 7);
    assert_true(r.temperature == 0.5 && r.top_p == 0.9 && r.min_p == 0.1 && r.repetition_penalty == 1.1);
    assert_int_equal(r.top_k, 5);
    assert_int_equal(r.seed, 9);
    assert_int_equal(r.stop_count, 2);
    assert_string_equal(r.stop[1], "y");
    pfm_chat_request_free(&r);
}

static void what_is_not_said(void **state)
{
    (void)state;
    pfm_chat_request r;
    read_ok("{\"messages\":[{\"content\":\"A\",\"role\":\"user\"}],\"model\":\"m\",\"stop\":\"x\",\"max_completion_tokens\":3}",
            &r);
    assert_true(isnan(r.temperature) && isnan(r.top_p) && isnan(r.min_p) && isnan(r.repetition_penalty));
    assert_true(r.top_k == -1 && r.seed == -1 && r.answers == 1 && r.max_tokens == 3 && !r.stream && !r.logprobs);
    assert_int_equal(r.stop_count, 1);
    pfm_chat_request_free(&r);
}

#define KEPT "{\"type\":\"image_url\",\"image_url\":{\"url\":\"pefomed:0123abcd\",\"frame\":2,\"blank\":true}}"
#define IMAGE(text) "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64," text "\"}}"
#define FILE_PART                                                                                                              \
    "{\"type\":\"file\",\"file\":{\"file_data\":\"data:application/"                                                           \
    "dicom;base64,Zm9v\",\"filename\":\"a.dcm\",\"frame\":3,\"window\":\"lung\"}}"
#define TEXT(text) "{\"type\":\"text\",\"text\":\"" text "\"}"
#define USER(parts) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[" parts "]}]}"

/* Images on one side of the text stand where the run's prompt has them; else where they are. */
static void images_keep_their_places(void **state)
{
    (void)state;
    static const struct {
        const char *body, *text;
        size_t images;
    } cases[] = {
        {USER(IMAGE("Zg==") "," TEXT("A")), "A", 1},
        {USER(TEXT("A") "," IMAGE("Zg==")), "A", 1},
        {USER(TEXT("A") "," TEXT("B") "," IMAGE("Zg==") "," IMAGE("Zg==")), "AB", 2},
        {USER(TEXT("Before: ") "," IMAGE("Zg==") "," TEXT(" After: ") "," IMAGE("Zg==")), "Before: <image> After: <image>", 2},
        {USER(IMAGE("Zg==") "," TEXT(" or ") "," IMAGE("Zg==")), "<image> or <image>", 2},
        {USER(IMAGE("Zg==")), "", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_chat_request r;
        read_ok(cases[i].body, &r);
        assert_string_equal(r.turns[0].text, cases[i].text);
        assert_int_equal(r.turns[0].images, cases[i].images);
        assert_int_equal(r.image_count, cases[i].images);
        assert_int_equal(r.images[0].bytes.size, 1);
        pfm_chat_request_free(&r);
    }
    pfm_chat_request r;
    read_ok(USER(FILE_PART "," TEXT("A")), &r);
    assert_int_equal(r.images[0].frame, 3);
    assert_string_equal(r.images[0].window, "lung");
    assert_memory_equal(r.images[0].bytes.data, "foo", 3);
    pfm_chat_request_free(&r);
    read_ok(USER(KEPT "," TEXT("A")), &r);
    assert_string_equal(r.images[0].kept, "0123abcd");
    assert_int_equal(r.images[0].frame, 2);
    assert_true(r.images[0].blank);
    pfm_chat_request_free(&r);
}

#define ASK(more) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"A\"}]," more "}"

static void what_cannot_be_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *body, *part;
        pfm_status status;
    } cases[] = {
        {"", "the body is no JSON", PFM_ERROR_FORMAT},
        {"[]", "the body must be a JSON object", PFM_ERROR_FORMAT},
        {"{\"model\":\"m\",\"model\":\"n\"}", "the body is no JSON", PFM_ERROR_FORMAT},
        {"{\"model\":\"m\"}", "messages is missing", PFM_ERROR_USAGE},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"A\"}]}", "model is missing", PFM_ERROR_USAGE},
        {"{\"model\":\"a\\u0000b\"}", "model must be a text without NUL", PFM_ERROR_USAGE},
        {"{\"model\":\"m\",\"messages\":[]}", "messages must be a list of 1 to 1024", PFM_ERROR_USAGE},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"tool\",\"content\":\"A\"}]}", "messages[0] has the role tool",
         PFM_ERROR_USAGE},
        {"{\"model\":\"m\",\"messages\":[7]}", "messages[0] has the role (none)", PFM_ERROR_USAGE},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"A\"},{\"role\":\"system\",\"content\":\"A\"}]}",
         "messages[1] is a system message", PFM_ERROR_USAGE},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"content\":\"A\"}]}", "must be the user's", PFM_ERROR_USAGE},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":7}]}", "a message's content must be a text",
         PFM_ERROR_USAGE},
        {USER("{\"type\":\"input_audio\"}"), "of type input_audio", PFM_ERROR_USAGE},
        {USER("{\"type\":\"image_url\",\"image_url\":{\"url\":\"http://a/b.png\"}}"), "image 1: an image must be a data URI",
         PFM_ERROR_USAGE},
        {USER("{\"type\":\"image_url\",\"image_url\":{\"url\":\"file:///etc/passwd\"}}"), "opens no address and no file",
         PFM_ERROR_USAGE},
        {USER("{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png,abc\"}}"), "must be in base64", PFM_ERROR_USAGE},
        {USER("{\"type\":\"image_url\"}"), "image_url.url must be a text", PFM_ERROR_USAGE},
        {USER("{\"type\":\"file\",\"file\":{\"file_id\":\"f\"}}"), "keeps no files", PFM_ERROR_USAGE},
        {USER(IMAGE("Z*==")), "image 1: character 2 is no base64", PFM_ERROR_FORMAT},
        {USER(IMAGE("")), "image 1 is empty", PFM_ERROR_USAGE},
        {USER(IMAGE("Zg==") "," IMAGE("Zg==") "," IMAGE("Zg==")), "more than the 2 images", PFM_ERROR_USAGE},
        {ASK("\"n\":5"), "n must be a whole number from 1 to 4", PFM_ERROR_USAGE},
        {ASK("\"n\":1.5"), "n must be a whole number", PFM_ERROR_USAGE},
        {ASK("\"max_tokens\":0"), "max_tokens must be a whole number from 1", PFM_ERROR_USAGE},
        {ASK("\"temperature\":2.5"), "temperature must be a number from 0 to 2", PFM_ERROR_USAGE},
        {ASK("\"temperature\":\"hot\""), "temperature must be a number", PFM_ERROR_USAGE},
        {ASK("\"top_p\":0"), "top_p must be a number", PFM_ERROR_USAGE},
        {ASK("\"seed\":-1"), "seed must be a whole number", PFM_ERROR_USAGE},
        {ASK("\"stop\":[\"\"]"), "stop holds an empty text", PFM_ERROR_USAGE},
        {ASK("\"stop\":[1]"), "stop must be a text", PFM_ERROR_USAGE},
        {ASK("\"stream\":1"), "stream must be true or false", PFM_ERROR_USAGE},
        {ASK("\"stream_options\":{\"include_usage\":true}"), "stream_options is for a streamed answer", PFM_ERROR_USAGE},
        {ASK("\"response_format\":{\"type\":\"grammar\"}"), "response_format.type must be", PFM_ERROR_USAGE},
        {ASK("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{}}"), "schema is missing", PFM_ERROR_USAGE},
        {ASK("\"presence_penalty\":0.5"), "presence_penalty cannot be had", PFM_ERROR_USAGE},
        {ASK("\"tools\":[{}]"), "tools cannot be had", PFM_ERROR_USAGE},
        {ASK("\"top_logprobs\":3"), "top_logprobs cannot be had", PFM_ERROR_USAGE},
        {ASK("\"temprature\":1"), "'temprature' is no key", PFM_ERROR_USAGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_chat_request r;
        assert_error(pfm_chat_request_read(cases[i].body, strlen(cases[i].body), &limits, &r, &err), cases[i].status,
                     cases[i].part);
        pfm_chat_request_free(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_that_can_be_said), cmocka_unit_test(what_is_not_said),
                                       cmocka_unit_test(images_keep_their_places),
                                       cmocka_unit_test(what_cannot_be_is_refused_by_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
