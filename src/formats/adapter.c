#include "formats/adapter.h"

#include "base/file.h"
#include "base/json.h"
#include "base/try.h"

#include <math.h>
#include <stdlib.h>

static const char config_name[] = "adapter_config.json", model_name[] = "adapter_model.safetensors";

static pfm_status refuse(const char *path, const char *key, const char *wanted, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: \"%s\" must be %s", path, key, wanted);
}

/* *out = a copy of a text, or NULL where the key is absent or null and `needed` is NULL; else `needed` says what is wanted. */
static pfm_status read_text(const json_t *document, const char *key, const char *needed, const char *path, char **out,
                            pfm_error *err)
{
    const json_t *value = json_object_get(document, key);
    if (json_is_string(value))
        return pfm_string_copy(json_string_value(value), out, err);
    if (needed == NULL && (value == NULL || json_is_null(value)))
        return PFM_OK;
    return refuse(path, key, needed == NULL ? "a text or null" : needed, err);
}

static pfm_status read_number(const json_t *document, const char *key, double fallback, const char *path, double *out,
                              pfm_error *err)
{
    const json_t *value = json_object_get(document, key);
    if (value != NULL && !json_is_number(value))
        return refuse(path, key, "a number", err);
    *out = value == NULL ? fallback : json_number_value(value);
    return PFM_OK;
}

static pfm_status read_flag(const json_t *document, const char *key, const char *path, bool *out, pfm_error *err)
{
    const json_t *value = json_object_get(document, key);
    if (value != NULL && !json_is_boolean(value) && !json_is_null(value))
        return refuse(path, key, "true or false", err);
    *out = json_is_true(value);
    return PFM_OK;
}

static pfm_status read_targets(const json_t *document, const char *path, pfm_adapter_config *out, pfm_error *err)
{
    const json_t *value = json_object_get(document, "target_modules");
    if (value == NULL || json_is_null(value))
        return PFM_OK;
    if (json_is_string(value))
        return pfm_string_copy(json_string_value(value), &out->target_pattern, err);
    if (!json_is_array(value))
        return refuse(path, "target_modules", "a list of names or a text", err);
    pfm_status status = pfm_allocate(json_array_size(value), sizeof *out->targets, &out->targets, err);
    for (size_t i = 0; status == PFM_OK && i < json_array_size(value); i++) {
        const char *name = json_string_value(json_array_get(value, i));
        status = name == NULL ? refuse(path, "target_modules", "a list of names or a text", err)
                              : pfm_string_copy(name, &out->targets[i], err);
        if (status == PFM_OK)
            out->target_count++;
    }
    return status;
}

static pfm_status read_rank(const json_t *document, const char *path, pfm_adapter_config *out, pfm_error *err)
{
    const json_t *value = json_object_get(document, "r");
    bool lora = strcmp(out->peft_type, "LORA") == 0;
    if (value == NULL && !lora)
        return PFM_OK;
    out->r = json_integer_value(value);
    if (!json_is_integer(value) || out->r < 0 || (lora && out->r < 1) || out->r > INT32_MAX)
        return refuse(path, "r", "a whole number from 1 on", err);
    return PFM_OK;
}

static pfm_status read_config(json_t *document, const char *path, pfm_adapter_config *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (!json_is_object(document))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s is no JSON object", path);
    PFM_TRY(read_text(document, "peft_type", "the method's name", path, &out->peft_type, err));
    PFM_TRY(read_text(document, "task_type", NULL, path, &out->task_type, err));
    PFM_TRY(read_text(document, "base_model_name_or_path", NULL, path, &out->base_model, err));
    PFM_TRY(read_text(document, "bias", NULL, path, &out->bias, err));
    if (out->bias == NULL)
        PFM_TRY(pfm_string_copy("none", &out->bias, err));
    PFM_TRY(read_rank(document, path, out, err));
    PFM_TRY(read_number(document, "lora_alpha", 8, path, &out->lora_alpha, err));
    PFM_TRY(read_number(document, "lora_dropout", 0, path, &out->lora_dropout, err));
    if (!(out->lora_dropout >= 0 && out->lora_dropout < 1))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: \"lora_dropout\" is %g; it must be from 0 to less than 1", path, out->lora_dropout);
    PFM_TRY(read_flag(document, "use_rslora", path, &out->use_rslora, err));
    PFM_TRY(read_flag(document, "fan_in_fan_out", path, &out->fan_in_fan_out, err));
    PFM_TRY(read_targets(document, path, out, err));
    out->document = json_incref(document);
done:
    return status;
}

pfm_status pfm_adapter_config_load(const char *folder, pfm_adapter_config *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    json_t *document = NULL;
    *out = (pfm_adapter_config){0};
    PFM_TRY(pfm_path_join(folder, config_name, &path, err));
    PFM_TRY(pfm_json_load(path, &document, err));
    PFM_TRY(read_config(document, path, out, err));
done:
    if (status != PFM_OK)
        pfm_adapter_config_free(out);
    json_decref(document);
    free(path);
    return status;
}

static void free_targets(pfm_adapter_config *config)
{
    for (size_t i = 0; i < config->target_count; i++)
        free(config->targets[i]);
    free(config->targets);
    config->targets = NULL;
    config->target_count = 0;
}

void pfm_adapter_config_free(pfm_adapter_config *config)
{
    if (config == NULL)
        return;
    free_targets(config);
    free(config->peft_type);
    free(config->task_type);
    free(config->base_model);
    free(config->bias);
    free(config->target_pattern);
    json_decref(config->whole_modules);
    json_decref(config->method);
    json_decref(config->document);
    *config = (pfm_adapter_config){0};
}

pfm_status pfm_adapter_config_set_targets(pfm_adapter_config *config, const char *const *targets, size_t count, pfm_error *err)
{
    free_targets(config);
    free(config->target_pattern);
    config->target_pattern = NULL;
    pfm_status status = pfm_allocate(count, sizeof *config->targets, &config->targets, err);
    for (size_t i = 0; status == PFM_OK && i < count; i++) {
        status = pfm_string_copy(targets[i], &config->targets[i], err);
        if (status == PFM_OK)
            config->target_count++;
    }
    return status;
}

/* null, false, 0 and empty containers change nothing. */
static bool is_off(const json_t *value)
{
    return value == NULL || json_is_null(value) || json_is_false(value) ||
           (json_is_integer(value) && json_integer_value(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0) || (json_is_array(value) && json_array_size(value) == 0);
}

/* Initialisations that also change the base's weights, so that the adapter's tensors alone do not say what was learnt. */
static bool changes_base(const json_t *value)
{
    const char *text = json_string_value(value);
    return text != NULL && (strncmp(text, "pissa", 5) == 0 || strcmp(text, "olora") == 0 || strcmp(text, "corda") == 0 ||
                            strcmp(text, "loftq") == 0);
}

pfm_status pfm_adapter_config_check_plain(const pfm_adapter_config *config, pfm_error *err)
{
    static const char *const settings[] = {"use_dora",
                                           "lora_bias",
                                           "rank_pattern",
                                           "alpha_pattern",
                                           "layer_replication",
                                           "modules_to_save",
                                           "use_qalora",
                                           "use_bdlora",
                                           "arrow_config",
                                           "target_parameters",
                                           "kasa_config",
                                           "velora_config",
                                           "monteclora_config",
                                           "alora_invocation_tokens",
                                           "trainable_token_indices"};
    if (strcmp(config->peft_type, "LORA") != 0)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "the adapter's method is %.60s; only LORA is read here",
                             config->peft_type);
    if (config->bias != NULL && strcmp(config->bias, "none") != 0)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                             "the adapter trained biases (\"bias\": \"%.60s\"), which is not read here", config->bias);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (!is_off(json_object_get(config->document, settings[i])))
            return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "the adapter uses \"%s\", which is not read here", settings[i]);
    }
    if (changes_base(json_object_get(config->document, "init_lora_weights")))
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                             "the adapter began with \"init_lora_weights\": \"%.60s\", which changed its base's weights; "
                             "convert it in PEFT first",
                             json_string_value(json_object_get(config->document, "init_lora_weights")));
    return PFM_OK;
}

static json_t *targets_to_json(const pfm_adapter_config *config)
{
    if (config->target_pattern != NULL)
        return json_string(config->target_pattern);
    json_t *list = json_array();
    for (size_t i = 0; i < config->target_count; i++)
        list = pfm_json_add(list, json_string(config->targets[i]));
    return list;
}

static json_t *text_or_null(const char *text) { return text == NULL ? json_null() : json_string(text); }

/* PEFT's type is an integer; fractions occur all the same. */
static json_t *alpha_to_json(double alpha)
{
    return alpha == floor(alpha) && fabs(alpha) < 1e15 ? json_integer((json_int_t)alpha) : json_real(alpha);
}

static pfm_status config_to_json(const pfm_adapter_config *config, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *document = config->document == NULL ? json_pack("{s:n, s:b, s:n}", "auto_mapping", "inference_mode", 1, "revision")
                                                : json_copy(config->document);
    if (config->method != NULL && json_object_update(document, config->method) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the adapter's settings");
    PFM_TRY(pfm_json_take(document, "peft_type", json_string(config->peft_type), err));
    PFM_TRY(pfm_json_take(document, "task_type", text_or_null(config->task_type), err));
    PFM_TRY(pfm_json_take(document, "base_model_name_or_path", text_or_null(config->base_model), err));
    if (config->target_count > 0 || config->target_pattern != NULL)
        PFM_TRY(pfm_json_take(document, "target_modules", targets_to_json(config), err));
    if (config->whole_modules != NULL)
        PFM_TRY(pfm_json_take(document, "modules_to_save", json_incref(config->whole_modules), err));
    if (config->method == NULL && strcmp(config->peft_type, "LORA") == 0) {
        PFM_TRY(pfm_json_take(document, "bias", json_string(config->bias == NULL ? "none" : config->bias), err));
        PFM_TRY(pfm_json_take(document, "r", json_integer(config->r), err));
        PFM_TRY(pfm_json_take(document, "lora_alpha", alpha_to_json(config->lora_alpha), err));
        PFM_TRY(pfm_json_take(document, "lora_dropout", json_real(config->lora_dropout), err));
        PFM_TRY(pfm_json_take(document, "use_rslora", json_boolean(config->use_rslora), err));
        PFM_TRY(pfm_json_take(document, "fan_in_fan_out", json_boolean(config->fan_in_fan_out), err));
    }
    *out = document;
    document = NULL;
done:
    json_decref(document);
    return status;
}

/* The document as PEFT would write it, numbers as short as they may be: 0.1, not 0.10000000000000001. NULL: out of memory. */
static char *write_text(const json_t *document)
{
    enum { FLAGS = JSON_INDENT(2) | JSON_SORT_KEYS };
    char *text = json_dumps(document, FLAGS | JSON_REAL_PRECISION(15));
    json_t *again = text == NULL ? NULL : json_loads(text, 0, NULL);
    if (!json_equal(document, again)) {
        free(text);
        text = json_dumps(document, FLAGS);
    }
    json_decref(again);
    return text;
}

static pfm_status save_config(const char *folder, const pfm_adapter_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL, *text = NULL;
    json_t *document = NULL;
    PFM_TRY(pfm_path_join(folder, config_name, &path, err));
    PFM_TRY(config_to_json(config, &document, err));
    text = write_text(document);
    if (text == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write %s", path);
    PFM_TRY(pfm_file_write(path, text, strlen(text), err));
done:
    json_decref(document);
    free(text);
    free(path);
    return status;
}

pfm_status pfm_adapter_write(const char *folder, const pfm_adapter_config *config, const pfm_weight *tensors, size_t count,
                             pfm_weight_fill fill, void *user, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    static const char *const metadata[] = {"format", "pt"};
    PFM_TRY(pfm_folder_create(folder, err));
    PFM_TRY(pfm_path_join(folder, model_name, &path, err));
    PFM_TRY(pfm_safetensors_write_from(path, tensors, count, metadata, 1, fill, user, err));
    PFM_TRY(save_config(folder, config, err));
done:
    free(path);
    return status;
}
