/* A step's gradients do not depend on how it is cut into micro-batches, nor on packing, nor on the number of threads. */
#include "tiny_training.h"

#include <math.h>

/* bf16 keeps 8 bits; a tensor's gradient is a sum over many roundings. */
#define BF16_BOUND 0.02

/* Every way of cutting and packing a step beside the plain one: gradients of each tensor by relative norm, loss likewise. `set`
 * holds for all of them. */
static void cut_and_pack(pfm_precision precision, const char *set, int64_t step, double bound)
{
    static const char *const cases[][2] = {{"train.pack=false", "train.micro_batch=0"},
                                           {"train.pack=true", "train.micro_batch=1"},
                                           {"train.pack=false", "train.micro_batch=1"},
                                           {"train.pack=true", "train.micro_batch=3"}};
    pfm_context *context = tiny_context(NULL, 2, precision);
    pfm_step_result whole, other;
    pfm_trainer *trainer = NULL;
    float *gradients = training_gradients(context, &set, 1, step, &whole, &trainer);
    close_trainer(trainer);
    assert_int_equal(whole.samples, TRAINING_BATCH);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const sets[] = {cases[i][0], cases[i][1], set};
        float *copy = training_gradients(context, sets, 3, step, &other, &trainer);
        assert_gradients_near(trainer->session->model->parameters, gradients, bound);
        assert_true(fabs(other.loss - whole.loss) <= bound * whole.loss);
        assert_int_equal(other.answers, whole.answers);
        if (strcmp(cases[i][0], "train.pack=false") == 0)
            assert_true(other.tokens > whole.tokens); /* packing saves something here */
        else
            assert_int_equal(other.tokens, whole.tokens);
        free(copy);
        close_trainer(trainer);
    }
    free(gradients);
    pfm_context_free(context);
}

/* Step 3 crosses the end of the epoch. */
static void a_step_may_be_cut_and_packed_at_will(void **state)
{
    (void)state;
    for (int64_t step = 0; step < 4; step += 3) {
        cut_and_pack(PFM_PRECISION_F32, "peft.dropout=0.3", step, 1e-5);
        cut_and_pack(PFM_PRECISION_F32, "peft.dropout=0", step, 1e-5);
        cut_and_pack(PFM_PRECISION_BF16, "peft.dropout=0.3", step, BF16_BOUND);
        cut_and_pack(PFM_PRECISION_F32, "peft.method=dora", step, 1e-5);
        cut_and_pack(PFM_PRECISION_F32, "peft.method=ia3", step, 1e-5);
    }
}

/* The visual rows of a step hold the features of each row's images in their order, those of a group once. */
static void each_image_is_at_its_place(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    make_training();
    const char *set = training_pairs();
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_trainer *trainer = open_trainer(context, &set, 1);
    pfm_model *model = trainer->session->model;
    const pfm_samples *samples = &trainer->train;
    pfm_micro_batch batch = {0};
    static const size_t rows[] = {3, 0, 1, 6, 9}; /* (p1, p0), (p0, p1) twice, (p2, p3, p2), (p1) */
    static const int groups[] = {0, 1, 1, 2, 3};
    size_t channels = (size_t)(model->shape.grid * model->shape.grid * model->shape.channels), at = 0;
    size_t image_size = (size_t)(model->visual_tokens * model->visual_width);
    float *features = calloc(channels, sizeof *features), *wanted = calloc(image_size, sizeof *wanted);
    assert_true(features != NULL && wanted != NULL);
    assert_ok(pfm_micro_batch_fill(&batch, samples, rows, groups, 5, 0, true, &err));
    assert_int_equal(batch.visual_rows, (2 + 2 + 3 + 1) * model->visual_tokens);
    for (size_t i = 0; i < 5; i++) {
        const pfm_row *row = &samples->dataset->rows[rows[i]];
        size_t first = i == 2 ? at - 2 : at, seen = 0; /* the third shares the images of the second */
        for (size_t t = 0; t < batch.sequences[i].count; t++) {
            if (batch.sequences[i].ids[t] < 0)
                assert_int_equal(-1 - batch.sequences[i].ids[t], first * (size_t)model->visual_tokens + seen++);
        }
        assert_int_equal(seen, row->image_count * (size_t)model->visual_tokens);
        for (size_t k = 0; k < row->image_count; k++) {
            assert_ok(pfm_feature_store_read(samples->features, (size_t)row->images[k].index, features, &err));
            assert_ok(pfm_model_arrange(model, features, wanted, &err));
            assert_memory_equal((float *)batch.visual + (first + k) * image_size, wanted, image_size * sizeof *wanted);
            assert_int_equal(batch.numbers[first + k], row->images[k].index);
        }
        at = first + row->image_count;
    }
    free(features);
    free(wanted);
    pfm_micro_batch_free(&batch);
    close_trainer(trainer);
    pfm_context_free(context);
}

/* Rows of several images: packed behind their common images as apart. Dropout is the recipe's 0.3. */
static void rows_of_several_images_pack_as_well(void **state)
{
    (void)state;
    make_training();
    for (int64_t step = 0; step < 5; step++) /* every row at least once */
        cut_and_pack(PFM_PRECISION_F32, training_pairs(), step, 1e-5);
    cut_and_pack(PFM_PRECISION_BF16, training_pairs(), 0, BF16_BOUND);
}

static double loss_of(pfm_context *context, const char *const *sets, int set_count, int64_t step)
{
    pfm_step_result result;
    pfm_trainer *trainer = NULL;
    free(training_gradients(context, sets, set_count, step, &result, &trainer));
    close_trainer(trainer);
    return result.loss;
}

/* A batch of one row is the row alone: the mean of all of them is the loss of a step of all. */
static void a_group_costs_what_its_rows_cost(void **state)
{
    (void)state;
    make_training();
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    const char *const apart[] = {training_pairs(), "peft.dropout=0", "train.batch=1", "train.mean_over=answers"};
    const char *const together[] = {training_pairs(), "peft.dropout=0", "train.batch=13", "train.mean_over=answers"};
    double mean = 0;
    for (int64_t step = 0; step < 13; step++)
        mean += loss_of(context, apart, 4, step) / 13;
    double loss = loss_of(context, together, 4, 0);
    assert_true(fabs(loss - mean) <= 1e-5 * mean);
    pfm_context_free(context);
}

/* The gradient is that of the loss shown: along the bias's gradient the loss rises by its square. */
static void gradient_of_the_mean(const char *mean_over)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_step_result result;
    pfm_trainer *trainer = NULL;
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    free(training_gradients(context, &mean_over, 1, 1, &result, &trainer));
    assert_true(result.answers > result.samples); /* so that a mean over samples would be another */
    const pfm_parameters *parameters = trainer->session->model->parameters;
    const pfm_parameter *bias = pfm_parameters_get(parameters, pfm_parameters_find(parameters, "aligner.proj.bias"));
    float direction[TINY_HIDDEN], start[TINY_HIDDEN];
    double squares = 0, loss[2];
    memcpy(direction, bias->gradient, sizeof direction);
    memcpy(start, bias->values, sizeof start);
    for (int i = 0; i < TINY_HIDDEN; i++)
        squares += (double)direction[i] * direction[i];
    float width = (float)(0.01 / sqrt(squares));
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < TINY_HIDDEN; i++)
            bias->values[i] = start[i] + (side == 0 ? -width : width) * direction[i];
        assert_ok(pfm_trainer_gradients(trainer, 1, &result, &err));
        loss[side] = result.loss;
    }
    double slope = (loss[1] - loss[0]) / (2 * (double)width);
    if (!(fabs(slope - squares) < 0.02 * squares))
        fail_msg("%s: the loss rises by %.6g, the gradient says %.6g", mean_over, slope, squares);
    close_trainer(trainer);
    pfm_context_free(context);
}

static void the_gradient_is_that_of_the_mean_loss(void **state)
{
    (void)state;
    gradient_of_the_mean("train.mean_over=tokens");
    gradient_of_the_mean("train.mean_over=answers");
}

/* Steps of one row say what each answer costs; their mean is the loss over answers, and not that over tokens. */
static void a_mean_over_answers_counts_each_the_same(void **state)
{
    (void)state;
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    const char *const alone[] = {"peft.dropout=0", "train.batch=1"};
    const char *const together[] = {"peft.dropout=0", "train.mean_over=answers"};
    double mean = 0;
    for (int64_t step = 0; step < TRAINING_BATCH; step++)
        mean += loss_of(context, alone, 2, step) / TRAINING_BATCH;
    double over_answers = loss_of(context, together, 2, 0), over_tokens = loss_of(context, alone, 1, 0);
    assert_true(fabs(over_answers - mean) <= 1e-5 * mean);
    assert_true(fabs(over_tokens - mean) > 1e-3 * mean);
    pfm_context_free(context);
}

static void threads_do_not_change_a_bit(void **state)
{
    (void)state;
    float *first = NULL;
    for (int threads = 1; threads <= 3; threads++) {
        pfm_step_result result;
        pfm_trainer *trainer = NULL;
        pfm_context *context = tiny_context(NULL, threads, PFM_PRECISION_F32);
        float *gradients = training_gradients(context, NULL, 0, 1, &result, &trainer);
        size_t bytes = (size_t)pfm_parameters_trainable(trainer->session->model->parameters) * sizeof *gradients;
        if (first == NULL)
            first = gradients;
        else
            assert_memory_equal(gradients, first, bytes);
        if (gradients != first)
            free(gradients);
        close_trainer(trainer);
        pfm_context_free(context);
    }
    free(first);
}

/* Dropout is another at every step: with nothing learned in between, the same rows give other gradients. */
static void dropout_is_drawn_anew_at_every_step(void **state)
{
    (void)state;
    static const char *const sets[] = {"train.batch=17", "data.group=1"}; /* every step holds every row */
    pfm_step_result first, again, next;
    pfm_error err = PFM_ERROR_INIT;
    pfm_trainer *trainer = NULL;
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    float *gradients = training_gradients(context, sets, 2, 0, &first, &trainer);
    const pfm_parameters *parameters = trainer->session->model->parameters;
    assert_ok(pfm_trainer_gradients(trainer, 0, &again, &err));
    float *same = tiny_copy_gradients(parameters);
    assert_memory_equal(same, gradients, (size_t)pfm_parameters_trainable(parameters) * sizeof *same);
    uint64_t key = pfm_executor_environment(trainer->executor)->dropout_key;
    assert_ok(pfm_trainer_gradients(trainer, 1, &next, &err));
    assert_true(pfm_executor_environment(trainer->executor)->dropout_key != key); /* the order of the rows is not all */
    assert_true(fabs(next.loss - first.loss) > 1e-3 * first.loss);
    double loss, loss_again; /* and validation has none */
    assert_ok(pfm_trainer_validate(trainer, &loss, &err));
    assert_ok(pfm_trainer_gradients(trainer, 2, &next, &err));
    assert_ok(pfm_trainer_validate(trainer, &loss_again, &err));
    assert_true(loss == loss_again);
    free(gradients);
    free(same);
    close_trainer(trainer);
    pfm_context_free(context);
}

static void a_loss_that_is_no_number_stops_the_training(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_step_result result;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_trainer *trainer = open_trainer(context, NULL, 0);
    pfm_parameters *parameters = trainer->session->model->parameters;
    const pfm_parameter *bias = pfm_parameters_get(parameters, pfm_parameters_find(parameters, "aligner.proj.bias"));
    assert_ok(pfm_trainer_step(trainer, 0, &result, &err));
    bias->values[3] = NAN;
    float before = bias->values[4];
    assert_error(pfm_trainer_step(trainer, 1, &result, &err), PFM_ERROR_NUMERIC, "step 2");
    assert_true(bias->values[4] == before); /* nothing was learned from it */
    close_trainer(trainer);
    pfm_context_free(context);
}

/* One step from the same gradients: with clipping they count as much less. AdamW's first moment tells. */
static void a_large_gradient_is_clipped(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const sets[] = {"train.clip_norm=0", "train.clip_norm=0.01"};
    double norm[2], moment[2];
    for (int i = 0; i < 2; i++) {
        pfm_step_result result;
        pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
        pfm_trainer *trainer = open_trainer(context, sets + i, 1);
        assert_ok(pfm_trainer_step(trainer, 0, &result, &err));
        const pfm_parameters *parameters = trainer->session->model->parameters;
        double squares = 0;
        for (int j = 0; j < pfm_parameters_count(parameters); j++) {
            const pfm_parameter *p = pfm_parameters_get(parameters, j);
            for (int64_t v = 0; p->trainable && v < p->n * p->k; v++)
                squares += (double)p->moment1[v] * p->moment1[v];
        }
        norm[i] = result.gradient_norm;
        moment[i] = sqrt(squares);
        close_trainer(trainer);
        pfm_context_free(context);
    }
    assert_true(norm[0] == norm[1] && norm[0] > 0.02); /* the norm shown is the one before clipping */
    assert_true(fabs(moment[0] - 0.1 * norm[0]) < 1e-4 * norm[0]);
    assert_true(fabs(moment[1] - 0.1 * 0.01) < 1e-7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_may_be_cut_and_packed_at_will),
        cmocka_unit_test(each_image_is_at_its_place),
        cmocka_unit_test(rows_of_several_images_pack_as_well),
        cmocka_unit_test(a_group_costs_what_its_rows_cost),
        cmocka_unit_test(the_gradient_is_that_of_the_mean_loss),
        cmocka_unit_test(a_mean_over_answers_counts_each_the_same),
        cmocka_unit_test(threads_do_not_change_a_bit),
        cmocka_unit_test(dropout_is_drawn_anew_at_every_step),
        cmocka_unit_test(a_loss_that_is_no_number_stops_the_training),
        cmocka_unit_test(a_large_gradient_is_clipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
