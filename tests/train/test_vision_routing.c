/* Mixtures of experts in a vision transformer that learns: each image of a row is a row there, however pictures are shared,
 * packed and cut; the balance loss is a mean over them; an image whose rows differ in their context is computed for each. */
#include "whole_training.h"

#include "base/json.h"
#include "pefomed/evaluate.h"
#include "pefomed/infer.h"
#include "train/contexts.h"

#include <math.h>

#define BY_TOKEN                                                                                                               \
    "peft.method=moe_lora", "peft.balance=1", "peft.capacity=0.8", "peft.shared_expert=true", "peft.experts=3",                \
        "peft.parts=[language, vision]", "peft.targets=[q_proj, fc1]"
#define BY_TASK                                                                                                                \
    "peft.method=moe_lora", "peft.router=context", "peft.context=task", "peft.contexts=[normal, organ, place]",                \
        "peft.experts=3", "peft.parts=[vision]", "peft.targets=[v_proj]"
enum { SETS = 7, BASE = 3, MOST_SETS = 16, EXPERTS = 3 };
static const char *const by_token[SETS] = {BY_TOKEN}, *const by_task[SETS] = {BY_TASK};

/* Overrides that put the small CLIP into the tiny recipe, then a system's, then others. */
static int sets_of(const char *out[MOST_SETS], const char *const system[SETS], const char *const *more, int more_count)
{
    static char vision[512];
    (void)snprintf(vision, sizeof vision, "model.vision=%s", tiny_path("vit_clip"));
    const char *const base[BASE] = {vision, "model.image_size=35", "model.layers=[1, -1]"};
    memcpy(out, base, sizeof base);
    memcpy(out + BASE, system, SETS * sizeof *system);
    for (int i = 0; i < more_count; i++)
        out[BASE + SETS + i] = more[i];
    return BASE + SETS + more_count;
}

static pfm_trainer *open_system(pfm_context *context, const char *const system[SETS], const char *const *more, int more_count)
{
    const char *sets[MOST_SETS];
    make_training();
    return open_trainer(context, sets, sets_of(sets, system, more, more_count));
}

/* ---- one step ---- */

static void assert_close(const char *what, double a, double b)
{
    if (!(fabs(a - b) <= 1e-5 * fabs(b) + 1e-9))
        fail_msg("%s: %.9g beside %.9g", what, a, b);
}

static void assert_same_routing(const pfm_routing *a, const pfm_routing *b)
{
    assert_int_equal(a->experts, b->experts);
    for (int64_t e = 0; e < a->experts; e++)
        assert_close("load", a->load[e], b->load[e]);
    assert_close("balance", a->balance, b->balance);
    assert_close("entropy", a->entropy, b->entropy);
    assert_close("dropped", a->dropped, b->dropped);
}

static void assert_shares(const pfm_routing *routing)
{
    double sum = 0;
    assert_int_equal(routing->experts, EXPERTS);
    for (int64_t e = 0; e < EXPERTS; e++)
        sum += routing->load[e];
    assert_close("the sum of all loads", sum, 1);
}

/* Step 1 in every way of packing and cutting; rows with an image, with several, and without any among them. */
static void compare_ways(pfm_context *context, const char *const system[SETS], const char *data)
{
    static const char *const ways[][2] = {{"train.pack=true", "train.micro_batch=0"},
                                          {"train.pack=false", "train.micro_batch=0"},
                                          {"train.pack=true", "train.micro_batch=1"},
                                          {"train.pack=true", "train.recompute=true"}};
    float *gradients = NULL;
    pfm_step_result whole = {0}, result;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const char *const more[] = {ways[i][0], ways[i][1], "peft.dropout=0.3", data};
        pfm_trainer *trainer = open_system(context, system, more, data == NULL ? 3 : 4);
        float *found = training_step_gradients(trainer, 1, &result);
        if (i == 0) {
            gradients = found;
            whole = result;
        } else {
            assert_gradients_near(trainer->session->model->parameters, gradients, 1e-5);
            assert_same_routing(&result.routing, &whole.routing);
            assert_same_routing(&result.vision_routing, &whole.vision_routing);
            free(found);
        }
        close_trainer(trainer);
    }
    assert_shares(&whole.vision_routing);
    assert_true(!whole.vision_routing.by_token || whole.vision_routing.dropped > 0);
    free(gradients);
}

static void a_step_may_be_cut_and_packed_at_will(void **state)
{
    (void)state;
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    make_training();
    compare_ways(context, by_token, NULL);
    compare_ways(context, by_token, training_pairs());
    compare_ways(context, by_token, training_mixed());
    compare_ways(context, by_task, NULL);
    pfm_context_free(context);
}

static void threads_do_not_change_a_bit(void **state)
{
    (void)state;
    float *first = NULL;
    pfm_step_result whole = {0};
    for (int threads = 1; threads <= 3; threads++) {
        pfm_step_result result;
        pfm_context *context = tiny_context(NULL, threads, PFM_PRECISION_F32);
        pfm_trainer *trainer = open_system(context, by_token, NULL, 0);
        const size_t bytes = (size_t)pfm_parameters_trainable(trainer->session->model->parameters) * sizeof *first;
        float *gradients = training_step_gradients(trainer, 1, &result);
        if (first == NULL) {
            first = gradients;
            whole = result;
        } else {
            assert_memory_equal(gradients, first, bytes);
            assert_memory_equal(&result.vision_routing, &whole.vision_routing, sizeof whole.vision_routing);
            free(gradients);
        }
        close_trainer(trainer);
        pfm_context_free(context);
    }
    free(first);
}

/* ---- the balance loss ---- */

static const char router_name[] = "vision_model.encoder.layers.1.self_attn.q_proj.router.weight";

/* A trainer with this router alone, which is far from even. */
static pfm_trainer *open_router(pfm_context *context, const char *balance)
{
    const char *const more[] = {
        "peft.parts=[vision]", "peft.targets=[layers.1.self_attn.q_proj]", "peft.dropout=0", "peft.capacity=0", balance,
        training_pairs()};
    pfm_trainer *trainer = open_system(context, by_token, more, 6);
    pfm_parameters *parameters = trainer->session->model->parameters;
    pfm_parameter *p = pfm_parameters_get(parameters, pfm_parameters_find(parameters, router_name));
    tiny_spread(77, (size_t)(p->n * p->k), p->values);
    pfm_parameters_repack(parameters);
    return trainer;
}

static pfm_parameter *router_of(const pfm_trainer *trainer)
{
    pfm_parameters *parameters = trainer->session->model->parameters;
    return pfm_parameters_get(parameters, pfm_parameters_find(parameters, router_name));
}

static double balance_at(pfm_trainer *trainer, const float *start, const float *direction, double step)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_step_result result;
    pfm_parameter *p = router_of(trainer);
    for (int64_t i = 0; i < p->n * p->k; i++)
        p->values[i] = (float)(start[i] + step * direction[i]);
    pfm_parameters_repack(trainer->session->model->parameters);
    assert_ok(pfm_trainer_gradients(trainer, 1, &result, &err));
    return result.vision_routing.balance;
}

/* What peft.balance adds to the gradient is the slope of what the log tells: a mean over all images of all rows. */
static void the_balance_loss_has_its_gradient(void **state)
{
    (void)state;
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    pfm_error err = PFM_ERROR_INIT;
    pfm_step_result result;
    float start[EXPERTS * 24], added[EXPERTS * 24];
    make_training();
    pfm_trainer *with = open_router(context, "peft.balance=1"), *without = open_router(context, "peft.balance=0");
    const size_t count = sizeof start / sizeof *start;
    assert_int_equal(router_of(with)->n * router_of(with)->k, count);
    memcpy(start, router_of(with)->values, sizeof start);
    assert_ok(pfm_trainer_gradients(with, 1, &result, &err));
    assert_ok(pfm_trainer_gradients(without, 1, &result, &err));
    double squares = 0;
    for (size_t i = 0; i < count; i++) {
        added[i] = router_of(with)->gradient[i] - router_of(without)->gradient[i];
        squares += (double)added[i] * added[i];
    }
    const double step = 1e-4 / sqrt(squares),
                 slope = (balance_at(with, start, added, step) - balance_at(with, start, added, -step)) / (2 * step);
    if (!(squares > 1e-4 && fabs(slope - squares) <= 1e-2 * squares))
        fail_msg("the slope of the balance loss is %g, its gradient says %g", slope, squares);
    close_trainer(with);
    close_trainer(without);
    pfm_context_free(context);
}

/* ---- contexts ---- */

static int32_t context_of(const pfm_trainer *trainer, size_t text)
{
    return trainer->train.contexts[text % trainer->train.count];
}

/* Rows of one picture and one task are a group; the picture is computed for each of its tasks. */
static void a_picture_is_computed_for_each_context(void **state)
{
    (void)state;
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    const char *const more[] = {"data.group=4"};
    pfm_trainer *trainer = open_system(context, by_task, more, 1);
    size_t texts[] = {3, 1, 0, 2, 4, 7, 5}; /* tasks 1 3 1 2, 1 1 3: two pictures */
    int groups[] = {0, 0, 0, 0, 1, 1, 1}, wanted_groups[] = {0, 0, 1, 2, 3, 3, 4};
    static const size_t wanted[] = {3, 0, 2, 1, 4, 7, 5};
    pfm_error err = PFM_ERROR_INIT;
    pfm_step_result result;
    pfm_samples_divide_groups(&trainer->train, texts, groups, 7);
    assert_memory_equal(texts, wanted, sizeof wanted);
    assert_memory_equal(groups, wanted_groups, sizeof wanted_groups);

    assert_ok(pfm_micro_batch_fill(&trainer->batch, &trainer->train, texts, groups, 7, 0, true, &err));
    const pfm_micro_batch *batch = &trainer->batch;
    const int64_t visual = trainer->session->model->visual_tokens;
    const int32_t patches = (int32_t)trainer->session->model->tower->tokens;
    assert_int_equal(batch->visual_rows, 5 * visual);
    assert_int_equal(batch->picture_count, 7); /* one of each row */
    for (size_t i = 0; i < 7; i++) {
        const int64_t image = batch->sequences[i].visual_begin / visual;
        assert_int_equal(batch->contexts[image], context_of(trainer, texts[i]));
        assert_int_equal(batch->pictures[i].shared_begin, image * patches);
        assert_int_equal(batch->pictures[i].shared_end, (image + 1) * patches);
    }
    assert_ok(pfm_trainer_gradients(trainer, 0, &result, &err));
    double load[EXPERTS] = {0};
    for (size_t i = 0; i < TRAINING_BATCH; i++)
        load[context_of(trainer, trainer->rows[i]) - 1] += 1.0 / TRAINING_BATCH;
    for (int e = 0; e < EXPERTS; e++)
        assert_close("load", result.vision_routing.load[e], load[e]);
    assert_int_equal(result.routing.experts, 0); /* nothing routes in the language model */
    close_trainer(trainer);
    pfm_context_free(context);
}

/* Elsewhere groups stay as they are. */
static void other_groups_are_left_alone(void **state)
{
    (void)state;
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    const char *const frozen[] = {"peft.parts=[language]", "peft.targets=[q_proj]"};
    for (int way = 0; way < 2; way++) {
        pfm_trainer *trainer = way == 0 ? open_system(context, by_token, NULL, 0) : open_system(context, by_task, frozen, 2);
        size_t texts[] = {3, 1, 0, 5};
        int groups[] = {7, 7, 7, 9};
        pfm_samples_divide_groups(&trainer->train, texts, groups, 4);
        assert_true(texts[0] == 3 && texts[1] == 1 && texts[2] == 0 && texts[3] == 5);
        assert_true(groups[0] == 7 && groups[2] == 7 && groups[3] == 9);
        close_trainer(trainer);
    }
    pfm_context_free(context);
}

/* ---- whole runs ---- */

static pfm_status train_system(const char *out, const char *const system[SETS], const char *const *more, int more_count,
                               pfm_error *err)
{
    const char *sets[MOST_SETS];
    stopper never = {.left = STOP_NEVER};
    make_training();
    const int count = sets_of(sets, system, more, more_count);
    return train_recipe(training_recipe(), out, 2, &never, sets, count, false, err);
}

/* Both parts tell of their routers, under names of their own. */
static void a_run_tells_of_the_routers_of_both_parts(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    json_t *lines = NULL;
    static const char *const keys[] = {"balance_loss",        "router_entropy",        "dropped",
                                       "vision_balance_loss", "vision_router_entropy", "vision_dropped"},
                             *const lists[] = {"expert_load", "vision_expert_load"};
    const char *run = folder_of("told");
    assert_ok(train_system(run, by_token, NULL, 0, &err));
    assert_ok(pfm_json_load_lines(test_path(run, "log.jsonl"), &lines, &err));
    const json_t *line = json_array_get(lines, TRAINING_STEPS - 1);
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        assert_true(json_number_value(json_object_get(line, keys[k])) > 0);
    for (size_t l = 0; l < 2; l++) {
        double sum = 0;
        const json_t *load = json_object_get(line, lists[l]);
        assert_int_equal(json_array_size(load), EXPERTS);
        for (size_t e = 0; e < EXPERTS; e++)
            sum += json_number_value(json_array_get(load, e));
        assert_true(fabs(sum - 1) < 1e-4);
    }
    json_decref(lines);
}

static double ask(const char *run, const json_t *row, const char *task)
{
    pfm_error err = PFM_ERROR_INIT;
    char *json = NULL, *image = NULL, context_text[64];
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    assert_ok(
        pfm_string_format(&image, &err, "%s/%s", test_scratch_folder(), json_string_value(json_object_get(row, "image"))));
    (void)snprintf(context_text, sizeof context_text, "task=%s", task);
    const char *images[] = {image};
    const pfm_ask_options options = {.run = run,
                                     .images = images,
                                     .image_count = 1,
                                     .question = json_string_value(json_object_get(row, "question")),
                                     .context = context_text};
    assert_ok(pfm_ask(context, &options, &json, &err));
    json_t *answer = json_loads(json, 0, NULL);
    const double probability = json_number_value(json_object_get(answer, "probability"));
    json_decref(answer);
    free(json);
    free(image);
    pfm_context_free(context);
    return probability;
}

/* Scoring answers the rows of a picture together; each as it would be answered alone, in its own context. */
static void each_row_is_answered_in_its_context(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *const more[] = {"train.learning_rate=0.3"};
    char *json = NULL;
    json_t *predictions = NULL, *table = NULL;
    const char *run = folder_of("answers"), *out = test_path(test_scratch_folder(), "answers.jsonl");
    char path[256];
    (void)snprintf(path, sizeof path, "%s", out);
    assert_ok(train_system(run, by_task, more, 1, &err));
    const pfm_eval_options options = {.run = run, .data = training_data(), .split = "validate", .out = path};
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    assert_ok(pfm_eval(context, &options, &json, &err));
    pfm_context_free(context);
    assert_ok(pfm_json_load_lines(path, &predictions, &err));
    assert_ok(pfm_json_load_lines(training_data(), &table, &err));
    int apart = 0;
    for (size_t i = 0; i < json_array_size(predictions); i++) {
        const json_t *row = json_array_get(table, TRAINING_ROWS + i);
        const char *task = json_string_value(json_object_get(row, "task"));
        const double given = json_number_value(json_object_get(json_array_get(predictions, i), "probability"));
        assert_true(fabs(log(ask(run, row, task)) - log(given)) < 1e-4);
        apart += fabs(log(ask(run, row, strcmp(task, "organ") == 0 ? "place" : "organ")) - log(given)) > 1e-3;
    }
    assert_true(apart > 0); /* or the context would not matter */
    json_decref(predictions);
    json_decref(table);
    free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_may_be_cut_and_packed_at_will), cmocka_unit_test(threads_do_not_change_a_bit),
        cmocka_unit_test(the_balance_loss_has_its_gradient),    cmocka_unit_test(a_picture_is_computed_for_each_context),
        cmocka_unit_test(other_groups_are_left_alone),          cmocka_unit_test(a_run_tells_of_the_routers_of_both_parts),
        cmocka_unit_test(each_row_is_answered_in_its_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
