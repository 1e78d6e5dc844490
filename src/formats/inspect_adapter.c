#include "base/try.h"
#include "formats/adapter.h"
#include "formats/inspect_internal.h"

static bool probe(const pfm_inspect_target *target) { return pfm_inspect_has(target, "adapter_config.json"); }

static json_t *targets_of(const pfm_adapter_config *config)
{
    if (config->target_pattern != NULL)
        return json_string(config->target_pattern);
    json_t *list = json_array();
    for (size_t i = 0; i < config->target_count; i++)
        list = pfm_json_add(list, json_string(config->targets[i]));
    return list;
}

pfm_status pfm_inspect_adapter(const char *folder, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_adapter_config config = {0};
    pfm_weights *weights = NULL;
    PFM_TRY(pfm_adapter_config_load(folder, &config, err));
    PFM_TRY(pfm_json_take(out, "method", json_string(config.peft_type), err));
    PFM_TRY(pfm_json_take(out, "rank", json_integer(config.r), err));
    PFM_TRY(pfm_json_take(out, "alpha", json_real(config.lora_alpha), err));
    PFM_TRY(pfm_json_take(out, "dropout", json_real(config.lora_dropout), err));
    PFM_TRY(pfm_json_take(out, "rslora", json_boolean(config.use_rslora), err));
    PFM_TRY(pfm_json_take(out, "targets", targets_of(&config), err));
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
