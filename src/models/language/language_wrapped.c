#include "models/language/language_wrapped.h"

#include "base/json.h"
#include "base/try.h"

#include <stdio.h>
#include <string.h>

/* model_type of its authors' config.json, which is that of the language model with keys of the other parts in it. */
static const char *const own_types[][2] = {
    {"llava", "llama"}, {"llava_llama", "llama"}, {"llava_mistral", "mistral"}, {"llava_qwen", "qwen2"}, {"llava_phi", "phi"}};

/* transformers writes of a text_config what differs from these. */
static const struct {
    const char *model_type;
    json_int_t hidden, intermediate, layers, heads, kv_heads, vocabulary;
} defaults[] = {{"llama", 4096, 11008, 32, 32, 32, 32000},
                {"mistral", 4096, 14336, 32, 32, 8, 32000},
                {"qwen2", 4096, 22016, 32, 32, 32, 151936},
                {"phi", 2048, 8192, 24, 32, 32, 51200}};

const char *const pfm_wrapped_ignored[] = {
    "vision_tower.*",       "model.vision_tower.*", "multi_modal_projector.*", "model.multi_modal_projector.*",
    "model.mm_projector.*", "image_newline",        "model.image_newline",     NULL};

static pfm_status set_default(json_t *config, const char *key, json_int_t value, pfm_error *err)
{
    return json_object_get(config, key) != NULL ? PFM_OK : pfm_json_take(config, key, json_integer(value), err);
}

static pfm_status fill_in(json_t *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *type = json_string_value(json_object_get(config, "model_type"));
    for (size_t i = 0; type != NULL && i < sizeof defaults / sizeof *defaults; i++) {
        if (strcmp(defaults[i].model_type, type) != 0)
            continue;
        const bool shared = json_object_get(config, "num_attention_heads") == NULL;
        PFM_TRY(set_default(config, "hidden_size", defaults[i].hidden, err));
        PFM_TRY(set_default(config, "intermediate_size", defaults[i].intermediate, err));
        PFM_TRY(set_default(config, "num_hidden_layers", defaults[i].layers, err));
        PFM_TRY(set_default(config, "num_attention_heads", defaults[i].heads, err));
        if (shared || strcmp(type, "llama") != 0) /* LLaMA's own default is as many as there are heads */
            PFM_TRY(set_default(config, "num_key_value_heads", defaults[i].kv_heads, err));
        PFM_TRY(set_default(config, "vocab_size", defaults[i].vocabulary, err));
    }
done:
    return status;
}

pfm_status pfm_wrapped_config(const json_t *json, json_t **out, bool *wrapped, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *text = json_object_get(json, "text_config");
    const char *type = json_string_value(json_object_get(json, "model_type"));
    *wrapped = json_is_object(text);
    *out = json_copy((json_t *)(uintptr_t)(*wrapped ? text : json));
    if (*out == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read a config.json");
    if (*wrapped)
        PFM_TRY(fill_in(*out, err));
    for (size_t i = 0; !json_is_object(text) && type != NULL && i < sizeof own_types / sizeof *own_types; i++) {
        if (strcmp(type, own_types[i][0]) != 0)
            continue;
        *wrapped = true;
        PFM_TRY(pfm_json_take(*out, "model_type", json_string(own_types[i][1]), err));
    }
done:
    return status;
}

bool pfm_wrapped_name(const pfm_weights *weights, const char *name, char out[128])
{
    static const char model[] = "model.", within[] = "language_model.";
    const char *behind = strncmp(name, model, sizeof model - 1) == 0 ? name + sizeof model - 1 : NULL;
    (void)snprintf(out, 128, "%s%s", within, name); /* language_model.model.layers, language_model.lm_head */
    if (pfm_weights_find(weights, out) != NULL)
        return true;
    if (behind == NULL)
        return false;
    (void)snprintf(out, 128, "%s%s%s", model, within, behind); /* newer: model.language_model.layers, lm_head */
    return pfm_weights_find(weights, out) != NULL;
}
