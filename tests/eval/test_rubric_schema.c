#include "base/json.h"
#include "eval/rubric.h"
#include "test.h"

#include <stdlib.h>

static pfm_error err = PFM_ERROR_INIT;

static char *format_of(pfm_rubric *rubric, const char *type)
{
    json_t *format = NULL;
    char *text = NULL;
    assert_ok(pfm_rubric_response_format(rubric, type, &format, &err));
    assert_ok(pfm_json_print(format, &text, &err));
    json_decref(format);
    pfm_rubric_free(rubric);
    return text;
}

static pfm_rubric *load(const char *name)
{
    pfm_rubric *rubric = NULL;
    assert_ok(pfm_rubric_load(name, &rubric, &err));
    return rubric;
}

static pfm_rubric *parse(const char *more)
{
    pfm_rubric *rubric = NULL;
    char text[400];
    const int size = snprintf(text, sizeof text, "instruction: x\nshows: [{title: A, columns: [prediction]}]\n%s\n", more);
    assert_ok(pfm_rubric_parse("mine.yaml", text, (size_t)size, &rubric, &err));
    return rubric;
}

#define SCORE_OF "\"properties\":{\"reasons\":{\"type\":\"string\"},\"score\":{\"type\":\"integer\","

/* Reasons come before the score, all is needed, and nothing else may come. */
static void test_forms(void **state)
{
    (void)state;
    char *text = format_of(load("correct"), "json_schema");
    assert_string_equal(text, "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"verdict\",\"strict\":true,\"schema\":{"
                              "\"type\":\"object\"," SCORE_OF "\"enum\":[0,1]}},\"required\":[\"reasons\",\"score\"],"
                              "\"additionalProperties\":false}}}");
    free(text);
    text = format_of(load("likert-report"), "json_object");
    assert_string_equal(text, "{\"type\":\"json_object\",\"schema\":{\"type\":\"object\"," SCORE_OF
                              "\"enum\":[0,1,2,3,4]}},\"required\":[\"reasons\",\"score\"],\"additionalProperties\":false}}");
    free(text);
}

static void test_scales(void **state)
{
    (void)state;
    char *text = format_of(parse("scale: [-1, 1]\nreasons: false"), "json_object");
    assert_non_null(strstr(text, "\"properties\":{\"score\":{\"type\":\"integer\",\"enum\":[-1,0,1]}}"));
    free(text);
    text = format_of(parse("scale: [0, 1000]"), "json_object");
    assert_non_null(strstr(text, "{\"type\":\"integer\",\"minimum\":0,\"maximum\":1000}"));
    free(text);
}

static void test_errors(void **state)
{
    (void)state;
    char *text = format_of(load("chexprompt"), "json_object");
    assert_non_null(strstr(text, "\"significant\":{\"type\":\"object\",\"properties\":{\"A\":{\"type\":\"integer\",\"enum\":"
                                 "[0,1,2,3,4,5,6,7,8,9,10]},\"B\":"));
    assert_non_null(strstr(text, "\"required\":[\"A\",\"B\",\"C\",\"D\",\"E\",\"F\"],\"additionalProperties\":false},"
                                 "\"insignificant\":{"));
    assert_null(strstr(text, "\"score\""));
    free(text);
    text = format_of(parse("scale: [0, 2]\nbetter: lower\nverdict: errors"), "json_object");
    assert_non_null(strstr(text, "\"F\":{\"type\":\"integer\",\"enum\":[0,1,2]}"));
    free(text);
}

static void test_unknown(void **state)
{
    (void)state;
    pfm_rubric *rubric = load("correct");
    json_t *format = NULL;
    assert_error(pfm_rubric_response_format(rubric, "grammar", &format, &err), PFM_ERROR_USAGE, "not 'grammar'");
    assert_null(format);
    pfm_rubric_free(rubric);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms), cmocka_unit_test(test_scales),
                                       cmocka_unit_test(test_errors), cmocka_unit_test(test_unknown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
