#include "base/try.h"
#include "formats/adapter.h"
#include "formats/inspect_internal.h"

static bool probe(const pfm_inspect_target *target) { return pfm_inspect_has(target, "adapter_config.json"); }

/* What the document says under a key; null where it says nothing. */
static json_t *said(const pfm_adapter_config *config, const char *key)
{
    json_t *value = json_object_get(config->document, key);
    return value == NULL ? json_null() : json_incref(value);
}

pfm_status pfm_inspect_adapter(const char *folder, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_adapter_config config = {0};
    pfm_weights *weights = NULL;
    PFM_TRY(pfm_adapter_config_load(folder, &config, err));
    PFM_TRY(pfm_json_take(out, "method", json_string(config.peft_type), err));
    PFM_TRY(pfm_json_take(out, "rank", said(&config, "r"), err));
    PFM_TRY(pfm_json_take(out, "alpha", said(&config, "lora_alpha"), err));
    PFM_TRY(pfm_json_take(out, "dropout", said(&config, "lora_dropout"), err));
    PFM_TRY(pfm_json_take(out, "rslora", said(&config, "use_rslora"), err));
    PFM_TRY(pfm_json_take(out, "targets", said(&config, "target_modules"), err));
    PFM_TRY(pfm_json_take(out, "base", config.base_model == NULL ? json_null() : json_string(config.base_model), err));
    PFM_TRY(pfm_json_take(out, "task", config.task_type == NULL ? json_null() : json_string(config.task_type), err));
    PFM_TRY(pfm_json_take(out, "config", json_incref(config.document), err));
    PFM_TRY(pfm_weights_open(folder, &weights, err));
    PFM_TRY(pfm_inspect_tensors(weights, out, err));
done:
    pfm_weights_close(weights);
    pfm_adapter_config_free(&config);
    return status;
}

static pfm_status describe(const pfm_inspect_target *target, json_t *out, pfm_error *err)
{
    return pfm_inspect_adapter(target->path, out, err);
}

const pfm_inspector pfm_inspector_adapter = {.kind = "adapter", .probe = probe, .describe = describe};
