/* StableLM (Bellagente et al. 2024; transformers' StableLmForCausalLM): LLaMA's projections and gated MLP under LayerNorms,
 * rotary positions on a part of each head; attention and MLP one after the other or side by side. */
#include "models/language/language_config.h"
#include "models/language/language_parts.h"
#include "models/language/llama_family.h"

#include "base/try.h"

/* A GGUF tells of biases by having them, and of blocks side by side by having no second norm. */
static pfm_status read_config(const pfm_weights *weights, pfm_language_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_gguf_config_sizes(weights, config, err));
    PFM_TRY(pfm_gguf_config_number(weights, "attention.layer_norm_epsilon", 1e-5, &config->epsilon, err));
    PFM_TRY(pfm_gguf_config_rope(weights, config, err));
    config->activation = PFM_ACTIVATION_SILU;
    config->query_bias = pfm_weights_find(weights, "blk.0.attn_q.bias") != NULL;
    config->parallel = pfm_weights_find(weights, "blk.0.ffn_norm.weight") == NULL;
done:
    return status;
}

static pfm_status read_config_json(const json_t *json, const pfm_weights *weights, pfm_language_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *path = pfm_weights_path(weights);
    PFM_TRY(pfm_config_sizes(json, path, 4096, config, err));
    PFM_TRY(pfm_config_rope(json, path, 0.25, config, err));
    PFM_TRY(pfm_config_number(json, path, "layer_norm_eps", 1e-5, &config->epsilon, err));
    PFM_TRY(pfm_config_activation(json, path, "hidden_act", "silu", &config->activation, err));
    PFM_TRY(pfm_config_flag(json, path, "use_qkv_bias", false, &config->query_bias, err));
    PFM_TRY(pfm_config_flag(json, path, "use_parallel_residual", false, &config->parallel, err));
    PFM_TRY(pfm_config_demand(json, path, "qk_layernorm", false, err)); /* a norm of its own for each head */
done:
    return status;
}

static pfm_status build_block(pfm_block_builder *b, pfm_value *hidden, pfm_error *err)
{
    const pfm_language_config *c = b->config;
    pfm_value x, qkv[3], mixed;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_build_layernorm(b->builder, *hidden, pfm_block_name(b, "input_layernorm"), c->epsilon, 0, &x, err));
    PFM_TRY(pfm_block_project(b, x, qkv, err));
    PFM_TRY(pfm_block_attend(b, "self_attn", qkv, &mixed, err));
    PFM_TRY(pfm_block_end(b, "self_attn", x, mixed, "self_attn.o_proj", (int64_t)c->heads * c->head_dim, false, *hidden, hidden,
                          err));
    if (!c->parallel)
        PFM_TRY(
            pfm_build_layernorm(b->builder, *hidden, pfm_block_name(b, "post_attention_layernorm"), c->epsilon, 0, &x, err));
    PFM_TRY(pfm_block_gated_mlp(b, x, *hidden, hidden, err));
done:
    return status;
}

const pfm_language_family pfm_language_stablelm = {.model_types = {"stablelm"},
                                                   .architecture = "stablelm",
                                                   .embedding = "model.embed_tokens.weight",
                                                   .names = pfm_llama_names_as_they_are,
                                                   .read_config = read_config,
                                                   .read_config_json = read_config_json,
                                                   .blocks = "model.layers",
                                                   .build_block = build_block,
                                                   .last_norm = "model.norm",
                                                   .last_centres = true};
