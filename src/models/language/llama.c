/* The LLaMA family (Touvron et al. 2023; transformers' LlamaForCausalLM and MistralForCausalLM): pre-norm blocks of
 * grouped-query attention with rotary positions and a gated MLP. LLaMA 2 and 3, Vicuna, TinyLlama and SmolLM2 are of it. */
#include "models/language/language_config.h"
#include "models/language/language_parts.h"
#include "models/language/llama_family.h"

#include "base/try.h"

#include <string.h>

/* A GGUF tells of biases by having them. */
static pfm_status read_config(const pfm_weights *weights, pfm_language_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_gguf_config_sizes(weights, config, err));
    PFM_TRY(pfm_gguf_config_number(weights, "attention.layer_norm_rms_epsilon", 1e-5, &config->epsilon, err));
    PFM_TRY(pfm_gguf_config_rope(weights, config, err));
    config->activation = PFM_ACTIVATION_SILU;
    config->query_bias = pfm_weights_find(weights, "blk.0.attn_q.bias") != NULL;
    config->output_bias = pfm_weights_find(weights, "blk.0.attn_output.bias") != NULL;
    config->mlp_bias = pfm_weights_find(weights, "blk.0.ffn_down.bias") != NULL;
done:
    return status;
}

static pfm_status read_config_json(const json_t *json, const pfm_weights *weights, pfm_language_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *path = pfm_weights_path(weights);
    int64_t window = 0;
    bool mistral = strcmp(json_string_value(json_object_get(json, "model_type")), "mistral") == 0;
    PFM_TRY(pfm_config_sizes(json, path, mistral ? 131072 : 2048, config, err));
    PFM_TRY(pfm_config_rope(json, path, 0, config, err));
    PFM_TRY(pfm_config_number(json, path, "rms_norm_eps", 1e-6, &config->epsilon, err));
    PFM_TRY(pfm_config_activation(json, path, "hidden_act", "silu", &config->activation, err));
    PFM_TRY(pfm_config_flag(json, path, "attention_bias", false, &config->query_bias, err));
    config->output_bias = config->query_bias;
    PFM_TRY(pfm_config_flag(json, path, "mlp_bias", false, &config->mlp_bias, err));
    if (mistral) {
        bool stated = json_object_get(json, "sliding_window") != NULL; /* null: none */
        PFM_TRY(pfm_config_integer(json, path, "sliding_window", stated ? 0 : 4096, 0, 1 << 24, &window, err));
        pfm_config_window(config, window);
    }
done:
    return status;
}

pfm_status pfm_llama_block(pfm_block_builder *b, pfm_value *hidden, pfm_error *err)
{
    const pfm_language_config *c = b->config;
    pfm_value x, qkv[3], mixed;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_build_rmsnorm(b->builder, *hidden, pfm_block_name(b, "input_layernorm"), c->epsilon, &x, err));
    PFM_TRY(pfm_block_project(b, x, qkv, err));
    PFM_TRY(pfm_block_attend(b, "self_attn", qkv, &mixed, err));
    PFM_TRY(pfm_block_end(b, "self_attn", x, mixed, "self_attn.o_proj", (int64_t)c->heads * c->head_dim, c->output_bias,
                          *hidden, hidden, err));
    PFM_TRY(pfm_build_rmsnorm(b->builder, *hidden, pfm_block_name(b, "post_attention_layernorm"), c->epsilon, &x, err));
    PFM_TRY(pfm_block_gated_mlp(b, x, *hidden, hidden, err));
done:
    return status;
}

json_t *pfm_llama_config_json(const pfm_language_config *c, const char *architecture)
{
    return json_pack("{s:[s], s:s, s:I, s:I, s:I, s:i, s:i, s:i, s:i, s:I, s:f, s:f, s:b, s:s, s:s}", "architectures",
                     architecture, "model_type", c->family->model_types[0], "vocab_size", (json_int_t)c->vocabulary,
                     "hidden_size", (json_int_t)c->hidden, "intermediate_size", (json_int_t)c->intermediate,
                     "num_hidden_layers", (int)c->layers, "num_attention_heads", (int)c->heads, "num_key_value_heads",
                     (int)c->kv_heads, "head_dim", (int)c->head_dim, "max_position_embeddings", (json_int_t)c->context,
                     "rms_norm_eps", c->epsilon, "rope_theta", c->rope_theta, "tie_word_embeddings", c->tied, "hidden_act",
                     "silu", "torch_dtype", "float32");
}

/* transformers has one switch for the biases of all four linear layers of attention. */
static json_t *write_config_json(const pfm_language_config *c)
{
    if (c->scaled_rope || c->query_bias != c->output_bias || c->rotary != c->head_dim)
        return NULL;
    json_t *json = pfm_llama_config_json(c, "LlamaForCausalLM");
    (void)json_object_set_new(json, "rope_scaling", json_null());
    (void)json_object_set_new(json, "attention_bias", json_boolean(c->query_bias));
    (void)json_object_set_new(json, "mlp_bias", json_boolean(c->mlp_bias));
    return json;
}

static const pfm_language_name names[] = {
    {.name = "model.embed_tokens", .gguf = "token_embd"},
    {.name = "model.norm", .gguf = "output_norm"},
    {.name = "lm_head", .gguf = "output"},
    {.name = "model.layers.*.input_layernorm", .gguf = "blk.*.attn_norm"},
    {.name = "model.layers.*.self_attn.q_proj", .gguf = "blk.*.attn_q", .order = PFM_ORDER_QUERY_PAIRS},
    {.name = "model.layers.*.self_attn.k_proj", .gguf = "blk.*.attn_k", .order = PFM_ORDER_KEY_PAIRS},
    {.name = "model.layers.*.self_attn.v_proj", .gguf = "blk.*.attn_v"},
    {.name = "model.layers.*.self_attn.o_proj", .gguf = "blk.*.attn_output"},
    {.name = "model.layers.*.post_attention_layernorm", .gguf = "blk.*.ffn_norm"},
    {.name = "model.layers.*.mlp.gate_proj", .gguf = "blk.*.ffn_gate"},
    {.name = "model.layers.*.mlp.up_proj", .gguf = "blk.*.ffn_up"},
    {.name = "model.layers.*.mlp.down_proj", .gguf = "blk.*.ffn_down"},
    {0}};

const pfm_language_name pfm_llama_names_as_they_are[] = {
    {.name = "model.embed_tokens", .gguf = "token_embd"},
    {.name = "model.norm", .gguf = "output_norm"},
    {.name = "lm_head", .gguf = "output"},
    {.name = "model.layers.*.input_layernorm", .gguf = "blk.*.attn_norm"},
    {.name = "model.layers.*.self_attn.q_proj", .gguf = "blk.*.attn_q"},
    {.name = "model.layers.*.self_attn.k_proj", .gguf = "blk.*.attn_k"},
    {.name = "model.layers.*.self_attn.v_proj", .gguf = "blk.*.attn_v"},
    {.name = "model.layers.*.self_attn.o_proj", .gguf = "blk.*.attn_output"},
    {.name = "model.layers.*.post_attention_layernorm", .gguf = "blk.*.ffn_norm"},
    {.name = "model.layers.*.mlp.gate_proj", .gguf = "blk.*.ffn_gate"},
    {.name = "model.layers.*.mlp.up_proj", .gguf = "blk.*.ffn_up"},
    {.name = "model.layers.*.mlp.down_proj", .gguf = "blk.*.ffn_down"},
    {0}};

const pfm_language_family pfm_language_llama = {.model_types = {"llama", "mistral"},
                                                .architecture = "llama",
                                                .embedding = "model.embed_tokens.weight",
                                                .names = names,
                                                .read_config = read_config,
                                                .read_config_json = read_config_json,
                                                .blocks = "model.layers",
                                                .build_block = pfm_llama_block,
                                                .last_norm = "model.norm",
                                                .write_config_json = write_config_json};
