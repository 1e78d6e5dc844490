/* Trainings in which a vision transformer learns: what holds of every training holds of them, and nothing changes but what
 * learns. */
#include "whole_training.h"

#include "base/file.h"
#include "base/json.h"
#include "formats/adapter.h"
#include "formats/weights.h"
#include "pefomed/infer.h"
#include "train/proof.h"

#include <math.h>

enum { SETS = 6, MOST_SETS = 16, WHOLE_STEPS = 8 };

/* Overrides that put the small CLIP into the tiny recipe, both parts adapted; `more` behind them. */
static int vision_sets(const char *out[MOST_SETS], const char *const *more, int more_count)
{
    static char vision[512];
    (void)snprintf(vision, sizeof vision, "model.vision=%s", tiny_path("vit_clip"));
    const char *const base[SETS] = {vision,
                                    "model.image_size=35",
                                    "model.layers=[1, -1]",
                                    "peft.parts=[language, vision]",
                                    "peft.targets=[q_proj, v_proj, up_proj, fc1]",
                                    "peft.dropout=0.3"};
    for (int i = 0; i < SETS; i++)
        out[i] = base[i];
    for (int i = 0; i < more_count; i++)
        out[SETS + i] = more[i];
    return SETS + more_count;
}

static pfm_status train_vision(const char *out, int threads, int stop, const char *const *more, int more_count, pfm_error *err)
{
    const char *sets[MOST_SETS];
    const int count = vision_sets(sets, more, more_count);
    stopper s = {.left = stop};
    make_training();
    return train_recipe(training_recipe(), out, threads, &s, sets, count, false, err);
}

static pfm_trainer *open_vision(pfm_precision precision, int threads, const char *const *more, int more_count)
{
    const char *sets[MOST_SETS];
    const int count = vision_sets(sets, more, more_count);
    return open_trainer(tiny_context(NULL, threads, precision), sets, count);
}

static void close_vision(pfm_trainer *trainer)
{
    pfm_context *context = trainer->session->context;
    close_trainer(trainer);
    pfm_context_free(context);
}

/* ---- whole runs ---- */

static const char *reference(void)
{
    static const char *folder;
    pfm_error err = PFM_ERROR_INIT;
    if (folder == NULL) {
        folder = folder_of("reference");
        assert_ok(train_vision(folder, 2, STOP_NEVER, NULL, 0, &err));
    }
    return folder;
}

static void assert_same_run(const char *a, const char *b)
{
    assert_same_file(a, b, "adapter/adapter_model.safetensors");
    assert_same_file(a, b, "adapter-vision/adapter_model.safetensors");
    assert_same_file(a, b, "adapter-vision/adapter_config.json");
    assert_same_file(a, b, "aligner.safetensors");
    assert_same_tensors(a, b, "checkpoint/state.safetensors");
    assert_same_log(a, b, WHOLE_STEPS);
}

static void threads_and_stops_do_not_change_a_run(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *out = folder_of("stopped");
    assert_error(train_vision(out, 1, 4, NULL, 0, &err), PFM_ERROR_INTERRUPTED, "stopped after step 4");
    assert_ok(train_vision(out, 3, STOP_NEVER, NULL, 0, &err));
    assert_same_run(out, reference());
}

static void the_loss_falls(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const more[] = {"peft.parts=[vision]", "peft.targets=[q_proj, v_proj, fc1]", "trainable=[peft]",
                                       "train.epochs=12", "train.learning_rate=3e-2"};
    const char *sets[MOST_SETS];
    const int count = vision_sets(sets, more, 5);
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    pfm_trainer *trainer = open_trainer(context, sets, count);
    double before = 0, after = 0;
    for (int64_t step = 0; step < trainer->steps; step++) {
        pfm_step_result result;
        assert_ok(pfm_trainer_step(trainer, step, &result, &err));
        before += step < 4 ? result.loss / 4 : 0;
        after += step >= trainer->steps - 4 ? result.loss / 4 : 0;
    }
    if (!(after < before - 0.2))
        fail_msg("the encoder alone takes the loss from %g to %g", before, after);
    close_vision(trainer);
}

static double validate(pfm_trainer *trainer)
{
    pfm_error err = PFM_ERROR_INIT;
    double loss = 0;
    assert_ok(pfm_trainer_validate(trainer, &loss, &err));
    return loss;
}

/* What other methods do, and other ways of naming modules. */
static const char *const methods[][4] = {
    {"peft.bias=lora_only", "peft.rank_pattern=[fc1=2]", "peft.modules_to_save=[layer_norm2]", "peft.dropout=0.3"},
    {"peft.targets=[all-linear]", "peft.bias=all", "peft.exclude=[re:vision_model.*layers.0.*]", "peft.dropout=0.3"},
    {"peft.layers=[1]", "peft.rslora=true", "peft.lora_bias=true", "peft.dropout=0.3"},
    {"peft.method=dora", "peft.targets=[re:.*(q|up)_proj, fc1]", "peft.exclude=[layers.1.mlp.fc1]", "peft.dropout=0.3"},
    {"peft.method=ia3", "peft.targets=[k_proj, down_proj, fc2]", "peft.feedforward=[down_proj, fc2]", "peft.dropout=0.05"}};
enum { METHODS = sizeof methods / sizeof *methods };

static void a_saved_run_is_the_same_bits(const char *folder, const char *const *more, int count)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_trainer *trained = open_vision(PFM_PRECISION_F32, 2, more, count),
                *fresh = open_vision(PFM_PRECISION_F32, 1, more, count);
    pfm_session *to = fresh->session, *from = trained->session;
    for (int64_t step = 0; step < 3; step++) {
        pfm_step_result result;
        assert_ok(pfm_trainer_step(trained, step, &result, &err));
    }
    const double loss = validate(trained), untrained = validate(fresh);
    assert_true(loss != untrained);
    assert_ok(pfm_run_save(folder, "base", from->model, from->peft, &err));
    assert_ok(pfm_run_load(folder, NULL, to->model, to->peft, &err));
    assert_true(validate(fresh) == loss);
    close_vision(trained);
    close_vision(fresh);
}

static void saved_runs_are_the_same_bits(void **state)
{
    (void)state;
    a_saved_run_is_the_same_bits(folder_of("saved"), NULL, 0);
    for (int m = 0; m < METHODS; m++) {
        char name[24];
        (void)snprintf(name, sizeof name, "saved%d", m);
        a_saved_run_is_the_same_bits(folder_of(name), methods[m], 4);
    }
}

/* The names of a list in adapter_config.json, with a comma behind each. */
static const char *names_in(const pfm_adapter_config *config, const char *key)
{
    static char text[1000];
    const json_t *list = json_object_get(config->document, key);
    text[0] = '\0';
    for (size_t i = 0; i < json_array_size(list); i++) {
        const size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, "%s,", json_string_value(json_array_get(list, i)));
    }
    return text;
}

/* PEFT finds the encoder's modules in a model that has blocks and heads more. */
static void an_adapter_names_its_modules_whole(void **state)
{
    (void)state;
    static const char *const wanted[METHODS][3] = {
        {"encoder.layers.0.self_attn.q_proj,encoder.layers.0.self_attn.v_proj,encoder.layers.0.mlp.fc1,"
         "encoder.layers.1.self_attn.q_proj,encoder.layers.1.self_attn.v_proj,encoder.layers.1.mlp.fc1,",
         "encoder.layers.0.layer_norm2,encoder.layers.1.layer_norm2,", ""},
        {"encoder.layers.1.self_attn.q_proj,encoder.layers.1.self_attn.k_proj,encoder.layers.1.self_attn.v_proj,"
         "encoder.layers.1.self_attn.out_proj,encoder.layers.1.mlp.fc1,encoder.layers.1.mlp.fc2,",
         "", ""},
        {"encoder.layers.1.self_attn.q_proj,encoder.layers.1.self_attn.v_proj,encoder.layers.1.mlp.fc1,", "", ""},
        {"encoder.layers.0.self_attn.q_proj,encoder.layers.0.mlp.fc1,encoder.layers.1.self_attn.q_proj,", "", ""},
        {"encoder.layers.0.self_attn.k_proj,encoder.layers.0.mlp.fc2,encoder.layers.1.self_attn.k_proj,"
         "encoder.layers.1.mlp.fc2,",
         "", "encoder.layers.0.mlp.fc2,encoder.layers.1.mlp.fc2,"}};
    static const char *const elsewhere[] = {"exclude_modules", "layers_to_transform", "layers_pattern"};
    for (int m = 0; m < METHODS; m++) {
        pfm_error err = PFM_ERROR_INIT;
        char name[64];
        pfm_adapter_config config = {0};
        (void)snprintf(name, sizeof name, "saved%d/adapter-vision", m);
        assert_ok(pfm_adapter_config_load(test_path(test_scratch_folder(), name), &config, &err));
        assert_null(config.task_type); /* or PEFT would look for what only language models have */
        assert_string_equal(names_in(&config, "target_modules"), wanted[m][0]);
        assert_string_equal(names_in(&config, "modules_to_save"), wanted[m][1]);
        assert_string_equal(names_in(&config, "feedforward_modules"), wanted[m][2]);
        for (int i = 0; i < 3; i++)
            assert_true(json_object_get(config.document, elsewhere[i]) == NULL ||
                        json_is_null(json_object_get(config.document, elsewhere[i])));
        pfm_adapter_config_free(&config);
    }
}

/* A run answers, and with another adapter in its encoder otherwise: asking reads it. */
static void a_run_answers_with_its_encoder(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char *first = NULL, *other = NULL;
    const char *image = test_path(test_scratch_folder(), "p0.png"), *copy = folder_of("other_encoder");
    static const char *const more[] = {"peft.targets=[q_proj, v_proj, up_proj, fc1]"};
    assert_ok(train_vision(copy, 2, STOP_NEVER, more, 1, &err));
    pfm_weights *factors = NULL;
    assert_ok(pfm_weights_open(test_path(copy, "adapter-vision/adapter_model.safetensors"), &factors, &err));
    const pfm_weight *factor = pfm_weights_find(factors, "base_model.model.encoder.layers.1.mlp.fc1.lora_B.weight");
    assert_non_null(factor);
    double norm = 0;
    for (size_t i = 0; i < pfm_weight_values(factor); i++)
        norm += fabs((double)((const float *)factor->data)[i]);
    assert_true(norm > 0);
    pfm_weights_close(factors);
    for (int pass = 0; pass < 2; pass++) {
        pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
        const pfm_ask_options ask = {
            .run = copy, .images = &image, .image_count = 1, .question = "Is the lung normal?", .max_tokens = 4};
        assert_ok(pfm_ask(context, &ask, pass == 0 ? &first : &other, &err));
        pfm_context_free(context);
        if (pass == 0) { /* that of the other network of the same shape */
            pfm_buffer file = {0};
            assert_ok(pfm_file_read(test_path(copy, "best/adapter-vision/adapter_model.safetensors"), 0, &file, &err));
            for (size_t i = file.size - 64; i < file.size; i++)
                file.data[i] ^= 1 << 4;
            assert_ok(pfm_file_write(test_path(copy, "adapter-vision/adapter_model.safetensors"), file.data, file.size, &err));
            pfm_buffer_free(&file);
        }
    }
    const char *a = strstr(first, "\"probability\""), *b = strstr(other, "\"probability\"");
    assert_true(a != NULL && b != NULL && strcmp(a, b) != 0);
    free(first);
    free(other);
}

/* ---- adapters of other runs ---- */

static const char factor_of_vision[] = "encoder.layers.1.mlp.fc1.lora_B.weight",
                  factor_of_language[] = "model.layers.1.self_attn.q_proj.lora_B.weight";

/* Whether the session's factor is that of an adapter's folder, or as learning begins. */
static void assert_factor(const pfm_session *session, const char *prefix, const char *name, const char *folder)
{
    pfm_error err = PFM_ERROR_INIT;
    char full[128];
    (void)snprintf(full, sizeof full, "%s%s", prefix, name);
    const int id = pfm_parameters_find(session->model->parameters, full);
    assert_true(id >= 0);
    const pfm_parameter *p = pfm_parameters_get(session->model->parameters, id);
    const size_t count = (size_t)(p->n * p->k);
    if (folder == NULL) {
        for (size_t i = 0; i < count; i++)
            assert_true(p->values[i] == 0);
        return;
    }
    pfm_weights *weights = NULL;
    (void)snprintf(full, sizeof full, "base_model.model.%s", name);
    assert_ok(pfm_weights_open(test_path(folder, "adapter_model.safetensors"), &weights, &err));
    const pfm_weight *wanted = pfm_weights_find(weights, full);
    assert_non_null(wanted);
    assert_memory_equal(p->values, wanted->data, count * sizeof *p->values);
    pfm_weights_close(weights);
}

static void training_goes_on_from_another_run(void **state)
{
    (void)state;
    char both[300], language[300];
    (void)snprintf(both, sizeof both, "peft.start=%s", reference());
    (void)snprintf(language, sizeof language, "peft.start=%s/adapter", reference());
    for (int l = 0; l < 2; l++) { /* of a language model's adapter the encoder has nothing to begin with */
        const char *const more[] = {l == 0 ? both : language};
        pfm_trainer *trainer = open_vision(PFM_PRECISION_F32, 1, more, 1);
        assert_factor(trainer->session, "", factor_of_language, test_path(reference(), "adapter"));
        assert_factor(trainer->session, PFM_TOWER_PREFIX, factor_of_vision,
                      l == 0 ? test_path(reference(), "adapter-vision") : NULL);
        close_vision(trainer);
    }
}

static pfm_session *open_with(pfm_context *context, const char *run, const char *adapter)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_session *session = NULL;
    pfm_model_graph graph;
    assert_ok(pfm_session_open_with(context, run, adapter, false, &session, &err));
    const int64_t one[PFM_DIM_COUNT] = {
        [PFM_DIM_TOKENS] = 1, [PFM_DIM_ANSWERS] = 1, [PFM_DIM_VISUAL] = session->model->visual_tokens};
    assert_ok(pfm_model_build(session->model, one, false, false, &graph, &err));
    assert_ok(pfm_session_load_weights(session, &err));
    pfm_model_graph_free(&graph);
    return session;
}

/* An adapter in place of a run's brings its vision encoder along; beside others it cannot stand. */
static void another_adapter_takes_the_place_of_a_runs(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const more[] = {"peft.parts=[language]", "peft.targets=[k_proj]"};
    const char *frozen = folder_of("frozen");
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    assert_ok(train_vision(frozen, 2, STOP_NEVER, more, 2, &err));

    pfm_session *session = open_with(context, frozen, reference());
    assert_factor(session, "", factor_of_language, test_path(reference(), "adapter"));
    assert_factor(session, PFM_TOWER_PREFIX, factor_of_vision, test_path(reference(), "adapter-vision"));
    pfm_session_free(session);
    session = open_with(context, reference(), frozen);
    assert_null(session->model->tower);
    assert_true(pfm_parameters_find(session->model->parameters, "model.layers.0.self_attn.k_proj.lora_B.weight") >= 0);
    pfm_session_free(session);
    session = open_with(context, reference(), PFM_SESSION_NO_ADAPTER);
    assert_true(session->model->tower == NULL && session->model->hook == NULL);
    pfm_session_free(session);

    assert_ok(pfm_session_open(context, frozen, false, &session, &err));
    assert_error(pfm_session_add_adapter(session, "seeing", reference(), NULL, &err), PFM_ERROR_UNSUPPORTED,
                 "the adapter seeing is also one of the vision encoder");
    pfm_session_free(session);
    assert_ok(pfm_session_open(context, reference(), false, &session, &err));
    assert_error(pfm_session_add_adapter(session, "other", frozen, NULL, &err), PFM_ERROR_UNSUPPORTED,
                 "the run's vision encoder learned too");
    pfm_session_free(session);
    pfm_context_free(context);
}

/* ---- one step ---- */

static float *step_gradients(const char *const *more, int count, int threads, pfm_step_result *result, size_t *values)
{
    pfm_trainer *trainer = open_vision(PFM_PRECISION_F32, threads, more, count);
    float *out = training_step_gradients(trainer, 1, result);
    *values = (size_t)pfm_parameters_trainable(trainer->session->model->parameters);
    close_vision(trainer);
    return out;
}

static void a_step_may_be_cut_and_packed_at_will(void **state)
{
    (void)state;
    static const char *const ways[][2] = {{"train.pack=false", "train.micro_batch=0"},
                                          {"train.pack=true", "train.micro_batch=1"},
                                          {"train.pack=true", "train.recompute=true"}};
    for (int pairs = 0; pairs < 2; pairs++) {
        const char *more[3] = {"train.pack=true", "train.micro_batch=0", training_pairs()};
        pfm_step_result result, other;
        size_t count, same;
        make_training();
        float *whole = step_gradients(more, 2 + pairs, 2, &result, &count);
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            more[0] = ways[i][0];
            more[1] = ways[i][1];
            float *cut = step_gradients(more, 2 + pairs, 1, &other, &same);
            assert_int_equal(count, same);
            assert_true(fabs(other.loss - result.loss) < 1e-5 * result.loss);
            assert_near(ways[i][1], cut, whole, count, 1e-5);
            free(cut);
        }
        free(whole);
    }
}

/* The keys of a step's last micro-batch: of each picture its number in the data set, and a token's place. */
static void dropout_is_drawn_by_the_picture_of_the_data_set(void **state)
{
    (void)state;
    pfm_step_result result;
    pfm_trainer *trainer = open_vision(PFM_PRECISION_F32, 2, NULL, 0);
    const int64_t tokens = trainer->session->model->tower->tokens, *keys = trainer->graph.tower.key_values;
    free(training_step_gradients(trainer, 0, &result));
    const int64_t pictures = trainer->batch.visual_rows / trainer->session->model->visual_tokens;
    assert_in_range(pictures, 1, 5);
    for (int64_t i = 0; i < pictures * tokens; i++)
        assert_int_equal(keys[i], (int64_t)trainer->batch.numbers[i / tokens] << 24 | i % tokens);
    assert_true(trainer->batch.numbers[0] > 0 || pictures > 1); /* or the key of a picture would be that of none */
    close_vision(trainer);
}

/* A micro-batch is small enough for the encoder too, where a Q-Former leaves few tokens of a picture. */
static void pictures_count_in_a_micro_batch(void **state)
{
    (void)state;
    const char *more[] = {"model.aligner=qformer", "model.normalise=false", "qformer.layers=1",   "qformer.hidden=8",
                          "qformer.heads=2",       "qformer.queries=1",     "model.image_size=63"};
    pfm_trainer *trainer = open_vision(PFM_PRECISION_F32, 1, more, 7);
    static const size_t rows[] = {0, 4, 8, 12}; /* of four pictures */
    static const int groups[] = {0, 1, 2, 3};
    const size_t tokens = (size_t)trainer->session->model->tower->tokens, limit = 3 * tokens + tokens / 2;
    size_t used = 0, all = 0;
    assert_int_equal(pfm_micro_batch_cut(&trainer->train, rows, groups, 4, true, 100 * tokens, 0, &all), 4);
    assert_true(all < limit); /* but for the pictures all would fit */
    assert_int_equal(pfm_micro_batch_cut(&trainer->train, rows, groups, 4, true, limit, 0, &used), 3);
    assert_int_equal(pfm_micro_batch_cut(&trainer->train, rows, groups, 4, true, tokens, 0, &used), 1);
    close_vision(trainer);
}

static void only_what_learns_changes(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const more[] = {"peft.parts=[vision]", "peft.targets=[q_proj, fc1]", "trainable=[peft]"};
    pfm_trainer *trainer = open_vision(PFM_PRECISION_F32, 2, more, 3);
    const pfm_parameters *parameters = trainer->session->model->parameters;
    const int count = pfm_parameters_count(parameters);
    float **before = calloc((size_t)count, sizeof *before);
    int learned = 0;
    assert_non_null(before);
    for (int i = 0; i < count; i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        const float *values = p->values != NULL ? p->values : p->packed_forward;
        before[i] = calloc((size_t)(p->n * p->k), sizeof **before);
        if (values != NULL) /* what is packed is at least as large */
            memcpy(before[i], values, (size_t)(p->n * p->k) * sizeof *values);
    }
    for (int64_t step = 0; step < 2; step++) {
        pfm_step_result result;
        assert_ok(pfm_trainer_step(trainer, step, &result, &err));
    }
    for (int i = 0; i < count; i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        const float *values = p->values != NULL ? p->values : p->packed_forward;
        const bool same = values == NULL || memcmp(before[i], values, (size_t)(p->n * p->k) * sizeof *values) == 0;
        if (same == p->trainable || (p->trainable && !pfm_tower_owns(p)))
            fail_msg("%s has %s", p->name, same ? "not changed" : "changed");
        learned += p->trainable;
        free(before[i]);
    }
    assert_int_equal(learned, 8);
    free(before);
    close_vision(trainer);
}

/* The statistics of the features are those of the encoder as its file has it. */
static void statistics_are_those_of_the_frozen_encoder(void **state)
{
    (void)state;
    static const char *const more[] = {"peft.parts=[language]", "peft.targets=[q_proj]"};
    pfm_trainer *learning = open_vision(PFM_PRECISION_F32, 2, NULL, 0), *frozen = open_vision(PFM_PRECISION_F32, 2, more, 2);
    const pfm_model *a = learning->session->model, *b = frozen->session->model;
    assert_true(a->tower != NULL && b->tower == NULL && a->visual_width == b->visual_width);
    assert_memory_equal(a->mean, b->mean, (size_t)a->visual_width * sizeof *a->mean);
    assert_memory_equal(a->std, b->std, (size_t)a->visual_width * sizeof *a->std);
    /* Nothing has been learned yet: the same loss, but for the rounding of what is kept. */
    assert_true(fabs(validate(learning) - validate(frozen)) < 1e-3);
    close_vision(learning);
    close_vision(frozen);
}

/* ---- stages and memory ---- */

static void a_stage_may_begin_with_a_frozen_encoder(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *sets[MOST_SETS], *out = folder_of("staged");
    const int count = vision_sets(sets, NULL, 0);
    stopper s = {.left = STOP_NEVER};
    assert_ok(train_recipe(staged_recipe(), out, 2, &s, sets, count, false, &err));
    assert_true(pfm_path_exists(test_path(out, "adapter-vision/adapter_model.safetensors")));
    assert_false(pfm_path_exists(test_path(out, "stages/captions/adapter-vision"))); /* which learned the aligner alone */
    assert_same_log(out, out, STAGED_STEPS);
}

/* The blocks that are computed again lie between lines; each of the encoder's begins with one, and one stands behind the last.
 */
static size_t lines_of(const char *parts, const char *targets)
{
    const char *const more[] = {parts, targets, "train.recompute=true"};
    pfm_trainer *trainer = open_vision(PFM_PRECISION_F32, 1, more, 3);
    const size_t count = trainer->graph.graph->checkpoint_count;
    assert_true(trainer->graph.graph->recompute);
    close_vision(trainer);
    return count;
}

static void blocks_of_the_encoder_are_computed_again(void **state)
{
    (void)state;
    const size_t frozen = lines_of("peft.parts=[language]", "peft.targets=[q_proj]");
    assert_int_equal(lines_of("peft.parts=[language, vision]", "peft.targets=[q_proj]"), frozen + 3);
    assert_int_equal(lines_of("peft.parts=[vision]", "peft.targets=[layers.1.mlp.fc1]"), frozen + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_stops_do_not_change_a_run),
        cmocka_unit_test(the_loss_falls),
        cmocka_unit_test(saved_runs_are_the_same_bits),
        cmocka_unit_test(an_adapter_names_its_modules_whole),
        cmocka_unit_test(a_run_answers_with_its_encoder),
        cmocka_unit_test(training_goes_on_from_another_run),
        cmocka_unit_test(another_adapter_takes_the_place_of_a_runs),
        cmocka_unit_test(a_step_may_be_cut_and_packed_at_will),
        cmocka_unit_test(dropout_is_drawn_by_the_picture_of_the_data_set),
        cmocka_unit_test(pictures_count_in_a_micro_batch),
        cmocka_unit_test(only_what_learns_changes),
        cmocka_unit_test(statistics_are_those_of_the_frozen_encoder),
        cmocka_unit_test(a_stage_may_begin_with_a_frozen_encoder),
        cmocka_unit_test(blocks_of_the_encoder_are_computed_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
