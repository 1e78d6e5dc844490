/* Phi-1, 1.5 and 2 (Gunasekar et al. 2023; transformers' PhiForCausalLM): blocks in which attention and MLP read the same
 * LayerNorm and are added together, rotary positions on a part of each head, biases everywhere.
 *
 * Two variants are told by the tensors that a folder holds. Before transformers 4.37 one linear, query_key_value, made queries,
 * keys and values, head by head. TinyGPT-V (its modeling_phi.py) has that one too, norms queries and keys of each head, and
 * passes what leaves attention through an RMSNorm, post_layernorm. */
#include "models/language/language_config.h"
#include "models/language/language_parts.h"

#include "base/try.h"

#include <stdio.h>

#define BRANCH_EPSILON 1e-6 /* of post_layernorm; fixed in TinyGPT-V's code */

static void set_biases(pfm_language_config *config)
{
    config->parallel = true;
    config->query_bias = config->output_bias = config->mlp_bias = config->head_bias = true;
}

static pfm_status read_config(const pfm_weights *weights, pfm_language_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_gguf_config_sizes(weights, config, err));
    PFM_TRY(pfm_gguf_config_number(weights, "attention.layer_norm_epsilon", 1e-5, &config->epsilon, err));
    PFM_TRY(pfm_gguf_config_rope(weights, config, err));
    config->activation = PFM_ACTIVATION_GELU_TANH;
    set_biases(config);
done:
    return status;
}

/* Some layer has the tensor, so that a file that lacks one of them is told what it lacks. Files saved without the head begin
 * their names behind "model.". */
static bool some_layer_has(const pfm_weights *weights, const pfm_language_config *config, const char *part)
{
    static const char begin[] = "model.";
    char name[128];
    for (int32_t layer = 0; layer < config->layers; layer++) {
        (void)snprintf(name, sizeof name, "%slayers.%d.%s", begin, (int)layer, part);
        if (pfm_weights_find(weights, name) != NULL || pfm_weights_find(weights, name + sizeof begin - 1) != NULL)
            return true;
    }
    return false;
}

static pfm_status read_config_json(const json_t *json, const pfm_weights *weights, pfm_language_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *path = pfm_weights_path(weights);
    PFM_TRY(pfm_config_sizes(json, path, 2048, config, err));
    PFM_TRY(pfm_config_rope(json, path, 0.5, config, err));
    PFM_TRY(pfm_config_number(json, path, "layer_norm_eps", 1e-5, &config->epsilon, err));
    PFM_TRY(pfm_config_activation(json, path, "hidden_act", "gelu_new", &config->activation, err));
    PFM_TRY(pfm_config_flag(json, path, "qk_layernorm", false, &config->head_norms, err));
    set_biases(config);
    config->fused = some_layer_has(weights, config, "self_attn.query_key_value.weight");
    config->branch_norm = some_layer_has(weights, config, "post_layernorm.weight");
    config->head_norms |= config->branch_norm; /* TinyGPT-V's code does not ask qk_layernorm */
    if (config->fused && config->kv_heads != config->heads)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s: query_key_value with %d key heads for %d query heads is not supported", path,
                 (int)config->kv_heads, (int)config->heads);
done:
    return status;
}

/* Queries, keys and values stand side by side within each head of one linear layer. */
static pfm_status project_fused(pfm_block_builder *b, pfm_value x, pfm_value qkv[3], pfm_error *err)
{
    const pfm_language_config *c = b->config;
    pfm_value all;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_block_linear(b, x, "self_attn.query_key_value", 3 * (int64_t)c->heads * c->head_dim, c->hidden, true,
                             PFM_NO_VALUE, PFM_STORAGE_ACT, &all, err));
    for (int i = 0; i < 3; i++)
        PFM_TRY(pfm_build_columns(b->builder, all, i * c->head_dim, c->head_dim, 3 * c->head_dim,
                                  c->head_norms && i < 2 ? PFM_STORAGE_F32 : PFM_STORAGE_ACT, &qkv[i], err));
    PFM_TRY(pfm_block_prepare_queries(b, qkv, err));
done:
    return status;
}

static pfm_status build_block(pfm_block_builder *b, pfm_value *hidden, pfm_error *err)
{
    const pfm_language_config *c = b->config;
    const int64_t width = (int64_t)c->heads * c->head_dim;
    pfm_value x, qkv[3], mixed, attended;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_build_layernorm(b->builder, *hidden, pfm_block_name(b, "input_layernorm"), c->epsilon, 0, &x, err));
    PFM_TRY(c->fused ? project_fused(b, x, qkv, err) : pfm_block_project(b, x, qkv, err));
    PFM_TRY(pfm_block_attend(b, "self_attn", qkv, &mixed, err));
    PFM_TRY(pfm_block_end(b, "self_attn", x, mixed, "self_attn.dense", width, c->output_bias,
                          c->branch_norm ? PFM_NO_VALUE : *hidden, &attended, err));
    if (c->branch_norm) {
        PFM_TRY(pfm_build_rmsnorm(b->builder, attended, pfm_block_name(b, "post_layernorm"), BRANCH_EPSILON, &attended, err));
        PFM_TRY(pfm_build_add(b->builder, *hidden, attended, NULL, &attended, err));
    }
    PFM_TRY(pfm_block_plain_mlp(b, x, "mlp.fc1", "mlp.fc2", attended, hidden, err));
done:
    return status;
}

#define FUSED "blk.*.attn_qkv"
static const pfm_language_name names[] = {
    {.name = "model.embed_tokens", .gguf = "token_embd"},
    {.name = "model.final_layernorm", .gguf = "output_norm"},
    {.name = "lm_head", .gguf = "output"},
    {.name = "model.layers.*.input_layernorm", .gguf = "blk.*.attn_norm"},
    {.name = "model.layers.*.self_attn.q_proj", .gguf = "blk.*.attn_q", .gguf_fused = FUSED, .part = PFM_PART_QUERY},
    {.name = "model.layers.*.self_attn.k_proj", .gguf = "blk.*.attn_k", .gguf_fused = FUSED, .part = PFM_PART_KEY},
    {.name = "model.layers.*.self_attn.v_proj", .gguf = "blk.*.attn_v", .gguf_fused = FUSED, .part = PFM_PART_VALUE},
    {.name = "model.layers.*.self_attn.dense", .gguf = "blk.*.attn_output"},
    {.name = "model.layers.*.mlp.fc1", .gguf = "blk.*.ffn_up"},
    {.name = "model.layers.*.mlp.fc2", .gguf = "blk.*.ffn_down"},
    {.name = "model.layers.*.self_attn.query_key_value"},
    {.name = "model.layers.*.self_attn.q_layernorm"},
    {.name = "model.layers.*.self_attn.k_layernorm"},
    {.name = "model.layers.*.post_layernorm"},
    {0}};

const pfm_language_family pfm_language_phi = {.model_types = {"phi"},
                                              .architecture = "phi2",
                                              .embedding = "model.embed_tokens.weight",
                                              .names = names,
                                              .read_config = read_config,
                                              .read_config_json = read_config_json,
                                              .blocks = "model.layers",
                                              .build_block = build_block,
                                              .last_norm = "model.final_layernorm",
                                              .last_centres = true};
