/* How answers are made, in a recipe and in its place. */
#include "test.h"

#include "train/recipe.h"

#include <string.h>

static pfm_status parse(const char *eval, pfm_recipe **out, pfm_error *err)
{
    char text[512];
    const int length = snprintf(text, sizeof text, "data: {dataset: slake}\neval: {%s}\n", eval);
    return pfm_recipe_parse(text, (size_t)length, "r.yaml", NULL, 0, out, err);
}

static void a_recipe_says_how_and_says_it_again(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL, *again = NULL;
    pfm_buffer text = {0};
    assert_ok(parse("beams: 4, length_penalty: -0.5, early_stopping: true, no_repeat_ngram: 3, min_tokens: 2, "
                    "repetition_penalty: 1.25, stop: [\"a, b\", \"\\n\"]",
                    &recipe, &err));
    assert_int_equal(recipe->eval.beams, 4);
    assert_string_equal(recipe->eval.early_stopping, "true");
    assert_int_equal(recipe->eval.stop_count, 2);
    assert_string_equal(recipe->eval.stop[0], "a, b");
    assert_ok(pfm_recipe_write(recipe, &text, &err));
    assert_ok(pfm_recipe_parse(text.data, text.size, "again.yaml", NULL, 0, &again, &err));
    pfm_hash_hex a, b;
    assert_ok(pfm_recipe_hash(recipe, a, &err));
    assert_ok(pfm_recipe_hash(again, b, &err));
    assert_string_equal(a, b);
    assert_string_equal(again->eval.stop[1], "\n");
    pfm_buffer_free(&text);
    pfm_recipe_free(recipe);
    pfm_recipe_free(again);
}

static void what_says_nothing_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *eval, *message;
    } cases[] = {{"top_k: 5", "r.yaml line 2: eval.top_k says of which tokens one is drawn"},
                 {"top_p: 0.9", "eval.top_p says of which"},
                 {"min_p: 0.1", "eval.min_p says of which"},
                 {"temperature: 1, beams: 2", "eval.beams search for the likeliest answer"},
                 {"length_penalty: 2", "eval.length_penalty is of beam search"},
                 {"early_stopping: never", "eval.early_stopping is of beam search"},
                 {"choices: train, beams: 2", "eval.beams says how an answer is made"},
                 {"choices: column, stop: x", "eval.stop says how an answer is made"},
                 {"choice_score: mean", "eval.choice_score says by what an answer is chosen"},
                 {"choices: some", "eval.choices cannot be 'some'"},
                 {"min_tokens: 30", "eval.min_tokens must not be above eval.max_tokens"},
                 {"temperature: -1", "eval.temperature cannot be '-1'"},
                 {"repetition_penalty: 0", "eval.repetition_penalty cannot be '0'"},
                 {"draws: 4", "eval.draws answers are all the same with eval.temperature 0"},
                 {"draws: 257, temperature: 1", "eval.draws cannot be '257'"},
                 {"choices: train, temperature: 1", "eval.temperature says how an answer is made"},
                 {"choices: train, temperature: 1, draws: 2, choice_score: mean",
                  "eval.choice_score says by which likelihood an answer is chosen, and with eval.draws"},
                 {"beams: 65", "eval.beams cannot be '65'"},
                 {"stop: \"\"", "eval.stop must not be empty"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_recipe *recipe = NULL;
        assert_error(parse(cases[i].eval, &recipe, &err), PFM_ERROR_USAGE, cases[i].message);
    }
}

static void what_is_drawn_chooses(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    assert_ok(parse("choices: train, temperature: 0.7, draws: 16, min_tokens: 3, stop: x", &recipe, &err));
    assert_int_equal(recipe->eval.draws, 16);
    pfm_recipe_free(recipe);
}

static void settings_take_the_place_of_keys(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    static const char *const sets[] = {"temperature=0.5", "stop=x", "top_k=9", "stop=y=z,w"};
    static const char *const unknown[] = {"temprature=0.5"}, *const alone[] = {"temperature"}, *const wrong[] = {"top_k=many"},
                             *const lonely[] = {"temperature=0"};
    assert_ok(parse("stop: [p, q, r]", &recipe, &err));
    assert_ok(pfm_recipe_set_answers(recipe, &(pfm_answer_settings){sets, 4, 5, false, false}, &err));
    assert_true(recipe->eval.temperature == 0.5 && recipe->eval.top_k == 9 && recipe->eval.max_tokens == 5);
    assert_int_equal(recipe->eval.stop_count, 2);
    assert_string_equal(recipe->eval.stop[0], "x");
    assert_string_equal(recipe->eval.stop[1], "y=z,w");
    assert_error(pfm_recipe_set_answers(recipe, &(pfm_answer_settings){unknown, 1, 0, false, false}, &err), PFM_ERROR_USAGE,
                 "'temprature=0.5' sets no key");
    assert_error(pfm_recipe_set_answers(recipe, &(pfm_answer_settings){alone, 1, 0, false, false}, &err), PFM_ERROR_USAGE,
                 "'temperature' sets no key");
    assert_error(pfm_recipe_set_answers(recipe, &(pfm_answer_settings){wrong, 1, 0, false, false}, &err), PFM_ERROR_USAGE,
                 "--top-k: eval.top_k cannot be 'many'");
    assert_error(pfm_recipe_set_answers(recipe, &(pfm_answer_settings){lonely, 1, 0, false, false}, &err), PFM_ERROR_USAGE,
                 "--top-k: eval.top_k says");
    pfm_recipe_free(recipe);
    static const char *const mean[] = {"choice_score=mean"};
    assert_ok(parse("batch: 2", &recipe, &err));
    assert_error(pfm_recipe_set_answers(recipe, &(pfm_answer_settings){mean, 1, 0, false, false}, &err), PFM_ERROR_USAGE,
                 "--choice-score: eval.choice_score says");
    assert_ok(pfm_recipe_set_answers(recipe, &(pfm_answer_settings){mean, 1, 0, true, false}, &err));
    pfm_recipe_free(recipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recipe_says_how_and_says_it_again),
        cmocka_unit_test(what_says_nothing_is_refused),
        cmocka_unit_test(what_is_drawn_chooses),
        cmocka_unit_test(settings_take_the_place_of_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
