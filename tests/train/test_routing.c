/* Mixtures of experts in training: nothing depends on packing, micro-batches, recomputation, threads or interruptions; the
 * balance loss balances; contexts choose as the data say, and the run remembers which. */
#include "whole_training.h"

#include "base/file.h"
#include "base/json.h"
#include "infer/generate.h"
#include "pefomed/evaluate.h"
#include "train/contexts.h"

#include <math.h>

#define BY_TOKEN "peft.method=moe_lora", "peft.balance=1", "peft.capacity=0.8", "peft.shared_expert=true", "peft.experts=3"
#define BY_TASK                                                                                                                \
    "peft.method=moe_lora", "peft.router=context", "peft.context=task", "peft.contexts=[normal, organ, place]", "peft.experts=3"
#define BY_MODALITY                                                                                                            \
    "peft.method=moe_lora", "peft.router=context", "peft.context=modality", "peft.contexts=[CT, MRI, US]",                     \
        "peft.shared_expert=true"
enum { SETS = 5, MORE = 3 };
static const char *const systems[][SETS] = {{BY_TOKEN}, {BY_TASK}, {BY_MODALITY}};
enum { SYSTEMS = sizeof systems / sizeof *systems };

/* A step's gradients with the system's settings and MORE others. */
static float *gradients_with(pfm_context *context, int system, const char *const more[MORE], pfm_step_result *result,
                             pfm_trainer **trainer)
{
    const char *sets[SETS + MORE];
    memcpy(sets, systems[system], sizeof systems[system]);
    memcpy(sets + SETS, more, MORE * sizeof *more);
    return training_gradients(context, sets, SETS + MORE, 1, result, trainer);
}

static void assert_close(const char *what, double a, double b, double bound)
{
    if (!(fabs(a - b) <= bound * fabs(b) + 1e-9))
        fail_msg("%s: %.9g beside %.9g", what, a, b);
}

static void assert_same_routing(const pfm_routing *a, const pfm_routing *b, double bound)
{
    assert_int_equal(a->experts, b->experts);
    for (int64_t e = 0; e < a->experts; e++)
        assert_close("load", a->load[e], b->load[e], bound);
    assert_close("balance", a->balance, b->balance, bound);
    assert_close("entropy", a->entropy, b->entropy, bound);
    assert_close("dropped", a->dropped, b->dropped, bound);
}

static void a_step_may_be_cut_and_packed_at_will(void **state)
{
    (void)state;
    static const char *const cases[][MORE] = {
        {"train.pack=true", "train.micro_batch=0", "peft.dropout=0.3"},
        {"train.pack=false", "train.micro_batch=0", "peft.dropout=0.3"},
        {"train.pack=true", "train.micro_batch=1", "peft.dropout=0.3"},
        {"train.pack=false", "train.micro_batch=3", "peft.dropout=0.3"},
        {"train.pack=true", "train.micro_batch=0", "model.weights=q8_0"},
        {"train.pack=false", "train.micro_batch=1", "model.weights=q8_0"},
    };
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    for (int s = 0; s < SYSTEMS; s++)
        for (size_t begin = 0; begin < 6;
             begin += 4) { /* the first of each kind of base is what the others are compared with */
            pfm_step_result whole, other;
            pfm_trainer *trainer = NULL;
            float *gradients = gradients_with(context, s, cases[begin], &whole, &trainer);
            close_trainer(trainer);
            for (size_t i = begin + 1; i < (begin == 0 ? 4 : 6); i++) {
                free(gradients_with(context, s, cases[i], &other, &trainer));
                assert_gradients_near(trainer->session->model->parameters, gradients, 1e-5);
                assert_close("loss", other.loss, whole.loss, 1e-5);
                assert_same_routing(&other.routing, &whole.routing, 1e-5);
                close_trainer(trainer);
            }
            free(gradients);
        }
    pfm_context_free(context);
}

static void threads_and_recomputation_do_not_change_a_bit(void **state)
{
    (void)state;
    static const char *const cases[][MORE] = {{"train.recompute=false", "peft.dropout=0.3", "train.micro_batch=3"},
                                              {"train.recompute=true", "peft.dropout=0.3", "train.micro_batch=3"}};
    for (int s = 0; s < SYSTEMS; s++) {
        float *first = NULL;
        pfm_step_result whole = {0};
        for (int threads = 1; threads <= 3; threads++) {
            pfm_step_result result;
            pfm_trainer *trainer = NULL;
            pfm_context *context = tiny_context(NULL, threads, PFM_PRECISION_F32);
            float *gradients = gradients_with(context, s, cases[threads == 2], &result, &trainer);
            if (first == NULL) {
                first = gradients;
                whole = result;
            } else {
                assert_memory_equal(gradients, first,
                                    (size_t)pfm_parameters_trainable(trainer->session->model->parameters) * sizeof *first);
                assert_memory_equal(&result.routing, &whole.routing, sizeof result.routing);
                free(gradients);
            }
            close_trainer(trainer);
            pfm_context_free(context);
        }
        free(first);
    }
}

/* The balance loss after so many steps of learning, beside that of the first. */
static double balance_after(const char *set, int64_t steps, double *first)
{
    pfm_error err = PFM_ERROR_INIT;
    const char *const sets[] = {"peft.method=moe_lora",
                                "peft.top_k=1",
                                "train.steps=40",
                                "train.warmup_steps=1",
                                "peft.targets=[q_proj, up_proj]",
                                set};
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    pfm_trainer *trainer = open_trainer(context, sets, 6);
    pfm_step_result result = {0};
    for (int64_t step = 0; step < steps; step++) {
        assert_ok(pfm_trainer_step(trainer, step, &result, &err));
        if (step == 0)
            *first = result.routing.balance;
    }
    close_trainer(trainer);
    pfm_context_free(context);
    return result.routing.balance;
}

static void the_balance_loss_balances(void **state)
{
    (void)state;
    double first, again;
    const double without = balance_after("peft.balance=0", 40, &first), with = balance_after("peft.balance=1", 40, &again);
    print_message("balance loss %.4f at first; after 40 steps %.4f without and %.4f with it\n", first, without, with);
    assert_true(first == again);
    assert_true(with >= 1 - 1e-6 && with < 1 + 0.25 * (without - 1));
}

/* ---- contexts ---- */

static pfm_recipe *recipe_with(const char *const *sets, int set_count)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    make_training();
    assert_ok(pfm_recipe_load(training_recipe(), sets, set_count, &recipe, &err));
    return recipe;
}

static const char *const by_modality[] = {"peft.method=moe_lora", "peft.router=context", "peft.context=modality"};

static void contexts_are_the_sorted_values_of_the_training_rows(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    int32_t context = -1;
    pfm_recipe *recipe = recipe_with(by_modality, 3);
    assert_ok(pfm_contexts_find(recipe, NULL, &err)); /* no data at hand */
    assert_int_equal(recipe->peft.context_count, 0);
    assert_ok(pfm_contexts_find(recipe, training_data(), &err));
    assert_int_equal(recipe->peft.context_count, 3);
    assert_string_equal(recipe->peft.contexts[0], "CT");
    assert_string_equal(recipe->peft.contexts[1], "MRI");
    assert_string_equal(recipe->peft.contexts[2], "US");
    assert_ok(pfm_context_parse(&recipe->peft, "modality=US", &context, &err));
    assert_int_equal(context, 3);
    assert_error(pfm_context_parse(&recipe->peft, "modality=X-Ray", &context, &err), PFM_ERROR_USAGE, "there are CT, MRI, US");
    assert_error(pfm_context_parse(&recipe->peft, "mode=CT", &context, &err), PFM_ERROR_USAGE, "--context modality=VALUE");
    assert_error(pfm_context_parse(&recipe->peft, "modality", &context, &err), PFM_ERROR_USAGE, "--context modality=VALUE");
    pfm_recipe_free(recipe);
    recipe = recipe_with(NULL, 0);
    assert_false(pfm_context_chooses(&recipe->peft));
    pfm_recipe_free(recipe);
}

static void bad_columns_are_named(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *const missing[] = {by_modality[0], by_modality[1], "peft.context=modalty"}, *const few[] = {by_modality[0],
                                                                                                            by_modality[1],
                                                                                                            by_modality[2],
                                                                                                            "peft.experts=2"};
    pfm_recipe *recipe = recipe_with(missing, 3);
    assert_error(pfm_contexts_find(recipe, training_data(), &err), PFM_ERROR_USAGE, "has the column 'modalty'");
    pfm_recipe_free(recipe);
    recipe = recipe_with(few, 4);
    assert_error(pfm_contexts_find(recipe, training_data(), &err), PFM_ERROR_USAGE, "more than 2 values of 'modality'");
    pfm_recipe_free(recipe);
}

static void rows_are_read_as_text(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const struct {
        const char *extra;
        int32_t context;
    } cases[] = {{"{\"site\": \"a\"}", 2},
                 {"{\"site\": 7}", 1},
                 {"{\"site\": true}", 3},
                 {"{\"site\": \"b\"}", 0},
                 {"{\"site\": null}", 0},
                 {"{\"site\": \"\"}", 0},
                 {"{}", 0}};
    const char *const sets[] = {by_modality[0], by_modality[1], "peft.context=site", "peft.contexts=[7, a, true]"};
    pfm_recipe *recipe = recipe_with(sets, 4);
    int32_t context = -1;
    pfm_row row = {.id = (char[]){"r"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        row.extra = json_loads(cases[i].extra, 0, NULL);
        assert_ok(pfm_context_of_row(&recipe->peft, &row, &context, &err));
        if (context != cases[i].context)
            fail_msg("%s is context %d", cases[i].extra, context);
        json_decref(row.extra);
    }
    row.extra = json_loads("{\"site\": [1]}", 0, NULL);
    assert_error(pfm_context_of_row(&recipe->peft, &row, &context, &err), PFM_ERROR_FORMAT, "row r: its column 'site'");
    json_decref(row.extra);
    pfm_recipe_free(recipe);
}

/* Each row's tokens take the expert of its context; the load is the share of rows. */
static void rows_take_the_expert_of_their_context(void **state)
{
    (void)state;
    static const char *const none[MORE] = {"train.batch=17", "data.group=1", "peft.dropout=0"};
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_step_result result;
    pfm_trainer *trainer = NULL;
    free(gradients_with(context, 2, none, &result, &trainer)); /* every row once: 4 a picture, 1 of the last */
    assert_int_equal(result.routing.experts, 4);
    assert_false(result.routing.by_token);
    assert_close("CT", result.routing.load[0], 5.0 / 17, 1e-6);
    assert_close("MRI", result.routing.load[1], 8.0 / 17, 1e-6);
    assert_close("US", result.routing.load[2], 4.0 / 17, 1e-6);
    assert_true(result.routing.load[3] == 0);
    close_trainer(trainer);
    pfm_context_free(context);
}

/* ---- whole trainings ---- */

static pfm_status train_with(const char *out, int threads, stopper *s, const char *const *sets, int set_count, pfm_error *err)
{
    make_training();
    return train_recipe(training_recipe(), out, threads, s, sets, set_count, false, err);
}

static json_t *last_line(const char *run)
{
    pfm_error err = PFM_ERROR_INIT;
    json_t *lines = NULL;
    assert_ok(pfm_json_load_lines(test_path(run, "log.jsonl"), &lines, &err));
    json_t *line = json_incref(json_array_get(lines, TRAINING_STEPS - 1));
    json_decref(lines);
    return line;
}

static void go_on_to_the_same_bits(const char *name, const char *const *sets, int set_count)
{
    pfm_error err = PFM_ERROR_INIT;
    const char *whole = folder_of(name);
    char stopped[256];
    (void)snprintf(stopped, sizeof stopped, "%s_stopped", whole);
    stopper never = {.left = STOP_NEVER}, s = {.left = 4};
    assert_ok(train_with(whole, 2, &never, sets, set_count, &err));
    assert_error(train_with(stopped, 1, &s, sets, set_count, &err), PFM_ERROR_INTERRUPTED, "stopped after step 4");
    never = (stopper){.left = STOP_NEVER};
    assert_ok(train_with(stopped, 2, &never, sets, set_count, &err));
    assert_same_file(whole, stopped, "adapter/adapter_model.safetensors");
    assert_same_file(whole, stopped, "adapter/adapter_config.json");
    assert_same_file(whole, stopped, "recipe.yaml");
    assert_same_tensors(whole, stopped, "checkpoint/state.safetensors");
    assert_same_log(whole, stopped, TRAINING_STEPS);
}

static void a_run_tells_of_its_routers_and_goes_on(void **state)
{
    (void)state;
    static const char *const sets[] = {BY_TOKEN};
    go_on_to_the_same_bits("by_token", sets, SETS);
    json_t *line = last_line(folder_of("by_token"));
    assert_true(json_number_value(json_object_get(line, "balance_loss")) > 0.9);
    assert_true(json_number_value(json_object_get(line, "router_entropy")) > 0);
    assert_true(json_number_value(json_object_get(line, "dropped")) > 0);
    const json_t *load = json_object_get(line, "expert_load");
    assert_int_equal(json_array_size(load), 3);
    double sum = 0;
    for (size_t e = 0; e < 3; e++)
        sum += json_number_value(json_array_get(load, e));
    assert_true(fabs(sum - 1) < 1e-4);
    json_decref(line);
}

/* Somebody says another modality of some rows while a run is broken off: what follows would be neither the old run nor a new
 * one. */
static void a_run_does_not_go_on_with_other_contexts(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer table = {0};
    static const char before[] = "\"modality\": \"MRI\"", after[] = "\"modality\":  \"CT\"";
    const char *out = folder_of("mended");
    stopper s = {.left = 2};
    assert_error(train_with(out, 2, &s, by_modality, 3, &err), PFM_ERROR_INTERRUPTED, "stopped after step 2");
    assert_ok(pfm_file_read(training_data(), 0, &table, &err));
    char *place = strstr(table.data, before);
    assert_non_null(place);
    memcpy(place, after, sizeof after - 1);
    assert_ok(pfm_file_write(training_data(), table.data, table.size, &err));
    s = (stopper){.left = STOP_NEVER};
    assert_error(train_with(out, 2, &s, by_modality, 3, &err), PFM_ERROR_MISMATCH, "was trained on other rows or images");
    memcpy(place, before, sizeof before - 1);
    assert_ok(pfm_file_write(training_data(), table.data, table.size, &err));
    assert_ok(train_with(out, 2, &s, by_modality, 3, &err));
    pfm_buffer_free(&table);
}

/* The same rows, whatever is chosen by their columns. */
static void the_audit_names_the_rows_alone(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char hashes[2][80];
    for (int routed = 0; routed < 2; routed++) {
        stopper s = {.left = 1};
        json_t *audit = NULL;
        const char *out = folder_of(routed ? "rows_routed" : "rows_plain");
        assert_error(train_with(out, 1, &s, routed ? by_modality : NULL, routed ? 3 : 0, &err), PFM_ERROR_INTERRUPTED,
                     "stopped");
        assert_ok(pfm_json_load(test_path(out, "audit.json"), &audit, &err));
        const json_t *rows = json_object_get(json_object_get(audit, "data"), "train");
        (void)snprintf(hashes[routed], sizeof hashes[0], "%s", json_string_value(json_object_get(rows, "sha256")));
        json_decref(audit);
    }
    assert_int_equal(strlen(hashes[0]), 64);
    assert_string_equal(hashes[0], hashes[1]);
}

static double evaluate(pfm_context *context, const char *run, const char *out)
{
    pfm_error err = PFM_ERROR_INIT;
    char *json = NULL;
    json_t *predictions = NULL;
    const pfm_eval_options options = {.run = run, .data = training_data(), .split = "train", .out = out};
    assert_ok(pfm_eval(context, &options, &json, &err));
    free(json);
    assert_ok(pfm_json_load_lines(out, &predictions, &err));
    double sum = 0;
    for (size_t i = 0; i < json_array_size(predictions); i++)
        sum += json_number_value(json_object_get(json_array_get(predictions, i), "probability"));
    json_decref(predictions);
    return sum;
}

/* The recipe that a run leaves names the values; scoring reads them there. */
static void a_run_remembers_its_contexts(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    static const char *const sets[] = {"peft.method=moe_lora", "peft.router=context", "peft.context=task"};
    go_on_to_the_same_bits("by_task", sets, 3);
    const char *run = folder_of("by_task");
    char path[300], forgetful[300];
    (void)snprintf(path, sizeof path, "%s/recipe.yaml", run);
    assert_ok(pfm_recipe_load(path, NULL, 0, &recipe, &err));
    assert_int_equal(recipe->peft.context_count, 3);
    assert_string_equal(recipe->peft.contexts[2], "place");
    json_t *line = last_line(run);
    assert_null(json_object_get(line, "balance_loss"));
    assert_int_equal(json_array_size(json_object_get(line, "expert_load")), 4);
    json_decref(line);
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    (void)snprintf(forgetful, sizeof forgetful, "%s/train.jsonl", test_scratch_folder());
    const double known = evaluate(context, run, forgetful);
    free(recipe->peft.contexts[0]); /* now the first task is unknown, and its rows are answered by an even mixture */
    assert_ok(pfm_string_copy("another", &recipe->peft.contexts[0], &err));
    assert_ok(pfm_recipe_save(recipe, path, &err));
    assert_true(evaluate(context, run, forgetful) != known);
    pfm_recipe_free(recipe);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_may_be_cut_and_packed_at_will),
        cmocka_unit_test(threads_and_recomputation_do_not_change_a_bit),
        cmocka_unit_test(the_balance_loss_balances),
        cmocka_unit_test(contexts_are_the_sorted_values_of_the_training_rows),
        cmocka_unit_test(bad_columns_are_named),
        cmocka_unit_test(rows_are_read_as_text),
        cmocka_unit_test(rows_take_the_expert_of_their_context),
        cmocka_unit_test(a_run_tells_of_its_routers_and_goes_on),
        cmocka_unit_test(a_run_does_not_go_on_with_other_contexts),
        cmocka_unit_test(the_audit_names_the_rows_alone),
        cmocka_unit_test(a_run_remembers_its_contexts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
