/* PEFT methods: which layers a target names, which parameters a method adds and that nothing else changes, its scale, and that
 * merging gives what the adapter gives. What LoRA computes is compared with Hugging Face PEFT in tests/models. */
#include "models/tiny.h"

#include "formats/safetensors.h"
#include "pefomed/infer.h"
#include "train/optimiser.h"
#include "train/run.h"

#include <math.h>

static pfm_status create(pfm_peft_options options, pfm_peft **out, pfm_error *err)
{
    char *targets[] = {(char[]){"q_proj"}, (char[]){"layers.1.mlp.up_proj"}};
    if (options.target_count == 0) {
        options.targets = targets;
        options.target_count = 2;
    }
    return pfm_peft_create(&options, out, err);
}

static void options_are_checked(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_peft *peft = NULL;
    const pfm_peft_options none = {.method = (char[]){"lora"}, .rank = 4, .alpha = 8};
    assert_error(create((pfm_peft_options){.method = (char[]){"ia4"}, .rank = 4, .alpha = 8}, &peft, &err), PFM_ERROR_USAGE,
                 "'ia4'");
    assert_error(create((pfm_peft_options){.method = (char[]){"lora"}, .rank = 0, .alpha = 8}, &peft, &err), PFM_ERROR_USAGE,
                 "peft.rank cannot be 0");
    assert_error(create((pfm_peft_options){.method = (char[]){"lora"}, .rank = -3, .alpha = 8}, &peft, &err), PFM_ERROR_USAGE,
                 "peft.rank");
    assert_error(create((pfm_peft_options){.method = (char[]){"lora"}, .rank = 4, .alpha = 8, .dropout = 1}, &peft, &err),
                 PFM_ERROR_USAGE, "peft.dropout");
    assert_error(create((pfm_peft_options){.method = (char[]){"lora"}, .rank = 4, .alpha = 8, .dropout = NAN}, &peft, &err),
                 PFM_ERROR_USAGE, "peft.dropout");
    assert_error(pfm_peft_create(&none, &peft, &err), PFM_ERROR_USAGE, "peft.targets is empty");
    assert_null(peft);
}

static void targets_are_whole_parts_of_names(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_peft *peft = NULL;
    assert_ok(create((pfm_peft_options){.method = (char[]){"lora"}, .rank = 4, .alpha = 8}, &peft, &err));
    assert_true(pfm_peft_targets(peft, "model.layers.0.self_attn.q_proj"));
    assert_true(pfm_peft_targets(peft, "q_proj"));
    assert_true(pfm_peft_targets(peft, "model.layers.1.mlp.up_proj"));
    assert_false(pfm_peft_targets(peft, "model.layers.11.mlp.up_proj"));
    assert_false(pfm_peft_targets(peft, "model.layers.0.mlp.up_proj"));
    assert_false(pfm_peft_targets(peft, "model.layers.0.self_attn.xq_proj"));
    assert_false(pfm_peft_targets(peft, "model.layers.0.self_attn.q_proj.x"));
    assert_false(pfm_peft_targets(peft, "proj"));
    assert_error(pfm_peft_check_targets(peft, &err), PFM_ERROR_USAGE, "'q_proj' matches no layer"); /* nothing was built */
    pfm_peft_free(peft);
}

static void the_scale_is_alpha_over_rank_or_its_root(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_peft *peft = NULL;
    assert_ok(create((pfm_peft_options){.method = (char[]){"lora"}, .rank = 16, .alpha = 8}, &peft, &err));
    assert_true(pfm_peft_scale(peft, "q_proj") == 0.5);
    pfm_peft_free(peft);
    assert_ok(create((pfm_peft_options){.method = (char[]){"lora"}, .rank = 16, .alpha = 8, .rslora = true}, &peft, &err));
    assert_true(pfm_peft_scale(peft, "q_proj") == 2);
    pfm_peft_free(peft);
}

static void none_adds_nothing(void **state)
{
    (void)state;
    static const char *const sets[] = {"peft.method=none"};
    tiny_system system;
    tiny_system_create(tiny_context(NULL, 1, PFM_PRECISION_F32), true, sets, 1, &system);
    assert_null(pfm_peft_hook(system.session->peft));
    assert_int_equal(pfm_parameters_trainable(system.session->model->parameters),
                     TINY_HIDDEN * 5120 + TINY_HIDDEN); /* the aligner */
    assert_false(pfm_peft_targets(system.session->peft, "model.layers.0.self_attn.q_proj"));
    tiny_system_free(&system);
}

static void a_target_that_matches_nothing_is_named(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const sets[] = {"peft.targets=[q_proj, q_prj]"};
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = tiny_session(context, true, sets, 1);
    pfm_model_graph graph;
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 8, [PFM_DIM_ANSWERS] = 8, [PFM_DIM_VISUAL] = 4};
    assert_ok(pfm_model_build(session->model, capacity, true, false, &graph, &err));
    assert_error(pfm_session_load_weights(session, &err), PFM_ERROR_USAGE,
                 "'q_prj' matches no layer of this model; its layers are called q_proj, k_proj, v_proj, o_proj, gate_proj");
    pfm_model_graph_free(&graph);
    pfm_session_free(session);
    pfm_context_free(context);
}

/* ---- what trains ---- */

static void count_factors(const pfm_parameters *parameters, double k_bound)
{
    int factors = 0;
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        bool a = strstr(p->name, ".lora_A.weight") != NULL, b = strstr(p->name, ".lora_B.weight") != NULL;
        assert_int_equal(p->trainable, a || b || strncmp(p->name, "aligner.", 8) == 0);
        if (!a && !b)
            continue;
        bool placed = strstr(p->name, "q_proj.lora_") != NULL || strncmp(p->name, "model.layers.1.mlp.up_proj.lora_", 32) == 0;
        assert_true(placed);
        factors++;
        float most = 0;
        for (int64_t j = 0; j < p->n * p->k; j++)
            most = fmaxf(most, fabsf(p->values[j]));
        assert_true(b ? most == 0 : most <= (float)k_bound && most > 0.9f * (float)k_bound);
        assert_int_equal(a ? p->n : p->k, 5); /* the rank */
    }
    assert_int_equal(factors, 2 * 3);
}

static const char *const some_targets[] = {"peft.targets=[q_proj, layers.1.mlp.up_proj]", "peft.rank=5"};

/* A fresh system whose adapter is drawn, not loaded. */
static pfm_session *fresh(pfm_context *context, pfm_model_graph *graph)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_session *session = tiny_session(context, true, some_targets, 2);
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 512, [PFM_DIM_ANSWERS] = 64, [PFM_DIM_VISUAL] = 12};
    assert_ok(pfm_model_build(session->model, capacity, true, false, graph, &err));
    assert_ok(pfm_session_load_weights(session, &err));
    return session;
}

static void factors_start_as_hugging_face_draws_them(void **state)
{
    (void)state;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_model_graph graph;
    pfm_session *session = fresh(context, &graph);
    count_factors(session->model->parameters, 1 / sqrt(TINY_HIDDEN));
    pfm_model_graph_free(&graph);
    pfm_session_free(session);
    pfm_context_free(context);
}

/* A training of two steps; trained: how many parameters change. */
static void check_what_changes(const char *const *sets, int set_count, int trained)
{
    tiny_system system;
    pfm_sequence rows[TINY_ROWS];
    const pfm_pack_options options = {.share = true};
    tiny_system_create(tiny_context(NULL, 2, PFM_PRECISION_F32), true, sets, set_count, &system);
    pfm_parameters *parameters = system.session->model->parameters;
    int count = pfm_parameters_count(parameters), changed = 0;
    unsigned char **before = calloc((size_t)count, sizeof *before);
    assert_non_null(before);
    for (int i = 0; i < count; i++)
        before[i] = tiny_copy_parameter(system.context, pfm_parameters_get(parameters, i));
    tiny_rows(rows);
    tiny_rows_add_virtual(rows, system.session->model->virtual_tokens);
    for (int step = 0; step < 2; step++) {
        pfm_parameters_zero_gradients(parameters);
        (void)tiny_run(&system, rows, TINY_ROWS, &options, 0.1f);
        pfm_adamw_step(parameters, system.context, system.session->recipe, step, 1e-3, 1);
        pfm_parameters_repack(parameters);
    }
    for (int i = 0; i < count; i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        unsigned char *after = tiny_copy_parameter(system.context, p);
        if ((memcmp(before[i], after, tiny_parameter_bytes(system.context, p)) != 0) != p->trainable)
            fail_msg("%s: %s", p->name, p->trainable ? "trains, but did not change" : "is frozen, but changed");
        changed += p->trainable;
        free(before[i]);
        free(after);
    }
    assert_int_equal(changed, trained);
    free(before);
    tiny_rows_free(rows);
    tiny_system_free(&system);
}

static void what_trains_changes_and_nothing_else(void **state)
{
    (void)state;
    const int factors = 2 * 7 * 2, aligner = 2, norms = 2 * 2 + 1;
    static const char *const parts[] = {"trainable=[aligner, peft]", "trainable=[aligner, peft, norms]", "trainable=[norms]"};
    check_what_changes(&parts[0], 1, factors + aligner);
    check_what_changes(&parts[1], 1, factors + aligner + norms);
    check_what_changes(&parts[2], 1, norms);
    check_what_changes((const char *const[]){"peft.lora_bias=true"}, 1, factors / 2 * 3 + aligner);
}

static void of_virtual_tokens_the_table_or_its_encoder_changes(void **state)
{
    (void)state;
    const int aligner = 2, embedding = 1;
    static const char *const sets[][4] = {
        {"peft.method=prompt_tuning", "peft.targets=[]", "peft.virtual_tokens=3", "trainable=[peft]"},
        {"peft.method=p_tuning", "peft.targets=[]", "peft.virtual_tokens=3", "trainable=[peft]"},
        {"peft.method=prefix_tuning", "peft.targets=[]", "peft.virtual_tokens=3", "trainable=[aligner, peft]"},
        {"peft.method=prefix_tuning", "peft.targets=[]", "peft.virtual_tokens=3", "peft.encoder_hidden=9"}};
    check_what_changes(sets[0], 4, 1);
    check_what_changes(sets[1], 4, embedding + 3 * 2);
    check_what_changes(sets[2], 4, 1 + aligner);
    check_what_changes(sets[3], 4, embedding + 2 * 2 + aligner);
}

/* Modules kept whole train beside the method's factors, or alone; the head, which is the embedding, becomes one of its own. */
static void modules_kept_whole_train(void **state)
{
    (void)state;
    const int factors = 2 * 7 * 2, aligner = 2;
    check_what_changes((const char *const[]){"peft.modules_to_save=[lm_head]"}, 1, factors + aligner + 1);
    check_what_changes((const char *const[]){"peft.modules_to_save=[embed_tokens, model.norm]"}, 1, factors + aligner + 2);
    check_what_changes((const char *const[]){"peft.modules_to_save=[layers.1.mlp, input_layernorm]"}, 1,
                       factors + aligner - 6 + 3 + 2);
    check_what_changes((const char *const[]){"peft.method=none", "peft.modules_to_save=[self_attn.q_proj, lm_head]"}, 2,
                       aligner + 2 + 1);
}

/* ---- norms ---- */

static bool is_norm(const pfm_parameter *p) { return p->part == PFM_PART_NORMS; }

/* Moves every norm's weights along a fixed direction; returns what their gradients say that this does. */
static double move_norms(pfm_parameters *parameters, float by)
{
    double slope = 0;
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        pfm_parameter *p = pfm_parameters_get(parameters, i);
        float direction[TINY_HIDDEN];
        if (!is_norm(p))
            continue;
        assert_int_equal(p->n * p->k, TINY_HIDDEN);
        tiny_spread(50 + (uint32_t)i, TINY_HIDDEN, direction);
        for (int j = 0; j < TINY_HIDDEN; j++) {
            p->values[j] += by * direction[j];
            slope += (double)p->gradient[j] * direction[j];
        }
    }
    return slope;
}

static void the_gradient_of_norms_is_the_slope_of_the_loss(void **state)
{
    (void)state;
    static const char *const sets[] = {"trainable=[aligner, norms]"};
    const pfm_pack_options options = {.share = true};
    const float step = 4e-3f;
    tiny_system system;
    pfm_sequence rows[TINY_ROWS];
    tiny_system_create(tiny_context(NULL, 1, PFM_PRECISION_F32), true, sets, 1, &system);
    pfm_parameters *parameters = system.session->model->parameters;
    tiny_rows(rows);
    pfm_parameters_zero_gradients(parameters);
    (void)tiny_run(&system, rows, TINY_ROWS, &options, 1);
    const double slope = move_norms(parameters, step);
    const double high = tiny_run(&system, rows, TINY_ROWS, &options, 0);
    (void)move_norms(parameters, -2 * step);
    const double low = tiny_run(&system, rows, TINY_ROWS, &options, 0), measured = (high - low) / (2 * (double)step);
    if (!(fabs(slope) > 1e-2 && fabs(measured - slope) <= 1e-2 * fabs(slope)))
        fail_msg("the slope is %g, the gradients say %g", measured, slope);
    tiny_rows_free(rows);
    tiny_system_free(&system);
}

/* ---- merging ---- */

typedef struct merging {
    const char *name;
    const char *sets[5];
    int set_count;
    int64_t hidden;
} merging;

/* The golden folder NAME again under `folder`, its adapter merged in. */
static void write_merged(const merging *m, pfm_session *session, const char *folder)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    pfm_weight tensors[32];
    char file[64];
    (void)snprintf(file, sizeof file, "%s/model.safetensors", m->name);
    assert_ok(pfm_weights_open(tiny_path(file), &weights, &err));
    size_t count = pfm_weights_count(weights);
    assert_true(count <= 32);
    for (size_t i = 0; i < count; i++) {
        char module[128];
        tensors[i] = *pfm_weights_at(weights, i);
        float *values = calloc(pfm_weight_values(&tensors[i]), sizeof *values);
        assert_non_null(values);
        assert_ok(pfm_weight_expand(&tensors[i], values, &err));
        (void)snprintf(module, sizeof module, "%.*s", (int)(strlen(tensors[i].name) - strlen(".weight")), tensors[i].name);
        if (tensors[i].rank == 2)
            assert_ok(pfm_peft_merge(session->peft, session->model->parameters, module, tensors[i].shape[0],
                                     tensors[i].shape[1], values, &err));
        tensors[i].data = values;
        tensors[i].dtype = PFM_DTYPE_F32;
    }
    assert_ok(pfm_safetensors_write(test_path(folder, "model.safetensors"), tensors, count, NULL, 0, &err));
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)tensors[i].data);
    pfm_weights_close(weights);
}

static void compare_merged(const merging *m)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = tiny_session(context, false, m->sets, m->set_count);
    pfm_model_graph graph;
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 8, [PFM_DIM_ANSWERS] = 8, [PFM_DIM_VISUAL] = 4};
    char folder[256], in[256], out[256], file[64];
    (void)snprintf(folder, sizeof folder, "%s/merged_%s", test_scratch_folder(), m->name);
    (void)snprintf(in, sizeof in, "%s/in.safetensors", test_scratch_folder());
    (void)snprintf(out, sizeof out, "%s/out.safetensors", test_scratch_folder());
    assert_ok(pfm_model_build(session->model, capacity, false, false, &graph, &err));
    assert_ok(pfm_session_load_weights(session, &err));
    (void)snprintf(file, sizeof file, "%s/adapter", m->name);
    assert_ok(pfm_run_load_adapter(tiny_path(file), session->model, session->peft, &err));
    tiny_copy_model(m->name, folder);
    write_merged(m, session, folder);
    float embeds[18 * TINY_HIDDEN], *logits;
    size_t tokens = m->hidden == TINY_HIDDEN ? 18 : 12, count = tokens * TINY_VOCABULARY;
    tiny_spread(1, tokens * (size_t)m->hidden, embeds);
    const pfm_weight tensor = {
        .name = "inputs_embeds", .dtype = PFM_DTYPE_F32, .rank = 2, .shape = {(int64_t)tokens, m->hidden}, .data = embeds};
    assert_ok(pfm_safetensors_write(in, &tensor, 1, NULL, 0, &err));
    const pfm_forward_options options = {.model = folder, .input = in, .output = out};
    assert_ok(pfm_forward(context, &options, &err));
    pfm_weights *made = NULL;
    assert_ok(pfm_weights_open(out, &made, &err));
    float *golden = tiny_golden(m->name, "logits", count);
    logits = calloc(count, sizeof *logits);
    assert_non_null(logits);
    assert_ok(pfm_weight_expand(pfm_weights_find(made, "logits"), logits, &err));
    assert_near(m->name, logits, golden, count, 1e-5);
    free(golden);
    free(logits);
    pfm_weights_close(made);
    pfm_model_graph_free(&graph);
    pfm_session_free(session);
    pfm_context_free(context);
}

static void merged_weights_compute_the_same(void **state)
{
    (void)state;
    compare_merged(&(merging){.name = "llama", .hidden = 32});
    merging untied = {.name = "llama_untied", .hidden = 16, .set_count = 5};
    char language[512], folder[256];
    (void)snprintf(folder, sizeof folder, "%s/untied", test_scratch_folder());
    (void)snprintf(language, sizeof language, "model.language=%s", folder);
    untied.sets[0] = language;
    untied.sets[1] = "peft.rank=2";
    untied.sets[2] = "peft.rslora=true";
    untied.sets[3] = "peft.alpha=3";
    untied.sets[4] = "peft.targets=[q_proj, o_proj, up_proj]";
    tiny_copy_model(untied.name, folder);
    compare_merged(&untied);
}

static void what_has_no_factors_that_fit_cannot_be_merged(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_model_graph graph;
    pfm_session *session = fresh(context, &graph);
    float values[48 * 32] = {0};
    const pfm_parameters *parameters = session->model->parameters;
    assert_ok(pfm_peft_merge(session->peft, parameters, "model.layers.0.mlp.up_proj", 48, 32, values, &err)); /* not a target */
    assert_ok(pfm_peft_merge(session->peft, parameters, "other.q_proj", 32, 32, values, &err)); /* no layer of the model */
    assert_error(pfm_peft_merge(session->peft, parameters, "model.layers.0.self_attn.q_proj", 48, 32, values, &err),
                 PFM_ERROR_MISMATCH, "do not fit");
    pfm_model_graph_free(&graph);
    pfm_session_free(session);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(targets_are_whole_parts_of_names),
        cmocka_unit_test(the_scale_is_alpha_over_rank_or_its_root),
        cmocka_unit_test(none_adds_nothing),
        cmocka_unit_test(a_target_that_matches_nothing_is_named),
        cmocka_unit_test(factors_start_as_hugging_face_draws_them),
        cmocka_unit_test(what_trains_changes_and_nothing_else),
        cmocka_unit_test(of_virtual_tokens_the_table_or_its_encoder_changes),
        cmocka_unit_test(modules_kept_whole_train),
        cmocka_unit_test(the_gradient_of_norms_is_the_slope_of_the_loss),
        cmocka_unit_test(merged_weights_compute_the_same),
        cmocka_unit_test(what_has_no_factors_that_fit_cannot_be_merged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
