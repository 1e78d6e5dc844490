#include "train/run.h"

#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "formats/adapter.h"
#include "train/run_adapter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char norm_mean[] = "norm.mean", norm_std[] = "norm.std", before_name[] = "stage.before";

/* A list of tensors whose names are owned. */
typedef struct tensors {
    pfm_weight *items;
    size_t count, capacity;
} tensors;

static void tensors_free(tensors *list)
{
    for (size_t i = 0; i < list->count; i++)
        free((void *)(uintptr_t)list->items[i].name);
    free(list->items);
}

/* Adds values f32 [n,k] (a vector where k is 1) under prefix + name + suffix. */
static pfm_status add_tensor(tensors *list, const char *prefix, const char *name, const char *suffix, const float *values,
                             int64_t n, int64_t k, pfm_error *err)
{
    pfm_status status = pfm_array_reserve(&list->items, &list->capacity, list->count + 1, sizeof *list->items, err);
    char *full = NULL;
    if (status == PFM_OK)
        status = pfm_string_format(&full, err, "%s%s%s", prefix, name, suffix);
    if (status != PFM_OK)
        return status;
    list->items[list->count++] = (pfm_weight){.name = full,
                                              .dtype = PFM_DTYPE_F32,
                                              .rank = k == 1 ? 1 : 2,
                                              .shape = {n, k},
                                              .data = values,
                                              .bytes = (size_t)(n * k) * sizeof *values};
    return PFM_OK;
}

/* What is saved: all that is learned, also where it does not train now, and of the aligner what no file of its own holds. */
static bool is_saved(const pfm_parameter *parameter)
{
    return parameter->part != PFM_PART_BASE || (pfm_aligner_owns(parameter) && parameter->initial != PFM_INITIAL_LOADED);
}

static pfm_status save_aligner(const char *folder, const pfm_model *model, pfm_error *err)
{
    pfm_status status = PFM_OK;
    tensors list = {0};
    char *path = NULL;
    if (!pfm_model_sees(model))
        return PFM_OK;
    PFM_TRY(pfm_path_join(folder, "aligner.safetensors", &path, err));
    for (int i = 0; i < pfm_parameters_count(model->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(model->parameters, i);
        if (pfm_aligner_owns(p) && is_saved(p))
            PFM_TRY(add_tensor(&list, "", pfm_aligner_name_of(p), "", p->values, p->n, p->k, err));
    }
    if (model->normalise) {
        PFM_TRY(add_tensor(&list, "", "norm.mean", "", model->mean, model->visual_width, 1, err));
        PFM_TRY(add_tensor(&list, "", "norm.std", "", model->std, model->visual_width, 1, err));
    }
    PFM_TRY(pfm_safetensors_write(path, list.items, list.count, NULL, 0, err));
done:
    tensors_free(&list);
    free(path);
    return status;
}

static pfm_status save_adapter(const char *folder, const char *name, const pfm_peft_network *network, const char *base,
                               const pfm_model *model, const pfm_peft *peft, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_peft_tensors kept = {0};
    tensors list = {0};
    char *adapter = NULL;
    pfm_adapter_config config = {0};
    PFM_TRY(pfm_peft_save(peft, network, model->parameters, &kept, err));
    for (size_t i = 0; i < kept.count; i++) {
        const pfm_peft_tensor *t = &kept.items[i];
        PFM_TRY(add_tensor(&list, "", t->name, "", t->values, t->n, t->k, err));
        if (t->column)
            list.items[list.count - 1].rank = 2;
    }
    if (list.count == 0)
        goto done; /* nothing of it was adapted */
    PFM_TRY(pfm_run_describe_adapter(network, base, model, peft, &config, err));
    PFM_TRY(pfm_path_join(folder, name, &adapter, err));
    PFM_TRY(pfm_adapter_write(adapter, &config, list.items, list.count, NULL, NULL, err));
done:
    pfm_peft_tensors_free(&kept);
    tensors_free(&list);
    pfm_adapter_config_free(&config);
    free(adapter);
    return status;
}

pfm_status pfm_run_save(const char *folder, const char *base, const pfm_model *model, const pfm_peft *peft, pfm_error *err)
{
    pfm_status status = pfm_folder_create(folder, err);
    if (status == PFM_OK)
        status = save_adapter(folder, "adapter", &pfm_run_language_network, base, model, peft, err);
    if (status == PFM_OK)
        status = save_adapter(folder, PFM_RUN_VISION_FOLDER, &pfm_run_vision_network, base, model, peft, err);
    if (status == PFM_OK)
        status = save_aligner(folder, model, err);
    return status;
}

/* The name within the aligner of a parameter whose name begins with the prefix; NULL where it is another's. */
static const char *aligner_name(const pfm_parameter *parameter, const char *prefix)
{
    pfm_parameter bare = *parameter;
    if (strncmp(parameter->name, prefix, strlen(prefix)) != 0)
        return NULL;
    bare.name += strlen(prefix);
    return is_saved(parameter) && pfm_aligner_owns(&bare) ? pfm_aligner_name_of(&bare) : NULL;
}

static pfm_status load_aligner(const char *path, pfm_model *model, const char *prefix, float *mean, float *std, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_weights *weights = NULL;
    float *values = NULL;
    size_t read = 0;
    PFM_TRY(pfm_weights_open(path, &weights, err));
    for (int i = 0; i < pfm_parameters_count(model->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(model->parameters, i);
        const char *name = aligner_name(p, prefix);
        if (name == NULL)
            continue;
        free(values);
        values = NULL;
        PFM_TRY(pfm_allocate((size_t)(p->n * p->k), sizeof *values, &values, err));
        PFM_TRY(pfm_peft_read_tensor(weights, name, p->n, p->k, values, err));
        pfm_parameters_set(model->parameters, i, values);
        read++;
    }
    if (model->normalise) {
        PFM_TRY(pfm_peft_read_tensor(weights, norm_mean, model->visual_width, 1, mean, err));
        PFM_TRY(pfm_peft_read_tensor(weights, norm_std, model->visual_width, 1, std, err));
        read += 2;
    }
    if (pfm_weights_count(weights) != read)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s holds %zu tensors, the recipe knows %zu; it belongs to another recipe", path,
                 pfm_weights_count(weights), read);
done:
    pfm_weights_close(weights);
    free(values);
    return status;
}

pfm_status pfm_run_load_slot(const char *path, pfm_model *model, const pfm_model_slot *slot, pfm_error *err)
{
    return load_aligner(path, model, slot->prefix, slot->mean, slot->std, err);
}

/* What is written last tells that the run has finished. */
static pfm_status check_finished(const char *folder, const pfm_model *model, pfm_error *err)
{
    const char *last = pfm_model_sees(model) ? "aligner.safetensors" : "adapter";
    char *path = NULL;
    pfm_status status = pfm_path_join(folder, last, &path, err);
    if (status == PFM_OK && !pfm_path_exists(path))
        status = pfm_error_set(err, PFM_ERROR_IO,
                               "%s holds no finished model (no %s); run the same pefomed train again to go on with it", folder,
                               last);
    free(path);
    return status;
}

/* *out = the aligner's file in a folder; NULL where there is none. */
static pfm_status find_aligner(const char *folder, char **out, pfm_error *err)
{
    *out = NULL;
    pfm_status status = pfm_path_join(folder, "aligner.safetensors", out, err);
    if (status == PFM_OK && !pfm_path_exists(*out)) {
        free(*out);
        *out = NULL;
    }
    return status;
}

pfm_status pfm_run_load(const char *folder, const char *adapter, pfm_model *model, const pfm_peft *peft, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *aligner = NULL;
    if (folder != NULL)
        PFM_TRY(check_finished(folder, model, err));
    if (adapter != NULL)
        PFM_TRY(find_aligner(adapter, &aligner, err));
    if (aligner == NULL && folder != NULL)
        PFM_TRY(find_aligner(folder, &aligner, err));
    if (aligner != NULL && pfm_model_has_aligner(model))
        PFM_TRY(load_aligner(aligner, model, "", model->mean, model->std, err));
    if ((pfm_peft_hook(peft) != NULL && model->hook != NULL) || model->learns_norms)
        PFM_TRY(pfm_run_load_adapter(adapter != NULL ? adapter : folder, model, peft, err));
    if (pfm_model_has_tower(model))
        PFM_TRY(pfm_run_load_vision_adapter(adapter != NULL ? adapter : folder, model->parameters, peft, err));
done:
    free(aligner);
    return status;
}

pfm_status pfm_checkpoint_save(const char *folder, const pfm_run_identity *identity, const pfm_model *model,
                               const pfm_progress_state *state, const float *before, size_t before_count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    tensors list = {0};
    char *checkpoint = NULL, *path = NULL, numbers[6][40];
    PFM_TRY(pfm_path_join(folder, "checkpoint", &checkpoint, err));
    PFM_TRY(pfm_folder_create(checkpoint, err));
    PFM_TRY(pfm_path_join(checkpoint, "state.safetensors", &path, err));
    for (int i = 0; i < pfm_parameters_count(model->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(model->parameters, i);
        if (is_saved(p))
            PFM_TRY(add_tensor(&list, "", p->name, "", p->values, p->n, p->k, err));
        if (!p->trainable)
            continue;
        PFM_TRY(add_tensor(&list, "", p->name, ".moment1", p->moment1, p->n, p->k, err));
        PFM_TRY(add_tensor(&list, "", p->name, ".moment2", p->moment2, p->n, p->k, err));
    }
    if (pfm_model_sees(model)) {
        PFM_TRY(add_tensor(&list, "", norm_mean, "", model->mean, model->visual_width, 1, err));
        PFM_TRY(add_tensor(&list, "", norm_std, "", model->std, model->visual_width, 1, err));
    }
    if (before != NULL)
        PFM_TRY(add_tensor(&list, "", before_name, "", before, (int64_t)before_count, 1, err));
    (void)snprintf(numbers[0], 40, "%" PRId64, state->step);
    (void)snprintf(numbers[1], 40, "%" PRId64, state->tokens);
    (void)snprintf(numbers[2], 40, "%" PRId64, state->samples);
    (void)snprintf(numbers[3], 40, "%.17g", state->seconds);
    (void)snprintf(numbers[4], 40, "%.17g", state->best_loss);
    (void)snprintf(numbers[5], 40, "%" PRId64, state->best_step);
    const char *metadata[] = {"recipe",    identity->recipe,   "train",         identity->train,
                              "validate",  identity->validate, "micro_batches", identity->micro_batches,
                              "step",      numbers[0],         "tokens",        numbers[1],
                              "samples",   numbers[2],         "seconds",       numbers[3],
                              "best_loss", numbers[4],         "best_step",     numbers[5]};
    PFM_TRY(pfm_safetensors_write(path, list.items, list.count, metadata, sizeof metadata / sizeof *metadata / 2, err));
done:
    tensors_free(&list);
    free(checkpoint);
    free(path);
    return status;
}

static pfm_status read_number(const pfm_weights *weights, const char *key, double *out, pfm_error *err)
{
    const char *text = pfm_weights_meta_string(weights, key, NULL);
    char *end = NULL;
    if (text != NULL)
        *out = strtod(text, &end);
    if (text == NULL || end == text || *end != '\0')
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: the checkpoint does not say %s; start anew with --fresh",
                             pfm_weights_path(weights), key);
    return PFM_OK;
}

static pfm_status read_state(const pfm_weights *weights, pfm_progress_state *state, pfm_error *err)
{
    pfm_status status = PFM_OK;
    double step, tokens, samples, best_step;
    PFM_TRY(read_number(weights, "step", &step, err));
    PFM_TRY(read_number(weights, "tokens", &tokens, err));
    PFM_TRY(read_number(weights, "samples", &samples, err));
    PFM_TRY(read_number(weights, "seconds", &state->seconds, err));
    PFM_TRY(read_number(weights, "best_loss", &state->best_loss, err));
    PFM_TRY(read_number(weights, "best_step", &best_step, err));
    state->step = (int64_t)step;
    state->tokens = (int64_t)tokens;
    state->samples = (int64_t)samples;
    state->best_step = (int64_t)best_step;
done:
    return status;
}

/* Two states of a training mix only where everything that made them is the same: the recipe, and unless another stage's are
 * meant the data. */
static pfm_status check_identity(const pfm_weights *weights, const pfm_run_identity *identity, bool data, pfm_error *err)
{
    const struct {
        const char *key, *hash, *differs;
    } parts[] = {{"recipe", identity->recipe, "belongs to another recipe, seed or precision"},
                 {"train", identity->train, "was trained on other rows or images"},
                 {"validate", identity->validate, "was validated on other rows or images"},
                 {"micro_batches", identity->micro_batches, "was trained in other micro-batches, which another --memory cut"}};
    for (size_t i = 0; i < (data ? sizeof parts / sizeof *parts : 1); i++) {
        const char *hash = pfm_weights_meta_string(weights, parts[i].key, NULL);
        if (hash == NULL || strcmp(hash, parts[i].hash) != 0)
            return pfm_error_set(err, PFM_ERROR_MISMATCH, "%s %s; choose another --out, or --fresh to start anew",
                                 pfm_weights_path(weights), parts[i].differs);
    }
    return PFM_OK;
}

/* *out = the checkpoint, or NULL where there is none. */
static pfm_status open_checkpoint(const char *folder, const pfm_run_identity *identity, bool data, pfm_weights **out,
                                  pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    *out = NULL;
    PFM_TRY(pfm_path_join(folder, "checkpoint/state.safetensors", &path, err));
    if (!pfm_path_exists(path))
        goto done;
    PFM_TRY(pfm_weights_open(path, out, err));
    PFM_TRY(check_identity(*out, identity, data, err));
done:
    if (status != PFM_OK) {
        pfm_weights_close(*out);
        *out = NULL;
    }
    free(path);
    return status;
}

pfm_status pfm_checkpoint_find(const char *folder, const pfm_run_identity *identity, int64_t *step, pfm_error *err)
{
    pfm_weights *weights = NULL;
    pfm_progress_state state = {.step = -1};
    pfm_status status = open_checkpoint(folder, identity, false, &weights, err);
    if (status == PFM_OK && weights != NULL)
        status = read_state(weights, &state, err);
    pfm_weights_close(weights);
    *step = state.step;
    return status;
}

/* Values of one parameter, and where it trains its moments. */
static pfm_status read_parameter(const pfm_weights *weights, pfm_model *model, int id, bool moments, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_parameter *p = pfm_parameters_get(model->parameters, id);
    float *const into[] = {p->values, p->moment1, p->moment2};
    static const char *const suffix[] = {"", ".moment1", ".moment2"};
    char *name = NULL;
    for (int part = 0; part < (moments && p->trainable ? 3 : 1); part++) {
        free(name);
        name = NULL;
        PFM_TRY(pfm_string_format(&name, err, "%s%s", p->name, suffix[part]));
        PFM_TRY(pfm_peft_read_tensor(weights, name, p->n, p->k, into[part], err));
    }
    pfm_parameters_set(model->parameters, id, p->values);
done:
    free(name);
    return status;
}

static pfm_status read_statistics(const pfm_weights *weights, pfm_model *model, pfm_error *err)
{
    if (!pfm_model_sees(model))
        return PFM_OK;
    pfm_status status = pfm_peft_read_tensor(weights, norm_mean, model->visual_width, 1, model->mean, err);
    return status == PFM_OK ? pfm_peft_read_tensor(weights, norm_std, model->visual_width, 1, model->std, err) : status;
}

pfm_status pfm_checkpoint_load(const char *folder, const pfm_run_identity *identity, pfm_model *model,
                               pfm_progress_state *state, float *before, size_t before_count, bool *found, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_weights *weights = NULL;
    PFM_TRY(open_checkpoint(folder, identity, true, &weights, err));
    *found = weights != NULL;
    if (weights == NULL)
        goto done;
    PFM_TRY(read_state(weights, state, err));
    PFM_TRY(read_statistics(weights, model, err));
    for (int i = 0; i < pfm_parameters_count(model->parameters); i++) {
        if (is_saved(pfm_parameters_get(model->parameters, i)))
            PFM_TRY(read_parameter(weights, model, i, true, err));
    }
    if (before != NULL)
        PFM_TRY(pfm_peft_read_tensor(weights, before_name, (int64_t)before_count, 1, before, err));
done:
    pfm_weights_close(weights);
    return status;
}

pfm_status pfm_checkpoint_begin_stage(const char *folder, const pfm_run_identity *identity, unsigned known, pfm_model *model,
                                      pfm_progress_state *state, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_weights *weights = NULL;
    PFM_TRY(open_checkpoint(folder, identity, false, &weights, err));
    if (weights == NULL)
        PFM_FAIL(PFM_ERROR_IO, "%s lacks the checkpoint in which the former stage ended; start anew with --fresh", folder);
    PFM_TRY(read_state(weights, state, err));
    state->best_loss = -1;
    state->best_step = 0;
    PFM_TRY(read_statistics(weights, model, err));
    for (int i = 0; i < pfm_parameters_count(model->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(model->parameters, i);
        if (is_saved(p) && (pfm_aligner_owns(p) || (known >> p->part & 1) != 0))
            PFM_TRY(read_parameter(weights, model, i, false, err));
    }
done:
    pfm_weights_close(weights);
    return status;
}
