/* Rows without images: beside others, where they change nothing for them, and alone, where the model need not see at all. */
#include "whole_training.h"

#include "base/file.h"
#include "formats/weights.h"

#include <math.h>

/* Every kind of visual token: in the sequence, learned queries, beside the sequence. */
static const char *const aligners[][4] = {
    {"model.aligner=concat-linear", "model.normalise=true", "gated.every=1", "gated.heads=2"},
    {"model.aligner=qformer", "model.normalise=false", "qformer.hidden=24", "qformer.intermediate=24"},
    {"model.aligner=gated-cross-attention", "model.normalise=true", "gated.every=1", "gated.heads=2"}};
enum { ALIGNERS = sizeof aligners / sizeof *aligners, KINDS = ALIGNERS + 1 };

/* One of those, or behind them a vision encoder that learns too. */
static const char *const *kind(int k)
{
    static char vision[512];
    static const char *const learning[4] = {vision, "model.image_size=35", "peft.parts=[language, vision]",
                                            "peft.targets=[q_proj, up_proj, fc1]"};
    (void)snprintf(vision, sizeof vision, "model.vision=%s", tiny_path("vit_clip"));
    return k < ALIGNERS ? aligners[k] : learning;
}

/* A step's gradients, cut and packed at will, are those of the plain one; all of them side by side, for the bias of a key has
 * none but noise. */
static void rows_with_and_without_images_pack(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"train.pack=false", "train.micro_batch=0"},
                                           {"train.pack=true", "train.micro_batch=1"},
                                           {"train.pack=false", "train.micro_batch=1"}};
    make_training();
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    for (int a = 0; a < KINDS; a++) {
        for (int64_t step = 0; step < 3; step++) {
            pfm_step_result whole, other;
            pfm_trainer *trainer = NULL;
            const char *const *model = kind(a);
            const char *plain[] = {training_mixed(), model[0], model[1], model[2], model[3], "qformer.layers=2"};
            float *gradients = training_gradients(context, plain, 6, step, &whole, &trainer);
            close_trainer(trainer);
            for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                const char *sets[] = {training_mixed(), model[0],           model[1],    model[2],
                                      model[3],         "qformer.layers=2", cases[i][0], cases[i][1]};
                float *copy = training_gradients(context, sets, 8, step, &other, &trainer);
                const int64_t values = pfm_parameters_trainable(trainer->session->model->parameters);
                assert_near(model[0], copy, gradients, (size_t)values, 1e-5);
                assert_true(fabs(other.loss - whole.loss) <= 1e-5 * whole.loss);
                free(copy);
                close_trainer(trainer);
            }
            free(gradients);
        }
    }
    pfm_context_free(context);
}

/* The losses of one micro-batch's answer tokens; *answers = how many. */
static const float *losses_of(pfm_trainer *trainer, const size_t *rows, const int *groups, size_t count, size_t *answers)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_micro_batch *batch = &trainer->batch;
    assert_ok(pfm_micro_batch_fill(batch, &trainer->train, rows, groups, count, 0, true, &err));
    assert_ok(
        pfm_model_bind(trainer->session->model, &trainer->graph, trainer->executor, &batch->pack, batch->visual_rows, &err));
    assert_ok(pfm_micro_batch_bind_images(batch, trainer->session->model, &trainer->graph, trainer->executor, &err));
    pfm_executor_environment(trainer->executor)->training = false;
    pfm_executor_forward(trainer->executor);
    *answers = batch->pack.answers;
    return pfm_executor_data(trainer->executor, trainer->graph.language.loss);
}

/* Whatever stands beside them, rows with images give the same bits. */
static void rows_without_images_change_nothing_for_others(void **state)
{
    (void)state;
    static const size_t alone[] = {0, 2, 3, 4}, among[] = {1, 0, 2, 3, 5, 4, 9};
    static const int alone_groups[] = {0, 0, 0, 1}, among_groups[] = {0, 1, 1, 1, 2, 3, 4};
    make_training();
    for (int precision = 0; precision < 2; precision++) {
        pfm_context *context = tiny_context(NULL, 2, precision == 0 ? PFM_PRECISION_F32 : PFM_PRECISION_BF16);
        for (int a = 0; a < KINDS; a++) {
            const char *const *model = kind(a);
            const char *sets[] = {training_mixed(), model[0],           model[1],        model[2],
                                  model[3],         "qformer.layers=2", "train.batch=12"};
            pfm_trainer *trainer = open_trainer(context, sets, 7);
            float wanted[64];
            size_t count = 0, answers = 0, seen = 0;
            const float *losses = losses_of(trainer, alone, alone_groups, 4, &count);
            assert_in_range(count, 8, 64);
            memcpy(wanted, losses, count * sizeof *losses);
            assert_int_equal(trainer->batch.visual_rows, 2 * trainer->session->model->visual_tokens);
            losses = losses_of(trainer, among, among_groups, 7, &answers);
            assert_int_equal(trainer->batch.visual_rows, 2 * trainer->session->model->visual_tokens);
            for (size_t i = 0; i < answers; i++) {
                const int32_t row = trainer->batch.pack.answer_row[i];
                if (trainer->train_set->rows[among[row]].image_count > 0)
                    assert_memory_equal(&losses[i], &wanted[seen++], sizeof *losses);
            }
            assert_int_equal(seen, count);
            assert_true(answers > count);
            close_trainer(trainer);
        }
        pfm_context_free(context);
    }
}

/* No row of a micro-batch shows an image: an aligner learns nothing from it but where it acts on every token, a vision encoder
 * nothing, and nothing else is disturbed. */
static void a_batch_of_text_alone_passes_the_aligner_by(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char set[300], table[256];
    (void)text_recipe();
    (void)snprintf(table, sizeof table, "%s/texts.csv", test_scratch_folder());
    (void)snprintf(set, sizeof set, "data.path=%s", table);
    make_training();
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    for (int a = 0; a < KINDS; a++) {
        const char *const *model = kind(a);
        const char *sets[] = {set, model[0], model[1], model[2], model[3], "qformer.layers=2"};
        pfm_step_result result;
        double loss = 0;
        pfm_trainer *trainer = NULL;
        free(training_gradients(context, sets, 6, 0, &result, &trainer));
        const pfm_parameters *parameters = trainer->session->model->parameters;
        const bool beside = trainer->session->model->aligner->block != NULL;
        for (int i = 0; i < pfm_parameters_count(parameters); i++) {
            const pfm_parameter *p = pfm_parameters_get(parameters, i);
            double squares = 0;
            for (int64_t v = 0; p->trainable && v < p->n * p->k; v++)
                squares += (double)p->gradient[v] * p->gradient[v];
            assert_true(isfinite(squares));
            if (p->trainable && !(beside && pfm_aligner_owns(p)))
                assert_int_equal(squares == 0, pfm_aligner_owns(p) || pfm_tower_owns(p));
        }
        assert_ok(pfm_trainer_validate(trainer, &loss, &err));
        assert_true(loss > 0 && isfinite(loss));
        close_trainer(trainer);
    }
    pfm_context_free(context);
}

/* ---- a model that sees nothing ---- */

static const char *train_texts(const char *name, int threads, const int *stops, int stop_count)
{
    pfm_error err = PFM_ERROR_INIT;
    const char *out = folder_of(name);
    for (int i = 0; i < stop_count; i++) {
        stopper s = {.left = stops[i]};
        assert_error(train_recipe(text_recipe(), out, threads, &s, NULL, 0, false, &err), PFM_ERROR_INTERRUPTED,
                     "stopped after");
        assert_false(pfm_path_exists(test_path(out, "adapter")));
    }
    stopper s = {.left = STOP_NEVER};
    assert_ok(train_recipe(text_recipe(), out, threads, &s, NULL, 0, false, &err));
    return out;
}

static void text_alone_goes_on_to_the_same_bits(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const int stops[] = {1, 2};
    const char *whole = train_texts("text_whole", 2, NULL, 0), *stopped = train_texts("text_stopped", 1, stops, 2);
    assert_same_file(whole, stopped, "adapter/adapter_model.safetensors");
    assert_same_tensors(whole, stopped, "checkpoint/state.safetensors");
    assert_same_log(whole, stopped, TEXT_STEPS);
    assert_false(pfm_path_exists(test_path(whole, "aligner.safetensors")));
    assert_false(pfm_path_exists(test_path(whole, "best/aligner.safetensors")));
    pfm_weights *weights = NULL;
    assert_ok(pfm_weights_open(test_path(whole, "checkpoint/state.safetensors"), &weights, &err));
    assert_null(pfm_weights_find(weights, "norm.mean"));
    pfm_weights_close(weights);
}

/* The trained values come back, and a run that has not finished is told from one that has. */
static void a_run_of_text_alone_is_opened_again(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *out = train_texts("text_again", 2, NULL, 0);
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 8, [PFM_DIM_ANSWERS] = 1};
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    for (int finished = 1; finished >= 0; finished--) {
        pfm_session *session = NULL;
        pfm_model_graph graph = {0};
        assert_ok(pfm_session_open(context, out, false, &session, &err));
        assert_false(pfm_model_sees(session->model));
        assert_ok(pfm_session_load_vision(session, &err));
        assert_null(session->vision);
        assert_ok(pfm_model_build(session->model, capacity, false, false, &graph, &err));
        assert_false(pfm_model_has_aligner(session->model));
        if (finished)
            assert_ok(pfm_session_load_weights(session, &err));
        else
            assert_error(pfm_session_load_weights(session, &err), PFM_ERROR_IO, "holds no finished model (no adapter)");
        pfm_model_graph_free(&graph);
        pfm_session_free(session);
        assert_int_equal(rename(test_path(out, finished ? "adapter" : "gone"), test_path(out, finished ? "gone" : "adapter")),
                         0);
    }
    pfm_context_free(context);
}

/* Its rows are packed alone, whatever data.group says: they have nothing in common. */
static void rows_of_text_alone_are_groups_of_their_own(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_step_result result;
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    static const char *const sets[] = {"data.group=4"};
    pfm_trainer *trainer = open_trainer_of(text_recipe(), context, sets, 1);
    assert_ok(pfm_trainer_gradients(trainer, 0, &result, &err));
    assert_int_equal(result.samples, TRAINING_BATCH);
    for (int i = 1; i < TRAINING_BATCH; i++)
        assert_int_equal(trainer->groups[i], trainer->groups[i - 1] + 1);
    assert_int_equal(trainer->train_set->set_count, trainer->train_set->count);
    close_trainer(trainer);
    pfm_context_free(context);
}

static void images_are_refused_by_a_model_that_sees_nothing(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    make_training();
    pfm_recipe *recipe = NULL;
    pfm_session *session = NULL;
    pfm_trainer *trainer = NULL;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    const char *set = training_mixed();
    assert_ok(pfm_recipe_load(text_recipe(), &set, 1, &recipe, &err));
    assert_ok(pfm_session_create(context, recipe, true, &session, &err));
    assert_error(pfm_trainer_create(session, NULL, &trainer, &err), PFM_ERROR_USAGE,
                 "row train-1 of train: this model sees nothing (model.vision: none)");
    pfm_session_free(session);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_with_and_without_images_pack),
        cmocka_unit_test(rows_without_images_change_nothing_for_others),
        cmocka_unit_test(a_batch_of_text_alone_passes_the_aligner_by),
        cmocka_unit_test(text_alone_goes_on_to_the_same_bits),
        cmocka_unit_test(a_run_of_text_alone_is_opened_again),
        cmocka_unit_test(rows_of_text_alone_are_groups_of_their_own),
        cmocka_unit_test(images_are_refused_by_a_model_that_sees_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
