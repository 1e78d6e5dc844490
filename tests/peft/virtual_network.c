#include "virtual_network.h"

#include "base/file.h"
#include "formats/safetensors.h"
#include "models/grid.h"
#include "train/run.h"

const golden_prompts all_golden_prompts[GOLDEN_PROMPTS] = {
    {"prompt_tuning", "prompt_tuning", 5, 0, false},     {"p_tuning", "p_tuning", 6, 24, false},
    {"prefix_tuning", "prefix_tuning", 5, 0, false},     {"prefix_tuning_encoded", "prefix_tuning", 4, 24, false},
    {"gpt2_prompt_tuning", "prompt_tuning", 3, 0, true}, {"gpt2_prefix_tuning", "prefix_tuning", 3, 0, true}};

static pfm_weights *open_golden(void)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    assert_ok(pfm_weights_open(tiny_path("prompts.safetensors"), &weights, &err));
    return weights;
}

float *prompts_golden(const golden_prompts *p, const char *what, size_t *count)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = open_golden();
    char name[128];
    (void)snprintf(name, sizeof name, "%s.%s", p->name, what);
    const pfm_weight *weight = pfm_weights_find(weights, name);
    if (weight == NULL)
        fail_msg("prompts.safetensors lacks %s", name);
    const size_t values = pfm_weight_values(weight);
    float *out = calloc(values, sizeof *out);
    assert_non_null(out);
    assert_ok(pfm_weight_expand(weight, out, &err));
    pfm_weights_close(weights);
    if (count != NULL)
        *count = values;
    return out;
}

const char *prompts_folder(const golden_prompts *p)
{
    char name[64];
    (void)snprintf(name, sizeof name, "prompts/%s", p->name);
    return tiny_path(name);
}

/* NAME.TENSOR of the golden file as TENSOR, where it is one that PEFT keeps or the encoder's own. */
static bool take(const golden_prompts *p, const pfm_weight *from, pfm_weight *to)
{
    const size_t length = strlen(p->name), all = strlen(from->name);
    if (strncmp(from->name, p->name, length) != 0 || from->name[length] != '.')
        return false;
    const char *name = from->name + length + 1;
    if (strncmp(name, "prompt_", 7) != 0 || strcmp(from->name + all - 5, ".grad") == 0)
        return false;
    *to = *from;
    to->name = name;
    return true;
}

const char *prompts_folder_with_encoder(const golden_prompts *p)
{
    static char folder[256];
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *golden = open_golden();
    pfm_weight tensors[16];
    size_t count = 0;
    for (size_t i = 0; i < pfm_weights_count(golden); i++)
        count += take(p, pfm_weights_at(golden, i), &tensors[count]);
    assert_true(count > 1 && count < 16);
    (void)snprintf(folder, sizeof folder, "%s/%s", test_scratch_folder(), p->name);
    assert_ok(pfm_folder_create(folder, &err));
    assert_ok(pfm_safetensors_write(test_path(folder, "adapter_model.safetensors"), tensors, count, NULL, 0, &err));
    pfm_weights_close(golden);
    return folder;
}

static const char *gpt2_folder(void)
{
    static char folder[256];
    json_t *list = grid_load();
    for (size_t i = 0; i < json_array_size(list) && folder[0] == '\0'; i++) {
        grid_model model;
        grid_model_create(list, i, GRID_NONE, &model);
        if (strcmp(model.name, "gpt2") == 0)
            (void)snprintf(folder, sizeof folder, "%s", grid_write(&model, "gpt2", 0, 0, 1));
        grid_model_free(&model);
    }
    json_decref(list);
    return folder;
}

static pfm_session *open_session(pfm_context *context, const golden_prompts *p, int encoder, bool training, const char *more)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    pfm_session *session = NULL;
    char text[2048], hidden[40] = "";
    if (strcmp(p->method, "prompt_tuning") != 0)
        (void)snprintf(hidden, sizeof hidden, ", encoder_hidden: %d", encoder);
    const int length = snprintf(text, sizeof text,
                                "model: {vision: efficientnet-lite0, image_size: 128, aligner: concat-linear, language: '%s'}\n"
                                "peft: {method: %s, virtual_tokens: %d%s%s}\n"
                                "data: {dataset: phantom}\n",
                                p->gpt2 ? gpt2_folder() : tiny_path("llama"), p->method, p->tokens, hidden, more);
    assert_in_range(length, 1, sizeof text - 1);
    assert_ok(pfm_recipe_parse(text, (size_t)length, "prompts.yaml", NULL, 0, &recipe, &err));
    if (p->gpt2) /* which has no tokenizer */
        assert_ok(pfm_session_create_for_tensors(context, recipe, training, &session, &err));
    else
        assert_ok(pfm_session_create(context, recipe, training, &session, &err));
    return session;
}

void network_create(const golden_prompts *p, int encoder, bool training, const char *adapter, const char *more,
                    pfm_precision precision, network *out)
{
    pfm_error err = PFM_ERROR_INIT;
    *out = (network){.context = tiny_context(NULL, 2, precision)};
    out->session = open_session(out->context, p, encoder, training, more);
    pfm_model *model = out->session->model;
    const int64_t all = p->tokens + NETWORK_TOKENS;
    const int64_t capacity[PFM_DIM_COUNT] = {
        [PFM_DIM_TOKENS] = all, [PFM_DIM_ANSWERS] = NETWORK_TOKENS, [PFM_DIM_VISUAL] = NETWORK_TOKENS};
    assert_true(p->tokens <= NETWORK_MOST_VIRTUAL && model->language.hidden <= NETWORK_MOST_WIDTH);
    assert_int_equal(model->virtual_tokens, p->tokens);
    assert_ok(pfm_model_build(model, capacity, false, true, &out->graph, &err));
    assert_ok(pfm_session_load_weights(out->session, &err));
    if (adapter != NULL && !pfm_path_exists(test_path(adapter, "adapter_config.json"))) /* tensors alone, made by a test */
        assert_ok(pfm_file_write(test_path(adapter, "adapter_config.json"), "{}", 2, &err));
    if (adapter != NULL)
        assert_ok(pfm_run_load_adapter(adapter, model, out->session->peft, &err));
    const pfm_op_environment env = {
        .context = out->context, .kernels = out->context->kernels, .act = model->act, .most_keys = (int32_t)all};
    assert_ok(pfm_executor_create(out->graph.graph, &env, training ? out->graph.language.logits : PFM_NO_VALUE, &out->executor,
                                  &err));
    tiny_spread(1, (size_t)(NETWORK_TOKENS * model->language.hidden), out->embeds);
}

void network_free(network *n)
{
    pfm_pack_free(&n->pack);
    pfm_executor_free(n->executor);
    pfm_model_graph_free(&n->graph);
    pfm_session_free(n->session);
    pfm_context_free(n->context);
}

size_t network_count_logits(const network *n) { return NETWORK_TOKENS * (size_t)n->session->model->language.vocabulary; }

const float *network_run(network *n, bool by_ids)
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_model *model = n->session->model;
    const int32_t before = model->virtual_tokens;
    for (int32_t v = 0; v < before; v++)
        n->ids[v] = PFM_FIRST_VIRTUAL - v;
    for (int32_t t = 0; t < NETWORK_TOKENS; t++) {
        n->ids[before + t] = by_ids ? (t * 37 + 5) % (int32_t)model->language.vocabulary : -1 - t;
        n->index[t] = before + t;
    }
    const size_t all = (size_t)before + NETWORK_TOKENS;
    const pfm_sequence row = {.ids = n->ids, .count = all, .answer = all};
    const pfm_pack_options options = {.inference = true};
    assert_ok(pfm_pack_rows(&n->pack, &row, 1, &options, &err));
    assert_ok(pfm_model_bind(model, &n->graph, n->executor, &n->pack, NETWORK_TOKENS, &err));
    assert_ok(pfm_executor_resize(n->executor, PFM_DIM_ANSWERS, NETWORK_TOKENS, &err));
    pfm_executor_bind(n->executor, n->graph.language.index, n->index);
    pfm_executor_bind(n->executor, n->graph.language.visual, n->embeds);
    pfm_executor_forward(n->executor);
    return pfm_executor_data(n->executor, n->graph.language.logits);
}

void network_run_backward(network *n)
{
    float *gradient = pfm_executor_gradient(n->executor, n->graph.language.logits);
    assert_non_null(gradient);
    pfm_parameters_zero_gradients(n->session->model->parameters);
    (void)network_run(n, false);
    tiny_spread(2, network_count_logits(n), gradient);
    pfm_executor_backward(n->executor);
}
