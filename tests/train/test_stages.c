/* Trainings of two stages: one job that goes on to the same bits wherever it was broken off, that proves what each stage
 * changed, and whose mixture and instructions are drawn from seed and step alone. */
#include "whole_training.h"

#include "base/file.h"
#include "base/json.h"
#include "formats/weights.h"
#include "pefomed/train.h"
#include "train/proof.h"

static pfm_status train_staged(const char *out, int threads, stopper *s, const char *const *sets, int set_count, pfm_error *err)
{
    return train_recipe(staged_recipe(), out, threads, s, sets, set_count, false, err);
}

static const char *reference(void)
{
    static const char *folder;
    pfm_error err = PFM_ERROR_INIT;
    stopper s = {.left = STOP_NEVER};
    if (folder == NULL) {
        folder = folder_of("staged");
        assert_ok(train_staged(folder, 2, &s, NULL, 0, &err));
    }
    return folder;
}

static void assert_same_staged_run(const char *a, const char *b)
{
    static const char *const files[] = {"adapter/adapter_model.safetensors",
                                        "adapter/adapter_config.json",
                                        "aligner.safetensors",
                                        "recipe.yaml",
                                        "best/recipe.yaml",
                                        "best/aligner.safetensors",
                                        "stages/captions/aligner.safetensors",
                                        "stages/captions/recipe.yaml",
                                        "stages/captions/best/aligner.safetensors",
                                        "stages/captions/best/recipe.yaml"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_same_file(a, b, files[i]);
    assert_same_tensors(a, b, "checkpoint/state.safetensors");
    assert_same_log(a, b, STAGED_STEPS);
}

static json_t *read_log(const char *run)
{
    pfm_error err = PFM_ERROR_INIT;
    json_t *lines = NULL;
    assert_ok(pfm_json_load_lines(test_path(run, "log.jsonl"), &lines, &err));
    return lines;
}

/* Steps go on over both stages, rates and epochs begin anew, and the last line of each says what it changed. */
static void the_log_tells_both_stages(void **state)
{
    (void)state;
    json_t *lines = read_log(reference());
    assert_int_equal(json_array_size(lines), STAGED_STEPS);
    for (int i = 0; i < STAGED_STEPS; i++) {
        const json_t *line = json_array_get(lines, (size_t)i), *change = json_object_get(line, "logits_change");
        bool first = i < STAGED_FIRST, last = i + 1 == STAGED_FIRST || i + 1 == STAGED_STEPS;
        int own = first ? i + 1 : i + 1 - STAGED_FIRST;
        assert_int_equal(json_integer_value(json_object_get(line, "step")), i + 1);
        assert_string_equal(json_string_value(json_object_get(line, "stage")), first ? "captions" : "questions");
        double epoch = first ? own * 4 / 21.0 : own * 5 / 17.0;
        assert_true(json_real_value(json_object_get(line, "epoch")) - epoch < 1e-4 &&
                    epoch - json_real_value(json_object_get(line, "epoch")) < 1e-4);
        assert_int_equal(change != NULL, last);
        assert_true(change == NULL || (json_number_value(change) > 1e-4 && json_number_value(change) < 10));
    }
    const json_t *begun = json_array_get(lines, STAGED_FIRST), *ended = json_array_get(lines, STAGED_FIRST - 1);
    assert_true(json_number_value(json_object_get(begun, "lr")) == 0.005); /* the first of two steps of warm-up */
    assert_int_equal(json_integer_value(json_object_get(ended, "samples")), STAGED_FIRST * 4);
    assert_int_equal(json_integer_value(json_object_get(begun, "samples")), STAGED_FIRST * 4 + 5);
    json_decref(lines);
}

/* The aligner alone trains first: there is no adapter. Then both move on from there. */
static void a_stage_trains_its_parts_from_where_the_last_ended(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *run = reference();
    assert_false(pfm_path_exists(test_path(run, "stages/captions/adapter")));
    assert_true(pfm_path_exists(test_path(run, "adapter/adapter_model.safetensors")));
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = NULL;
    assert_ok(pfm_session_open(context, test_path(run, "stages/captions"), false, &session, &err));
    assert_string_equal(session->recipe->name, "captions"); /* a run of its own, which ends with this stage */
    assert_null(session->model->hook);
    pfm_session_free(session);
    session = NULL;
    assert_ok(pfm_session_open(context, run, false, &session, &err));
    assert_string_equal(session->recipe->name, "questions");
    assert_string_equal(session->model->instruction, "Look at the image and answer: {question}");
    assert_non_null(session->model->hook);
    pfm_session_free(session);
    pfm_context_free(context);
    pfm_weights *first = NULL, *last = NULL; /* what the aligner's input is divided by stays that of the first stage */
    assert_ok(pfm_weights_open(test_path(run, "stages/captions/aligner.safetensors"), &first, &err));
    assert_ok(pfm_weights_open(test_path(run, "aligner.safetensors"), &last, &err));
    const pfm_weight *a = pfm_weights_find(first, "norm.std"), *b = pfm_weights_find(last, "norm.std");
    assert_memory_equal(a->data, b->data, a->bytes);
    a = pfm_weights_find(first, "proj.weight");
    b = pfm_weights_find(last, "proj.weight");
    assert_memory_not_equal(a->data, b->data, a->bytes);
    pfm_weights_close(first);
    pfm_weights_close(last);
}

static void a_part_that_does_not_train_stays_as_it_is(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    stopper s = {.left = STOP_NEVER};
    static const char *const sets[] = {"stages.1.trainable=peft"};
    const char *out = folder_of("frozen");
    assert_ok(train_staged(out, 2, &s, sets, 1, &err));
    pfm_weights *first = NULL, *last = NULL;
    assert_ok(pfm_weights_open(test_path(out, "stages/captions/aligner.safetensors"), &first, &err));
    assert_ok(pfm_weights_open(test_path(out, "aligner.safetensors"), &last, &err));
    for (size_t i = 0; i < pfm_weights_count(first); i++) {
        const pfm_weight *a = pfm_weights_at(first, i), *b = pfm_weights_find(last, a->name);
        assert_non_null(b);
        assert_memory_equal(a->data, b->data, a->bytes);
    }
    pfm_weights_close(first);
    pfm_weights_close(last);
    assert_true(pfm_path_exists(test_path(out, "adapter/adapter_model.safetensors")));
}

/* What a method learned in one stage stays to the bit in the next that trains the aligner alone. */
static void a_method_that_does_not_train_stays_as_it_is(void **state)
{
    (void)state;
    static const char *const methods[] = {"peft.method=lora", "peft.method=dora", "peft.method=ia3"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        pfm_error err = PFM_ERROR_INIT;
        stopper s = {.left = STOP_NEVER};
        const char *const sets[] = {methods[i], "stages.0.trainable=[aligner, peft]", "stages.1.trainable=aligner"};
        const char *out = folder_of(methods[i]);
        pfm_weights *first = NULL, *last = NULL;
        assert_ok(train_staged(out, 2, &s, sets, 3, &err));
        assert_ok(pfm_weights_open(test_path(out, "stages/captions/adapter/adapter_model.safetensors"), &first, &err));
        assert_ok(pfm_weights_open(test_path(out, "adapter/adapter_model.safetensors"), &last, &err));
        assert_int_equal(pfm_weights_count(first), pfm_weights_count(last));
        for (size_t t = 0; t < pfm_weights_count(first); t++) {
            const pfm_weight *a = pfm_weights_at(first, t), *b = pfm_weights_find(last, a->name);
            assert_non_null(b);
            assert_memory_equal(a->data, b->data, a->bytes);
        }
        pfm_weights_close(first);
        pfm_weights_close(last);
    }
}

static void threads_do_not_change_a_run(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    stopper s = {.left = STOP_NEVER};
    const char *out = folder_of("staged_one_thread");
    assert_ok(train_staged(out, 1, &s, NULL, 0, &err));
    assert_same_staged_run(out, reference());
}

/* In the first stage, at its very end, at the second's first step, within it. */
static void a_stopped_run_goes_on_to_the_same_bits(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const int stops[] = {2, STAGED_FIRST - 2, 1, 1};
    const char *out = folder_of("staged_stopped");
    int done = 0;
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        stopper s = {.left = stops[i]};
        char message[64];
        done += stops[i];
        (void)snprintf(message, sizeof message, "stopped after step %d of %d", done, STAGED_STEPS);
        assert_error(train_staged(out, 1 + (int)i % 2, &s, NULL, 0, &err), PFM_ERROR_INTERRUPTED, message);
        assert_int_equal(pfm_path_exists(test_path(out, "stages/captions/aligner.safetensors")), done >= STAGED_FIRST);
        assert_false(pfm_path_exists(test_path(out, "aligner.safetensors"))); /* it is not finished */
    }
    for (int again = 0; again < 2; again++) { /* a finished one stays as it is */
        stopper s = {.left = STOP_NEVER};
        assert_ok(train_staged(out, 2, &s, NULL, 0, &err));
        assert_same_staged_run(out, reference());
    }
}

/* The weights of a norm in a file. */
static void read_norm(const char *path, const char *prefix, float out[TINY_HIDDEN])
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    char name[128];
    (void)snprintf(name, sizeof name, "%smodel.layers.1.input_layernorm.weight", prefix);
    assert_ok(pfm_weights_open(path, &weights, &err));
    assert_non_null(pfm_weights_find(weights, name));
    assert_ok(pfm_weight_expand(pfm_weights_find(weights, name), out, &err));
    pfm_weights_close(weights);
}

static const char norms_first[] = "stages/captions/adapter/adapter_model.safetensors",
                  norms_last[] = "adapter/adapter_model.safetensors", norms_prefix[] = "base_model.model.";

/* Stopped in the first stage, and within the second. */
static void norms_go_on_after_a_stop(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const sets[] = {"stages.0.trainable=[aligner, norms]", "stages.1.trainable=[peft, norms]"};
    static const int stops[] = {3, STAGED_FIRST - 1, STOP_NEVER};
    const char *whole = folder_of("norms"), *stopped = folder_of("norms_stopped");
    stopper s = {.left = STOP_NEVER};
    assert_ok(train_staged(whole, 2, &s, sets, 2, &err));
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        s = (stopper){.left = stops[i]};
        pfm_error stop = PFM_ERROR_INIT;
        assert_int_equal(train_staged(stopped, 1 + (int)i % 2, &s, sets, 2, &stop),
                         stops[i] == STOP_NEVER ? PFM_OK : PFM_ERROR_INTERRUPTED);
    }
    assert_same_file(whole, stopped, norms_last);
    assert_same_file(whole, stopped, norms_first);
    assert_same_tensors(whole, stopped, "checkpoint/state.safetensors");
    float first[TINY_HIDDEN], last[TINY_HIDDEN];
    read_norm(test_path(whole, norms_first), norms_prefix, first);
    read_norm(test_path(whole, norms_last), norms_prefix, last);
    assert_true(tiny_distance(last, first, TINY_HIDDEN) > 1e-3);
}

/* What one stage made of the norms is what the next computes with, and keeps where it trains something else. */
static void norms_stay_what_a_stage_made_them(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const sets[] = {"stages.0.trainable=[norms]", "stages.1.trainable=[peft]"};
    const char *run = folder_of("norms_kept");
    stopper s = {.left = STOP_NEVER};
    float base[TINY_HIDDEN], first[TINY_HIDDEN], last[TINY_HIDDEN];
    assert_ok(train_staged(run, 2, &s, sets, 2, &err));
    read_norm(tiny_path("llama/model.safetensors"), "", base);
    read_norm(test_path(run, norms_first), norms_prefix, first);
    read_norm(test_path(run, norms_last), norms_prefix, last);
    assert_true(tiny_distance(first, base, TINY_HIDDEN) > 1e-3);
    assert_memory_equal(first, last, sizeof first);
}

/* Before any checkpoint; past the end of the first stage, twice before the second has a checkpoint; past that. */
static void a_killed_run_goes_on_to_the_same_bits(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const int deaths[] = {2, STAGED_FIRST + 1, 2, 4};
    const char *out = folder_of("staged_killed");
    for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++)
        train_and_die(staged_recipe(), out, deaths[i]);
    stopper s = {.left = STOP_NEVER};
    assert_ok(train_staged(out, 2, &s, NULL, 0, &err));
    assert_same_staged_run(out, reference());
}

static void a_stage_that_changes_nothing_is_an_error(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    stopper s = {.left = STOP_NEVER};
    static const char *const sets[] = {"stages.1.train.learning_rate=1e-30"};
    const char *out = folder_of("in_vain");
    assert_error(train_staged(out, 2, &s, sets, 1, &err), PFM_ERROR_MISMATCH, "stage questions changed nothing: after 4 steps");
    assert_false(pfm_path_exists(test_path(out, "aligner.safetensors")));
}

/* The audit names both, with what the log says of them. */
static void the_audit_tells_what_each_stage_changed(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    json_t *audit = NULL, *lines = read_log(reference());
    assert_ok(pfm_json_load(test_path(reference(), "audit.json"), &audit, &err));
    const json_t *stages = json_object_get(audit, "stages");
    assert_int_equal(json_array_size(stages), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *stage = json_array_get(stages, i);
        const json_t *line = json_array_get(lines, i == 0 ? STAGED_FIRST - 1 : STAGED_STEPS - 1);
        assert_string_equal(json_string_value(json_object_get(stage, "name")), i == 0 ? "captions" : "questions");
        assert_int_equal(json_integer_value(json_object_get(stage, "first_step")), i == 0 ? 1 : STAGED_FIRST + 1);
        assert_true(json_equal(json_object_get(stage, "logits_change"), json_object_get(line, "logits_change")));
        assert_string_equal(json_string_value(json_object_get(json_object_get(stage, "data"), "dataset")),
                            i == 0 ? "table+table" : "table");
    }
    json_decref(audit);
    json_decref(lines);
}

/* A stage of the staged recipe, ready to step. */
static pfm_trainer *open_stage(pfm_context *context, size_t stage)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    pfm_session *session = NULL;
    pfm_trainer *trainer = NULL;
    assert_ok(pfm_recipe_load(staged_recipe(), NULL, 0, &recipe, &err));
    assert_ok(pfm_session_create_stage(context, recipe, stage, true, &session, &err));
    assert_ok(pfm_trainer_create(session, NULL, &trainer, &err));
    assert_ok(pfm_trainer_build(trainer, &err));
    assert_ok(pfm_trainer_prepare(trainer, &err));
    return trainer;
}

/* Captions are asked for with either instruction, questions with their own; validation always takes the first. */
static void instructions_are_drawn_row_by_row(void **state)
{
    (void)state;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_trainer *trainer = open_stage(context, 0);
    const pfm_samples *samples = &trainer->train;
    assert_int_equal(samples->count, 4 + TRAINING_ROWS); /* one of the five captions is held back */
    size_t drawn[2] = {0};
    for (uint64_t place = 0; place < 200; place++) {
        size_t text = pfm_samples_draw(samples, 3, 42, place);
        assert_int_equal(text % samples->count, 3);
        assert_int_equal(text, pfm_samples_draw(samples, 3, 42, place));
        drawn[text / samples->count]++;
        assert_int_equal(pfm_samples_draw(samples, 7, 42, place), 7); /* of the second member, which has one */
    }
    assert_true(drawn[0] > 60 && drawn[1] > 60);
    const pfm_sequence one = pfm_samples_sequence(samples, 3), two = pfm_samples_sequence(samples, 3 + samples->count);
    assert_true(one.count - one.answer == two.count - two.answer && one.answer != two.answer);
    for (size_t i = 0; i < one.count - one.answer; i++)
        assert_int_equal(pfm_sequence_id(&one, one.answer + i), pfm_sequence_id(&two, two.answer + i));
    close_trainer(trainer);
    pfm_context_free(context);
}

/* What was planned is what the stage takes: no step has more tokens than the graph was built for. */
static void every_step_fits_what_was_measured(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    pfm_trainer *trainer = open_stage(context, 0);
    double tokens = 0;
    for (int64_t step = 0; step < trainer->steps; step++) {
        pfm_step_result result;
        assert_ok(pfm_trainer_gradients(trainer, step, &result, &err));
        tokens += (double)result.tokens;
    }
    assert_true(tokens == trainer->sizes.mean_step_tokens * (double)trainer->steps);
    close_trainer(trainer);
    pfm_context_free(context);
}

static void the_plan_tells_each_stage(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    char *text = NULL;
    const pfm_train_options options = {.recipe = staged_recipe(), .plan = true};
    assert_ok(pfm_train(context, &options, &text, &err));
    json_t *plan = json_loads(text, 0, NULL);
    const json_t *stages = json_object_get(plan, "stages");
    assert_int_equal(json_array_size(stages), 2);
    const json_t *captions = json_array_get(stages, 0), *questions = json_array_get(stages, 1);
    assert_string_equal(json_string_value(json_object_get(captions, "name")), "captions");
    assert_int_equal(json_integer_value(json_object_get(captions, "trainable_parameters")), TINY_HIDDEN * 1280 + TINY_HIDDEN);
    assert_true(json_integer_value(json_object_get(questions, "trainable_parameters")) >
                json_integer_value(json_object_get(captions, "trainable_parameters")));
    assert_true(json_equal(json_object_get(plan, "trainable_parameters"), json_object_get(questions, "trainable_parameters")));
    assert_int_equal(json_object_size(questions), 8);
    json_decref(plan);
    free(text);
    pfm_context_free(context);
}

/* What is wrong with the last stage shows before the first begins, in one line, and no folder is made. */
static void bad_stages_show_at_once(void **state)
{
    (void)state;
    static const struct {
        const char *set, *part;
    } cases[] = {{"stages.1.data.train=nowhere", "nowhere"},
                 {"stages.1.train.max_tokens=16", "train.max_tokens"},
                 {"stages.1.prompt.instruction=Describe.", "has no place for the question"},
                 {"stages.0.data.mixture.1.ratio=1e-6", "data.mixture gives no row"},
                 {"stages.0.data.mixture.0.path=/nowhere.jsonl", "/nowhere.jsonl"},
                 {"stages.0.data.mixture.0.dataset=slake", "captions.jsonl"}};
    const char *out = folder_of("staged_refused");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_error err = PFM_ERROR_INIT;
        stopper s = {.left = STOP_NEVER};
        pfm_status status = train_staged(out, 2, &s, &cases[i].set, 1, &err);
        if (status == PFM_OK || strstr(err.message, cases[i].part) == NULL || strchr(err.message, '\n') != NULL)
            fail_msg("%s: %s with \"%s\"", cases[i].set, pfm_status_name(status), err.message);
        assert_false(pfm_path_exists(out));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_log_tells_both_stages),
        cmocka_unit_test(a_stage_trains_its_parts_from_where_the_last_ended),
        cmocka_unit_test(a_part_that_does_not_train_stays_as_it_is),
        cmocka_unit_test(a_method_that_does_not_train_stays_as_it_is),
        cmocka_unit_test(threads_do_not_change_a_run),
        cmocka_unit_test(a_stopped_run_goes_on_to_the_same_bits),
        cmocka_unit_test(a_killed_run_goes_on_to_the_same_bits),
        cmocka_unit_test(norms_go_on_after_a_stop),
        cmocka_unit_test(norms_stay_what_a_stage_made_them),
        cmocka_unit_test(a_stage_that_changes_nothing_is_an_error),
        cmocka_unit_test(the_audit_tells_what_each_stage_changed),
        cmocka_unit_test(instructions_are_drawn_row_by_row),
        cmocka_unit_test(every_step_fits_what_was_measured),
        cmocka_unit_test(the_plan_tells_each_stage),
        cmocka_unit_test(bad_stages_show_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
