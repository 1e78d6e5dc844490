/* Trainings with virtual tokens: cut, packed and computed again at will, over stages, killed, on weights in few bits, planned,
 * and exported. */
#include "train/whole_training.h"

#include "base/file.h"
#include "base/json.h"
#include "formats/weights.h"
#include "pefomed/infer.h"
#include "pefomed/train.h"
#include "train/audit.h"

enum { METHODS = 4, TOKENS = 3, SETS = 4 };

static const char *const methods[METHODS][SETS] = {
    {"peft.method=prompt_tuning", "peft.targets=[]", "peft.virtual_tokens=3", "peft.prompt_text=the left lung"},
    {"peft.method=p_tuning", "peft.targets=[]", "peft.virtual_tokens=3", "peft.encoder_hidden=9"},
    {"peft.method=prefix_tuning", "peft.targets=[]", "peft.virtual_tokens=3", "peft.encoder_hidden=0"},
    {"peft.method=prefix_tuning", "peft.targets=[]", "peft.virtual_tokens=3", "peft.encoder_hidden=9"}};

/* A step's gradients with two more settings; and how many tokens it took. */
static float *gradients(pfm_context *context, int method, const char *a, const char *b, int64_t *tokens, pfm_trainer **trainer)
{
    const char *sets[SETS + 2];
    pfm_step_result result;
    memcpy(sets, methods[method], sizeof methods[method]);
    sets[SETS] = a;
    sets[SETS + 1] = b;
    float *out = training_gradients(context, sets, SETS + 2, 3, &result, trainer);
    *tokens = result.tokens;
    return out;
}

/* Packed, cut and computed again beside each row alone. */
static void check_cuts(int method, const char *weights, pfm_precision precision, double bound)
{
    static const char *const cuts[] = {"train.micro_batch=0", "train.micro_batch=1", "train.micro_batch=3"};
    pfm_context *context = tiny_context(NULL, 2, precision);
    pfm_trainer *trainer = NULL;
    char alone[64];
    int64_t apart, packed;
    (void)snprintf(alone, sizeof alone, "train.pack=false");
    float *whole = gradients(context, method, alone, weights, &apart, &trainer);
    close_trainer(trainer);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        free(gradients(context, method, cuts[i], weights, &packed, &trainer));
        assert_gradients_near(trainer->session->model->parameters, whole, bound);
        assert_true(packed < apart);
        close_trainer(trainer);
    }
    free(whole);
    pfm_context_free(context);
}

static void a_step_may_be_cut_and_packed_at_will(void **state)
{
    (void)state;
    for (int m = 0; m < METHODS; m++) {
        check_cuts(m, "model.weights=bf16", PFM_PRECISION_F32, 1e-5);
        check_cuts(m, "model.weights=q4_0", PFM_PRECISION_F32, 1e-5);
        check_cuts(m, "model.weights=bf16", PFM_PRECISION_BF16, 0.02);
    }
}

static void blocks_computed_again_give_the_same_bits(void **state)
{
    (void)state;
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    for (int m = 0; m < METHODS; m++) {
        pfm_trainer *trainer = NULL;
        int64_t tokens;
        float *kept = gradients(context, m, "train.recompute=false", "train.pack=true", &tokens, &trainer);
        const size_t count = (size_t)pfm_parameters_trainable(trainer->session->model->parameters);
        close_trainer(trainer);
        float *again = gradients(context, m, "train.recompute=true", "train.pack=true", &tokens, &trainer);
        assert_memory_equal(again, kept, count * sizeof *kept);
        close_trainer(trainer);
        free(kept);
        free(again);
    }
    pfm_context_free(context);
}

/* They count wherever tokens are counted. */
static void virtual_tokens_are_tokens(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const none[] = {"peft.method=none", "peft.targets=[]"};
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_trainer *plain = open_trainer(context, none, 2), *trainer = open_trainer(context, methods[2], SETS);
    size_t longest = 0;
    for (size_t i = 0; i < plain->train.count; i++) {
        const pfm_sequence a = pfm_samples_sequence(&plain->train, i), b = pfm_samples_sequence(&trainer->train, i);
        assert_int_equal(b.count, a.count + TOKENS);
        assert_int_equal(b.answer, a.answer + TOKENS);
        for (int32_t v = 0; v < TOKENS; v++)
            assert_int_equal(b.ids[v], PFM_FIRST_VIRTUAL - v);
        assert_memory_equal(b.ids + TOKENS, a.ids, a.count * sizeof *a.ids);
        longest = a.count > longest ? a.count : longest;
    }
    char limit[64];
    (void)snprintf(limit, sizeof limit, "train.max_tokens=%zu", longest + TOKENS - 1);
    const char *const sets[] = {methods[2][0], methods[2][1], methods[2][2], limit};
    pfm_recipe *recipe = NULL;
    pfm_session *session = NULL;
    pfm_trainer *short_of_room = NULL;
    assert_ok(pfm_recipe_load(training_recipe(), sets, 4, &recipe, &err));
    assert_ok(pfm_session_create(context, recipe, true, &session, &err));
    assert_error(pfm_trainer_create(session, training_data(), &short_of_room, &err), PFM_ERROR_MISMATCH,
                 "raise train.max_tokens");
    pfm_session_free(session);
    close_trainer(plain);
    close_trainer(trainer);
    pfm_context_free(context);
}

/* ---- whole trainings ---- */

/* The tiny recipe, or the staged one, with a method and another setting, as a file. */
static const char *write_recipe(const char *from, int method, const char *more, const char *name)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    const char *sets[SETS + 1], *path = folder_of(name);
    memcpy(sets, methods[method], sizeof methods[method]);
    sets[SETS] = more;
    assert_ok(pfm_recipe_load(from, sets, SETS + (more != NULL), &recipe, &err));
    assert_ok(pfm_recipe_save(recipe, path, &err));
    pfm_recipe_free(recipe);
    return path;
}

static void train(const char *recipe, const char *out)
{
    pfm_error err = PFM_ERROR_INIT;
    stopper s = {.left = STOP_NEVER};
    assert_ok(train_recipe(recipe, out, 2, &s, NULL, 0, false, &err));
}

static void a_killed_run_goes_on_to_the_same_bits(void **state)
{
    (void)state;
    make_training();
    for (int m = 0; m < METHODS; m++) {
        char name[3][32];
        for (int i = 0; i < 3; i++)
            (void)snprintf(name[i], sizeof name[i], "%s%d", i == 0 ? "recipe" : i == 1 ? "whole" : "killed", m);
        const char *recipe = write_recipe(training_recipe(), m, NULL, name[0]), *whole = folder_of(name[1]),
                   *killed = folder_of(name[2]);
        train(recipe, whole);
        train_and_die(recipe, killed, 5);
        train(recipe, killed);
        assert_same_file(whole, killed, "adapter/adapter_model.safetensors");
        assert_same_file(whole, killed, "adapter/adapter_config.json");
        assert_same_tensors(whole, killed, "checkpoint/state.safetensors");
        assert_same_log(whole, killed, TRAINING_STEPS);
    }
}

/* The table or its encoder trains first; then the aligner alone, behind the same virtual tokens. */
static void a_stage_that_does_not_train_them_leaves_them(void **state)
{
    (void)state;
    for (int m = 0; m < METHODS; m++) {
        char names[2][32];
        (void)snprintf(names[0], sizeof names[0], "staged_recipe%d", m);
        (void)snprintf(names[1], sizeof names[1], "staged_run%d", m);
        const char *first = write_recipe(staged_recipe(), m, "stages.0.trainable=[aligner, peft]", names[0]),
                   *out = folder_of(names[1]);
        pfm_error err = PFM_ERROR_INIT;
        stopper s = {.left = STOP_NEVER};
        static const char *const last[] = {"stages.1.trainable=[aligner]"};
        assert_ok(train_recipe(first, out, 2, &s, last, 1, false, &err));
        char before[300];
        (void)snprintf(before, sizeof before, "%s/stages/captions", out);
        assert_same_file(before, out, "adapter/adapter_model.safetensors");
        pfm_weights *a = NULL, *b = NULL;
        assert_ok(pfm_weights_open(test_path(before, "aligner.safetensors"), &a, &err));
        assert_ok(pfm_weights_open(test_path(out, "aligner.safetensors"), &b, &err));
        const pfm_weight *x = pfm_weights_find(a, "proj.weight"), *y = pfm_weights_find(b, "proj.weight");
        assert_memory_not_equal(x->data, y->data, x->bytes);
        pfm_weights_close(a);
        pfm_weights_close(b);
    }
}

/* What PEFT wrote of an encoder is a table to learn on from. */
static void learning_goes_on_from_pefts_adapter(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const names[] = {"prompt_tuning", "p_tuning", "prefix_tuning"};
    make_training();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char start[300], name[64], out_name[64];
        (void)snprintf(name, sizeof name, "prompts/%s", names[i]);
        (void)snprintf(start, sizeof start, "peft.start=%s", tiny_path(name));
        (void)snprintf(out_name, sizeof out_name, "on_from_%s", names[i]);
        char method[64];
        (void)snprintf(method, sizeof method, "peft.method=%s", names[i]);
        const char *const sets[] = {method,          "peft.targets=[]",          start,
                                    "train.steps=1", "train.learning_rate=1e-9", "train.weight_decay=0"};
        stopper s = {.left = STOP_NEVER};
        const char *out = folder_of(out_name);
        assert_ok(train_recipe(training_recipe(), out, 2, &s, sets, 6, false, &err));
        pfm_weights *before = NULL, *after = NULL;
        (void)snprintf(start, sizeof start, "%s/adapter_model.safetensors", tiny_path(name));
        assert_ok(pfm_weights_open(start, &before, &err));
        assert_ok(pfm_weights_open(test_path(out, "adapter/adapter_model.safetensors"), &after, &err));
        const pfm_weight *a = pfm_weights_find(before, "prompt_embeddings"), *b = pfm_weights_find(after, "prompt_embeddings");
        assert_true(pfm_weights_count(after) == 1 && a != NULL && b != NULL && a->bytes == b->bytes);
        assert_near(names[i], b->data, a->data, a->bytes / sizeof(float), 1e-6);
        pfm_weights_close(before);
        pfm_weights_close(after);
    }
}

/* ---- plan and export ---- */

static json_t *plan(pfm_context *context, const char *method)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    char *text = NULL;
    const char *sets[] = {method};
    static const char bare[] = "data: {dataset: slake}\ntrainable: [peft]\n";
    assert_ok(pfm_recipe_parse(bare, sizeof bare - 1, "bare.yaml", sets, 1, &recipe, &err));
    assert_ok(pfm_train_plan(context, recipe, NULL, &text, &err));
    json_t *out = json_loads(text, 0, NULL);
    assert_non_null(out);
    free(text);
    pfm_recipe_free(recipe);
    return out;
}

/* Of SmolLM2 135M: 30 layers of 576, keys and values of 192 columns. */
static void the_plan_counts_what_trains_and_what_stands_before(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        int64_t trained;
    } table[] = {{"peft.method=prompt_tuning", 20 * 576},
                 {"peft.method=p_tuning", 20 * 576 + 3 * (576 * 576 + 576)},
                 {"peft.method=prefix_tuning", 20 * 30 * 2 * 192}};
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    json_t *lora = plan(context, "peft.method=lora");
    const json_int_t tokens = json_integer_value(json_object_get(lora, "micro_batch_tokens"));
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        json_t *with = plan(context, table[i].method);
        assert_int_equal(json_integer_value(json_object_get(with, "trainable_parameters")), table[i].trained);
        assert_int_equal(json_integer_value(json_object_get(with, "micro_batch_tokens")) - tokens, 4 * 20); /* four groups */
        json_decref(with);
    }
    json_decref(lora);
    pfm_context_free(context);
}

static void the_adapter_is_exported_and_not_merged(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    make_training();
    const char *run = folder_of("exported"), *out = folder_of("left");
    train(write_recipe(training_recipe(), 1, NULL, "exported_recipe"), run);
    pfm_export_options options = {.run = run, .out = out, .merge = true};
    assert_error(pfm_export(context, &options, &err), PFM_ERROR_UNSUPPORTED, "what p_tuning learns cannot be merged");
    assert_false(pfm_path_exists(out));
    options.merge = false;
    assert_ok(pfm_export(context, &options, &err));
    pfm_weights *weights = NULL;
    assert_ok(pfm_weights_open(test_path(out, "adapter_model.safetensors"), &weights, &err));
    const pfm_weight *table = pfm_weights_find(weights, "prompt_embeddings");
    assert_non_null(table);
    assert_int_equal(table->shape[0], TOKENS);
    assert_int_equal(table->shape[1], TINY_HIDDEN);
    pfm_weights_close(weights);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_may_be_cut_and_packed_at_will),
        cmocka_unit_test(blocks_computed_again_give_the_same_bits),
        cmocka_unit_test(virtual_tokens_are_tokens),
        cmocka_unit_test(a_killed_run_goes_on_to_the_same_bits),
        cmocka_unit_test(a_stage_that_does_not_train_them_leaves_them),
        cmocka_unit_test(learning_goes_on_from_pefts_adapter),
        cmocka_unit_test(the_plan_counts_what_trains_and_what_stands_before),
        cmocka_unit_test(the_adapter_is_exported_and_not_merged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
