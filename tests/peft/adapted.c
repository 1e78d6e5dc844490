#include "adapted.h"

#include "formats/safetensors.h"
#include "nn/pack.h"
#include "pefomed/infer.h"
#include "train/run.h"

const char *golden_path(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/tests/peft/golden/%s", PFM_SOURCE_DIR, name);
    return path;
}

/* A model of the list as a folder; borrowed until the next of that name. */
static const char *write_model(const char *model)
{
    json_t *list = grid_load();
    grid_model grid;
    size_t number = 0;
    while (strcmp(json_string_value(json_object_get(json_array_get(list, number), "name")), model) != 0)
        number++;
    grid_model_create(list, number, GRID_NONE, &grid);
    const char *folder = grid_write(&grid, model, 0, 0, 1);
    grid_model_free(&grid);
    json_decref(list);
    return folder;
}

pfm_session *adapted_session(pfm_context *context, const char *model, const char *peft)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    pfm_session *session = NULL;
    char text[4096];
    int length = snprintf(text, sizeof text,
                          "model: {vision: efficientnet-lite0, image_size: 128, aligner: concat-linear, language: '%s'}\n"
                          "peft: %s\n"
                          "data: {dataset: phantom}\n",
                          write_model(model), peft);
    assert_in_range(length, 1, sizeof text - 1);
    assert_ok(pfm_recipe_parse(text, (size_t)length, "grid.yaml", NULL, 0, &recipe, &err));
    assert_ok(pfm_session_create_for_tensors(context, recipe, true, &session, &err));
    return session;
}

pfm_status adapted_build(pfm_session *session, pfm_model_graph *graph, pfm_error *err)
{
    const int64_t capacity[PFM_DIM_COUNT] = {
        [PFM_DIM_TOKENS] = GRID_TOKENS, [PFM_DIM_ANSWERS] = GRID_TOKENS, [PFM_DIM_VISUAL] = GRID_TOKENS};
    pfm_status status = pfm_model_build(session->model, capacity, false, true, graph, err);
    return status != PFM_OK ? status : pfm_session_load_weights(session, err);
}

void adapted_create(const char *model, const char *peft, const char *adapter, adapted *out)
{
    pfm_error err = PFM_ERROR_INIT;
    *out = (adapted){.context = tiny_context(NULL, 2, PFM_PRECISION_F32)};
    out->session = adapted_session(out->context, model, peft);
    assert_ok(adapted_build(out->session, &out->graph, &err));
    pfm_op_environment env = {
        .context = out->context, .kernels = out->context->kernels, .act = PFM_ACT_F32, .most_keys = GRID_TOKENS};
    assert_ok(pfm_executor_create(out->graph.graph, &env, out->graph.language.logits, &out->executor, &err));
    assert_ok(pfm_run_load_adapter(golden_path(adapter), out->session->model, out->session->peft, &err));
}

void adapted_free(adapted *a)
{
    pfm_executor_free(a->executor);
    pfm_model_graph_free(&a->graph);
    pfm_session_free(a->session);
    pfm_context_free(a->context);
}

static void run(adapted *a, bool ids, float *embeds)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_pack pack = {0};
    int32_t sequence[GRID_TOKENS], index[GRID_TOKENS];
    const pfm_language_config *config = &a->session->model->language;
    for (int32_t t = 0; t < GRID_TOKENS; t++) {
        sequence[t] = ids ? (t * 37 + 5) % (int32_t)config->vocabulary : -1 - t;
        index[t] = t;
    }
    tiny_spread(1, (size_t)(GRID_TOKENS * config->hidden), embeds);
    const pfm_sequence row = {.ids = sequence, .count = GRID_TOKENS, .answer = GRID_TOKENS};
    const pfm_pack_options options = {.share = true, .inference = true};
    assert_ok(pfm_pack_rows(&pack, &row, 1, &options, &err));
    assert_ok(pfm_model_bind(a->session->model, &a->graph, a->executor, &pack, ids ? 0 : GRID_TOKENS, &err));
    assert_ok(pfm_executor_resize(a->executor, PFM_DIM_ANSWERS, GRID_TOKENS, &err));
    pfm_executor_bind(a->executor, a->graph.language.index, index);
    pfm_executor_bind(a->executor, a->graph.language.visual, embeds);
    pfm_executor_forward(a->executor);
    tiny_spread(2, (size_t)(GRID_TOKENS * config->vocabulary), pfm_executor_gradient(a->executor, a->graph.language.logits));
    pfm_executor_backward(a->executor);
    pfm_pack_free(&pack);
}

static void compare(const pfm_weights *golden, const char *prefix, const char *name, const float *values, size_t count,
                    double bound)
{
    pfm_error err = PFM_ERROR_INIT;
    char full[256];
    (void)snprintf(full, sizeof full, "%s.%s", prefix, name);
    const pfm_weight *weight = pfm_weights_find(golden, full);
    if (weight == NULL || pfm_weight_values(weight) != count)
        fail_msg("%s is not among the golden tensors, or misshapen", full);
    float *wanted = calloc(count, sizeof *wanted);
    assert_non_null(wanted);
    assert_ok(pfm_weight_expand(weight, wanted, &err));
    assert_near(full, values, wanted, count, bound);
    free(wanted);
}

static void compare_gradient(const adapted *a, const pfm_parameter *p, const pfm_weights *golden, const char *prefix)
{
    pfm_error err = PFM_ERROR_INIT;
    const size_t count = (size_t)(p->n * p->k);
    char *name = NULL, full[256];
    float *gradient = calloc(count, sizeof *gradient);
    assert_non_null(gradient);
    memcpy(gradient, p->gradient, count * sizeof *gradient);
    if (p->transposed)
        pfm_weight_transpose(p->gradient, p->n, p->k, gradient);
    assert_ok(pfm_run_tensor_name(a->session->peft, p, &name, &err));
    (void)snprintf(full, sizeof full, "%s.grad", name);
    compare(golden, prefix, full, gradient, count, 1e-4);
    free(gradient);
    free(name);
}

void adapted_run_and_compare(adapted *a, bool ids, const pfm_weights *golden, const char *prefix)
{
    enum { WIDEST = 64 };
    float embeds[GRID_TOKENS * WIDEST];
    const pfm_model *model = a->session->model;
    const size_t logits = (size_t)(GRID_TOKENS * model->language.vocabulary);
    int compared = 0;
    assert_true(model->language.hidden <= WIDEST);
    run(a, ids, embeds);
    compare(golden, prefix, "logits", pfm_executor_data(a->executor, a->graph.language.logits), logits, 1e-5);
    if (!ids)
        compare(golden, prefix, "grad_in", pfm_executor_gradient(a->executor, a->graph.language.visual),
                (size_t)(GRID_TOKENS * model->language.hidden), 1e-4);
    for (int i = 0; i < pfm_parameters_count(model->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(model->parameters, i);
        if (p->gradient == NULL || p->part != PFM_PART_PEFT)
            continue;
        compare_gradient(a, p, golden, prefix);
        compared++;
    }
    assert_true(compared > 0);
}

void assert_forward_gives(const char *model, const char *name, bool ids, const pfm_weights *golden)
{
    enum { WIDEST = 64, VOCABULARY = 61 };
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *made = NULL;
    float embeds[GRID_TOKENS * WIDEST], logits[GRID_TOKENS * VOCABULARY];
    int64_t tokens[GRID_TOKENS];
    char in[256], out[256], folder[256], given[64];
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    (void)snprintf(in, sizeof in, "%s/in.safetensors", test_scratch_folder());
    (void)snprintf(out, sizeof out, "%s/out.safetensors", test_scratch_folder());
    (void)snprintf(folder, sizeof folder, "%s", write_model(model));
    for (int t = 0; t < GRID_TOKENS; t++)
        tokens[t] = (t * 37 + 5) % VOCABULARY;
    pfm_weight tensor = {.name = "input_ids", .dtype = PFM_DTYPE_I64, .rank = 1, .shape = {GRID_TOKENS}, .data = tokens};
    (void)snprintf(given, sizeof given, "%s.grad_in", name);
    if (!ids) { /* as wide as what they get back */
        const size_t count = pfm_weight_values(pfm_weights_find(golden, given));
        tiny_spread(1, count, embeds);
        tensor = (pfm_weight){.name = "inputs_embeds",
                              .dtype = PFM_DTYPE_F32,
                              .rank = 2,
                              .shape = {GRID_TOKENS, (int64_t)count / GRID_TOKENS},
                              .data = embeds};
    }
    assert_ok(pfm_safetensors_write(in, &tensor, 1, NULL, 0, &err));
    const pfm_forward_options options = {.model = folder, .input = in, .output = out, .adapter = golden_path(name)};
    assert_ok(pfm_forward(context, &options, &err));
    assert_ok(pfm_weights_open(out, &made, &err));
    assert_int_equal(pfm_weight_values(pfm_weights_find(made, "logits")), GRID_TOKENS * VOCABULARY);
    assert_ok(pfm_weight_expand(pfm_weights_find(made, "logits"), logits, &err));
    compare(golden, name, "logits", logits, GRID_TOKENS * VOCABULARY, 1e-5);
    pfm_weights_close(made);
    pfm_context_free(context);
}

void assert_saved_is(const adapted *a, const char *adapter)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *ours = NULL, *theirs = NULL;
    char path[600], folder[256];
    (void)snprintf(folder, sizeof folder, "%s/saved_%s", test_scratch_folder(), adapter);
    assert_ok(pfm_run_save(folder, "base", a->session->model, a->session->peft, &err));
    (void)snprintf(path, sizeof path, "%s/adapter_model.safetensors", golden_path(adapter));
    assert_ok(pfm_weights_open(path, &theirs, &err));
    (void)snprintf(path, sizeof path, "%s/adapter/adapter_model.safetensors", folder);
    assert_ok(pfm_weights_open(path, &ours, &err));
    assert_int_equal(pfm_weights_count(ours), pfm_weights_count(theirs));
    for (size_t i = 0; i < pfm_weights_count(ours); i++) {
        const pfm_weight *x = pfm_weights_at(ours, i), *y = pfm_weights_find(theirs, x->name);
        if (y == NULL || x->rank != y->rank || x->bytes != y->bytes || memcmp(x->data, y->data, x->bytes) != 0)
            fail_msg("%s: %s is not what it was read from", adapter, x->name);
    }
    pfm_weights_close(ours);
    pfm_weights_close(theirs);
}
