/* A run's folder: what is saved is read again, and files of another recipe are refused by name. */
#include "models/grid.h"

#include "base/file.h"
#include "formats/adapter.h"
#include "formats/safetensors.h"
#include "train/run.h"

static void create(const char *set, tiny_system *out)
{
    tiny_system_create(tiny_context(NULL, 1, PFM_PRECISION_F32), true, &set, set != NULL, out);
}

static void scramble(const pfm_model *model)
{
    for (int i = 0; i < pfm_parameters_count(model->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(model->parameters, i);
        if (!p->trainable)
            continue;
        tiny_spread(1000 + (uint32_t)i, (size_t)(p->n * p->k), p->values);
        tiny_spread(2000 + (uint32_t)i, (size_t)(p->n * p->k), p->moment1);
        tiny_spread(3000 + (uint32_t)i, (size_t)(p->n * p->k), p->moment2);
    }
    pfm_parameters_repack(model->parameters);
}

static void assert_same_parameters(const tiny_system *a, const tiny_system *b, bool moments)
{
    for (int i = 0; i < pfm_parameters_count(a->session->model->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(a->session->model->parameters, i),
                            *q = pfm_parameters_get(b->session->model->parameters, i);
        size_t bytes = (size_t)(p->n * p->k) * sizeof(float);
        assert_string_equal(p->name, q->name);
        if (!p->trainable)
            continue;
        assert_memory_equal(p->values, q->values, bytes);
        if (p->packed_forward != NULL)
            assert_memory_equal(p->packed_forward, q->packed_forward,
                                a->context->kernels->gemm_pack_size[PFM_ACT_F32]((size_t)p->n, (size_t)p->k));
        if (moments) {
            assert_memory_equal(p->moment1, q->moment1, bytes);
            assert_memory_equal(p->moment2, q->moment2, bytes);
        }
    }
}

static void check_saved(const char *set, const char *name)
{
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = test_path(test_scratch_folder(), name);
    tiny_system a, b;
    create(set, &a);
    create(set, &b);
    scramble(a.session->model);
    a.session->model->mean[7] = 3;
    a.session->model->std[9] = 5;
    assert_ok(pfm_run_save(folder, "base", a.session->model, a.session->peft, &err));
    assert_ok(pfm_run_load(folder, NULL, b.session->model, b.session->peft, &err));
    assert_same_parameters(&a, &b, false);
    assert_true(b.session->model->mean[7] == 3 && b.session->model->std[9] == 5);
    tiny_system_free(&a);
    tiny_system_free(&b);
}

static void what_is_saved_is_loaded(void **state)
{
    (void)state;
    check_saved(NULL, "run");
    check_saved("trainable=[aligner, peft, norms]", "run_norms");
    check_saved("trainable=[norms]", "run_norms_alone");
}

/* The tensors of a file of PeFoMed's kind: LoRA's within llama_model, other parts beside it; extra: one that is not known. */
static void write_checkpoint(const char *path, const pfm_model *model, const char *extra)
{
    pfm_error err = PFM_ERROR_INIT;
    static char names[64][160];
    static const float one[1];
    pfm_weight tensors[64];
    size_t count = 0;
    for (int i = 0; i < pfm_parameters_count(model->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(model->parameters, i);
        if (p->part != PFM_PART_PEFT)
            continue;
        const int stem = (int)(strlen(p->name) - strlen(".weight"));
        (void)snprintf(names[count], sizeof names[0], "llama_model.base_model.model.%.*s.default.weight", stem, p->name);
        tensors[count] =
            (pfm_weight){.name = names[count], .dtype = PFM_DTYPE_F32, .rank = 2, .shape = {p->n, p->k}, .data = p->values};
        assert_true(++count < 62);
    }
    tensors[count++] =
        (pfm_weight){.name = "llama_proj.weight", .dtype = PFM_DTYPE_F32, .rank = 2, .shape = {1, 1}, .data = one};
    if (extra != NULL)
        tensors[count++] = (pfm_weight){.name = extra, .dtype = PFM_DTYPE_F32, .rank = 2, .shape = {1, 1}, .data = one};
    for (size_t i = 0; i < count; i++)
        tensors[i].bytes = (size_t)(tensors[i].shape[0] * tensors[i].shape[1]) * sizeof(float);
    assert_ok(pfm_safetensors_write(path, tensors, count, NULL, 0, &err));
}

static void a_whole_checkpoint_is_gone_on_with(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    tiny_system a, b;
    const char *path = test_path(test_scratch_folder(), "checkpoint.safetensors");
    char start[300];
    create(NULL, &a);
    create(NULL, &b);
    scramble(a.session->model);
    write_checkpoint(path, a.session->model, NULL);
    assert_ok(pfm_run_load_adapter(path, b.session->model, b.session->peft, &err));
    for (int i = 0; i < pfm_parameters_count(a.session->model->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(a.session->model->parameters, i),
                            *q = pfm_parameters_get(b.session->model->parameters, i);
        if (p->part == PFM_PART_PEFT)
            assert_memory_equal(p->values, q->values, (size_t)(p->n * p->k) * sizeof *p->values);
    }
    write_checkpoint(path, a.session->model, "llama_model.base_model.model.x.lora_A.default.weight");
    assert_error(pfm_run_load_adapter(path, b.session->model, b.session->peft, &err), PFM_ERROR_MISMATCH,
                 "the tensor llama_model.base_model.model.x.lora_A.default.weight, which the recipe does not know");
    (void)snprintf(start, sizeof start, "peft.start=%s", path); /* the recipe's own method stays */
    pfm_session *session = tiny_session(a.context, true, (const char *const[]){start}, 1);
    assert_string_equal(pfm_peft_get_options(session->peft)->method, "lora");
    pfm_session_free(session);
    tiny_system_free(&a);
    tiny_system_free(&b);
}

/* Norms lie in the adapter as modules that PEFT saves whole; where nothing else does, it adapts nothing. */
static void norms_are_saved_as_peft_saves_modules(void **state)
{
    (void)state;
    static const struct {
        const char *set, *targets;
        int tensors;
    } cases[] = {{"trainable=[aligner, peft, norms]",
                  "[\"q_proj\", \"k_proj\", \"v_proj\", \"o_proj\", \"gate_proj\", \"up_proj\", \"down_proj\"]", 2 * 7 * 2 + 5},
                 {"trainable=[norms]", "\"dummy-target-modules\"", 5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_error err = PFM_ERROR_INIT;
        tiny_system a;
        pfm_adapter_config config;
        pfm_weights *weights = NULL;
        char folder[256], adapter[300];
        (void)snprintf(folder, sizeof folder, "%s/modules%zu", test_scratch_folder(), i);
        (void)snprintf(adapter, sizeof adapter, "%s/adapter", folder);
        create(cases[i].set, &a);
        assert_ok(pfm_run_save(folder, "base", a.session->model, a.session->peft, &err));
        assert_ok(pfm_adapter_config_load(adapter, &config, &err));
        json_t *targets = json_loads(cases[i].targets, JSON_DECODE_ANY, NULL),
               *modules = json_loads("[\"input_layernorm\", \"post_attention_layernorm\", \"norm\"]", 0, NULL);
        assert_true(json_equal(json_object_get(config.document, "target_modules"), targets));
        assert_true(json_equal(json_object_get(config.document, "modules_to_save"), modules));
        pfm_peft_options options = {0};
        assert_ok(pfm_peft_read_config(&config, &options, &err));
        assert_string_equal(options.method, i == 0 ? "lora" : "none");
        assert_int_equal(options.module_to_save_count, 3);
        pfm_peft_options_free(&options);
        assert_ok(pfm_weights_open(adapter, &weights, &err));
        assert_int_equal(pfm_weights_count(weights), cases[i].tensors);
        assert_non_null(pfm_weights_find(weights, "base_model.model.model.layers.1.post_attention_layernorm.weight"));
        assert_non_null(pfm_weights_find(weights, "base_model.model.model.norm.weight"));
        pfm_weights_close(weights);
        json_decref(targets);
        json_decref(modules);
        pfm_adapter_config_free(&config);
        tiny_system_free(&a);
    }
}

/* The tinygptv of the grid, of which the norms alone are learned. */
static pfm_session *open_norms(pfm_context *context, const char *folder, pfm_model_graph *graph)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    pfm_session *session = NULL;
    char text[1024];
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 8, [PFM_DIM_ANSWERS] = 8, [PFM_DIM_VISUAL] = 4};
    (void)snprintf(text, sizeof text,
                   "model: {vision: efficientnet-lite0, image_size: 128, language: '%s'}\ndata: {dataset: phantom}\n"
                   "peft: {method: none}\ntrainable: [norms]\n",
                   folder);
    assert_ok(pfm_recipe_parse(text, strlen(text), "norms.yaml", NULL, 0, &recipe, &err));
    assert_ok(pfm_session_create_for_tensors(context, recipe, true, &session, &err));
    assert_ok(pfm_model_build(session->model, capacity, true, false, graph, &err));
    assert_ok(pfm_session_load_weights(session, &err));
    return session;
}

/* The weights of every LayerNorm and RMSNorm train and no bias does; the run has both, for PEFT wants a module whole. */
static void biases_of_norms_stay_and_are_saved(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    json_t *list = grid_load();
    grid_model model;
    pfm_weights *weights = NULL;
    pfm_model_graph graph;
    size_t i = 0;
    const char *run = test_path(test_scratch_folder(), "layernorms");
    while (strcmp(json_string_value(json_object_get(json_array_get(list, i), "name")), "tinygptv") != 0)
        i++;
    grid_model_create(list, i, GRID_NONE, &model);
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = open_norms(context, grid_write(&model, "language", 0, 0, 1), &graph);
    const pfm_parameters *parameters = session->model->parameters;
    assert_int_equal(pfm_parameters_trainable(parameters), 2 * (40 + 40 + 10 + 10) + 40);
    assert_ok(pfm_run_save(run, "base", session->model, session->peft, &err));
    assert_ok(pfm_weights_open(test_path(run, "adapter"), &weights, &err));
    size_t saved = 0;
    for (int id = 0; id < pfm_parameters_count(parameters); id++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, id);
        char name[160];
        (void)snprintf(name, sizeof name, "base_model.model.%s", p->name);
        if (strstr(p->name, "layernorm.") == NULL)
            continue;
        assert_int_equal(p->trainable, strstr(p->name, ".weight") != NULL);
        assert_int_equal(p->gradient != NULL, p->trainable);
        assert_non_null(pfm_weights_find(weights, name));
        saved++;
    }
    assert_int_equal(saved, 2 * (2 + 1 + 2 + 2) + 2);
    assert_int_equal(pfm_weights_count(weights), saved);
    assert_ok(pfm_run_load(run, NULL, session->model, session->peft, &err));
    pfm_weights_close(weights);
    pfm_model_graph_free(&graph);
    pfm_session_free(session);
    pfm_context_free(context);
    grid_model_free(&model);
    json_decref(list);
}

static void a_checkpoint_holds_all_that_a_resume_needs(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = test_path(test_scratch_folder(), "resumed");
    tiny_system a, b;
    create(NULL, &a);
    create(NULL, &b);
    scramble(a.session->model);
    const pfm_progress_state saved = {
        .step = 12, .tokens = 1234567890123, .samples = 99, .seconds = 0.1, .best_loss = 1.0 / 3, .best_step = 7};
    const pfm_run_identity identity = {"hash", "rows", "held back", "1024"}, others[] = {{"other", "rows", "held back", "1024"},
                                                                                         {"hash", "other", "held back", "1024"},
                                                                                         {"hash", "rows", "", "1024"},
                                                                                         {"hash", "rows", "held back", "512"}};
    static const char *const messages[] = {"another recipe, seed or precision", "trained on other rows", "validated on other",
                                           "other micro-batches"};
    pfm_progress_state loaded = {0};
    bool found = true;
    assert_ok(pfm_checkpoint_load(folder, &identity, b.session->model, &loaded, NULL, 0, &found, &err));
    assert_false(found);
    assert_ok(pfm_checkpoint_save(folder, &identity, a.session->model, &saved, NULL, 0, &err));
    assert_ok(pfm_checkpoint_load(folder, &identity, b.session->model, &loaded, NULL, 0, &found, &err));
    assert_true(found);
    assert_same_parameters(&a, &b, true);
    assert_memory_equal(&loaded, &saved, sizeof saved);
    for (int i = 0; i < 4; i++)
        assert_error(pfm_checkpoint_load(folder, &others[i], b.session->model, &loaded, NULL, 0, &found, &err),
                     PFM_ERROR_MISMATCH, messages[i]);
    tiny_system_free(&a);
    tiny_system_free(&b);
}

static void files_of_another_recipe_are_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = test_path(test_scratch_folder(), "mixed");
    static const char *const sets[] = {"peft.rank=4", "peft.targets=[q_proj]"};
    tiny_system a;
    create(NULL, &a);
    assert_error(pfm_run_load(folder, NULL, a.session->model, a.session->peft, &err), PFM_ERROR_IO, "holds no finished model");
    assert_ok(pfm_run_save(folder, "base", a.session->model, a.session->peft, &err));
    pfm_session *session = tiny_session(a.context, false, sets, 2);
    pfm_model_graph graph;
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 8, [PFM_DIM_ANSWERS] = 8, [PFM_DIM_VISUAL] = 4};
    assert_ok(pfm_model_build(session->model, capacity, false, false, &graph, &err));
    assert_ok(pfm_session_load_weights(session, &err));
    assert_error(pfm_run_load(folder, NULL, session->model, session->peft, &err), PFM_ERROR_MISMATCH,
                 "lora_A.weight, which the recipe does not know"); /* too many */
    pfm_model_graph_free(&graph);
    assert_ok(pfm_run_save(folder, "base", session->model, session->peft, &err));
    assert_error(pfm_run_load(folder, NULL, a.session->model, a.session->peft, &err), PFM_ERROR_MISMATCH,
                 "k_proj.lora_A.weight"); /* too few */
    pfm_session_free(session);
    const float one = 1; /* misshapen */
    pfm_weight weight = {.name = "proj.weight", .dtype = PFM_DTYPE_F32, .rank = 2, .shape = {1, 1}, .data = &one};
    assert_ok(pfm_safetensors_write(test_path(folder, "aligner.safetensors"), &weight, 1, NULL, 0, &err));
    assert_error(pfm_run_load(folder, NULL, a.session->model, a.session->peft, &err), PFM_ERROR_MISMATCH,
                 "proj.weight is not 32 x 5120");
    tiny_system_free(&a);
}

static void names_are_those_of_the_files(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char *name = NULL;
    const pfm_parameter aligner = {.name = (char *)(uintptr_t) "aligner.proj.weight"},
                        factor = {.name = (char *)(uintptr_t) "model.x.lora_A.weight"};
    char lora[] = "lora", q_proj[] = "q_proj", *targets[] = {q_proj};
    const pfm_peft_options options = {.method = lora, .rank = 1, .targets = targets, .target_count = 1};
    pfm_peft *peft = NULL;
    assert_ok(pfm_peft_create(&options, &peft, &err));
    assert_ok(pfm_run_tensor_name(peft, &aligner, &name, &err));
    assert_string_equal(name, "proj.weight");
    free(name);
    assert_ok(pfm_run_tensor_name(peft, &factor, &name, &err));
    assert_string_equal(name, "base_model.model.model.x.lora_A.weight");
    free(name);
    pfm_peft_free(peft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_saved_is_loaded),
        cmocka_unit_test(a_whole_checkpoint_is_gone_on_with),
        cmocka_unit_test(norms_are_saved_as_peft_saves_modules),
        cmocka_unit_test(biases_of_norms_stay_and_are_saved),
        cmocka_unit_test(a_checkpoint_holds_all_that_a_resume_needs),
        cmocka_unit_test(files_of_another_recipe_are_refused),
        cmocka_unit_test(names_are_those_of_the_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
