#include "peft/peft_methods.h"

#include "base/memory.h"
#include "base/try.h"
#include "peft/targets.h"

#include <stdlib.h>
#include <string.h>

#define METHOD_ADDRESS(name) &pfm_peft_##name,
static const pfm_peft_method *const methods[] = {PFM_PEFT_METHOD_LIST(METHOD_ADDRESS)};
enum { METHODS = sizeof methods / sizeof *methods };

struct pfm_peft {
    pfm_peft_options options;      /* owned */
    const pfm_peft_method *method; /* NULL: none */
    pfm_targets *targets;
    char *slot; /* NULL: none */
    bool works; /* the method found something in the model */
    pfm_hook hook;
    void *state; /* the method's own */
};

bool pfm_peft_targets(const pfm_peft *peft, const char *module)
{
    return peft->method != NULL && peft->method->targets != NULL && pfm_targets_match(peft->targets, module);
}

bool pfm_peft_is_feedforward(const pfm_peft *peft, const char *module)
{
    return pfm_targets_is_feedforward(peft->targets, module);
}

bool pfm_peft_acts_on(const pfm_peft *peft, const char *module)
{
    return pfm_targets_saw(peft->targets, module) && pfm_peft_targets(peft, module);
}

int pfm_peft_rank(const pfm_peft *peft, const char *module) { return pfm_targets_rank(peft->targets, module); }

double pfm_peft_alpha(const pfm_peft *peft, const char *module) { return pfm_targets_alpha(peft->targets, module); }

static pfm_touch touches(void *user, const pfm_model_place *place)
{
    pfm_peft *peft = user;
    const bool of_linear = place->kind == PFM_PLACE_LINEAR || place->kind == PFM_PLACE_INPUT,
               of_norms = peft->method != NULL && peft->method->norms;
    if (of_linear && !of_norms)
        pfm_targets_see(peft->targets, place->name);
    if (peft->method == NULL || peft->method->touches == NULL)
        return PFM_TOUCH_NOTHING;
    if (of_linear && peft->method->targets != NULL && !pfm_peft_targets(peft, place->name))
        return PFM_TOUCH_NOTHING;
    const pfm_touch touch = peft->method->touches(peft, place);
    peft->works |= touch != PFM_TOUCH_NOTHING;
    return touch;
}

static pfm_status apply(void *user, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err)
{
    pfm_peft *peft = user;
    return peft->method->apply(peft, builder, place, output, err);
}

/* A bias of the base that peft.bias names. */
static bool trains_bias(const pfm_peft *peft, const pfm_model_place *place, const char *parameter)
{
    const char *bias = peft->options.bias;
    if (bias == NULL || strcmp(parameter, "bias") != 0 || strcmp(bias, "none") == 0)
        return false;
    return strcmp(bias, "all") == 0 || (place->kind == PFM_PLACE_LINEAR && pfm_peft_acts_on(peft, place->name));
}

static bool method_trains(pfm_peft *peft, const pfm_model_place *place, const char *parameter)
{
    const pfm_peft_method *method = peft->method;
    if (method == NULL || method->trains == NULL || (method->norms && place->kind != PFM_PLACE_NORM))
        return false;
    if (method->norms)
        pfm_targets_see(peft->targets, place->name);
    if (method->norms && !pfm_peft_targets(peft, place->name))
        return false;
    const bool answer = method->trains(peft, place, parameter);
    peft->works |= answer;
    return answer;
}

static bool trains(void *user, const pfm_model_place *place, const char *parameter)
{
    pfm_peft *peft = user;
    return method_trains(peft, place, parameter) || trains_bias(peft, place, parameter) ||
           pfm_targets_keep_whole(peft->targets, place->name);
}

/* "a, b and c". */
static pfm_status list_methods(pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < METHODS && status == PFM_OK; i++)
        status = pfm_buffer_append_format(out, err, "%s%s", i == 0 ? "" : ", ", methods[i]->name);
    return status != PFM_OK ? status : pfm_buffer_append_string(out, " and none", err);
}

const pfm_peft_method *pfm_peft_method_at(size_t i) { return i < METHODS ? methods[i] : NULL; }

pfm_status pfm_peft_find_method(const char *name, const pfm_peft_method **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer known = {0};
    *out = NULL;
    if (strcmp(name, "none") == 0)
        return PFM_OK;
    for (size_t i = 0; i < METHODS; i++) {
        if (strcmp(methods[i]->name, name) == 0) {
            *out = methods[i];
            return PFM_OK;
        }
    }
    PFM_TRY(list_methods(&known, err));
    PFM_FAIL(PFM_ERROR_USAGE, PFM_PEFT_METHOD_KEY "cannot be '%.60s'; there are %s", name, known.data);
done:
    pfm_buffer_free(&known);
    return status;
}

static bool is_among(const char *words, const char *word)
{
    const size_t length = strlen(word);
    while (*words != '\0') {
        const size_t end = strcspn(words, " ");
        if (end == length && memcmp(words, word, length) == 0)
            return true;
        words += end + strspn(words + end, " ");
    }
    return false;
}

bool pfm_peft_method_has(const pfm_peft_method *method, const char *key)
{
    return is_among("method parts start modules_to_save", key) || (method != NULL && is_among(method->keys, key));
}

/* What the method says of its options itself says more than that one is not its. Numbers that have a default in every recipe
 * are the recipe's to check. */
static pfm_status check(const pfm_peft_method *method, const pfm_peft_options *o, pfm_error *err)
{
    const bool biases = o->bias != NULL && strcmp(o->bias, "none") != 0;
    if (biases && strcmp(o->bias, "all") != 0 && strcmp(o->bias, "lora_only") != 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.bias cannot be '%.60s'; it is none, all or lora_only", o->bias);
    if (method != NULL && method->targets != NULL && o->target_count == 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.targets is empty; name layers, such as [%s]", method->targets);
    const pfm_status status = method == NULL || method->check == NULL ? PFM_OK : method->check(o, err);
    const char *other = status == PFM_OK ? pfm_peft_options_find_other(o, method) : NULL;
    if (other != NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.%s is not of peft.method: %s; leave it out", other,
                             method == NULL ? "none" : method->name);
    return status;
}

/* What such a method names becomes modules that are kept whole, and no method is left. */
static pfm_status keep_targets_whole(pfm_peft *peft, pfm_error *err)
{
    pfm_peft_options *o = &peft->options;
    const size_t all = o->module_to_save_count + o->target_count;
    size_t capacity = o->module_to_save_count;
    pfm_status status = pfm_array_reserve(&o->modules_to_save, &capacity, all, sizeof *o->modules_to_save, err);
    if (status != PFM_OK)
        return status;
    memcpy(o->modules_to_save + o->module_to_save_count, o->targets, o->target_count * sizeof *o->targets);
    o->module_to_save_count = all;
    free(o->targets);
    o->targets = NULL;
    o->target_count = 0;
    peft->method = NULL;
    return PFM_OK;
}

pfm_status pfm_peft_create(const pfm_peft_options *options, pfm_peft **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_peft *peft = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *peft, &peft, err));
    PFM_TRY(pfm_peft_find_method(options->method, &peft->method, err));
    PFM_TRY(check(peft->method, options, err));
    PFM_TRY(pfm_peft_options_copy(options, &peft->options, err));
    if (peft->method != NULL && peft->method->whole)
        PFM_TRY(keep_targets_whole(peft, err));
    PFM_TRY(pfm_targets_create(&peft->options, &peft->targets, err));
    if (peft->method != NULL && peft->method->state_bytes > 0)
        PFM_TRY(pfm_allocate(1, peft->method->state_bytes, &peft->state, err));
    peft->hook = (pfm_hook){.user = peft, .touches = touches, .apply = apply, .trains = trains};
    *out = peft;
    peft = NULL;
done:
    pfm_peft_free(peft);
    return status;
}

void pfm_peft_free(pfm_peft *peft)
{
    if (peft == NULL)
        return;
    pfm_targets_free(peft->targets);
    free(peft->slot);
    pfm_peft_options_free(&peft->options);
    free(peft->state);
    free(peft);
}

const pfm_peft_options *pfm_peft_get_options(const pfm_peft *peft) { return &peft->options; }

const pfm_peft_method *pfm_peft_get_method(const pfm_peft *peft) { return peft->method; }

void *pfm_peft_get_state(const pfm_peft *peft) { return peft->state; }

const pfm_hook *pfm_peft_hook(const pfm_peft *peft)
{
    return peft->method == NULL && peft->options.module_to_save_count == 0 ? NULL : &peft->hook;
}

static const pfm_peft_family *find_family(const pfm_peft_method *method, const char *model_type)
{
    for (const pfm_peft_family *f = method->families; f != NULL && f->model_type != NULL; f++) {
        if (strcmp(f->model_type, model_type) == 0)
            return f;
    }
    return NULL;
}

const char *pfm_peft_default_targets(const pfm_peft_method *method, const char *model_type)
{
    const pfm_peft_family *family = find_family(method, model_type);
    return family != NULL ? family->targets : method->targets;
}

const char *pfm_peft_default_feedforward(const pfm_peft_method *method, const char *model_type)
{
    const pfm_peft_family *family = find_family(method, model_type);
    return family != NULL ? family->feedforward : method->feedforward;
}

pfm_status pfm_peft_set_slot(pfm_peft *peft, const char *slot, pfm_error *err)
{
    free(peft->slot);
    peft->slot = NULL;
    return pfm_string_copy(slot, &peft->slot, err);
}

const char *pfm_peft_get_slot(const pfm_peft *peft) { return peft->slot == NULL ? "" : peft->slot; }

pfm_status pfm_peft_check_targets(const pfm_peft *peft, pfm_error *err)
{
    pfm_status status = pfm_targets_check(peft->targets, err);
    if (status != PFM_OK || peft->method == NULL || peft->method->needs == NULL || peft->works)
        return status;
    return pfm_error_set(err, PFM_ERROR_USAGE, "peft.method: %s works on %s, and this model has none; choose another",
                         peft->method->name, peft->method->needs);
}

const char *pfm_peft_not_in_vision(const pfm_peft *peft) { return peft->method == NULL ? NULL : peft->method->not_in_vision; }

int pfm_peft_virtual_tokens(const pfm_peft *peft)
{
    const pfm_peft_method *method = peft->method;
    return method == NULL || method->virtual_tokens == NULL ? 0 : method->virtual_tokens(&peft->options);
}

pfm_status pfm_peft_start(const pfm_peft *peft, const pfm_peft_text *text, pfm_parameters *parameters, pfm_error *err)
{
    const pfm_peft_method *method = peft->method;
    return method == NULL || method->start == NULL ? PFM_OK : method->start(peft, text, parameters, err);
}

pfm_status pfm_peft_check_merge(const pfm_peft *peft, pfm_error *err)
{
    const pfm_peft_method *method = peft->method;
    if (method == NULL || method->merge != NULL || method->of_base)
        return PFM_OK;
    return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                         "what %s learns cannot be merged into the base's weights; export the adapter beside it (--to peft)",
                         method->name);
}

/* A layer of this model on which the method acts, or any where it has no targets. */
static bool acts_on(const pfm_peft *peft, const char *module)
{
    const pfm_peft_method *method = peft->method;
    return method != NULL && (method->targets == NULL || pfm_peft_acts_on(peft, module));
}

pfm_status pfm_peft_merge(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n, int64_t k,
                          float *values, pfm_error *err)
{
    if (!acts_on(peft, module) || peft->method->of_base)
        return PFM_OK;
    pfm_status status = pfm_peft_check_merge(peft, err);
    return status != PFM_OK ? status : peft->method->merge(peft, parameters, module, n, k, values, err);
}

pfm_status pfm_peft_merge_bias(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n,
                               float *values, pfm_error *err)
{
    if (!acts_on(peft, module) || peft->method->merge_bias == NULL)
        return PFM_OK;
    return peft->method->merge_bias(peft, parameters, module, n, values, err);
}

pfm_status pfm_peft_merge_parameter(const pfm_peft *peft, const pfm_parameters *parameters, const pfm_parameter *parameter,
                                    float *values, pfm_error *err)
{
    const char *end = strrchr(parameter->name, '.');
    const bool weight = end != NULL && strcmp(end, ".weight") == 0, bias = end != NULL && strcmp(end, ".bias") == 0;
    char *module = NULL;
    if (parameter->part != PFM_PART_BASE)
        memcpy(values, parameter->values, (size_t)(parameter->n * parameter->k) * sizeof *values);
    if (!weight && !bias)
        return PFM_OK;
    pfm_status status = pfm_string_copy_n(parameter->name, (size_t)(end - parameter->name), &module, err);
    if (status == PFM_OK)
        status = weight ? pfm_peft_merge(peft, parameters, module, parameter->n, parameter->k, values, err)
                        : pfm_peft_merge_bias(peft, parameters, module, parameter->n, values, err);
    free(module);
    return status;
}
