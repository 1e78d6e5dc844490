#include "text/tokenizer.h"
#include "test.h"

#include "base/file.h"

#include <jansson.h>

static const char tokenizer_text[] = "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"<s>\":1,\"</"
                                     "s>\":2,\"<unk>\":3},\"merges\":[]},\"decoder\":{\"type\":\"ByteLevel\"},"
                                     "\"added_tokens\":[{\"id\":1,\"content\":\"<s>\",\"special\":true}]}";

/* A tokenizer with this chat template; NULL: with none. */
static pfm_tokenizer *with_template(const char *template)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_tokenizer *tokenizer = NULL;
    const char *path = test_path(test_scratch_folder(), "tokenizer.json");
    json_t *config = json_pack("{s:s, s:{s:s}, s:s, s:s*}", "bos_token", "<s>", "eos_token", "content", "</s>", "unk_token",
                               "<unk>", "chat_template", template);
    assert_non_null(config);
    assert_ok(pfm_file_write(path, tokenizer_text, strlen(tokenizer_text), &err));
    assert_int_equal(json_dump_file(config, test_path(test_scratch_folder(), "tokenizer_config.json"), 0), 0);
    assert_ok(pfm_tokenizer_load_json(path, &tokenizer, &err));
    json_decref(config);
    return tokenizer;
}

static void check_case(const char *name, const pfm_tokenizer *tokenizer, const json_t *item)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_chat_message messages[16];
    const json_t *list = json_object_get(item, "messages"), *wanted = json_object_get(item, "text");
    size_t count = json_array_size(list);
    assert_true(count <= 16);
    for (size_t i = 0; i < count; i++) {
        messages[i].role = json_string_value(json_object_get(json_array_get(list, i), "role"));
        messages[i].content = json_string_value(json_object_get(json_array_get(list, i), "content"));
    }
    pfm_buffer out = {0};
    assert_ok(pfm_buffer_append_string(&out, "kept", &err));
    bool prompt = json_is_true(json_object_get(item, "prompt"));
    pfm_status status = pfm_chat_render(tokenizer, messages, count, prompt, &out, &err);
    if (wanted == NULL) {
        const char *refused = json_string_value(json_object_get(item, "refused"));
        if (status != PFM_ERROR_USAGE || strstr(err.message, refused) == NULL)
            fail_msg("%s: wanted a refusal with \"%s\", got %s \"%s\"", name, refused, pfm_status_name(status), err.message);
        assert_string_equal(out.data, "kept");
    } else {
        if (status != PFM_OK)
            fail_msg("%s: %s", name, err.message);
        if (strcmp(out.data + 4, json_string_value(wanted)) != 0)
            fail_msg("%s\n  got    \"%s\"\n  wanted \"%s\"", name, out.data + 4, json_string_value(wanted));
    }
    pfm_buffer_free(&out);
}

/* Templates in the manner of the families, and every construct, against transformers. */
static void test_golden_chats(void **state)
{
    (void)state;
    size_t i, j;
    json_t *entry, *item, *golden = json_load_file(PFM_SOURCE_DIR "/tests/text/golden/chats.json", 0, NULL);
    assert_true(json_array_size(golden) > 50);
    json_array_foreach(golden, i, entry)
    {
        pfm_tokenizer *tokenizer = with_template(json_string_value(json_object_get(entry, "template")));
        assert_true(json_array_size(json_object_get(entry, "cases")) > 0);
        json_array_foreach(json_object_get(entry, "cases"), j, item)
            check_case(json_string_value(json_object_get(entry, "name")), tokenizer, item);
        pfm_tokenizer_free(tokenizer);
    }
    json_decref(golden);
}

static const struct {
    const char *template;
    pfm_status status;
    const char *part;
} bad[] = {
    {"{% macro f() %}{% endmacro %}", PFM_ERROR_UNSUPPORTED, "line 1: this program does not know the tag macro"},
    {"a\nb\n{% block x %}", PFM_ERROR_UNSUPPORTED, "line 3: this program does not know the tag block"},
    {"{{ messages | map(attribute='role') }}", PFM_ERROR_UNSUPPORTED, "filters with named arguments"},
    {"{{ 'a' | title }}", PFM_ERROR_UNSUPPORTED, "filter title of a text"},
    {"{{ 'a'.upper() }}", PFM_ERROR_UNSUPPORTED, "method upper of a text"},
    {"{{ 1 is divisibleby 3 }}", PFM_ERROR_UNSUPPORTED, "test divisibleby"},
    {"{{ cycler(1) }}", PFM_ERROR_UNSUPPORTED, "function cycler"},
    {"{{ 1.5 }}", PFM_ERROR_UNSUPPORTED, "whole numbers"},
    {"{{ 7 / 2 }}", PFM_ERROR_UNSUPPORTED, "cannot take a number / a number"},
    {"{{ 'a' % 2 }}", PFM_ERROR_UNSUPPORTED, "cannot take"},
    {"{{ 2 ** 3 }}", PFM_ERROR_UNSUPPORTED, "operator **"},
    {"{{ 1 < 2 < 3 }}", PFM_ERROR_UNSUPPORTED, "chain of comparisons"},
    {"{{ (1, 2) }}", PFM_ERROR_UNSUPPORTED, "tuples"},
    {"{{ {'a': 1} }}", PFM_ERROR_UNSUPPORTED, "dict"},
    {"{{ 'abc'[0] }}", PFM_ERROR_UNSUPPORTED, "indices into texts"},
    {"{{ 'abc'[1:] }}", PFM_ERROR_UNSUPPORTED, "slices of lists only"},
    {"{{ messages[::2] }}", PFM_ERROR_UNSUPPORTED, "step of 1 or -1"},
    {"{{ messages }}", PFM_ERROR_UNSUPPORTED, "cannot write a list"},
    {"{{ loop.index }}", PFM_ERROR_FORMAT, "'loop' is undefined"},
    {"{% for m in messages %}{{ loop.previtem }}{% endfor %}", PFM_ERROR_UNSUPPORTED, "loop.previtem"},
    {"{% for m in messages recursive %}{% endfor %}", PFM_ERROR_UNSUPPORTED, "recursive"},
    {"{% set x %}a{% endset %}", PFM_ERROR_UNSUPPORTED, "set with one name"},
    {"{% set a, b = 1 %}", PFM_ERROR_UNSUPPORTED, "set with one name"},
    {"{% set messages.x = 1 %}", PFM_ERROR_FORMAT, "namespace"},
    {"{{ '\\x41' }}", PFM_ERROR_UNSUPPORTED, "in strings only"},
    {"{{ nothing.x }}", PFM_ERROR_FORMAT, "'nothing' is undefined"},
    {"{{ nothing.x() }}", PFM_ERROR_FORMAT, "'nothing' is undefined"},
    {"{{ nothing + 1 }}", PFM_ERROR_FORMAT, "cannot take nothing (undefined) + a number"},
    {"{{ 1 + 'a' }}", PFM_ERROR_UNSUPPORTED, "cannot take a number + a text"},
    {"{{ 1 in 2 }}", PFM_ERROR_FORMAT, "a number cannot be in a number"},
    {"{{ 1 // 0 }}", PFM_ERROR_FORMAT, "division by zero"},
    {"{{ 9223372036854775807 }}", PFM_ERROR_UNSUPPORTED, "too large"},
    {"{{ 9223372036854775800 + 9223372036854775800 }}", PFM_ERROR_UNSUPPORTED, "too large"},
    {"{{ 1", PFM_ERROR_FORMAT, "does not end"},
    {"{{ 'a }}", PFM_ERROR_FORMAT, "a string does not end"},
    {"{# a", PFM_ERROR_FORMAT, "a comment does not end"},
    {"{% if 1 %}a", PFM_ERROR_FORMAT, "the end stands where elif should"},
    {"{% for x in messages %}a{% endif %}", PFM_ERROR_UNSUPPORTED, "tag endif"},
    {"{% for 1 in messages %}{% endfor %}", PFM_ERROR_FORMAT, "a number stands where a name should"},
    {"{{ 1 2 }}", PFM_ERROR_FORMAT, "a number stands where }} should"},
    {"{{ }}", PFM_ERROR_FORMAT, "where an expression should"},
    {"{{ ! }}", PFM_ERROR_FORMAT, "means nothing"},
    {"{{ f(a b) }}", PFM_ERROR_FORMAT, "b stands where , should"},
    {"{% for a, b in messages %}{% endfor %}", PFM_ERROR_FORMAT, "as many parts"},
    {"{% for a in 5 %}{% endfor %}", PFM_ERROR_UNSUPPORTED, "walk over a number"},
};

static void test_what_is_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const pfm_chat_message message = {"user", "x"};
    pfm_buffer out = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        pfm_tokenizer *tokenizer = with_template(bad[i].template);
        pfm_status status = pfm_chat_render(tokenizer, &message, 1, true, &out, &err);
        if (status == PFM_OK)
            fail_msg("%s gives \"%s\"", bad[i].template, out.data);
        assert_error(status, bad[i].status, bad[i].part);
        assert_int_equal(out.size, 0);
        pfm_tokenizer_free(tokenizer);
    }
    pfm_tokenizer *tokenizer = with_template(NULL);
    assert_error(pfm_chat_render(tokenizer, &message, 1, true, &out, &err), PFM_ERROR_UNSUPPORTED, "no chat template");
    assert_error(pfm_chat_render(tokenizer, &message, 0, true, &out, &err), PFM_ERROR_USAGE, "at least one message");
    pfm_tokenizer_free(tokenizer);
    pfm_buffer_free(&out);
}

static void refuse_text(const char *text, const char *part)
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_chat_message message = {"user", "x"};
    pfm_buffer out = {0};
    pfm_tokenizer *tokenizer = with_template(text);
    assert_error(pfm_chat_render(tokenizer, &message, 1, true, &out, &err), PFM_ERROR_UNSUPPORTED, part);
    pfm_buffer_free(&out);
    pfm_tokenizer_free(tokenizer);
}

/* begin, then `unit` `count` times, then end. */
static void refuse_repeated(const char *begin, const char *unit, int count, const char *end, const char *part)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer text = {0};
    assert_ok(pfm_buffer_append_string(&text, begin, &err));
    for (int i = 0; i < count; i++)
        assert_ok(pfm_buffer_append_string(&text, unit, &err));
    assert_ok(pfm_buffer_append_string(&text, end, &err));
    refuse_text(text.data, part);
    pfm_buffer_free(&text);
}

/* Templates that would take the stack, the memory or the day. */
static void test_hostile_templates(void **state)
{
    (void)state;
    static const char walk[] = "{% for a in ns.x.split('a') %}", end[] = "{% endfor %}{% endfor %}{% endfor %}{% endfor %}";
    refuse_repeated("{{ ", "(", 100000, "1 }}", "levels");
    refuse_repeated("{{ ", "-", 100000, "1 }}", "levels");
    refuse_repeated("{{ ", "not ", 100000, "1 }}", "levels");
    refuse_repeated("{{ ", "[", 100000, "1 }}", "levels");
    refuse_repeated("{{ 1", "~1", 5000, " }}", "levels");
    refuse_repeated("{{ messages", "|list", 5000, " }}", "levels");
    refuse_repeated("{{ messages", "[:]", 5000, " }}", "levels");
    refuse_repeated("{{ ", "'a'", 5000, " }}", "levels");
    refuse_repeated("", "{% if 1 %}", 1000, "", "levels");
    refuse_repeated("{% if 0 %}", "{% elif 0 %}", 1000, "{% endif %}", "levels");
    char begin[1000];
    (void)snprintf(begin, sizeof begin, "{%% set ns = namespace(x='aaaaaaaaa') %%}%s%s%s%s{%% set ns.x = ns.x ~ ns.x %%}", walk,
                   walk, walk, walk);
    refuse_repeated(begin, "", 0, end, "memory");
    (void)snprintf(begin, sizeof begin,
                   "{%% set ns = namespace(x='aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa') %%}%s%s%s{{ 1", walk, walk,
                   walk);
    refuse_repeated(begin, "-1", 100, " }}{% endfor %}{% endfor %}{% endfor %}", "steps");
}

static void test_text_that_is_no_utf8(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const pfm_chat_message message = {"user", "a\xff\xe4\xb8z"};
    pfm_buffer out = {0};
    pfm_tokenizer *tokenizer = with_template("{{ messages[0].content }}");
    assert_ok(pfm_chat_render(tokenizer, &message, 1, true, &out, &err));
    assert_string_equal(out.data, "a\xef\xbf\xbd\xef\xbf\xbdz");
    pfm_buffer_free(&out);
    pfm_tokenizer_free(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden_chats), cmocka_unit_test(test_what_is_refused),
                                       cmocka_unit_test(test_hostile_templates), cmocka_unit_test(test_text_that_is_no_utf8)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
