#include "test.h"

#include "train/optimiser.h"

#include <math.h>

static pfm_recipe *recipe_of(const char *const *sets, int count)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *out = NULL;
    static const char text[] = "data: {dataset: phantom}\n";
    assert_ok(pfm_recipe_parse(text, sizeof text - 1, "r.yaml", sets, count, &out, &err));
    return out;
}

static void assert_rate(const pfm_recipe *recipe, int64_t step, int64_t steps, double wanted)
{
    double rate = pfm_learning_rate(recipe, step, steps);
    if (!(fabs(rate - wanted) <= 1e-12))
        fail_msg("step %lld of %lld: rate %.12g, wanted %.12g", (long long)step, (long long)steps, rate, wanted);
}

static void the_rate_rises_and_falls(void **state)
{
    (void)state;
    static const char *const sets[] = {"train.learning_rate=0.1", "train.warmup_steps=4", "train.minimum_learning_rate=0.02"};
    pfm_recipe *recipe = recipe_of(sets, 3);
    assert_rate(recipe, 0, 104, 0.025);
    assert_rate(recipe, 3, 104, 0.1);
    assert_rate(recipe, 4, 104, 0.1);
    assert_rate(recipe, 54, 104, 0.06);
    assert_rate(recipe, 29, 104, 0.02 + 0.08 * 0.5 * (1 + sqrt(0.5)));
    assert_true(pfm_learning_rate(recipe, 103, 104) < 0.0201 && pfm_learning_rate(recipe, 103, 104) >= 0.02);
    assert_rate(recipe, 0, 1, 0.1); /* a training shorter than the warm-up learns at the full rate all the same */
    assert_rate(recipe, 0, 6, 0.1 / 3);
    assert_rate(recipe, 2, 6, 0.1);
    pfm_recipe_free(recipe);
    static const char *const none[] = {"train.learning_rate=0.1", "train.warmup_steps=0"};
    recipe = recipe_of(none, 2);
    assert_rate(recipe, 0, 10, 0.1);
    assert_rate(recipe, 5, 10, 0.005 + 0.095 * 0.5); /* the minimum is a twentieth by default */
    pfm_recipe_free(recipe);
    static const char *const from[] = {"train.learning_rate=0.1", "train.warmup_steps=4", "train.warmup_learning_rate=0.06"};
    recipe = recipe_of(from, 3);
    assert_rate(recipe, 0, 104, 0.07);
    assert_rate(recipe, 3, 104, 0.1);
    pfm_recipe_free(recipe);
    static const char *const share[] = {"train.learning_rate=0.1", "train.warmup_share=0.035"};
    recipe = recipe_of(share, 2);
    assert_rate(recipe, 0, 104, 0.025); /* 3.64 steps are 4 */
    assert_rate(recipe, 3, 104, 0.1);
    pfm_recipe_free(recipe);
}

typedef struct store {
    pfm_context *context;
    pfm_parameters *parameters;
    int weight, bias, frozen;
} store;

enum { N = 300, K = 230 }; /* more values than one thread takes at a time, and not a multiple */

static void create(int threads, store *s)
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_context_options options = {.threads = threads, .home = "/nonexistent"};
    assert_ok(pfm_context_create(&options, &s->context, &err));
    assert_ok(pfm_parameters_create(s->context, PFM_ACT_F32, true, &s->parameters, &err));
    const pfm_parameter declarations[] = {{.name = (char *)(uintptr_t) "w",
                                           .n = N,
                                           .k = K,
                                           .uses = PFM_USE_VALUES,
                                           .trainable = true,
                                           .decays = true,
                                           .initial = PFM_INITIAL_NORMAL,
                                           .initial_scale = 1},
                                          {.name = (char *)(uintptr_t) "b",
                                           .n = N,
                                           .k = 1,
                                           .uses = PFM_USE_VALUES,
                                           .trainable = true,
                                           .initial = PFM_INITIAL_NORMAL,
                                           .initial_scale = 1},
                                          {.name = (char *)(uintptr_t) "f",
                                           .n = N,
                                           .k = 1,
                                           .uses = PFM_USE_VALUES,
                                           .initial = PFM_INITIAL_NORMAL,
                                           .initial_scale = 1}};
    int *const ids[] = {&s->weight, &s->bias, &s->frozen};
    for (int i = 0; i < 3; i++)
        assert_ok(pfm_parameters_declare(s->parameters, &declarations[i], ids[i], &err));
    assert_ok(pfm_parameters_allocate(s->parameters, &err));
    assert_ok(pfm_parameters_initialise(s->parameters, 1, true, &err));
}

static void release(store *s)
{
    pfm_parameters_free(s->parameters);
    pfm_context_free(s->context);
}

static float gradient_at(int64_t i, int step) { return (float)sin(0.1 * (double)i + step); }

static void set_gradients(const store *s, int step)
{
    const int ids[] = {s->weight, s->bias};
    for (int p = 0; p < 2; p++) {
        const pfm_parameter *parameter = pfm_parameters_get(s->parameters, ids[p]);
        for (int64_t i = 0; i < parameter->n * parameter->k; i++)
            parameter->gradient[i] = gradient_at(i, step);
    }
}

/* Loshchilov and Hutter's algorithm 2, in double. */
static double follow(double value, int64_t i, double decay, double rate, double scale, int steps)
{
    double m = 0, v = 0;
    for (int t = 1; t <= steps; t++) {
        double g = scale * (double)gradient_at(i, t - 1);
        m = 0.8 * m + 0.2 * g;
        v = 0.9 * v + 0.1 * g * g;
        value -= rate * (m / (1 - pow(0.8, t)) / (sqrt(v / (1 - pow(0.9, t))) + 1e-3) + decay * value);
    }
    return value;
}

static void a_step_is_adamw_and_biases_do_not_decay(void **state)
{
    (void)state;
    static const char *const sets[] = {"train.beta1=0.8", "train.beta2=0.9", "train.epsilon=1e-3", "train.weight_decay=0.5"};
    pfm_recipe *recipe = recipe_of(sets, 4);
    store s;
    create(2, &s);
    const int ids[] = {s.weight, s.bias, s.frozen};
    float *before[3];
    for (int p = 0; p < 3; p++) {
        const pfm_parameter *parameter = pfm_parameters_get(s.parameters, ids[p]);
        before[p] = malloc((size_t)(parameter->n * parameter->k) * sizeof(float));
        assert_non_null(before[p]);
        memcpy(before[p], parameter->values, (size_t)(parameter->n * parameter->k) * sizeof(float));
    }
    for (int step = 0; step < 3; step++) {
        set_gradients(&s, step);
        pfm_adamw_step(s.parameters, s.context, recipe, step, 0.05, 0.25);
    }
    for (int p = 0; p < 3; p++) {
        const pfm_parameter *parameter = pfm_parameters_get(s.parameters, ids[p]);
        for (int64_t i = 0; i < parameter->n * parameter->k; i++) {
            double wanted = p == 2 ? before[p][i] : follow(before[p][i], i, p == 0 ? 0.5 : 0, 0.05, 0.25, 3);
            if (!(fabs(parameter->values[i] - wanted) <= 1e-5))
                fail_msg("%s[%lld] is %.8g, wanted %.8g", parameter->name, (long long)i, (double)parameter->values[i], wanted);
        }
        free(before[p]);
    }
    release(&s);
    pfm_recipe_free(recipe);
}

static void the_norm_is_that_of_all_gradients(void **state)
{
    (void)state;
    store s;
    create(1, &s);
    set_gradients(&s, 0);
    double squares = 0;
    for (int64_t i = 0; i < N * K; i++)
        squares += pow((double)gradient_at(i, 0), 2) * (i < N ? 2 : 1);
    double norm = pfm_gradient_norm(s.parameters, s.context);
    assert_true(fabs(norm - sqrt(squares)) < 1e-6 * norm);
    release(&s);
}

static void threads_do_not_change_a_step(void **state)
{
    (void)state;
    pfm_recipe *recipe = recipe_of(NULL, 0);
    store one, three;
    create(1, &one);
    create(3, &three);
    store *const both[] = {&one, &three};
    for (int i = 0; i < 2; i++) {
        set_gradients(both[i], 0);
        pfm_adamw_step(both[i]->parameters, both[i]->context, recipe, 0, 0.01, 1);
    }
    assert_memory_equal(pfm_parameters_get(one.parameters, one.weight)->values,
                        pfm_parameters_get(three.parameters, three.weight)->values, N * K * sizeof(float));
    release(&one);
    release(&three);
    pfm_recipe_free(recipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rate_rises_and_falls),
        cmocka_unit_test(a_step_is_adamw_and_biases_do_not_decay),
        cmocka_unit_test(the_norm_is_that_of_all_gradients),
        cmocka_unit_test(threads_do_not_change_a_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
