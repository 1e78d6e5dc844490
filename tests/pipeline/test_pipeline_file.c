#include "pipeline/pipeline_file.h"

#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;

static pfm_pipeline *parse(const char *text)
{
    pfm_pipeline *pipeline = NULL;
    assert_ok(pfm_pipeline_parse("mine.yaml", text, strlen(text), &pipeline, &err));
    return pipeline;
}

static void test_read(void **state)
{
    (void)state;
    pfm_pipeline *p =
        parse("definition: mine\nsteps:\n- {name: a, prompt: '{question}'}\n- name: b-2\n  prompt: |\n    {a}\n    x\n"
              "  images: true\n  temperature: 0.7\n  top_p: 0.9\n  max_tokens: 12\n  seed: 3\n  stop: [\"\\n\", x]\n"
              "  take: {match: 'a(b)'}\n  url: http://localhost/v1\n  model: m\n");
    assert_string_equal(p->name, "mine");
    assert_int_equal(p->count, 2);
    const pfm_pipeline_step *a = &p->steps[0], *b = &p->steps[1];
    assert_true(!a->images && a->temperature == 0 && isnan(a->top_p) && a->max_tokens == 0 && a->seed < 0 &&
                a->stop_count == 0);
    assert_int_equal(a->take.kind, PFM_TAKE_WHOLE);
    assert_null(a->url);
    assert_true(b->images && b->temperature == 0.7 && b->top_p == 0.9 && b->max_tokens == 12 && b->seed == 3 &&
                b->stop_count == 2);
    assert_string_equal(b->prompt, "{a}\nx\n");
    assert_int_equal(b->take.kind, PFM_TAKE_MATCH);
    assert_string_equal(b->take.argument, "a(b)");
    pfm_pipeline_free(p);
}

/* What is written reads the same, and is written the same again. */
static void test_written(void **state)
{
    (void)state;
    pfm_buffer first = {0}, second = {0};
    pfm_pipeline *p =
        parse("definition: 'a: \"b\" # c'\nsteps:\n- {name: a, prompt: \" x \\n\\ty \\u00e4 \\U0001F600 \\n\", stop: "
              "[\"'\", \"# a\", \"\\n\"], take: {after: \"- \"}}\n- {name: 'null', prompt: 'true', temperature: 0.1, "
              "top_p: 1e-3, run: '~'}\n");
    assert_ok(pfm_pipeline_write(p, &first, &err));
    pfm_pipeline *q = parse(first.data);
    assert_ok(pfm_pipeline_write(q, &second, &err));
    assert_string_equal(first.data, second.data);
    assert_string_equal(p->steps[0].prompt, q->steps[0].prompt);
    assert_string_equal(p->steps[0].take.argument, q->steps[0].take.argument);
    assert_string_equal(p->definition, q->definition);
    assert_true(p->steps[1].top_p == q->steps[1].top_p && p->steps[1].temperature == q->steps[1].temperature);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(p->steps[0].stop[i], q->steps[0].stop[i]);
    pfm_pipeline_free(p);
    pfm_pipeline_free(q);
    pfm_buffer_free(&first);
    pfm_buffer_free(&second);
}

static void test_own(void **state)
{
    (void)state;
    size_t count = 0;
    for (; pfm_pipeline_files[count].name != NULL; count++) {
        pfm_pipeline *p = NULL;
        assert_ok(pfm_pipeline_load(pfm_pipeline_files[count].name, &p, &err));
        assert_non_null(p->definition);
        pfm_pipeline_free(p);
    }
    assert_true(count >= 1);
}

static void refuse(const char *text, const char *part)
{
    pfm_pipeline *p = NULL;
    if (pfm_pipeline_parse("mine.yaml", text, strlen(text), &p, &err) == PFM_OK || strstr(err.message, part) == NULL)
        fail_msg("'%s': wanted \"%s\", got \"%s\"", text, part, err.message);
    assert_null(p);
    err = (pfm_error)PFM_ERROR_INIT;
}

static void test_refused(void **state)
{
    (void)state;
    refuse("", "a pipeline is a file of keys");
    refuse("- a", "a pipeline is a file of keys");
    refuse("a: [", "not YAML");
    refuse("definition: a", "a pipeline needs steps");
    refuse("steps: []", "line 1: steps must be a list");
    refuse("steps: [a]", "a step is a list of keys");
    refuse("step: []", "did you mean 'steps'?");
    refuse("steps:\n- {name: a, promt: b}", "line 2: there is no key 'promt'; did you mean 'prompt'?");
    refuse("steps: [{name: a, name: b, prompt: c}]", "name is given a second time");
    refuse("steps: [{name: a}]", "a step needs name and prompt");
    refuse("steps: [{prompt: a}]", "a step needs name and prompt");
    refuse("steps: [{name: A b, prompt: a}]", "small letters");
    refuse("steps: [{name: text, prompt: a}]", "no step can be called");
    refuse("steps: [{name: a, prompt: a}, {name: a, prompt: a}]", "an earlier step has this name");
    refuse("steps: [{name: a, prompt: '{b}'}, {name: b, prompt: a}]", "step a: the prompt has a place {b}");
    refuse("steps: [{name: a, prompt: '{a}'}]", "step a: the prompt has a place {a}");
    refuse("steps: [{name: a, prompt: ' '}]", "prompt must be a text");
    refuse("steps: [{name: a, prompt: [b]}]", "prompt must be a text");
    refuse("steps: [{name: a, prompt: \"a\\0b\"}]", "prompt must be a text");
    refuse("steps: [{name: a, prompt: a, images: yes}]", "images must be true or false");
    refuse("steps: [{name: a, prompt: a, temperature: hot}]", "temperature must be a number");
    refuse("steps: [{name: a, prompt: a, temperature: nan}]", "temperature must be a number");
    refuse("steps: [{name: a, prompt: a, top_p: 0.5}]", "set temperature above 0");
    refuse("steps: [{name: a, prompt: a, max_tokens: 1.5}]", "max_tokens must be a whole number");
    refuse("steps: [{name: a, prompt: a, seed: -1}]", "seed must be a whole number");
    refuse("steps: [{name: a, prompt: a, stop: x}]", "stop must be a list");
    refuse("steps: [{name: a, prompt: a, stop: ['']}]", "stop must be a list");
    refuse("steps: [{name: a, prompt: a, take: first}]", "there is no way to take 'first'");
    refuse("steps: [{name: a, prompt: a, take: {last_line: x}}]", "needs no text");
    refuse("steps: [{name: a, prompt: a, take: after}]", "after needs a text");
    refuse("steps: [{name: a, prompt: a, take: {match: '('}}]", "is wrong at sign");
    refuse("steps: [{name: a, prompt: a, run: r, url: u}]", "keep one of them");
    pfm_pipeline *p = NULL;
    assert_error(pfm_pipeline_load("two", &p, &err), PFM_ERROR_USAGE,
                 "there is no pipeline 'two'; there are wanglab-two-calls");
    assert_error(pfm_pipeline_load("./none.yaml", &p, &err), PFM_ERROR_IO, "none.yaml");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_read), cmocka_unit_test(test_written), cmocka_unit_test(test_own),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
