/* Every family of language models against transformers (script/vectors/language_families.py), on a grid of small random models:
 * logits, the gradient of the embeddings, 64 greedy tokens with stored keys and values, in f32; each of its tensors is read;
 * the same model from every format; and files that are no such model. */
#include "grid.h"

#include "base/file.h"
#include "formats/safetensors.h"
#include "models/language/language.h"
#include "nn/executor.h"
#include "nn/pack.h"
#include "pefomed/infer.h"

#include <math.h>

typedef struct fixture {
    json_t *list;
    pfm_context *context;
} fixture;

static fixture shared;

static int set_up(void **state)
{
    (void)state;
    shared = (fixture){.list = grid_load(), .context = tiny_context(NULL, 2, PFM_PRECISION_F32)};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(shared.list);
    pfm_context_free(shared.context);
    return 0;
}

/* ---- forward ---- */

static pfm_status forward(const char *model, const pfm_weight *in, size_t count, const char *adapter, bool grad,
                          pfm_weights **out, pfm_error *err)
{
    char to[256];
    (void)snprintf(to, sizeof to, "%s", test_path(test_scratch_folder(), "out.safetensors"));
    const char *from = test_path(test_scratch_folder(), "in.safetensors");
    pfm_status status = pfm_safetensors_write(from, in, count, NULL, 0, err);
    pfm_forward_options options = {.model = model, .input = from, .output = to, .adapter = adapter, .grad = grad};
    if (status == PFM_OK)
        status = pfm_forward(shared.context, &options, err);
    return status == PFM_OK && out != NULL ? pfm_weights_open(to, out, err) : status;
}

/* The script's embeddings, and the gradient of the logits. */
static pfm_status forward_embeds(const char *path, int64_t hidden, int64_t vocabulary, const char *adapter, pfm_weights **out,
                                 pfm_error *err)
{
    float embeds[GRID_TOKENS * 64], grad[GRID_TOKENS * 64];
    assert_true(hidden <= 64 && vocabulary <= 64);
    tiny_spread(1, (size_t)(GRID_TOKENS * hidden), embeds);
    tiny_spread(2, (size_t)(GRID_TOKENS * vocabulary), grad);
    const pfm_weight in[] = {
        {.name = "inputs_embeds", .dtype = PFM_DTYPE_F32, .rank = 2, .shape = {GRID_TOKENS, hidden}, .data = embeds},
        {.name = "grad_out", .dtype = PFM_DTYPE_F32, .rank = 2, .shape = {GRID_TOKENS, vocabulary}, .data = grad}};
    return forward(path, in, 2, adapter, true, out, err);
}

/* The logits behind the script's prompt, of its last token; the caller frees. */
static pfm_status forward_ids(const char *path, int64_t vocabulary, float **logits, pfm_error *err)
{
    int64_t ids[GRID_PROMPT];
    pfm_weights *out = NULL;
    for (int i = 0; i < GRID_PROMPT; i++)
        ids[i] = (i * 37 + 5) % vocabulary;
    const pfm_weight in = {.name = "input_ids", .dtype = PFM_DTYPE_I64, .rank = 1, .shape = {GRID_PROMPT}, .data = ids};
    pfm_status status = forward(path, &in, 1, NULL, false, logits != NULL ? &out : NULL, err);
    if (status != PFM_OK || logits == NULL)
        return status;
    *logits = calloc((size_t)vocabulary, sizeof **logits);
    assert_non_null(*logits);
    status = pfm_weight_expand_rows(pfm_weights_find(out, "logits"), GRID_PROMPT - 1, 1, *logits, err);
    pfm_weights_close(out);
    return status;
}

static void compare(const grid_model *model, const pfm_weights *made, const char *name, const char *golden_name)
{
    pfm_error err = PFM_ERROR_INIT;
    char label[256];
    int64_t shape[2];
    float *golden = grid_golden(model, golden_name, shape);
    const pfm_weight *weight = pfm_weights_find(made, name);
    (void)snprintf(label, sizeof label, "%s: %s", model->name, golden_name);
    if (weight == NULL || pfm_weight_values(weight) != (size_t)(shape[0] * shape[1]))
        fail_msg("%s is missing or misshapen", label);
    float *values = calloc(pfm_weight_values(weight), sizeof *values);
    assert_non_null(values);
    assert_ok(pfm_weight_expand(weight, values, &err));
    assert_near(label, values, golden, pfm_weight_values(weight), 1e-4);
    free(golden);
    free(values);
}

/* A file or folder that holds the model, whatever its format. */
static void check_values(const grid_model *model, const char *path)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *made = NULL;
    int64_t logits[2], grad[2];
    free(grid_golden(model, "logits", logits));
    free(grid_golden(model, "grad_in", grad));
    assert_ok(forward_embeds(path, grad[1], logits[1], NULL, &made, &err));
    compare(model, made, "logits", "logits");
    compare(model, made, "grad_in", "grad_in");
    pfm_weights_close(made);
    float *golden = grid_golden(model, "ids_logits", NULL), *values = NULL;
    assert_ok(forward_ids(path, logits[1], &values, &err));
    assert_near(model->name, values, golden, (size_t)logits[1], 1e-4);
    free(golden);
    free(values);
}

static void each_model(void (*body)(const grid_model *model, size_t number))
{
    for (size_t i = 0; i < json_array_size(shared.list); i++) {
        grid_model model;
        grid_model_create(shared.list, i, GRID_NONE, &model);
        body(&model, i);
        grid_model_free(&model);
    }
}

static void check_folder(const grid_model *model, size_t number)
{
    (void)number;
    check_values(model, grid_write(model, "folder", 0, 0, 1));
}

static void logits_and_gradients_are_transformers(void **state)
{
    (void)state;
    each_model(check_folder);
}

static void check_gguf(const grid_model *model, size_t number)
{
    (void)number;
    if (!json_is_null(model->gguf))
        check_values(model, grid_write_gguf(model));
}

static void gguf_is_the_same_model(void **state)
{
    (void)state;
    each_model(check_gguf);
}

static void check_shards(const grid_model *model, size_t number)
{
    if (number % 4 == 0)
        check_values(model, grid_write(model, "shards", 0, 0, 3));
}

static void shards_are_the_same_model(void **state)
{
    (void)state;
    each_model(check_shards);
}

static void check_torch(const grid_model *model, size_t number)
{
    static const char *const names[] = {"pytorch_model.bin", "model.pth"};
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer bytes = {0};
    (void)number;
    if (strcmp(model->name, "gpt2") != 0)
        return;
    assert_ok(pfm_file_read(tiny_path("families_gpt2.bin"), 0, &bytes, &err));
    for (size_t i = 0; i < 2; i++) {
        char folder[256];
        (void)snprintf(folder, sizeof folder, "%s", test_path(test_scratch_folder(), i == 0 ? "bin" : "pth"));
        assert_ok(pfm_folder_create(folder, &err));
        assert_ok(pfm_json_save(test_path(folder, "config.json"), model->config, &err));
        assert_ok(pfm_file_write(test_path(folder, names[i]), bytes.data, bytes.size, &err));
        check_values(model, folder);
    }
    pfm_buffer_free(&bytes);
}

/* With the tied head repeated, and the masks that old GPT-2 files hold. */
static void torch_files_are_the_same_model(void **state)
{
    (void)state;
    each_model(check_torch);
}

static void check_bare(const grid_model *model, size_t number)
{
    (void)number;
    if (!json_is_true(json_object_get(model->config, "tie_word_embeddings")) || strncmp(model->name, "phi", 3) == 0)
        return; /* the head is a tensor of its own */
    grid_model bare = *model;
    for (size_t t = 0; t < bare.count; t++)
        bare.tensors[t].name = strchr(bare.tensors[t].name, '.') + 1;
    check_values(model, grid_write(&bare, "bare", 0, 0, 1));
}

static void a_file_without_the_head_lacks_a_prefix(void **state)
{
    (void)state;
    each_model(check_bare);
}

static size_t number_of(const char *name)
{
    for (size_t i = 0; i < json_array_size(shared.list); i++) {
        if (strcmp(json_string_value(json_object_get(json_array_get(shared.list, i), "name")), name) == 0)
            return i;
    }
    fail_msg("families.json has no model %s", name);
    return 0;
}

static void conv1d_takes_lora_as_peft_does(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const modules[] = {"attn.c_attn", "mlp.c_proj"};
    grid_model model;
    pfm_weights *made = NULL;
    int64_t hidden[2];
    grid_model_create(shared.list, number_of("gpt2"), GRID_NONE, &model);
    free(grid_golden(&model, "grad_in", hidden));
    const char *folder = grid_write(&model, "folder", 0, 0, 1);
    assert_ok(forward_embeds(folder, hidden[1], 61, tiny_path("families_adapter"), &made, &err));
    compare(&model, made, "logits", "adapter.logits");
    for (int layer = 0; layer < 2; layer++) {
        for (int m = 0; m < 4; m++) {
            char name[160], golden[200];
            (void)snprintf(name, sizeof name, "base_model.model.transformer.h.%d.%s.lora_%c.weight.grad", layer, modules[m / 2],
                           m % 2 == 0 ? 'A' : 'B');
            (void)snprintf(golden, sizeof golden, "adapter.%s", name);
            compare(&model, made, name, golden);
        }
    }
    assert_true(pfm_language_transposes(&pfm_language_gpt2));
    assert_false(pfm_language_transposes(&pfm_language_llama));
    pfm_weights_close(made);
    grid_model_free(&model);
}

/* ---- tokens ---- */

/* A language model alone that reads a prompt and goes on token by token. */
typedef struct decoder {
    pfm_language_config config;
    pfm_parameters *parameters;
    pfm_graph *graph;
    pfm_language_values values;
    pfm_executor *executor;
    pfm_kv_store kv;
    float *rope, *memory;
} decoder;

static void decoder_create(const char *path, bool with_loss, decoder *d)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = GRID_PROMPT, [PFM_DIM_ANSWERS] = 1, [PFM_DIM_VISUAL] = 1};
    *d = (decoder){.values = {.visual = PFM_NO_VALUE}};
    assert_ok(pfm_weights_open(path, &weights, &err));
    assert_ok(pfm_language_read_config(weights, &d->config, &err));
    assert_ok(pfm_parameters_create(shared.context, PFM_ACT_F32, false, &d->parameters, &err));
    assert_ok(pfm_graph_create(d->parameters, capacity, &d->graph, &err));
    pfm_builder builder = {.graph = d->graph, .token_keys = PFM_NO_VALUE};
    assert_ok(pfm_language_build(&builder, &d->config, with_loss, &d->values, &err));
    assert_ok(pfm_parameters_allocate(d->parameters, &err));
    assert_ok(pfm_language_load(weights, &d->config, d->parameters, &err));
    assert_ok(pfm_language_rope_table(&d->config, d->config.context, &d->rope, &err));
    pfm_op_environment env = {.context = shared.context,
                              .kernels = shared.context->kernels,
                              .act = PFM_ACT_F32,
                              .most_keys = GRID_PROMPT + GRID_NEW_TOKENS};
    assert_ok(pfm_executor_create(d->graph, &env, PFM_NO_VALUE, &d->executor, &err));
    d->kv.columns = (size_t)d->config.kv_heads * (size_t)d->config.head_dim;
    d->kv.layer_stride = (GRID_PROMPT + GRID_NEW_TOKENS) * d->kv.columns;
    d->memory = calloc(2 * (size_t)d->config.layers * d->kv.layer_stride, sizeof *d->memory);
    assert_non_null(d->memory);
    d->kv.keys = d->memory;
    d->kv.values = d->memory + (size_t)d->config.layers * d->kv.layer_stride;
    pfm_weights_close(weights);
}

static void decoder_free(decoder *d)
{
    pfm_executor_free(d->executor);
    pfm_graph_free(d->graph);
    pfm_parameters_free(d->parameters);
    free(d->rope);
    free(d->memory);
}

/* Reads ids[0..count-1] behind `past` tokens: what it makes of the last one, logits or the loss of `target`. */
static const float *decoder_run(decoder *d, const int32_t *ids, int32_t count, int32_t past, int32_t target)
{
    pfm_error err = PFM_ERROR_INIT;
    int32_t positions[GRID_PROMPT], index = count - 1;
    bool with_loss = d->values.loss != PFM_NO_VALUE;
    const int32_t roots[] = {0, 1};
    const pfm_attention_span span = {.q_end = count, .own_past = past};
    for (int32_t t = 0; t < count; t++)
        positions[t] = past + t;
    assert_ok(pfm_executor_resize(d->executor, PFM_DIM_TOKENS, count, &err));
    pfm_executor_bind(d->executor, d->values.ids, ids);
    pfm_executor_bind(d->executor, d->values.positions, positions);
    if (d->values.rope != PFM_NO_VALUE)
        pfm_executor_bind(d->executor, d->values.rope, d->rope);
    pfm_executor_bind(d->executor, d->values.index, &index);
    if (with_loss)
        pfm_executor_bind(d->executor, d->values.targets, &target);
    d->kv.rows = positions;
    pfm_op_environment *env = pfm_executor_environment(d->executor);
    env->attention[PFM_ATTENTION_SEQUENCE] =
        (pfm_attention_set){.spans = &span, .span_count = 1, .roots = roots, .root_count = 1};
    env->most_keys = past + count;
    env->kv = &d->kv;
    pfm_executor_forward(d->executor);
    return pfm_executor_data(d->executor, with_loss ? d->values.loss : d->values.logits);
}

/* The likeliest next token. */
static int32_t decoder_step(decoder *d, const int32_t *ids, int32_t count, int32_t past)
{
    int32_t best = 0;
    const float *logits = decoder_run(d, ids, count, past, 0);
    for (int32_t v = 1; v < d->config.vocabulary; v++)
        best = logits[v] > logits[best] ? v : best;
    return best;
}

static void check_tokens(const grid_model *model, size_t number)
{
    decoder d;
    (void)number;
    float *golden = grid_golden(model, "tokens", NULL);
    int32_t ids[GRID_PROMPT + GRID_NEW_TOKENS], count = GRID_PROMPT, past = 0;
    for (int i = 0; i < GRID_PROMPT; i++)
        ids[i] = (int32_t)golden[i];
    decoder_create(grid_write(model, "folder", 0, 0, 1), false, &d);
    for (int i = GRID_PROMPT; i < GRID_PROMPT + GRID_NEW_TOKENS; i++) {
        ids[i] = decoder_step(&d, ids + past, count, past);
        past = i;
        count = 1;
        if (ids[i] != (int32_t)golden[i])
            fail_msg("%s: token %d behind the prompt is %d, transformers has %d", model->name, i - GRID_PROMPT, (int)ids[i],
                     (int)golden[i]);
    }
    decoder_free(&d);
    free(golden);
}

static void greedy_tokens_are_transformers(void **state)
{
    (void)state;
    each_model(check_tokens);
}

static void check_loss(const grid_model *model, size_t number)
{
    decoder d;
    double sum = 0;
    const int32_t target = 11;
    int32_t ids[GRID_PROMPT];
    (void)number;
    float *golden = grid_golden(model, "tokens", NULL), *logits = grid_golden(model, "ids_logits", NULL);
    for (int i = 0; i < GRID_PROMPT; i++)
        ids[i] = (int32_t)golden[i];
    decoder_create(grid_write(model, "folder", 0, 0, 1), true, &d);
    const double loss = decoder_run(&d, ids, GRID_PROMPT, 0, target)[0];
    for (int64_t v = 0; v < d.config.vocabulary; v++)
        sum += exp(logits[v]);
    if (!(fabs(loss - (log(sum) - logits[target])) < 1e-3))
        fail_msg("%s: the loss is %.6f, by its logits %.6f", model->name, loss, log(sum) - logits[target]);
    decoder_free(&d);
    free(golden);
    free(logits);
}

static void the_loss_is_that_of_the_logits(void **state)
{
    (void)state;
    each_model(check_loss);
}

/* ---- every tensor counts ---- */

static void check_each_tensor(const grid_model *model, size_t number)
{
    pfm_error err = PFM_ERROR_INIT;
    int64_t shape[2];
    free(grid_golden(model, "logits", shape));
    float *golden = grid_golden(model, "ids_logits", NULL);
    for (size_t t = 0; t < model->count; t++) {
        grid_model changed;
        float *values = NULL;
        grid_model_create(shared.list, number, (int)t, &changed);
        assert_ok(forward_ids(grid_write(&changed, "changed", 0, 0, 1), shape[1], &values, &err));
        double distance = tiny_distance(values, golden, (size_t)shape[1]);
        if (!(distance > 1e-3))
            fail_msg("%s: another %s moves the logits by %.3g only", model->name, model->tensors[t].name, distance);
        free(values);
        grid_model_free(&changed);
    }
    free(golden);
}

static void every_tensor_moves_the_logits(void **state)
{
    (void)state;
    each_model(check_each_tensor);
}

static void check_missing(const grid_model *model, size_t number)
{
    pfm_error err = PFM_ERROR_INIT;
    grid_model more = *model;
    (void)number;
    for (size_t t = 0; t < model->count; t++)
        assert_error(forward_ids(grid_write(model, "lacking", t, 1, 1), 50, NULL, &err), PFM_ERROR_MISMATCH,
                     model->tensors[t].name);
    more.tensors[more.count] = more.tensors[0];
    more.tensors[more.count++].name = "model.layers.0.surplus.weight";
    assert_error(forward_ids(grid_write(&more, "surplus", 0, 0, 1), 50, NULL, &err), PFM_ERROR_MISMATCH, "surplus");
}

static void missing_and_extra_tensors_are_named(void **state)
{
    (void)state;
    each_model(check_missing);
}

/* ---- configurations ---- */

/* Reading a model whose config.json has another value (JSON) at a key. */
static pfm_status read_changed(const char *name, const char *key, const char *value, pfm_language_config *config,
                               pfm_error *err)
{
    grid_model model;
    pfm_weights *weights = NULL;
    grid_model_create(shared.list, number_of(name), GRID_NONE, &model);
    json_t *changed = json_deep_copy(model.config);
    assert_int_equal(json_object_set_new(changed, key, json_loads(value, JSON_DECODE_ANY, NULL)), 0);
    model.config = changed;
    pfm_status status = pfm_weights_open(grid_write(&model, "folder", 0, 0, 1), &weights, err);
    if (status == PFM_OK)
        status = pfm_language_read_config(weights, config, err);
    pfm_weights_close(weights);
    json_decref(changed);
    grid_model_free(&model);
    return status;
}

static void what_is_not_computed_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *model, *key, *value;
        pfm_status status;
    } table[] = {{"llama", "hidden_act", "\"tanh\"", PFM_ERROR_UNSUPPORTED},
                 {"llama", "attention_bias", "1", PFM_ERROR_FORMAT},
                 {"llama", "rope_scaling", "{\"type\": \"linear\", \"factor\": 2}", PFM_ERROR_UNSUPPORTED},
                 {"mistral", "sliding_window", "-1", PFM_ERROR_FORMAT},
                 {"mistral", "rms_norm_eps", "0", PFM_ERROR_FORMAT},
                 {"qwen2", "num_key_value_heads", "3", PFM_ERROR_FORMAT},
                 {"qwen2", "partial_rotary_factor", "0.5", PFM_ERROR_UNSUPPORTED},
                 {"phi_fused", "num_key_value_heads", "2", PFM_ERROR_UNSUPPORTED},
                 {"phi_norms", "partial_rotary_factor", "0.3", PFM_ERROR_FORMAT}, /* 3 of 10 columns */
                 {"gpt2", "scale_attn_weights", "false", PFM_ERROR_UNSUPPORTED},
                 {"gpt2", "scale_attn_by_inverse_layer_idx", "true", PFM_ERROR_UNSUPPORTED},
                 {"gpt2", "add_cross_attention", "true", PFM_ERROR_UNSUPPORTED},
                 {"gpt2", "n_head", "5", PFM_ERROR_FORMAT},
                 {"stablelm", "qk_layernorm", "true", PFM_ERROR_UNSUPPORTED}};
    static const char *const words[] = {
        "hidden_act", "attention_bias",        "rope_scaling",    "sliding_window", "rms_norm_eps",
        "share",      "partial_rotary_factor", "query_key_value", "pairs",          "scale_attn_weights",
        "inverse",    "add_cross_attention",   "multiple",        "qk_layernorm"};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_language_config config;
        assert_error(read_changed(table[i].model, table[i].key, table[i].value, &config, &err), table[i].status, words[i]);
    }
}

/* Attention to the latest tokens only is plain attention as long as there are no more. */
static void a_window_ends_the_context(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_language_config config;
    assert_ok(read_changed("mistral", "sliding_window", "8", &config, &err));
    assert_int_equal(config.context, 8);
    assert_ok(read_changed("mistral", "sliding_window", "null", &config, &err));
    assert_int_equal(config.context, 96);
    assert_ok(read_changed("qwen2", "sliding_window", "8", &config, &err)); /* not used */
    assert_int_equal(config.context, 96);
    assert_ok(read_changed("qwen2_tied", "sliding_window", "8", &config, &err));
    assert_int_equal(config.context, 8);
    assert_ok(read_changed("qwen2_tied", "layer_types", "[\"full_attention\", \"full_attention\"]", &config, &err));
    assert_int_equal(config.context, 96);
    assert_ok(read_changed("qwen2_tied", "use_sliding_window", "false", &config, &err));
    assert_int_equal(config.context, 96);
}

/* Parameters as transformers counts them. */
static void known_models_are_as_large_as_published(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t parameters;
    } known[] = {{"smollm2-135m-instruct", 134515008},
                 {"smollm2-360m-instruct", 361821120},
                 {"smollm2-1.7b-instruct", 1711376384},
                 {"tinyllama", 1100048384},
                 {"llama-2-7b-chat", 6738415616},
                 {"vicuna-7b-v1.5", 6738415616},
                 {"llama-3-8b-instruct", 8030261248},
                 {"mistral-7b-instruct", 7241732096},
                 {"qwen2.5-0.5b-instruct", 494032768},
                 {"qwen2.5-1.5b-instruct", 1543714304},
                 {"phi-2", 2779683840},
                 {"gpt2", 124439808},
                 {"tinygpt-v-phi-2", 2779683840 + 32 * (2560 + 4 * 80)}};
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 1, [PFM_DIM_ANSWERS] = 1, [PFM_DIM_VISUAL] = 1};
    pfm_language_config config;
    pfm_error err = PFM_ERROR_INIT;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        pfm_parameters *parameters = NULL;
        pfm_graph *graph = NULL;
        pfm_language_values values = {.visual = PFM_NO_VALUE};
        assert_ok(pfm_language_known(known[i].name, &config, &err));
        assert_ok(pfm_parameters_create(shared.context, PFM_ACT_F32, false, &parameters, &err));
        assert_ok(pfm_graph_create(parameters, capacity, &graph, &err));
        pfm_builder builder = {.graph = graph, .token_keys = PFM_NO_VALUE};
        assert_ok(pfm_language_build(&builder, &config, false, &values, &err));
        if (pfm_parameters_total(parameters) != known[i].parameters)
            fail_msg("%s has %lld parameters", known[i].name, (long long)pfm_parameters_total(parameters));
        pfm_graph_free(graph);
        pfm_parameters_free(parameters);
    }
    assert_error(pfm_language_known("llama-9", &config, &err), PFM_ERROR_USAGE, "'llama-9'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_and_gradients_are_transformers),
        cmocka_unit_test(greedy_tokens_are_transformers),
        cmocka_unit_test(the_loss_is_that_of_the_logits),
        cmocka_unit_test(gguf_is_the_same_model),
        cmocka_unit_test(shards_are_the_same_model),
        cmocka_unit_test(torch_files_are_the_same_model),
        cmocka_unit_test(a_file_without_the_head_lacks_a_prefix),
        cmocka_unit_test(conv1d_takes_lora_as_peft_does),
        cmocka_unit_test(every_tensor_moves_the_logits),
        cmocka_unit_test(missing_and_extra_tensors_are_named),
        cmocka_unit_test(what_is_not_computed_is_refused_by_name),
        cmocka_unit_test(a_window_ends_the_context),
        cmocka_unit_test(known_models_are_as_large_as_published),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
