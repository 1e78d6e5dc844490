#include "formats/adapter.h"

#include "base/file.h"
#include "base/json.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

static const char config_name[] = "adapter_config.json", model_name[] = "adapter_model.safetensors",
                  old_model_name[] = "adapter_model.bin";

/* *out = a copy of a text, or NULL where the key is absent or null and `needed` is NULL; else `needed` says what is wanted. */
static pfm_status read_text(const json_t *document, const char *key, const char *needed, const char *path, char **out,
                            pfm_error *err)
{
    const json_t *value = json_object_get(document, key);
    if (json_is_string(value))
        return pfm_string_copy(json_string_value(value), out, err);
    if (needed == NULL && (value == NULL || json_is_null(value)))
        return PFM_OK;
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: \"%s\" must be %s", path, key, needed == NULL ? "a text or null" : needed);
}

static pfm_status read_config(json_t *document, const char *path, pfm_adapter_config *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (!json_is_object(document))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s is no JSON object", path);
    PFM_TRY(read_text(document, "peft_type", "the method's name", path, &out->peft_type, err));
    PFM_TRY(read_text(document, "task_type", NULL, path, &out->task_type, err));
    PFM_TRY(read_text(document, "base_model_name_or_path", NULL, path, &out->base_model, err));
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

void pfm_adapter_config_free(pfm_adapter_config *config)
{
    if (config == NULL)
        return;
    free(config->peft_type);
    free(config->task_type);
    free(config->base_model);
    json_decref(config->document);
    *config = (pfm_adapter_config){0};
}

pfm_status pfm_adapter_config_create(const char *peft_type, const char *task_type, const char *base_model,
                                     pfm_adapter_config *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *out = (pfm_adapter_config){.document = json_object()};
    if (out->document == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not describe the adapter");
    PFM_TRY(pfm_string_copy(peft_type, &out->peft_type, err));
    if (task_type != NULL)
        PFM_TRY(pfm_string_copy(task_type, &out->task_type, err));
    if (base_model != NULL)
        PFM_TRY(pfm_string_copy(base_model, &out->base_model, err));
done:
    if (status != PFM_OK)
        pfm_adapter_config_free(out);
    return status;
}

pfm_status pfm_adapter_find(const char *folder, char **out, pfm_error *err)
{
    static const char *const where[] = {NULL, "adapter", "adapter-vision"}; /* within the folder */
    pfm_status status = PFM_OK;
    char *path = NULL, *config = NULL;
    for (size_t i = 0; i < sizeof where / sizeof *where; i++) {
        free(path);
        free(config);
        path = config = NULL;
        PFM_TRY(where[i] == NULL ? pfm_string_copy(folder, &path, err) : pfm_path_join(folder, where[i], &path, err));
        PFM_TRY(pfm_path_join(path, config_name, &config, err));
        if (!pfm_path_exists(config))
            continue;
        *out = path;
        path = NULL;
        goto done;
    }
    PFM_FAIL(PFM_ERROR_IO, "%s holds no adapter: there is no %s", folder, config_name);
done:
    free(path);
    free(config);
    return status;
}

pfm_status pfm_adapter_tensors_path(const char *folder, char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    PFM_TRY(pfm_path_join(folder, model_name, &path, err));
    if (!pfm_path_exists(path)) {
        free(path);
        path = NULL;
        PFM_TRY(pfm_path_join(folder, old_model_name, &path, err));
        if (!pfm_path_exists(path))
            PFM_FAIL(PFM_ERROR_IO, "%s holds no adapter: there is neither %s nor %s", folder, model_name, old_model_name);
    }
    *out = path;
    path = NULL;
done:
    free(path);
    return status;
}

static json_t *text_or_null(const char *text) { return text == NULL ? json_null() : json_string(text); }

static pfm_status config_to_json(const pfm_adapter_config *config, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *document = json_pack("{s:n, s:b, s:n}", "auto_mapping", "inference_mode", 1, "revision");
    if (document == NULL || json_object_update(document, config->document) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the adapter's settings");
    PFM_TRY(pfm_json_take(document, "peft_type", json_string(config->peft_type), err));
    PFM_TRY(pfm_json_take(document, "task_type", text_or_null(config->task_type), err));
    PFM_TRY(pfm_json_take(document, "base_model_name_or_path", text_or_null(config->base_model), err));
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
