#include "peft/peft.h"

#include "base/memory.h"
#include "base/try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Every method, a line each. */
static const pfm_peft_method *const methods[] = {&pfm_peft_lora};

struct pfm_peft {
    pfm_peft_options options;
    const pfm_peft_method *method; /* NULL: none */
    pfm_hook hook;
    char **targets;
    bool *matched;
};

/* A target names a whole dotted suffix of a module's name. */
static bool names(const char *target, const char *module)
{
    size_t whole = strlen(module), part = strlen(target);
    return whole >= part && strcmp(module + whole - part, target) == 0 && (whole == part || module[whole - part - 1] == '.');
}

static pfm_status apply(void *user, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err)
{
    pfm_peft *peft = user;
    bool wanted = false;
    if (place->kind != PFM_PLACE_LINEAR)
        return PFM_OK;
    for (size_t i = 0; i < peft->options.target_count; i++) {
        bool matches = names(peft->targets[i], place->name);
        peft->matched[i] |= matches;
        wanted |= matches;
    }
    return wanted ? peft->method->apply(peft, builder, place, output, err) : PFM_OK;
}

bool pfm_peft_targets(const pfm_peft *peft, const char *module)
{
    for (size_t i = 0; peft->method != NULL && i < peft->options.target_count; i++) {
        if (names(peft->targets[i], module))
            return true;
    }
    return false;
}

static pfm_status choose_method(pfm_peft *peft, const pfm_peft_options *options, pfm_error *err)
{
    if (strcmp(options->method, "none") == 0)
        return PFM_OK;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (strcmp(methods[i]->name, options->method) == 0)
            peft->method = methods[i];
    }
    if (peft->method == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "there is no PEFT method '%s'; known are lora and none", options->method);
    if (options->rank < 1)
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.rank cannot be %d; it is at least 1", options->rank);
    if (!(options->dropout >= 0 && options->dropout < 1))
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.dropout cannot be %g; it is at least 0 and below 1", options->dropout);
    if (options->target_count == 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.targets is empty; name layers, such as [q_proj, v_proj]");
    return PFM_OK;
}

pfm_status pfm_peft_create(const pfm_peft_options *options, pfm_peft **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_peft *peft = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *peft, &peft, err));
    PFM_TRY(choose_method(peft, options, err));
    peft->options = *options;
    peft->options.method = peft->method == NULL ? "none" : peft->method->name;
    peft->options.target_count = 0;
    PFM_TRY(pfm_allocate(options->target_count, sizeof *peft->targets, &peft->targets, err));
    PFM_TRY(pfm_allocate(options->target_count, sizeof *peft->matched, &peft->matched, err));
    for (size_t i = 0; i < options->target_count; i++) {
        PFM_TRY(pfm_string_copy(options->targets[i], &peft->targets[i], err));
        peft->options.target_count++;
    }
    peft->options.targets = (const char *const *)peft->targets;
    peft->hook = (pfm_hook){.user = peft, .apply = apply};
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
    for (size_t i = 0; i < peft->options.target_count; i++)
        free(peft->targets[i]);
    free(peft->targets);
    free(peft->matched);
    free(peft);
}

const pfm_peft_options *pfm_peft_get_options(const pfm_peft *peft) { return &peft->options; }

const pfm_hook *pfm_peft_hook(const pfm_peft *peft) { return peft->method == NULL ? NULL : &peft->hook; }

pfm_status pfm_peft_check_targets(const pfm_peft *peft, pfm_error *err)
{
    for (size_t i = 0; peft->method != NULL && i < peft->options.target_count; i++) {
        if (!peft->matched[i])
            return pfm_error_set(err, PFM_ERROR_USAGE,
                                 "peft.targets: '%s' matches no layer of this model; its layers are called "
                                 "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj",
                                 peft->targets[i]);
    }
    return PFM_OK;
}

pfm_status pfm_peft_merge(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n, int64_t k,
                          float *values, pfm_error *err)
{
    return pfm_peft_targets(peft, module) ? peft->method->merge(peft, parameters, module, n, k, values, err) : PFM_OK;
}

double pfm_peft_scale(const pfm_peft *peft)
{
    double rank = peft->options.rank;
    return peft->options.alpha / (peft->options.rslora ? sqrt(rank) : rank);
}
