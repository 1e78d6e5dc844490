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
    char **targets;
    bool *matched;
    bool works; /* it found something in the model */
};

/* A target names a whole dotted suffix of a module's name. */
static bool names(const char *target, const char *module)
{
    size_t whole = strlen(module), part = strlen(target);
    return whole >= part && strcmp(module + whole - part, target) == 0 && (whole == part || module[whole - part - 1] == '.');
}

/* A method whose targets may be left out changes all that it can. */
static bool takes_all(const pfm_peft_method *method) { return method->targets != NULL && method->targets[0] == '\0'; }

bool pfm_peft_targets(const pfm_peft *peft, const char *module)
{
    if (peft->method != NULL && takes_all(peft->method) && peft->options.target_count == 0)
        return true;
    for (size_t i = 0; peft->method != NULL && i < peft->options.target_count; i++) {
        if (names(peft->targets[i], module))
            return true;
    }
    return false;
}

static void mark_targets(pfm_peft *peft, const char *module)
{
    for (size_t i = 0; i < peft->options.target_count; i++)
        peft->matched[i] |= names(peft->targets[i], module);
}

static pfm_touch touches(void *user, const pfm_model_place *place)
{
    pfm_peft *peft = user;
    if (peft->method->touches == NULL)
        return PFM_TOUCH_NOTHING;
    if (place->kind == PFM_PLACE_LINEAR)
        mark_targets(peft, place->name);
    const bool of_linear = place->kind == PFM_PLACE_LINEAR || place->kind == PFM_PLACE_INPUT;
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

static bool trains(void *user, const pfm_model_place *place, const char *parameter)
{
    static const char aligner[] = "aligner."; /* a part that is learned by itself */
    pfm_peft *peft = user;
    if (peft->method->trains == NULL || strncmp(place->name, aligner, sizeof aligner - 1) == 0)
        return false;
    if (peft->method->targets != NULL && !pfm_peft_targets(peft, place->name))
        return false;
    if (!peft->method->trains(peft, place, parameter))
        return false;
    mark_targets(peft, place->name);
    peft->works = true;
    return true;
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

static pfm_status check(const pfm_peft_method *method, const pfm_peft_options *options, pfm_error *err)
{
    if (method != NULL && method->targets != NULL && !takes_all(method) && options->target_count == 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.targets is empty; name layers, such as [%s]", method->targets);
    return method == NULL || method->check == NULL ? PFM_OK : method->check(options, err);
}

pfm_status pfm_peft_create(const pfm_peft_options *options, pfm_peft **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_peft *peft = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *peft, &peft, err));
    PFM_TRY(pfm_peft_find_method(options->method, &peft->method, err));
    PFM_TRY(check(peft->method, options, err));
    peft->options = *options;
    peft->options.method = peft->options.activation = peft->options.sublayers = NULL;
    peft->options.target_count = 0;
    PFM_TRY(pfm_string_copy(options->method, &peft->options.method, err));
    PFM_TRY(pfm_allocate(options->target_count, sizeof *peft->targets, &peft->targets, err));
    PFM_TRY(pfm_allocate(options->target_count, sizeof *peft->matched, &peft->matched, err));
    if (options->activation != NULL)
        PFM_TRY(pfm_string_copy(options->activation, &peft->options.activation, err));
    if (options->sublayers != NULL)
        PFM_TRY(pfm_string_copy(options->sublayers, &peft->options.sublayers, err));
    for (size_t i = 0; i < options->target_count; i++) {
        PFM_TRY(pfm_string_copy(options->targets[i], &peft->targets[i], err));
        peft->options.target_count++;
    }
    peft->options.targets = peft->targets;
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
    for (size_t i = 0; peft->targets != NULL && i < peft->options.target_count; i++)
        free(peft->targets[i]);
    free(peft->targets);
    free(peft->matched);
    free(peft->options.method);
    free(peft->options.activation);
    free(peft->options.sublayers);
    free(peft);
}

const pfm_peft_options *pfm_peft_get_options(const pfm_peft *peft) { return &peft->options; }

const pfm_peft_method *pfm_peft_get_method(const pfm_peft *peft) { return peft->method; }

const pfm_hook *pfm_peft_hook(const pfm_peft *peft) { return peft->method == NULL ? NULL : &peft->hook; }

pfm_status pfm_peft_check_targets(const pfm_peft *peft, pfm_error *err)
{
    const pfm_peft_method *method = peft->method;
    if (method == NULL)
        return PFM_OK;
    for (size_t i = 0; i < peft->options.target_count; i++) {
        if (!peft->matched[i] && method->needs != NULL)
            return pfm_error_set(err, PFM_ERROR_USAGE, "peft.targets: '%s' is not among the %s of this model", peft->targets[i],
                                 method->needs);
        if (!peft->matched[i])
            return pfm_error_set(err, PFM_ERROR_USAGE,
                                 "peft.targets: '%s' matches no layer of this model; its layers are called "
                                 "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj",
                                 peft->targets[i]);
    }
    if (!peft->works)
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.method: %s works on %s, and this model has none; choose another",
                             method->name, method->needs != NULL ? method->needs : "layers");
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
