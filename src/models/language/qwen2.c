/* Qwen2 and 2.5 (Yang et al. 2024; transformers' Qwen2ForCausalLM): LLaMA with biases on queries, keys and values. GGUF keeps
 * their rows as they are. */
#include "models/language/language_config.h"
#include "models/language/llama_family.h"

#include "base/try.h"

#include <string.h>

static pfm_status read_config(const pfm_weights *weights, pfm_language_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_gguf_config_sizes(weights, config, err));
    PFM_TRY(pfm_gguf_config_number(weights, "attention.layer_norm_rms_epsilon", 1e-6, &config->epsilon, err));
    PFM_TRY(pfm_gguf_config_rope(weights, config, err));
    config->activation = PFM_ACTIVATION_SILU;
    config->query_bias = true;
done:
    return status;
}

/* Layers from max_window_layers on, or those that layer_types names, see a window of the latest tokens only, where it is
 * switched on. */
static pfm_status read_window(const json_t *json, const char *path, pfm_language_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bool used = false;
    int64_t window = 0, first = 0;
    PFM_TRY(pfm_config_flag(json, path, "use_sliding_window", false, &used, err));
    if (!used)
        goto done;
    PFM_TRY(pfm_config_integer(json, path, "sliding_window", 4096, 1, 1 << 24, &window, err));
    PFM_TRY(pfm_config_integer(json, path, "max_window_layers", 28, 0, 1000, &first, err));
    const json_t *kinds = json_object_get(json, "layer_types");
    bool some = !json_is_array(kinds) && first < config->layers;
    for (size_t i = 0; i < json_array_size(kinds); i++)
        some |= json_is_string(json_array_get(kinds, i)) &&
                strcmp(json_string_value(json_array_get(kinds, i)), "full_attention") != 0;
    if (some)
        pfm_config_window(config, window);
done:
    return status;
}

static pfm_status read_config_json(const json_t *json, const pfm_weights *weights, pfm_language_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *path = pfm_weights_path(weights);
    PFM_TRY(pfm_config_sizes(json, path, 32768, config, err));
    PFM_TRY(pfm_config_rope(json, path, 0, config, err));
    PFM_TRY(pfm_config_number(json, path, "rms_norm_eps", 1e-6, &config->epsilon, err));
    PFM_TRY(pfm_config_activation(json, path, "hidden_act", "silu", &config->activation, err));
    PFM_TRY(read_window(json, path, config, err));
    config->query_bias = true;
done:
    return status;
}

static json_t *write_config_json(const pfm_language_config *c)
{
    return c->scaled_rope || c->rotary != c->head_dim ? NULL : pfm_llama_config_json(c, "Qwen2ForCausalLM");
}

const pfm_language_family pfm_language_qwen2 = {.model_types = {"qwen2"},
                                                .architecture = "qwen2",
                                                .embedding = "model.embed_tokens.weight",
                                                .names = pfm_llama_names_as_they_are,
                                                .read_config = read_config,
                                                .read_config_json = read_config_json,
                                                .blocks = "model.layers",
                                                .build_block = pfm_llama_block,
                                                .last_norm = "model.norm",
                                                .write_config_json = write_config_json};
