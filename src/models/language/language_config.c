#include "models/language/language_config.h"

#include "base/try.h"

#include <stdio.h>
#include <string.h>

/* The value of a key; NULL where it is absent or null. */
static const json_t *value_of(const json_t *json, const char *key)
{
    const json_t *value = json_object_get(json, key);
    return json_is_null(value) ? NULL : value;
}

pfm_status pfm_config_integer(const json_t *json, const char *path, const char *key, int64_t fallback, int64_t low,
                              int64_t high, int64_t *out, pfm_error *err)
{
    const json_t *value = value_of(json, key);
    bool right = value == NULL || json_is_integer(value);
    *out = value != NULL && right ? json_integer_value(value) : fallback;
    if (!right || *out < low || *out > high)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "config.json of %s: %s is missing or not a whole number from %lld to %lld",
                             path, key, (long long)low, (long long)high);
    return PFM_OK;
}

pfm_status pfm_config_number(const json_t *json, const char *path, const char *key, double fallback, double *out,
                             pfm_error *err)
{
    const json_t *value = value_of(json, key);
    bool right = value == NULL || json_is_number(value);
    *out = value != NULL && right ? json_number_value(value) : fallback;
    if (!right || !(*out > 0))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "config.json of %s: %s is missing or not a number above zero", path, key);
    return PFM_OK;
}

pfm_status pfm_config_flag(const json_t *json, const char *path, const char *key, bool fallback, bool *out, pfm_error *err)
{
    const json_t *value = value_of(json, key);
    *out = value != NULL ? json_is_true(value) : fallback;
    if (value != NULL && !json_is_boolean(value))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "config.json of %s: %s is neither true nor false", path, key);
    return PFM_OK;
}

pfm_status pfm_config_demand(const json_t *json, const char *path, const char *key, bool wanted, pfm_error *err)
{
    bool is = false;
    pfm_status status = pfm_config_flag(json, path, key, wanted, &is, err);
    if (status == PFM_OK && is != wanted)
        status = pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "config.json of %s: %s is %s, which is not supported", path, key,
                               is ? "true" : "false");
    return status;
}

pfm_status pfm_config_activation(const json_t *json, const char *path, const char *key, const char *fallback,
                                 pfm_activation *out, pfm_error *err)
{
    static const struct {
        const char *name;
        pfm_activation kind;
    } known[] = {{"silu", PFM_ACTIVATION_SILU},
                 {"swish", PFM_ACTIVATION_SILU},
                 {"gelu", PFM_ACTIVATION_GELU},
                 {"gelu_new", PFM_ACTIVATION_GELU_TANH},
                 {"gelu_fast", PFM_ACTIVATION_GELU_TANH},
                 {"gelu_pytorch_tanh", PFM_ACTIVATION_GELU_TANH},
                 {"quick_gelu", PFM_ACTIVATION_QUICK_GELU},
                 {"relu", PFM_ACTIVATION_RELU}};
    const json_t *value = value_of(json, key);
    const char *name = value != NULL ? json_string_value(value) : fallback;
    for (size_t i = 0; name != NULL && i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].name, name) == 0) {
            *out = known[i].kind;
            return PFM_OK;
        }
    }
    return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "config.json of %s: %s asks for the activation %.60s, which is not known",
                         path, key, name != NULL ? name : "(not a text)");
}

/* Whole numbers into the configuration's, and that heads can share keys. */
static pfm_status set_heads(const char *place, int64_t layers, int64_t heads, int64_t kv_heads, int64_t head_dim,
                            pfm_language_config *config, pfm_error *err)
{
    if (heads % kv_heads != 0)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: %lld query heads of %lld cannot share %lld key heads", place,
                             (long long)heads, (long long)head_dim, (long long)kv_heads);
    config->layers = (int32_t)layers;
    config->heads = (int32_t)heads;
    config->kv_heads = (int32_t)kv_heads;
    config->head_dim = (int32_t)head_dim;
    return PFM_OK;
}

pfm_status pfm_config_sizes(const json_t *json, const char *path, int64_t context, pfm_language_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int64_t layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
    PFM_TRY(pfm_config_integer(json, path, "num_hidden_layers", 0, 1, 1000, &layers, err));
    PFM_TRY(pfm_config_integer(json, path, "hidden_size", 0, 1, 1 << 20, &config->hidden, err));
    PFM_TRY(pfm_config_integer(json, path, "intermediate_size", 0, 1, 1 << 22, &config->intermediate, err));
    PFM_TRY(pfm_config_integer(json, path, "vocab_size", 0, 1, 1 << 24, &config->vocabulary, err));
    PFM_TRY(pfm_config_integer(json, path, "max_position_embeddings", context, 1, 1 << 24, &config->context, err));
    PFM_TRY(pfm_config_integer(json, path, "num_attention_heads", 0, 1, 4096, &heads, err));
    PFM_TRY(pfm_config_integer(json, path, "num_key_value_heads", heads, 1, heads, &kv_heads, err));
    PFM_TRY(pfm_config_integer(json, path, "head_dim", config->hidden / heads, 1, 4096, &head_dim, err));
    PFM_TRY(set_heads(path, layers, heads, kv_heads, head_dim, config, err));
    PFM_TRY(pfm_config_flag(json, path, "tie_word_embeddings", false, &config->tied, err));
done:
    return status;
}

void pfm_config_window(pfm_language_config *config, int64_t window)
{
    if (window > 0 && window < config->context)
        config->context = window;
}

void pfm_gguf_config_key(const pfm_weights *weights, const char *key, char out[128])
{
    (void)snprintf(out, 128, "%.40s.%s", pfm_weights_meta_string(weights, "general.architecture", NULL), key);
}

pfm_status pfm_gguf_config_integer(const pfm_weights *weights, const char *key, int64_t fallback, int64_t low, int64_t high,
                                   int64_t *out, pfm_error *err)
{
    char full[128];
    pfm_gguf_config_key(weights, key, full);
    *out = fallback;
    if (!pfm_weights_meta_integer(weights, full, out) && (fallback < low || fallback > high))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s lacks the metadata %s, a whole number", pfm_weights_path(weights),
                             full);
    if (*out < low || *out > high)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: %s is %lld; it must be from %lld to %lld", pfm_weights_path(weights),
                             full, (long long)*out, (long long)low, (long long)high);
    return PFM_OK;
}

pfm_status pfm_gguf_config_number(const pfm_weights *weights, const char *key, double fallback, double *out, pfm_error *err)
{
    char full[128];
    pfm_gguf_config_key(weights, key, full);
    *out = fallback;
    (void)pfm_weights_meta_number(weights, full, out);
    if (!(*out > 0))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: %s is missing or not a number above zero", pfm_weights_path(weights),
                             full);
    return PFM_OK;
}

pfm_status pfm_gguf_config_sizes(const pfm_weights *weights, pfm_language_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int64_t layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
    PFM_TRY(pfm_gguf_config_integer(weights, "block_count", 0, 1, 1000, &layers, err));
    PFM_TRY(pfm_gguf_config_integer(weights, "embedding_length", 0, 1, 1 << 20, &config->hidden, err));
    PFM_TRY(pfm_gguf_config_integer(weights, "feed_forward_length", 0, 1, 1 << 22, &config->intermediate, err));
    PFM_TRY(pfm_gguf_config_integer(weights, "context_length", 0, 1, 1 << 24, &config->context, err));
    PFM_TRY(pfm_gguf_config_integer(weights, "attention.head_count", 0, 1, 4096, &heads, err));
    PFM_TRY(pfm_gguf_config_integer(weights, "attention.head_count_kv", heads, 1, heads, &kv_heads, err));
    PFM_TRY(pfm_gguf_config_integer(weights, "attention.key_length", config->hidden / heads, 1, 4096, &head_dim, err));
    PFM_TRY(set_heads(pfm_weights_path(weights), layers, heads, kv_heads, head_dim, config, err));
    const pfm_weight *embedding = pfm_weights_find(weights, "token_embd.weight");
    if (embedding == NULL || embedding->rank != 2)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s has no matrix token_embd.weight", pfm_weights_path(weights));
    config->vocabulary = embedding->shape[0];
    config->tied = pfm_weights_find(weights, "output.weight") == NULL;
done:
    return status;
}
