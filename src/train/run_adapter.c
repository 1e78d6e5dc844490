/* A run's adapters: what their settings say, what their tensors are called, and how they load. */
#include "train/run_adapter.h"

#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "train/run.h"

#include <stdlib.h>
#include <string.h>

const pfm_peft_network pfm_run_language_network = {PFM_TOWER_PREFIX, "", true},
                       pfm_run_vision_network = {PFM_TOWER_PREFIX, "", false};
/* transformers 4 has "vision_model." before a vision encoder's modules, as we have; transformers 5 has nothing there. */
static const pfm_peft_network older_vision_network = {PFM_TOWER_PREFIX, PFM_TOWER_PREFIX, false};

/* Adds the last part of the name of a norm's module, once. */
static pfm_status add_norm(json_t **list, const pfm_parameter *norm, pfm_error *err)
{
    const char *end = strrchr(norm->name, '.'), *begin = end; /* before ".weight" */
    while (begin > norm->name && begin[-1] != '.')
        begin--;
    const size_t length = (size_t)(end - begin);
    for (size_t i = 0; i < json_array_size(*list); i++) {
        const char *known = json_string_value(json_array_get(*list, i));
        if (strlen(known) == length && memcmp(known, begin, length) == 0)
            return PFM_OK;
    }
    *list = pfm_json_add(*list == NULL ? json_array() : *list, json_stringn(begin, length));
    return *list != NULL ? PFM_OK : pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not save %s", norm->name);
}

static bool is_target(const pfm_peft *peft, const pfm_parameter *weight, const char *module)
{
    (void)weight;
    return pfm_peft_acts_on(peft, module);
}

static bool is_feedforward(const pfm_peft *peft, const pfm_parameter *weight, const char *module)
{
    return is_target(peft, weight, module) && pfm_peft_is_feedforward(peft, module);
}

static bool is_whole(const pfm_peft *peft, const pfm_parameter *weight, const char *module)
{
    return weight->part == PFM_PART_PEFT && !is_target(peft, weight, module);
}

/* Those of the vision encoder's modules that a list of its adapter's settings names, by their whole names. */
static pfm_status list_vision_modules(const pfm_model *model, const pfm_peft *peft,
                                      bool (*takes)(const pfm_peft *, const pfm_parameter *, const char *), json_t **out,
                                      pfm_error *err)
{
    static const char end[] = ".weight";
    pfm_status status = PFM_OK;
    const int most = pfm_parameters_count(model->parameters);
    char **names = NULL, *module = NULL;
    size_t count = 0;
    PFM_TRY(pfm_allocate((size_t)most, sizeof *names, &names, err));
    for (int i = 0; i < most; i++) {
        const pfm_parameter *p = pfm_parameters_get(model->parameters, i);
        const size_t length = strlen(p->name) - strlen(end);
        if (!pfm_tower_owns(p) || p->initial != PFM_INITIAL_LOADED || strcmp(p->name + length, end) != 0)
            continue;
        free(module);
        module = NULL;
        PFM_TRY(pfm_string_copy_n(p->name, length, &module, err));
        if (!takes(peft, p, module))
            continue;
        PFM_TRY(pfm_string_copy(module + strlen(PFM_TOWER_PREFIX), &names[count], err));
        count++;
    }
    *out = pfm_peft_texts(names, count);
    if (*out == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not name the vision encoder's modules");
done:
    for (size_t i = 0; names != NULL && i < count; i++)
        free(names[i]);
    free(names);
    free(module);
    return status;
}

/* What does not hold of a vision encoder as it does of a language model. It names every module whole: not all of its blocks are
 * there, a head may have layers of the same names, and what names others is the language model's. */
static pfm_status describe_vision(const pfm_model *model, const pfm_peft *peft, pfm_adapter_config *config, pfm_error *err)
{
    static const struct {
        const char *key;
        bool (*takes)(const pfm_peft *, const pfm_parameter *, const char *);
    } lists[] = {{"target_modules", is_target}, {"feedforward_modules", is_feedforward}, {"modules_to_save", is_whole}};
    static const char *const said_by_names[] = {"exclude_modules", "layers_to_transform", "layers_pattern"};
    pfm_status status = PFM_OK;
    json_t *names = NULL;
    free(config->task_type);
    config->task_type = NULL;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const json_t *given = json_object_get(config->document, lists[i].key);
        if (given == NULL || json_is_null(given))
            continue;
        names = NULL;
        PFM_TRY(list_vision_modules(model, peft, lists[i].takes, &names, err));
        if (lists[i].takes == is_target && json_is_null(names)) /* modules that are kept whole are all there is */
            continue;
        if (lists[i].takes == is_feedforward && json_is_null(names)) /* to PEFT that is no list */
            names = json_array();
        PFM_TRY(pfm_json_take(config->document, lists[i].key, names, err));
    }
    for (size_t i = 0; i < sizeof said_by_names / sizeof *said_by_names; i++)
        if (json_object_get(config->document, said_by_names[i]) != NULL)
            PFM_TRY(pfm_json_take(config->document, said_by_names[i], json_null(), err));
done:
    return status;
}

pfm_status pfm_run_describe_adapter(const pfm_peft_network *network, const char *base, const pfm_model *model,
                                    const pfm_peft *peft, pfm_adapter_config *config, pfm_error *err)
{
    const bool language = network->others,
               transposed = language && model->language.family != NULL && pfm_language_transposes(model->language.family);
    pfm_status status = PFM_OK;
    json_t *whole = NULL;
    PFM_TRY(pfm_peft_write_config(peft, language ? base : model->vision, config, err));
    if (json_object_get(config->document, "fan_in_fan_out") != NULL)
        PFM_TRY(pfm_json_take(config->document, "fan_in_fan_out", json_boolean(transposed), err));
    if (json_is_array(json_object_get(config->document, "modules_to_save")))
        whole = json_incref(json_object_get(config->document, "modules_to_save"));
    for (int i = 0; i < pfm_parameters_count(model->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(model->parameters, i);
        if (p->part == PFM_PART_NORMS && language)
            PFM_TRY(add_norm(&whole, p, err));
    }
    if (whole != NULL)
        PFM_TRY(pfm_json_take(config->document, "modules_to_save", json_incref(whole), err));
    if (!language)
        PFM_TRY(describe_vision(model, peft, config, err));
done:
    json_decref(whole);
    return status;
}

static bool is_older(const pfm_weights *weights)
{
    static const char begin[] = "base_model.model." PFM_TOWER_PREFIX;
    for (size_t i = 0; i < pfm_weights_count(weights); i++) {
        if (strncmp(pfm_weights_at(weights, i)->name, begin, sizeof begin - 1) == 0)
            return true;
    }
    return false;
}

static pfm_status load_adapter(const char *adapter, bool vision, pfm_parameters *parameters, const pfm_peft *peft,
                               pfm_error *err)
{
    char *folder = NULL, *path = NULL;
    pfm_weights *weights = NULL;
    pfm_status status = PFM_OK;
    const bool file = pfm_path_exists(adapter) && !pfm_path_is_folder(adapter);
    if (!file) {
        PFM_TRY(pfm_adapter_find(adapter, &folder, err));
        PFM_TRY(pfm_adapter_tensors_path(folder, &path, err));
    }
    PFM_TRY(pfm_weights_open(file ? adapter : path, &weights, err));
    const pfm_peft_network *network = !vision             ? &pfm_run_language_network
                                      : is_older(weights) ? &older_vision_network
                                                          : &pfm_run_vision_network;
    PFM_TRY(pfm_peft_load(peft, network, weights, parameters, err));
done:
    pfm_weights_close(weights);
    free(folder);
    free(path);
    return status;
}

pfm_status pfm_run_load_adapter(const char *adapter, pfm_model *model, const pfm_peft *peft, pfm_error *err)
{
    return load_adapter(adapter, false, model->parameters, peft, err);
}

pfm_status pfm_run_vision_folder(const char *folder, char **out, pfm_error *err)
{
    char *path = NULL;
    pfm_status status = pfm_path_join(folder, PFM_RUN_VISION_FOLDER, &path, err);
    if (status == PFM_OK && !pfm_path_exists(path)) {
        free(path);
        return pfm_string_copy(folder, out, err);
    }
    *out = path;
    return status;
}

pfm_status pfm_run_load_vision_adapter(const char *folder, pfm_parameters *parameters, const pfm_peft *peft, pfm_error *err)
{
    char *within = NULL;
    pfm_status status = pfm_run_vision_folder(folder, &within, err);
    if (status == PFM_OK)
        status = load_adapter(within, true, parameters, peft, err);
    free(within);
    return status;
}

pfm_status pfm_run_load_adapters(const char *folder, pfm_model *model, const pfm_peft *peft, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const bool language = model->hook != NULL || model->learns_norms;
    char *vision = NULL;
    PFM_TRY(pfm_path_join(folder, PFM_RUN_VISION_FOLDER, &vision, err));
    const bool within = pfm_path_exists(vision);
    if (language)
        PFM_TRY(pfm_run_load_adapter(folder, model, peft, err));
    if (pfm_model_has_tower(model) && (within || !language))
        PFM_TRY(pfm_run_load_vision_adapter(folder, model->parameters, peft, err));
done:
    free(vision);
    return status;
}

pfm_status pfm_run_tensor_name(const pfm_peft *peft, const pfm_parameter *parameter, char **out, pfm_error *err)
{
    if (pfm_aligner_owns(parameter))
        return pfm_string_copy(pfm_aligner_name_of(parameter), out, err);
    return pfm_peft_tensor_name(peft, pfm_tower_owns(parameter) ? &pfm_run_vision_network : &pfm_run_language_network,
                                parameter, out, err);
}
