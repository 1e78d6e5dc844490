/* GPT-2 (Radford et al. 2019; transformers' GPT2LMHeadModel): learned positions, LayerNorms with biases, one linear layer for
 * queries, keys and values. Hugging Face keeps the weights of its linear layers (Conv1D) transposed. */
#include "models/language/language_config.h"
#include "models/language/language_parts.h"

#include "base/try.h"

static void set_constants(pfm_language_config *config)
{
    config->fused = true;
    config->query_bias = config->output_bias = config->mlp_bias = true;
}

static pfm_status read_config(const pfm_weights *weights, pfm_language_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_gguf_config_sizes(weights, config, err));
    PFM_TRY(pfm_gguf_config_number(weights, "attention.layer_norm_epsilon", 1e-5, &config->epsilon, err));
    config->activation = PFM_ACTIVATION_GELU_TANH;
    set_constants(config);
    if (config->kv_heads != config->heads)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s: a GPT-2 with %d key heads for %d query heads is not supported",
                 pfm_weights_path(weights), (int)config->kv_heads, (int)config->heads);
done:
    return status;
}

/* GPT-2's own names of the sizes. */
static pfm_status read_sizes(const json_t *json, const char *path, pfm_language_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int64_t layers = 0, heads = 0;
    PFM_TRY(pfm_config_integer(json, path, "n_layer", 12, 1, 1000, &layers, err));
    PFM_TRY(pfm_config_integer(json, path, "n_embd", 768, 1, 1 << 20, &config->hidden, err));
    PFM_TRY(pfm_config_integer(json, path, "n_inner", 4 * config->hidden, 1, 1 << 22, &config->intermediate, err));
    PFM_TRY(pfm_config_integer(json, path, "vocab_size", 50257, 1, 1 << 24, &config->vocabulary, err));
    PFM_TRY(pfm_config_integer(json, path, "n_positions", 1024, 1, 1 << 24, &config->context, err));
    PFM_TRY(pfm_config_integer(json, path, "n_head", 12, 1, 4096, &heads, err));
    if (config->hidden % heads != 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "config.json of %s: n_embd %lld is not a multiple of n_head %lld", path,
                 (long long)config->hidden, (long long)heads);
    config->layers = (int32_t)layers;
    config->heads = config->kv_heads = (int32_t)heads;
    config->head_dim = (int32_t)(config->hidden / heads);
done:
    return status;
}

static pfm_status read_config_json(const json_t *json, const pfm_weights *weights, pfm_language_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *path = pfm_weights_path(weights);
    PFM_TRY(read_sizes(json, path, config, err));
    PFM_TRY(pfm_config_number(json, path, "layer_norm_epsilon", 1e-5, &config->epsilon, err));
    PFM_TRY(pfm_config_activation(json, path, "activation_function", "gelu_new", &config->activation, err));
    PFM_TRY(pfm_config_flag(json, path, "tie_word_embeddings", true, &config->tied, err));
    PFM_TRY(pfm_config_demand(json, path, "scale_attn_weights", true, err));
    PFM_TRY(pfm_config_demand(json, path, "scale_attn_by_inverse_layer_idx", false, err));
    PFM_TRY(pfm_config_demand(json, path, "add_cross_attention", false, err));
    set_constants(config);
done:
    return status;
}

/* The state before the first block: tokens and positions added. */
static pfm_status embed(pfm_builder *builder, const pfm_language_config *c, const pfm_language_values *values,
                        pfm_value *hidden, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_value positions;
    PFM_TRY(pfm_language_embed(builder, c, values, hidden, err));
    PFM_TRY(pfm_language_look_up(builder, "transformer.wpe.weight", c->context, c->hidden, values->positions, PFM_NO_VALUE,
                                 &positions, err));
    PFM_TRY(pfm_build_add(builder, *hidden, positions, NULL, hidden, err));
done:
    return status;
}

static pfm_status build_block(pfm_block_builder *b, pfm_value *hidden, pfm_error *err)
{
    const pfm_language_config *c = b->config;
    const int32_t width = c->heads * c->head_dim;
    pfm_value x, all, qkv[3], mixed;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_build_layernorm(b->builder, *hidden, pfm_block_name(b, "ln_1"), c->epsilon, 0, &x, err));
    PFM_TRY(pfm_block_linear(b, x, "attn.c_attn", 3 * (int64_t)width, c->hidden, c->query_bias, PFM_NO_VALUE, PFM_STORAGE_ACT,
                             &all, err));
    for (int i = 0; i < 3; i++)
        PFM_TRY(pfm_build_columns(b->builder, all, i * width, width, 3 * width, PFM_STORAGE_ACT, &qkv[i], err));
    PFM_TRY(pfm_block_attend(b, "attn", qkv, &mixed, err));
    PFM_TRY(pfm_block_end(b, "attn", x, mixed, "attn.c_proj", width, c->output_bias, *hidden, hidden, err));
    PFM_TRY(pfm_build_layernorm(b->builder, *hidden, pfm_block_name(b, "ln_2"), c->epsilon, 0, &x, err));
    PFM_TRY(pfm_block_plain_mlp(b, x, "mlp.c_fc", "mlp.c_proj", *hidden, hidden, err));
done:
    return status;
}

static const pfm_language_name names[] = {
    {.name = "transformer.wte", .gguf = "token_embd"},
    {.name = "transformer.wpe", .gguf = "position_embd"},
    {.name = "transformer.ln_f", .gguf = "output_norm"},
    {.name = "lm_head", .gguf = "output"},
    {.name = "transformer.h.*.ln_1", .gguf = "blk.*.attn_norm"},
    {.name = "transformer.h.*.attn.c_attn", .gguf = "blk.*.attn_qkv", .order = PFM_ORDER_TRANSPOSED},
    {.name = "transformer.h.*.attn.c_proj", .gguf = "blk.*.attn_output", .order = PFM_ORDER_TRANSPOSED},
    {.name = "transformer.h.*.ln_2", .gguf = "blk.*.ffn_norm"},
    {.name = "transformer.h.*.mlp.c_fc", .gguf = "blk.*.ffn_up", .order = PFM_ORDER_TRANSPOSED},
    {.name = "transformer.h.*.mlp.c_proj", .gguf = "blk.*.ffn_down", .order = PFM_ORDER_TRANSPOSED},
    {0}};

/* Masks that older versions saved. */
static const char *const ignored[] = {"*.attn.bias", "*.attn.masked_bias", NULL};

const pfm_language_family pfm_language_gpt2 = {.model_types = {"gpt2"},
                                               .architecture = "gpt2",
                                               .embedding = "transformer.wte.weight",
                                               .names = names,
                                               .ignored = ignored,
                                               .read_config = read_config,
                                               .read_config_json = read_config_json,
                                               .embed = embed,
                                               .blocks = "transformer.h",
                                               .build_block = build_block,
                                               .last_norm = "transformer.ln_f",
                                               .last_centres = true};
