#include "base/try.h"
#include "formats/inspect_internal.h"

#include <stdlib.h>

/* What train leaves in a run's folder. */
static const char *const parts[] = {"recipe.yaml", "log.jsonl", "adapter",    "adapter-vision", "aligner.safetensors",
                                    "checkpoint",  "best",      "audit.json", "README.md",      "stages"};

static bool probe(const pfm_inspect_target *target)
{
    return pfm_inspect_has(target, "recipe.yaml") &&
           (pfm_inspect_has(target, "log.jsonl") || pfm_inspect_has(target, "audit.json") ||
            pfm_inspect_has(target, "adapter") || pfm_inspect_has(target, "aligner.safetensors"));
}

static pfm_status describe_files(const pfm_inspect_target *target, json_t *out, pfm_error *err)
{
    json_t *files = json_array();
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (pfm_inspect_has(target, parts[i]))
            files = pfm_json_add(files, json_string(parts[i]));
    }
    return pfm_json_take(out, "files", files, err);
}

/* "steps" and "last": the last line that was logged. */
static pfm_status describe_log(const pfm_inspect_target *target, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    json_t *lines = NULL, *last = NULL;
    if (pfm_inspect_has(target, "log.jsonl")) {
        PFM_TRY(pfm_path_join(target->path, "log.jsonl", &path, err));
        PFM_TRY(pfm_json_load_lines(path, &lines, err));
        last = json_array_get(lines, json_array_size(lines) - 1);
    }
    json_t *step = json_object_get(last, "step");
    PFM_TRY(pfm_json_take(out, "steps", step == NULL ? json_integer(0) : json_incref(step), err));
    PFM_TRY(pfm_json_take(out, "last", last == NULL ? json_null() : json_incref(last), err));
done:
    json_decref(lines);
    free(path);
    return status;
}

static pfm_status describe_adapter(const pfm_inspect_target *target, const char *name, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL, *config = NULL;
    json_t *adapter;
    PFM_TRY(pfm_string_format(&config, err, "%s/adapter_config.json", name));
    if (!pfm_inspect_has(target, config))
        goto done;
    adapter = json_object();
    PFM_TRY(pfm_json_take(out, name, adapter, err));
    PFM_TRY(pfm_path_join(target->path, name, &path, err));
    PFM_TRY(pfm_inspect_adapter(path, adapter, err));
done:
    free(path);
    free(config);
    return status;
}

static pfm_status describe_aligner(const pfm_inspect_target *target, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    pfm_weights *weights = NULL;
    if (!pfm_inspect_has(target, "aligner.safetensors"))
        return PFM_OK;
    json_t *aligner = json_object();
    PFM_TRY(pfm_json_take(out, "aligner", aligner, err));
    PFM_TRY(pfm_path_join(target->path, "aligner.safetensors", &path, err));
    PFM_TRY(pfm_weights_open(path, &weights, err));
    PFM_TRY(pfm_inspect_tensors(weights, aligner, err));
done:
    pfm_weights_close(weights);
    free(path);
    return status;
}

static pfm_status describe(const pfm_inspect_target *target, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(describe_files(target, out, err));
    PFM_TRY(describe_log(target, out, err));
    PFM_TRY(describe_adapter(target, "adapter", out, err));
    PFM_TRY(describe_adapter(target, "adapter-vision", out, err));
    PFM_TRY(describe_aligner(target, out, err));
    PFM_TRY(pfm_inspect_json_file(target->path, "audit.json", "audit", out, err));
done:
    return status;
}

const pfm_inspector pfm_inspector_run = {.kind = "run", .probe = probe, .describe = describe};
