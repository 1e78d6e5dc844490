#include "peft/peft_methods.h"

#include "base/memory.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

#define METHOD_ADDRESS(name) &pfm_peft_##name,
static const pfm_peft_method *const methods[] = {PFM_PEFT_METHOD_LIST(METHOD_ADDRESS)};
enum { METHODS = sizeof methods / sizeof *methods };

struct pfm_peft {
    pfm_peft_options options;
    const pfm_peft_method *method; /* NULL: none */
    pfm_hook hook;
    char **targets, **feedforward;
    bool *matched;
    pfm_buffer layers; /* "a, b": the last parts of the names of the layers that went by, once each */
    pfm_status noted;  /* whether that could be written down */
};

/* A target names a whole dotted suffix of a module's name. */
static bool names(const char *target, const char *module)
{
    size_t whole = strlen(module), part = strlen(target);
    return whole >= part && strcmp(module + whole - part, target) == 0 && (whole == part || module[whole - part - 1] == '.');
}

static bool is_named(char *const *targets, size_t count, const char *module)
{
    for (size_t i = 0; i < count; i++) {
        if (names(targets[i], module))
            return true;
    }
    return false;
}

bool pfm_peft_targets(const pfm_peft *peft, const char *module)
{
    return peft->method != NULL && is_named(peft->targets, peft->options.target_count, module);
}

bool pfm_peft_is_feedforward(const pfm_peft *peft, const char *module)
{
    return is_named(peft->feedforward, peft->options.feedforward_count, module);
}

/* Whether a list "a, b" has a name. */
static bool has_name(const pfm_buffer *list, const char *name)
{
    const size_t length = strlen(name);
    for (const char *at = list->size == 0 ? NULL : list->data; at != NULL; at = strchr(at, ' ')) {
        at += *at == ' ';
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

/* A layer went by: which targets name it, and what it is called. */
static void note_layer(pfm_peft *peft, const char *module)
{
    const char *dot = strrchr(module, '.'), *last = dot == NULL ? module : dot + 1;
    for (size_t i = 0; i < peft->options.target_count; i++)
        peft->matched[i] |= names(peft->targets[i], module);
    if (peft->noted == PFM_OK && !has_name(&peft->layers, last))
        peft->noted = pfm_buffer_append_format(&peft->layers, NULL, "%s%s", peft->layers.size == 0 ? "" : ", ", last);
}

static pfm_touch touches(void *user, const pfm_model_place *place)
{
    pfm_peft *peft = user;
    if (place->kind == PFM_PLACE_LINEAR)
        note_layer(peft, place->name);
    if (peft->method->touches == NULL)
        return PFM_TOUCH_NOTHING;
    const bool of_linear = place->kind == PFM_PLACE_LINEAR || place->kind == PFM_PLACE_INPUT;
    if (of_linear && peft->method->targets != NULL && !pfm_peft_targets(peft, place->name))
        return PFM_TOUCH_NOTHING;
    return peft->method->touches(peft, place);
}

static pfm_status apply(void *user, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err)
{
    pfm_peft *peft = user;
    return peft->method->apply(peft, builder, place, output, err);
}

static bool trains(void *user, const pfm_model_place *place, const char *parameter)
{
    const pfm_peft *peft = user;
    return peft->method->trains != NULL && peft->method->trains(peft, place, parameter);
}

/* "a, b and c". */
static pfm_status list_methods(pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < METHODS && status == PFM_OK; i++)
        status = pfm_buffer_append_format(out, err, "%s%s", i == 0 ? "" : ", ", methods[i]->name);
    return status != PFM_OK ? status : pfm_buffer_append_string(out, " and none", err);
}

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

static bool has_text(char *const *list, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i], text) == 0)
            return true;
    }
    return false;
}

static pfm_status check(const pfm_peft_method *method, const pfm_peft_options *options, pfm_error *err)
{
    if (method != NULL && method->targets != NULL && options->target_count == 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.targets is empty; name layers, such as [%s]", method->targets);
    for (size_t i = 0; i < options->feedforward_count; i++) {
        if (!has_text(options->targets, options->target_count, options->feedforward[i]))
            return pfm_error_set(err, PFM_ERROR_USAGE, "peft.feedforward: '%s' is not one of peft.targets; name it there too",
                                 options->feedforward[i]);
    }
    return method == NULL || method->check == NULL ? PFM_OK : method->check(options, err);
}

/* *out = a copy of a list; *copied counts as it grows. */
static pfm_status copy_list(char *const *list, size_t count, char ***out, size_t *copied, pfm_error *err)
{
    pfm_status status = pfm_allocate(count, sizeof **out, out, err);
    for (*copied = 0; status == PFM_OK && *copied < count; *copied += status == PFM_OK)
        status = pfm_string_copy(list[*copied], &(*out)[*copied], err);
    return status;
}

pfm_status pfm_peft_create(const pfm_peft_options *options, pfm_peft **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_peft *peft = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *peft, &peft, err));
    PFM_TRY(pfm_peft_find_method(options->method, &peft->method, err));
    PFM_TRY(check(peft->method, options, err));
    peft->options = *options;
    peft->options.method = NULL;
    peft->options.target_count = peft->options.feedforward_count = 0;
    PFM_TRY(pfm_string_copy(options->method, &peft->options.method, err));
    PFM_TRY(pfm_allocate(options->target_count, sizeof *peft->matched, &peft->matched, err));
    PFM_TRY(copy_list(options->targets, options->target_count, &peft->targets, &peft->options.target_count, err));
    PFM_TRY(
        copy_list(options->feedforward, options->feedforward_count, &peft->feedforward, &peft->options.feedforward_count, err));
    peft->options.targets = peft->targets;
    peft->options.feedforward = peft->feedforward;
    peft->hook = (pfm_hook){.user = peft, .touches = touches, .apply = apply, .trains = trains};
    *out = peft;
    peft = NULL;
done:
    pfm_peft_free(peft);
    return status;
}

static void free_list(char **list, size_t count)
{
    for (size_t i = 0; list != NULL && i < count; i++)
        free(list[i]);
    free(list);
}

void pfm_peft_free(pfm_peft *peft)
{
    if (peft == NULL)
        return;
    free_list(peft->targets, peft->options.target_count);
    free_list(peft->feedforward, peft->options.feedforward_count);
    pfm_buffer_free(&peft->layers);
    free(peft->matched);
    free(peft->options.method);
    free(peft);
}

const pfm_peft_options *pfm_peft_get_options(const pfm_peft *peft) { return &peft->options; }

const pfm_peft_method *pfm_peft_get_method(const pfm_peft *peft) { return peft->method; }

const pfm_hook *pfm_peft_hook(const pfm_peft *peft) { return peft->method == NULL ? NULL : &peft->hook; }

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

pfm_status pfm_peft_check_targets(const pfm_peft *peft, pfm_error *err)
{
    if (peft->method == NULL || peft->method->targets == NULL)
        return PFM_OK;
    if (peft->noted != PFM_OK)
        return pfm_error_set(err, peft->noted, "out of memory: could not list the model's layers");
    for (size_t i = 0; i < peft->options.target_count; i++) {
        if (!peft->matched[i])
            return pfm_error_set(err, PFM_ERROR_USAGE,
                                 "peft.targets: '%s' matches no layer of this model; its layers are called %s",
                                 peft->targets[i], peft->layers.size > 0 ? peft->layers.data : "(none was built)");
    }
    return PFM_OK;
}

int pfm_peft_virtual_tokens(const pfm_peft *peft)
{
    const pfm_peft_method *method = peft->method;
    return method == NULL || method->virtual_tokens == NULL ? 0 : method->virtual_tokens(&peft->options);
}

pfm_status pfm_peft_merge(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n, int64_t k,
                          float *values, pfm_error *err)
{
    const pfm_peft_method *method = peft->method;
    if (method == NULL || (method->targets != NULL && !pfm_peft_targets(peft, module)))
        return PFM_OK;
    if (method->merge == NULL)
        return pfm_error_set(
            err, PFM_ERROR_UNSUPPORTED,
            "what %s learns cannot be merged into the base's weights; export the adapter beside it (--to peft)", method->name);
    return method->merge(peft, parameters, module, n, k, values, err);
}

pfm_status pfm_peft_merge_bias(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n,
                               float *values, pfm_error *err)
{
    const pfm_peft_method *method = peft->method;
    if (method == NULL || method->merge_bias == NULL || (method->targets != NULL && !pfm_peft_targets(peft, module)))
        return PFM_OK;
    return method->merge_bias(peft, parameters, module, n, values, err);
}
