#include "eval/compare.h"
#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;

static void test_texts(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{1e-3, "1e-3"}, {0.001, "1e-3"},  {3e-4, "3e-4"}, {0.015, "1.5e-2"},
                 {1, "1e0"},     {1e-12, "1e-12"}, {10, "1e1"},    {0.1 + 0.2, "3.0000000000000004e-1"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[40];
        pfm_rate_format(cases[i].value, text);
        assert_string_equal(text, cases[i].text);
    }
}

/* The highest score; of equal ones the earlier; none where there is no score. */
static void test_choice(void **state)
{
    (void)state;
    static const struct {
        double scores[3];
        int chosen;
    } cases[] = {{{70, 72, 71}, 1}, {{70, 70, 70}, 0}, {{NAN, 0, 0}, 1}, {{70, NAN, 71}, 2}, {{NAN, NAN, NAN}, -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_rate rates[3] = {0};
        for (int k = 0; k < 3; k++)
            rates[k].score = cases[i].scores[k];
        assert_int_equal(pfm_rates_choose(rates, 3), cases[i].chosen);
    }
    assert_int_equal(pfm_rates_choose(NULL, 0), -1);
}

static pfm_status rates_of(const char *more, pfm_rate **rates, size_t *count)
{
    char text[400];
    pfm_recipe *recipe = NULL;
    (void)snprintf(text, sizeof text, "data: {dataset: slake}\ntrain: {learning_rate: 5e-4}\n%s", more);
    assert_ok(pfm_recipe_parse(text, strlen(text), "r.yaml", NULL, 0, &recipe, &err));
    pfm_status status = pfm_rates_create(recipe, "r", rates, count, &err);
    pfm_recipe_free(recipe);
    return status;
}

static void release(pfm_rate *rates, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pfm_rate_free(&rates[i]);
    free(rates);
}

static void test_rates_of_a_recipe(void **state)
{
    (void)state;
    pfm_rate *rates = NULL;
    size_t count = 0;
    assert_ok(rates_of("", &rates, &count));
    assert_int_equal(count, 1);
    assert_string_equal(rates[0].text, "5e-4");
    assert_null(rates[0].set);
    release(rates, count);
    assert_ok(rates_of("compare: {learning_rates: [1e-3, 0.0003]}\n", &rates, &count));
    assert_int_equal(count, 2);
    assert_string_equal(rates[1].text, "3e-4");
    assert_string_equal(rates[1].set, "train.learning_rate=3e-4");
    assert_true(rates[1].value == 3e-4 && isnan(rates[1].score));
    release(rates, count);
    assert_ok(rates_of("stages: [{name: one}, {name: two}]\n", &rates, &count));
    assert_int_equal(count, 1);
    assert_string_equal(rates[0].text, "own");
    assert_true(isnan(rates[0].value));
    release(rates, count);
    assert_error(rates_of("compare: {learning_rates: [1e-3, 0.001]}\n", &rates, &count), PFM_ERROR_USAGE, "names 1e-3 twice");
    assert_error(rates_of("compare: {learning_rates: [1e-3]}\nstages: [{name: one}]\n", &rates, &count), PFM_ERROR_USAGE,
                 "its stages have a learning rate each");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_texts), cmocka_unit_test(test_choice),
                                       cmocka_unit_test(test_rates_of_a_recipe)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
