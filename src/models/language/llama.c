/* The LLaMA family (Touvron et al. 2023; transformers' LlamaForCausalLM): pre-norm blocks of grouped-query attention with
 * rotary positions and a SiLU-gated MLP; SmolLM2 is one of them. */
#include "models/language/language.h"

#include "base/try.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* GGUF's key for each field, behind the architecture's name. */
static pfm_status need_integer(const pfm_weights *weights, const char *key, int64_t low, int64_t high, int64_t *out,
                               pfm_error *err)
{
    char full[64];
    (void)snprintf(full, sizeof full, "llama.%s", key);
    if (!pfm_weights_meta_integer(weights, full, out))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s lacks the metadata %s, which a LLaMA needs", pfm_weights_path(weights),
                             full);
    if (*out < low || *out > high)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: %s is %lld; it must be from %lld to %lld", pfm_weights_path(weights),
                             full, (long long)*out, (long long)low, (long long)high);
    return PFM_OK;
}

static pfm_status read_config(const pfm_weights *weights, pfm_language_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int64_t layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
    PFM_TRY(need_integer(weights, "block_count", 1, 1000, &layers, err));
    PFM_TRY(need_integer(weights, "embedding_length", 1, 1 << 20, &config->hidden, err));
    PFM_TRY(need_integer(weights, "feed_forward_length", 1, 1 << 22, &config->intermediate, err));
    PFM_TRY(need_integer(weights, "attention.head_count", 1, 4096, &heads, err));
    PFM_TRY(need_integer(weights, "context_length", 1, 1 << 24, &config->context, err));
    kv_heads = heads;
    if (pfm_weights_meta_integer(weights, "llama.attention.head_count_kv", &kv_heads))
        PFM_TRY(need_integer(weights, "attention.head_count_kv", 1, heads, &kv_heads, err));
    head_dim = config->hidden / heads;
    if (pfm_weights_meta_integer(weights, "llama.attention.key_length", &head_dim))
        PFM_TRY(need_integer(weights, "attention.key_length", 2, 4096, &head_dim, err));
    if (heads % kv_heads != 0 || head_dim % 2 != 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: %lld query heads of %lld cannot share %lld key heads", pfm_weights_path(weights),
                 (long long)heads, (long long)head_dim, (long long)kv_heads);
    if (pfm_weights_find(weights, "rope_freqs.weight") != NULL)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s scales its rotary frequencies (rope_freqs.weight), which is not supported yet",
                 pfm_weights_path(weights));
    config->layers = (int32_t)layers;
    config->heads = (int32_t)heads;
    config->kv_heads = (int32_t)kv_heads;
    config->head_dim = (int32_t)head_dim;
    config->epsilon = 1e-5;
    config->rope_theta = 10000;
    (void)pfm_weights_meta_number(weights, "llama.attention.layer_norm_rms_epsilon", &config->epsilon);
    (void)pfm_weights_meta_number(weights, "llama.rope.freq_base", &config->rope_theta);
    const pfm_weight *embedding = pfm_weights_find(weights, "token_embd.weight");
    if (embedding == NULL || embedding->rank != 2)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s has no matrix token_embd.weight", pfm_weights_path(weights));
    config->vocabulary = embedding->shape[0];
    config->tied = pfm_weights_find(weights, "output.weight") == NULL;
done:
    return status;
}

static pfm_status config_integer(const json_t *json, const char *path, const char *key, int64_t fallback, int64_t low,
                                 int64_t high, int64_t *out, pfm_error *err)
{
    const json_t *value = json_object_get(json, key);
    *out = json_is_integer(value) ? json_integer_value(value) : fallback;
    if (*out < low || *out > high)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "config.json of %s: %s is missing or not a whole number from %lld to %lld",
                             path, key, (long long)low, (long long)high);
    return PFM_OK;
}

/* What would be computed otherwise must not be passed over. */
static pfm_status refuse_variants(const json_t *json, const char *path, pfm_error *err)
{
    const json_t *scaling = json_object_get(json, "rope_scaling");
    if ((scaling != NULL && !json_is_null(scaling)) || json_is_true(json_object_get(json, "attention_bias")) ||
        json_is_true(json_object_get(json, "mlp_bias")))
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                             "config.json of %s asks for rope_scaling or biases, which are not supported yet", path);
    const char *rope = json_string_value(json_object_get(json_object_get(json, "rope_parameters"), "rope_type"));
    if (rope != NULL && strcmp(rope, "default") != 0)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                             "config.json of %s asks for rotary positions of type %s; only default is supported", path, rope);
    const char *gate = json_string_value(json_object_get(json, "hidden_act"));
    if (gate != NULL && strcmp(gate, "silu") != 0)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "config.json of %s asks for the activation %s; only silu is supported",
                             path, gate);
    return PFM_OK;
}

static pfm_status read_config_json(const json_t *json, const char *path, pfm_language_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int64_t layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
    PFM_TRY(config_integer(json, path, "num_hidden_layers", 0, 1, 1000, &layers, err));
    PFM_TRY(config_integer(json, path, "hidden_size", 0, 1, 1 << 20, &config->hidden, err));
    PFM_TRY(config_integer(json, path, "intermediate_size", 0, 1, 1 << 22, &config->intermediate, err));
    PFM_TRY(config_integer(json, path, "vocab_size", 0, 1, 1 << 24, &config->vocabulary, err));
    PFM_TRY(config_integer(json, path, "max_position_embeddings", 2048, 1, 1 << 24, &config->context, err));
    PFM_TRY(config_integer(json, path, "num_attention_heads", 0, 1, 4096, &heads, err));
    PFM_TRY(config_integer(json, path, "num_key_value_heads", heads, 1, heads, &kv_heads, err));
    PFM_TRY(config_integer(json, path, "head_dim", config->hidden / heads, 2, 4096, &head_dim, err));
    PFM_TRY(refuse_variants(json, path, err));
    if (heads % kv_heads != 0 || head_dim % 2 != 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "config.json of %s: %lld query heads of %lld cannot share %lld key heads", path,
                 (long long)heads, (long long)head_dim, (long long)kv_heads);
    config->layers = (int32_t)layers;
    config->heads = (int32_t)heads;
    config->kv_heads = (int32_t)kv_heads;
    config->head_dim = (int32_t)head_dim;
    const json_t *theta = json_object_get(json, "rope_theta");
    if (!json_is_number(theta))
        theta = json_object_get(json_object_get(json, "rope_parameters"), "rope_theta"); /* where transformers 5 writes it */
    config->rope_theta = json_is_number(theta) ? json_number_value(theta) : 10000;
    const json_t *epsilon = json_object_get(json, "rms_norm_eps");
    config->epsilon = json_is_number(epsilon) ? json_number_value(epsilon) : 1e-6;
    config->tied = json_is_true(json_object_get(json, "tie_word_embeddings"));
done:
    return status;
}

typedef struct block {
    pfm_builder *builder;
    const pfm_language_config *config;
    const pfm_language_values *values;
    int32_t layer;
    char name[128];
} block;

static const char *part(block *b, const char *name)
{
    (void)snprintf(b->name, sizeof b->name, "model.layers.%d.%s", b->layer, name);
    return b->name;
}

static pfm_status linear(block *b, pfm_value x, const char *name, int64_t n, int64_t k, pfm_value addend, pfm_value *y,
                         pfm_error *err)
{
    pfm_linear_options options = {
        .n = n, .k = k, .addend = addend, .output = addend == PFM_NO_VALUE ? PFM_STORAGE_ACT : PFM_STORAGE_F32};
    return pfm_build_linear(b->builder, x, part(b, name), &options, y, err);
}

static pfm_status rotate(block *b, pfm_value x, pfm_value *y, pfm_error *err)
{
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_rope);
    node.in[0] = x;
    node.in[1] = b->values->positions;
    node.in[2] = b->values->rope;
    node.attributes.head_dim = b->config->head_dim;
    return pfm_graph_add(b->builder->graph, &node, y, err);
}

static pfm_status attention(block *b, pfm_value *hidden, pfm_error *err)
{
    const pfm_language_config *c = b->config;
    int64_t q_width = (int64_t)c->heads * c->head_dim, kv_width = (int64_t)c->kv_heads * c->head_dim;
    pfm_value x, q, k, v, mixed;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_build_rmsnorm(b->builder, *hidden, part(b, "input_layernorm"), c->epsilon, &x, err));
    PFM_TRY(linear(b, x, "self_attn.q_proj", q_width, c->hidden, PFM_NO_VALUE, &q, err));
    PFM_TRY(linear(b, x, "self_attn.k_proj", kv_width, c->hidden, PFM_NO_VALUE, &k, err));
    PFM_TRY(linear(b, x, "self_attn.v_proj", kv_width, c->hidden, PFM_NO_VALUE, &v, err));
    PFM_TRY(rotate(b, q, &q, err));
    PFM_TRY(rotate(b, k, &k, err));
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_attention);
    node.in[0] = q;
    node.in[1] = k;
    node.in[2] = v;
    node.attributes =
        (pfm_op_attributes){.layer = b->layer, .heads = c->heads, .kv_heads = c->kv_heads, .head_dim = c->head_dim};
    PFM_TRY(pfm_graph_add(b->builder->graph, &node, &mixed, err));
    PFM_TRY(linear(b, mixed, "self_attn.o_proj", c->hidden, q_width, *hidden, hidden, err));
done:
    return status;
}

static pfm_status mlp(block *b, pfm_value *hidden, pfm_error *err)
{
    const pfm_language_config *c = b->config;
    pfm_value x, gate, up, product;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_build_rmsnorm(b->builder, *hidden, part(b, "post_attention_layernorm"), c->epsilon, &x, err));
    PFM_TRY(linear(b, x, "mlp.gate_proj", c->intermediate, c->hidden, PFM_NO_VALUE, &gate, err));
    PFM_TRY(linear(b, x, "mlp.up_proj", c->intermediate, c->hidden, PFM_NO_VALUE, &up, err));
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_silu_mul);
    node.in[0] = gate;
    node.in[1] = up;
    PFM_TRY(pfm_graph_add(b->builder->graph, &node, &product, err));
    PFM_TRY(linear(b, product, "mlp.down_proj", c->hidden, c->intermediate, *hidden, hidden, err));
done:
    return status;
}

/* The head on the chosen rows: logits, or the loss with the head's product inside. */
static pfm_status head(pfm_builder *builder, const pfm_language_config *c, bool with_loss, pfm_value x,
                       pfm_language_values *values, pfm_error *err)
{
    pfm_parameter declaration = {.name = (char *)(uintptr_t)(c->tied ? "model.embed_tokens.weight" : "lm_head.weight"),
                                 .n = c->vocabulary,
                                 .k = c->hidden,
                                 .uses = PFM_USE_FORWARD | PFM_USE_BACKWARD};
    int weight = -1;
    pfm_status status = pfm_build_parameter(builder, &declaration, &weight, err);
    if (status != PFM_OK)
        return status;
    pfm_graph_node node = pfm_graph_node_of(with_loss ? &pfm_op_cross_entropy : &pfm_op_linear);
    node.in[0] = x;
    node.in[1] = with_loss ? values->targets : PFM_NO_VALUE;
    node.operand[0] = weight;
    node.attributes = (pfm_op_attributes){.alpha = 1, .output = PFM_STORAGE_F32};
    pfm_value *out = with_loss ? &values->loss : &values->logits;
    status = pfm_graph_add(builder->graph, &node, out, err);
    if (status == PFM_OK)
        pfm_graph_keep(builder->graph, *out);
    return status;
}

static pfm_status build(pfm_builder *builder, const pfm_language_config *config, bool with_loss, pfm_language_values *values,
                        pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_value hidden, x;
    pfm_parameter embedding = {.name = (char *)(uintptr_t) "model.embed_tokens.weight",
                               .n = config->vocabulary,
                               .k = config->hidden,
                               .uses = PFM_USE_ROWS};
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_embed);
    node.in[0] = values->ids;
    node.in[1] = values->visual;
    PFM_TRY(pfm_build_parameter(builder, &embedding, &node.operand[0], err));
    PFM_TRY(pfm_graph_add(builder->graph, &node, &hidden, err));
    block b = {.builder = builder, .config = config, .values = values};
    for (b.layer = 0; b.layer < config->layers; b.layer++) {
        PFM_TRY(pfm_build_checkpoint(builder, err));
        PFM_TRY(attention(&b, &hidden, err));
        PFM_TRY(mlp(&b, &hidden, err));
    }
    PFM_TRY(pfm_build_checkpoint(builder, err));
    node = pfm_graph_node_of(&pfm_op_gather);
    node.in[0] = hidden;
    node.in[1] = values->index;
    PFM_TRY(pfm_graph_add(builder->graph, &node, &x, err));
    PFM_TRY(pfm_build_rmsnorm(builder, x, "model.norm", config->epsilon, &x, err));
    PFM_TRY(head(builder, config, with_loss, x, values, err));
done:
    return status;
}

/* What stands behind "model.layers.N."; NULL where the name is not of that form. */
static const char *split_layer(const char *name, long *layer)
{
    static const char begin[] = "model.layers.";
    if (strncmp(name, begin, sizeof begin - 1) != 0)
        return NULL;
    char *end = NULL;
    *layer = strtol(name + sizeof begin - 1, &end, 10);
    return end > name + sizeof begin - 1 && *end == '.' ? end + 1 : NULL;
}

static bool gguf_name(const pfm_language_config *config, const char *name, char out[128], int *rotary_heads)
{
    static const struct {
        const char *ours, *gguf;
    } in_block[] = {{"input_layernorm.weight", "attn_norm.weight"},    {"self_attn.q_proj.weight", "attn_q.weight"},
                    {"self_attn.k_proj.weight", "attn_k.weight"},      {"self_attn.v_proj.weight", "attn_v.weight"},
                    {"self_attn.o_proj.weight", "attn_output.weight"}, {"post_attention_layernorm.weight", "ffn_norm.weight"},
                    {"mlp.gate_proj.weight", "ffn_gate.weight"},       {"mlp.up_proj.weight", "ffn_up.weight"},
                    {"mlp.down_proj.weight", "ffn_down.weight"}},
      outside[] = {{"model.embed_tokens.weight", "token_embd.weight"},
                   {"model.norm.weight", "output_norm.weight"},
                   {"lm_head.weight", "output.weight"}};
    *rotary_heads = 0;
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        if (strcmp(name, outside[i].ours) == 0) {
            (void)snprintf(out, 128, "%s", outside[i].gguf);
            return true;
        }
    }
    long layer = -1;
    const char *part_name = split_layer(name, &layer);
    if (part_name == NULL)
        return false;
    for (size_t i = 0; i < sizeof in_block / sizeof *in_block; i++) {
        if (strcmp(part_name, in_block[i].ours) != 0)
            continue;
        (void)snprintf(out, 128, "blk.%ld.%s", layer, in_block[i].gguf);
        if (strstr(name, "q_proj") != NULL)
            *rotary_heads = config->heads;
        else if (strstr(name, "k_proj") != NULL)
            *rotary_heads = config->kv_heads;
        return true;
    }
    return false;
}

const pfm_language_family pfm_language_llama = {
    .name = "llama", .read_config = read_config, .read_config_json = read_config_json, .build = build, .gguf_name = gguf_name};
