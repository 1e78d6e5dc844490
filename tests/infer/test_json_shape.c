#include "infer/json_shape.h"
#include "base/random.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;

/* "whole": it is a text of the shape; "begun": it can become one; else where it goes wrong. */
static const char *look(const pfm_json_shape *shape, const char *text)
{
    pfm_json_state state = pfm_json_begin();
    for (const char *at = text; *at != '\0'; at++)
        if (!pfm_json_feed(shape, &state, (unsigned char)*at))
            return at;
    return pfm_json_is_whole(shape, &state) ? "whole" : "begun";
}

static pfm_json_shape *shape_of(const char *schema)
{
    pfm_json_shape *shape = NULL;
    json_t *value = schema != NULL ? json_loads(schema, 0, NULL) : NULL;
    assert_ok(pfm_json_shape_create(value, &shape, &err));
    json_decref(value);
    return shape;
}

static void check(const char *schema, const char *text, const char *wanted)
{
    pfm_json_shape *shape = shape_of(schema);
    const char *got = look(shape, text);
    if (strcmp(got, wanted) != 0)
        fail_msg("%s for %s: wanted %s, got %s", text, schema != NULL ? schema : "an object", wanted, got);
    pfm_json_shape_free(shape);
}

static void any_object(void **state)
{
    (void)state;
    check(NULL, "{}", "whole");
    check(NULL, "", "begun");
    check(NULL, "[]", "[]");
    check(NULL, "Sure", "Sure");
    check(NULL, " { \"a\" : [ 1 , -2.5e+3 , true , null , \"x\\n\\u00e9\" , { } ] } ", " ");
    check(NULL, "{\"a\":[1,-2.5e+3,true,false,null,\"x\\n\\u00e9\",{\"b\":{}}]}", "whole");
    check(NULL, "{\"a\":1}x", "x");
    check(NULL, "{\"a\":1,}", "}");
    check(NULL, "{\"a\":[1,]}", "]}");
    check(NULL, "{\"a\":01}", "1}");
    check(NULL, "{\"a\":1.}", "}");
    check(NULL, "{\"a\":-}", "}");
    check(NULL, "{\"a\":+1}", "+1}");
    check(NULL, "{\"a\":tru}", "}");
    check(NULL, "{\"a\":\"\\x\"}", "x\"}");
    check(NULL, "{\"a\":\"\\ud800\"}", "800\"}");
    check(NULL, "{\"a\":\"\\u0000\"}", "0\"}");
    check(NULL, "{\"a\":\"\n\"}", "\n\"}");
    check(NULL, "{\"a\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"}", "whole");
    check(NULL, "{\"a\":\"\xc0\x80\"}", "\xc0\x80\"}");
    check(NULL, "{\"a\":\"\xed\xa0\x80\"}", "\xa0\x80\"}");
    check(NULL, "{\"a\":\"\xc3\"}", "\"}");
    check(NULL, "{'a':1}", "'a':1}");
    check(NULL, "{\"a\" 1}", "1}");
}

#define VERDICT                                                                                                                \
    "{\"type\":\"object\",\"properties\":{\"reasons\":{\"type\":\"string\"},\"score\":{\"type\":\"integer\",\"enum\":[0,1,10]" \
    "}},"                                                                                                                      \
    "\"required\":[\"reasons\",\"score\"],\"additionalProperties\":false}"

static void what_a_judge_is_held_to(void **state)
{
    (void)state;
    check(VERDICT, "{\"reasons\": \"It says so.\", \"score\": 10}", "whole");
    check(VERDICT, "{\"reasons\":\"\",\"score\":1}", "whole");
    check(VERDICT, "{\"reasons\":\"\",\"score\":2}", "2}");
    check(VERDICT, "{\"reasons\":\"\",\"score\":11}", "1}");
    check(VERDICT, "{\"reasons\":\"\",\"score\":01}", "1}");
    check(VERDICT, "{\"reasons\":\"\"}", "}");
    check(VERDICT, "{\"score\":1}", "score\":1}");
    check(VERDICT, "{}", "}");
    check(VERDICT, "{\"reasons\":\"\",\"score\":1,\"more\":2}", ",\"more\":2}");
    check(VERDICT, "{\"reason\":1}", "\":1}");
    check(VERDICT, "{\"reasons\":7}", "7}");
}

static void keywords(void **state)
{
    (void)state;
    static const char optional[] =
        "{\"properties\":{\"a\":{\"type\":\"boolean\"},\"ab\":{\"type\":[\"null\",\"string\"],\"maxLength\":2},"
        "\"c\":{\"const\":\"x\"}},\"required\":[\"ab\"]}";
    check(optional, "{\"ab\":null}", "whole");
    check(optional, "{\"a\":true,\"ab\":\"12\",\"c\":\"x\"}", "whole");
    check(optional, "{\"a\":true,\"c\":\"x\"}", "c\":\"x\"}");
    check(optional, "{\"ab\":null,\"a\":true}", "a\":true}");
    check(optional, "{\"ab\":\"123\"}", "3\"}");
    check(optional, "{\"ab\":\"12\",\"c\":\"y\"}", "y\"}");
    check("{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"minimum\":-12,\"maximum\":105},\"minItems\":2,\"maxItems\":3}",
          "[-12, 105,0]", "whole");
    static const char numbers[] =
        "{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"minimum\":-12,\"maximum\":105},\"minItems\":2}";
    check(numbers, "[1]", "]");
    check(numbers, "[106,", "6,");
    check(numbers, "[-13,", "3,");
    check(numbers, "[1.5,", ".5,");
    check(numbers, "[10,100", "begun");
    check("{\"type\":\"integer\",\"minimum\":20,\"maximum\":30}", "2", "begun");
    check("{\"type\":\"integer\",\"minimum\":20,\"maximum\":30}", "25", "whole");
    check("{\"type\":\"integer\",\"minimum\":20,\"maximum\":30}", "4", "4");
    check("{\"type\":\"integer\",\"minimum\":20,\"maximum\":30}", "-2", "-2");
    check("{\"type\":\"string\",\"minLength\":2}", "\"a\"", "\"");
    check("{\"type\":\"string\",\"minLength\":2}", "\"\xc3\xa4\\n\"", "whole");
    check("{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}", "{\"x\":1,\"y\":2}", "whole");
    check("{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}", "{\"x\":\"", "\"");
    check("{\"enum\":[\"yes\",\"yes, but\",3,{\"a\":1}]}", "\"yes\"", "whole");
    check("{\"enum\":[\"yes\",\"yes, but\",3,{\"a\":1}]}", "\"yes, but\"", "whole");
    check("{\"enum\":[\"yes\",\"yes, but\",3,{\"a\":1}]}", "{\"a\":1}", "whole");
    check("{\"enum\":[\"yes\",\"yes, but\",3,{\"a\":1}]}", "\"no\"", "no\"");
}

/* Wherever a text has come to by what is allowed, it is whole or can go on: nobody is led where there is no way out. */
static void there_are_no_dead_ends(void **state)
{
    (void)state;
    static const char *const schemas[] = {
        NULL,
        VERDICT,
        "{\"type\":\"array\",\"items\":{\"type\":[\"string\",\"number\"],\"maxLength\":3},\"minItems\":1,\"maxItems\":3}",
        "{\"type\":\"integer\",\"minimum\":-305,\"maximum\":41}",
        "{\"type\":\"number\"}",
        "{\"type\":\"string\",\"minLength\":2,\"maxLength\":4}",
        "{\"enum\":[1,10,\"a\",\"ab\",{\"x\":[null]}]}",
    };
    enum { WALKS = 400, STEPS = 300 };
    pfm_random random = pfm_random_start(1, 2);
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
        pfm_json_shape *shape = shape_of(schemas[i]);
        for (int walk = 0; walk < WALKS; walk++) {
            pfm_json_state at = pfm_json_begin();
            for (int step = 0; step < STEPS; step++) {
                pfm_json_state ways[256];
                size_t count = 0;
                for (unsigned byte = 0; byte < 256; byte++) {
                    ways[count] = at;
                    count += pfm_json_feed(shape, &ways[count], (unsigned char)byte);
                }
                if (count == 0) {
                    assert_true(pfm_json_is_whole(shape, &at));
                    break;
                }
                at = ways[pfm_random_below(&random, count)];
            }
        }
        pfm_json_shape_free(shape);
    }
}

static void endless_texts_end(void **state)
{
    (void)state;
    char text[200] = "{";
    memset(text + 1, ' ', 100);
    pfm_json_shape *shape = shape_of(NULL);
    assert_int_equal(look(shape, text) - text, 41);
    memcpy(text, "{\"a\":", 5);
    memset(text + 5, '1', 100);
    assert_int_equal(look(shape, text) - text, 5 + 18);
    memset(text + 5, '[', 100);
    assert_int_equal(look(shape, text) - text, 5 + 23);
    pfm_json_shape_free(shape);
}

static void what_cannot_be_kept_is_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"type\":\"string\",\"pattern\":\"a+\"}", "the schema says 'pattern'"},
        {"{\"anyOf\":[]}", "the schema says 'anyOf'"},
        {"{\"type\":\"text\"}", "a type 'text'"},
        {"{\"type\":[]}", "names no type"},
        {"{\"type\":\"number\",\"minimum\":1}", "numbers that need not be whole"},
        {"{\"type\":\"integer\",\"minimum\":2,\"maximum\":1}", "minimum is above"},
        {"{\"type\":\"string\",\"maxLength\":-1}", "maxLength cannot be -1"},
        {"{\"properties\":{\"a\":{}},\"required\":[\"b\"]}", "requires 'b'"},
        {"{\"properties\":{\"a\":{}},\"additionalProperties\":true}", "others beside"},
        {"{\"properties\":{\"a\":7}}", "the schema must be an object"},
        {"{\"enum\":[]}", "enum must be a list"},
        {"{\"type\":\"string\",\"minLength\":3,\"maxLength\":2}", "minLength is above"},
        {"{\"type\":\"array\",\"minItems\":3,\"maxItems\":2}", "minItems above"},
        {"{\"type\":\"integer\",\"minimum\":2000000000000000000}", "more than 18 digits"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_json_shape *shape = NULL;
        json_t *schema = json_loads(cases[i][0], 0, NULL);
        assert_error(pfm_json_shape_create(schema, &shape, &err), PFM_ERROR_USAGE, cases[i][1]);
        assert_null(shape);
        json_decref(schema);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_object),        cmocka_unit_test(what_a_judge_is_held_to),
                                       cmocka_unit_test(keywords),          cmocka_unit_test(there_are_no_dead_ends),
                                       cmocka_unit_test(endless_texts_end), cmocka_unit_test(what_cannot_be_kept_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
