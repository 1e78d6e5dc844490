/* The tensors of an adapter's file, as Hugging Face PEFT names them. */
#include "peft/peft.h"

#include "base/memory.h"
#include "base/try.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char prefix[] = "base_model.model.";

void pfm_peft_tensors_free(pfm_peft_tensors *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].name);
        if (list->items[i].owned)
            free(list->items[i].values);
    }
    free(list->items);
    *list = (pfm_peft_tensors){0};
}

pfm_status pfm_peft_tensors_add(pfm_peft_tensors *list, const char *begin, const char *name, int64_t n, int64_t k,
                                float *values, bool owned, pfm_error *err)
{
    char *full = NULL;
    pfm_status status = pfm_array_reserve(&list->items, &list->capacity, list->count + 1, sizeof *list->items, err);
    if (status == PFM_OK)
        status = pfm_string_format(&full, err, "%s%s", begin, name);
    if (status == PFM_OK)
        list->items[list->count++] = (pfm_peft_tensor){.name = full, .n = n, .k = k, .values = values, .owned = owned};
    else if (owned)
        free(values);
    return status;
}

/* What stands before the prefix in whole checkpoints of PeFoMed's kind (LAVIS), with other parts of the model beside it. */
static const char within[] = "llama_model.base_model.model.";

/* A tensor by its name, or by one of those that other versions and other programs gave it: with the adapter's own name before
 * its last part or at its end, without the prefix, within a whole checkpoint, a trained bias without saying that it is the
 * base's. */
const pfm_weight *pfm_peft_find_tensor(const pfm_weights *weights, const char *name)
{
    enum { NAMED = 1, BARE = 2, PLAIN = 4, WITHIN = 8, VARIANTS = 16 };
    static const char adapter[] = ".default", base[] = ".base_layer";
    const pfm_weight *found = pfm_weights_find(weights, name);
    const bool prefixed = strncmp(name, prefix, sizeof prefix - 1) == 0;
    const char *layer = strstr(name, base), *last = strrchr(name, '.');
    const bool ends = last != NULL && (strcmp(last, ".weight") == 0 || strcmp(last, ".bias") == 0);
    for (unsigned v = 1; v < VARIANTS && found == NULL && prefixed; v++) {
        char text[400];
        const char *begin = (v & BARE) != 0 ? name + sizeof prefix - 1 : name, *named = (v & NAMED) != 0 ? adapter : "";
        const char *stop = ends ? last : name + strlen(name), *rest = stop;
        if (((v & PLAIN) != 0 && layer == NULL) || (v & (BARE | WITHIN)) == (BARE | WITHIN))
            continue;
        if ((v & PLAIN) != 0)
            stop = layer; /* what is left out stands right before the last part */
        if ((v & WITHIN) != 0)
            begin = name + sizeof prefix - 1;
        (void)snprintf(text, sizeof text, "%s%.*s%s%s", (v & WITHIN) != 0 ? within : "", (int)(stop - begin), begin, named,
                       rest);
        found = pfm_weights_find(weights, text);
    }
    return found;
}

pfm_status pfm_peft_read_tensor(const pfm_weights *weights, const char *name, int64_t n, int64_t k, float *values,
                                pfm_error *err)
{
    const pfm_weight *weight = pfm_peft_find_tensor(weights, name);
    if (weight == NULL)
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "%s lacks the tensor %s; it belongs to another recipe",
                             pfm_weights_path(weights), name);
    const bool vector = k == 1 && weight->rank == 1 && weight->shape[0] == n,
               matrix = weight->rank == 2 && weight->shape[0] == n && weight->shape[1] == k;
    if (!vector && !matrix)
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "%s: the tensor %s is not %lld x %lld; it belongs to another recipe",
                             pfm_weights_path(weights), name, (long long)n, (long long)k);
    return pfm_weight_expand(weight, values, err);
}

const char *pfm_peft_own_name(const pfm_peft *peft, const pfm_parameter *parameter)
{
    const char *slot = pfm_peft_get_slot(peft);
    if (slot[0] == '\0')
        return strchr(parameter->name, '/') == NULL ? parameter->name : NULL;
    return strncmp(parameter->name, slot, strlen(slot)) == 0 ? parameter->name + strlen(slot) : NULL;
}

/* Whether the method keeps anything in the file of a network, and what it keeps there is its own to save or to load. */
static bool keeps_own(const pfm_peft_method *method, const pfm_peft_network *network, bool saves)
{
    if (method == NULL || (!network->others && method->not_in_vision != NULL))
        return false;
    return saves ? method->save != NULL : method->load != NULL;
}

/* Whether the file of a network holds a parameter as it stands: what trains of the base, a norm that is learned beside the
 * method, and the method's own where that does not keep them in another way. */
static bool is_listed(const pfm_peft *peft, const pfm_peft_network *network, const pfm_parameter *parameter, bool saves)
{
    const pfm_peft_method *method = pfm_peft_get_method(peft);
    const char *name = pfm_peft_own_name(peft, parameter);
    if (name == NULL || !pfm_peft_is_of(network, name))
        return false;
    const bool own = keeps_own(method, network, saves);
    return parameter->part == PFM_PART_NORMS ||
           (parameter->part == PFM_PART_PEFT && (!own || parameter->initial == PFM_INITIAL_LOADED));
}

/* PEFT keeps virtual tokens beside the base and not within. */
static const char *prefix_of(const pfm_peft_method *method, const pfm_parameter *parameter)
{
    const bool beside = parameter->part == PFM_PART_PEFT && method != NULL && method->virtual_tokens != NULL;
    return beside ? "" : prefix;
}

/* A bias of the base that trains beside what the method adds to its layer: PEFT has that layer inside of its own. */
static bool is_inner_bias(const pfm_peft *peft, const pfm_parameter *parameter)
{
    static const char end[] = ".bias";
    const size_t length = strlen(parameter->name);
    char module[400];
    if (parameter->initial != PFM_INITIAL_LOADED || length < sizeof end ||
        strcmp(parameter->name + length - (sizeof end - 1), end) != 0)
        return false;
    (void)snprintf(module, sizeof module, "%.*s", (int)(length - (sizeof end - 1)), parameter->name);
    return pfm_peft_targets(peft, module);
}

/* What a parameter is called within its network. */
static pfm_status file_name(const pfm_peft *peft, const pfm_parameter *slotted, char **out, pfm_error *err)
{
    const pfm_peft_method *method = pfm_peft_get_method(peft);
    pfm_parameter bare = *slotted, *parameter = &bare;
    bare.name += strlen(pfm_peft_get_slot(peft));
    if (parameter->part == PFM_PART_PEFT && method != NULL && method->file_name != NULL)
        return method->file_name(parameter, out, err);
    if (parameter->part == PFM_PART_PEFT && is_inner_bias(peft, parameter))
        return pfm_string_format(out, err, "%.*s.base_layer.bias", (int)(strlen(parameter->name) - strlen(".bias")),
                                 parameter->name);
    return pfm_string_copy(parameter->name, out, err);
}

static pfm_status save_one(const pfm_parameter *p, const char *name, pfm_peft_tensors *out, pfm_error *err)
{
    float *values = NULL;
    pfm_status status = PFM_OK;
    if (p->transposed) {
        PFM_TRY(pfm_allocate((size_t)(p->n * p->k), sizeof *values, &values, err));
        pfm_weight_transpose(p->values, p->n, p->k, values);
        PFM_TRY(pfm_peft_tensors_add(out, "", name, p->k, p->n, values, true, err));
        goto done;
    }
    PFM_TRY(pfm_peft_tensors_add(out, "", name, p->n, p->k, p->values, false, err));
    out->items[out->count - 1].column = p->column;
done:
    return status;
}

pfm_status pfm_peft_tensor_name(const pfm_peft *peft, const pfm_peft_network *network, const pfm_parameter *parameter,
                                char **out, pfm_error *err)
{
    const char *before = prefix_of(pfm_peft_get_method(peft), parameter);
    char *name = NULL;
    pfm_status status = file_name(peft, parameter, &name, err);
    if (status == PFM_OK)
        status = network->others
                     ? pfm_string_format(out, err, "%s%s", before, name)
                     : pfm_string_format(out, err, "%s%s%s", before, network->in_file, name + strlen(network->begin));
    free(name);
    return status;
}

pfm_status pfm_peft_save(const pfm_peft *peft, const pfm_peft_network *network, const pfm_parameters *parameters,
                         pfm_peft_tensors *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_peft_method *method = pfm_peft_get_method(peft);
    char *name = NULL;
    if (keeps_own(method, network, true))
        PFM_TRY(method->save(peft, network, parameters, out, err));
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if (!is_listed(peft, network, p, true))
            continue;
        free(name);
        name = NULL;
        PFM_TRY(pfm_peft_tensor_name(peft, network, p, &name, err));
        PFM_TRY(save_one(p, name, out, err));
    }
done:
    free(name);
    return status;
}

pfm_status pfm_peft_read_parameter(const pfm_peft *peft, const pfm_peft_network *network, const pfm_weights *weights,
                                   pfm_parameters *parameters, int id, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_parameter *p = pfm_parameters_get(parameters, id);
    char *name = NULL;
    float *values = NULL, *stored = NULL;
    PFM_TRY(pfm_peft_tensor_name(peft, network, p, &name, err));
    PFM_TRY(pfm_allocate((size_t)(p->n * p->k), sizeof *values, &values, err));
    if (p->transposed) {
        PFM_TRY(pfm_allocate((size_t)(p->n * p->k), sizeof *stored, &stored, err));
        PFM_TRY(pfm_peft_read_tensor(weights, name, p->k, p->n, stored, err));
        pfm_weight_transpose(stored, p->k, p->n, values);
    } else {
        PFM_TRY(pfm_peft_read_tensor(weights, name, p->n, p->k, values, err));
    }
    pfm_parameters_set(parameters, id, values);
done:
    free(name);
    free(values);
    free(stored);
    return status;
}

/* Whether the file is a whole checkpoint, of whose other parts nothing is read here. */
static bool is_whole(const pfm_weights *weights)
{
    for (size_t i = 0; i < pfm_weights_count(weights); i++) {
        if (strncmp(pfm_weights_at(weights, i)->name, within, sizeof within - 1) == 0)
            return true;
    }
    return false;
}

/* What is none of the adapter's: other parts of a whole checkpoint, and copies of what the base had before, which some files
 * hold beside what was trained. */
static bool is_beside(const pfm_weight *weight, bool whole)
{
    return strstr(weight->name, ".original_module.") != NULL ||
           (whole && strncmp(weight->name, within, sizeof within - 1) != 0);
}

/* Names the first tensor that no parameter is read from. */
static pfm_status refuse_rest(const pfm_peft *peft, const pfm_peft_network *network, const pfm_weights *weights,
                              const pfm_parameters *parameters, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bool *known = NULL;
    char *name = NULL;
    const size_t count = pfm_weights_count(weights);
    const bool whole = is_whole(weights);
    PFM_TRY(pfm_allocate(count, sizeof *known, &known, err));
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if (!is_listed(peft, network, p, false))
            continue;
        free(name);
        name = NULL;
        PFM_TRY(pfm_peft_tensor_name(peft, network, p, &name, err));
        const pfm_weight *weight = pfm_peft_find_tensor(weights, name);
        if (weight != NULL)
            known[weight - pfm_weights_at(weights, 0)] = true;
    }
    for (size_t i = 0; i < count; i++) {
        const pfm_weight *weight = pfm_weights_at(weights, i);
        if (!known[i] && !is_beside(weight, whole))
            PFM_FAIL(PFM_ERROR_MISMATCH, "%s holds the tensor %s, which the recipe does not know; it belongs to another recipe",
                     pfm_weights_path(weights), weight->name);
    }
done:
    free(known);
    free(name);
    return status;
}

pfm_status pfm_peft_load(const pfm_peft *peft, const pfm_peft_network *network, const pfm_weights *weights,
                         pfm_parameters *parameters, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_peft_method *method = pfm_peft_get_method(peft);
    size_t read = 0, there = 0;
    const bool own = keeps_own(method, network, false), whole = is_whole(weights);
    if (own)
        PFM_TRY(method->load(peft, network, weights, parameters, &read, err));
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        if (!is_listed(peft, network, pfm_parameters_get(parameters, i), false))
            continue;
        PFM_TRY(pfm_peft_read_parameter(peft, network, weights, parameters, i, err));
        read++;
    }
    for (size_t i = 0; i < pfm_weights_count(weights); i++)
        there += !is_beside(pfm_weights_at(weights, i), whole);
    if (there != read && !own)
        PFM_TRY(refuse_rest(peft, network, weights, parameters, err));
    if (there != read)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s holds %zu tensors, the recipe knows %zu; it belongs to another recipe",
                 pfm_weights_path(weights), there, read);
done:
    return status;
}
