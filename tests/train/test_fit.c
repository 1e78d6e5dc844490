/* Ways to need less memory: blocks computed again in the backward, a base in blocks, and the limit that a user sets. */
#include "tiny_training.h"

#include "base/quantise.h"

#include <math.h>

static size_t gradient_bytes(const pfm_trainer *trainer)
{
    return (size_t)pfm_parameters_trainable(trainer->session->model->parameters) * sizeof(float);
}

static void computing_again_changes_no_bit_and_takes_less(void **state)
{
    (void)state;
    for (int precision = 0; precision < 2; precision++) {
        static const char *const sets[][2] = {{"train.recompute=false", "peft.dropout=0.3"},
                                              {"train.recompute=true", "peft.dropout=0.3"}};
        pfm_context *context = tiny_context(NULL, 2, (pfm_precision)precision);
        pfm_trainer *trainers[2];
        pfm_step_result results[2];
        float *gradients[2];
        for (int i = 0; i < 2; i++)
            gradients[i] = training_gradients(context, sets[i], 2, 1, &results[i], &trainers[i]);
        assert_memory_equal(gradients[0], gradients[1], gradient_bytes(trainers[0]));
        assert_true(results[0].loss == results[1].loss);
        assert_true(pfm_executor_bytes(trainers[1]->executor) < pfm_executor_bytes(trainers[0]->executor));
        for (int i = 0; i < 2; i++) {
            free(gradients[i]);
            close_trainer(trainers[i]);
        }
        pfm_context_free(context);
    }
}

/* What the base's layers hold in blocks is set as numbers in a model that keeps numbers. */
static void set_dequantised(pfm_trainer *to, const pfm_trainer *quantised, pfm_dtype format)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    const pfm_parameters *from = quantised->session->model->parameters;
    pfm_parameters *parameters = to->session->model->parameters;
    int found = 0;
    assert_ok(pfm_weights_open(to->session->language_path, &weights, &err));
    for (int i = 0; i < pfm_parameters_count(from); i++) {
        const pfm_parameter *p = pfm_parameters_get(from, i);
        if (p->quantised == NULL)
            continue;
        const pfm_dtype type = pfm_quantised_type(format, (size_t)p->k);
        float *values = calloc((size_t)(p->n * p->k), sizeof *values);
        assert_int_equal(p->operand.quant_format, type);
        assert_null(p->packed_forward);
        assert_null(p->packed_backward);
        assert_ok(pfm_language_read_tensor(weights, &to->session->model->language, p->name, p->n, p->k, values, &err));
        assert_ok(pfm_language_round_to_blocks(weights, &to->session->model->language, p, values, &err));
        pfm_parameters_set(parameters, pfm_parameters_find(parameters, p->name), values);
        free(values);
        found++;
    }
    assert_int_equal(found, 7 * to->session->model->language.layers);
    pfm_weights_close(weights);
}

static void gradients_on_blocks_are_those_on_their_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *set;
        pfm_dtype format;
    } cases[] = {{"model.weights=q8_0", PFM_DTYPE_Q8_0},
                 {"model.weights=q4_0", PFM_DTYPE_Q4_0},
                 {"model.weights=q4_1", PFM_DTYPE_Q4_1},
                 {"model.weights=q4_k", PFM_DTYPE_Q4_K},
                 {"model.weights=nf4", PFM_DTYPE_NF4}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (int precision = 0; precision < 2; precision++) {
            pfm_context *context = tiny_context(NULL, 2, (pfm_precision)precision);
            pfm_trainer *quantised, *plain = open_trainer(context, NULL, 0);
            pfm_step_result result[2];
            float *plain_gradients, *gradients = training_gradients(context, &cases[c].set, 1, 2, &result[0], &quantised);
            set_dequantised(plain, quantised, cases[c].format);
            plain_gradients = training_step_gradients(plain, 2, &result[1]);
            assert_gradients_near(quantised->session->model->parameters, plain_gradients, 1e-5);
            assert_true(fabs(result[0].loss - result[1].loss) <= 1e-6 * result[1].loss);
            free(gradients);
            free(plain_gradients);
            close_trainer(quantised);
            close_trainer(plain);
            pfm_context_free(context);
        }
}

static void threads_do_not_change_a_bit_of_a_quantised_base(void **state)
{
    (void)state;
    static const char *const sets[] = {"model.weights=q4_0", "train.recompute=true"};
    float *first = NULL;
    for (int threads = 1; threads <= 3; threads++) {
        pfm_step_result result;
        pfm_trainer *trainer = NULL;
        pfm_context *context = tiny_context(NULL, threads, PFM_PRECISION_BF16);
        float *gradients = training_gradients(context, sets, 2, 1, &result, &trainer);
        if (first != NULL)
            assert_memory_equal(gradients, first, gradient_bytes(trainer));
        if (first != NULL)
            free(gradients);
        else
            first = gradients;
        close_trainer(trainer);
        pfm_context_free(context);
    }
    free(first);
}

/* Sizes as of a large data set, so that activations count beside what every process holds. */
static pfm_status large_sizes(void *user, size_t token_limit, pfm_trainer_sizes *out, pfm_error *err)
{
    (void)user;
    (void)err;
    const size_t tokens = token_limit < 100 ? 100 : token_limit;
    *out =
        (pfm_trainer_sizes){.tokens = 400 * tokens, .answers = 64, .visual = 4 * tokens, .rows = tokens, .mean_step_tokens = 1};
    return PFM_OK;
}

static pfm_status fit(uint64_t memory, const char *option, pfm_training_fit *out, pfm_error *err)
{
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = tiny_session(context, true, &option, 1);
    context->memory = memory;
    pfm_status status = pfm_training_fit_memory(session->model, session->recipe, large_sizes, NULL, out, err);
    pfm_model_graph_free(&out->graph);
    pfm_session_free(session);
    pfm_context_free(context);
    return status;
}

static void memory_is_kept_to_or_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const uint64_t margin = 8 << 20; /* the process itself grows meanwhile */
    pfm_training_fit free_choice, smaller, least, again;
    assert_ok(fit(0, "train.recompute=auto", &free_choice, &err));
    assert_int_equal(free_choice.token_limit, PFM_TOKENS_AT_ONCE);
    assert_false(free_choice.recompute);
    assert_ok(fit(free_choice.peak + margin, "train.recompute=auto", &again, &err));
    assert_int_equal(again.token_limit, PFM_TOKENS_AT_ONCE);
    assert_ok(fit(free_choice.peak - 1, "train.recompute=auto", &smaller, &err));
    assert_true(smaller.token_limit < PFM_TOKENS_AT_ONCE && !smaller.recompute && smaller.peak < free_choice.peak);
    assert_ok(fit(0, "train.recompute=true", &again, &err));
    assert_true(again.recompute && again.token_limit == PFM_TOKENS_AT_ONCE && again.peak < free_choice.peak);
    /* down to the least, which the refusal names */
    uint64_t memory = smaller.peak;
    while (fit(memory, "train.recompute=auto", &least, &err) == PFM_OK)
        memory = least.peak - 1;
    assert_int_equal(err.code, PFM_ERROR_USAGE);
    assert_non_null(strstr(err.message, "at least"));
    double gib = 0;
    const char *figure = strstr(err.message, "at least ");
    assert_int_equal(sscanf(figure, "at least %lf GiB", &gib), 1);
    err = (pfm_error)PFM_ERROR_INIT;
    assert_ok(fit((uint64_t)(gib * 1073741824.0) + margin, "train.recompute=auto", &least, &err));
    assert_true(least.recompute && least.token_limit == 1);
    assert_int_equal(fit((uint64_t)(gib * 1073741824.0) + margin, "train.recompute=false", &least, &err), PFM_ERROR_USAGE);
    assert_non_null(strstr(err.message, "without train.recompute"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(computing_again_changes_no_bit_and_takes_less),
        cmocka_unit_test(gradients_on_blocks_are_those_on_their_numbers),
        cmocka_unit_test(threads_do_not_change_a_bit_of_a_quantised_base),
        cmocka_unit_test(memory_is_kept_to_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
