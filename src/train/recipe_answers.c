/* What a recipe says of how answers are made (its keys under eval): what goes together, and what takes its place. */
#include "train/recipe_loader.h"

#include "base/try.h"

#include <stdio.h>
#include <string.h>

const recipe_key *pfm_recipe_find_answer_fault(const pfm_recipe *recipe, const char **reason)
{
    const bool draws = recipe->eval.temperature > 0, searches = recipe->eval.beams > 1;
    const struct {
        const char *key;
        bool wrong;
        const char *reason;
    } faults[] = {
        {"eval.min_tokens", recipe->eval.min_tokens > recipe->eval.max_tokens, "must not be above eval.max_tokens"},
        {"eval.top_k", !draws && recipe->eval.top_k != 0,
         "says of which tokens one is drawn, and with eval.temperature 0 none is; set that above 0, or leave this out"},
        {"eval.top_p", !draws && recipe->eval.top_p != 1,
         "says of which tokens one is drawn, and with eval.temperature 0 none is; set that above 0, or leave this out"},
        {"eval.min_p", !draws && recipe->eval.min_p != 0,
         "says of which tokens one is drawn, and with eval.temperature 0 none is; set that above 0, or leave this out"},
        {"eval.beams", draws && searches, "search for the likeliest answer, and eval.temperature draws one; keep one of them"},
        {"eval.length_penalty", !searches && recipe->eval.length_penalty != 1,
         "is of beam search; set eval.beams above 1, or leave this out"},
        {"eval.early_stopping", !searches && strcmp(recipe->eval.early_stopping, "false") != 0,
         "is of beam search; set eval.beams above 1, or leave this out"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        if (faults[i].wrong) {
            *reason = faults[i].reason;
            return pfm_recipe_find_key(pfm_recipe_keys, faults[i].key, strlen(faults[i].key));
        }
    }
    return NULL;
}

/* --top-k of eval.top_k. */
static void name_option(const recipe_key *key, char *out, size_t size)
{
    (void)snprintf(out, size, "--%s", strchr(key->name, '.') + 1);
    for (char *c = out + 2; *c != '\0'; c++)
        *c = *c == '_' ? '-' : *c;
}

static pfm_status set_one(pfm_recipe *recipe, const recipe_key *key, const char *value, bool first, pfm_error *err)
{
    char option[64];
    name_option(key, option, sizeof option);
    const recipe_place place = {option, 0};
    if (key->type != RECIPE_TEXTS)
        return pfm_recipe_set_text(recipe, key, value, strlen(value), &place, err);
    if (first)
        pfm_recipe_clear(recipe, key);
    return pfm_recipe_add_text(recipe, key, value, strlen(value), &place, err);
}

static pfm_status set_answers(pfm_recipe *recipe, int max_tokens, const char *const *settings, size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    recipe->eval.max_tokens = max_tokens > 0 ? max_tokens : recipe->eval.max_tokens;
    const char *reason = NULL;
    char name[64], option[64];
    for (size_t i = 0; i < count; i++) {
        const size_t length = strcspn(settings[i], "=");
        (void)snprintf(name, sizeof name, "eval.%.*s", (int)length, settings[i]);
        const recipe_key *key = settings[i][length] == '=' ? pfm_recipe_find_key(pfm_recipe_keys, name, strlen(name)) : NULL;
        if (key == NULL)
            PFM_FAIL(PFM_ERROR_USAGE, "'%.60s' sets no key under eval, as temperature=0.7 does", settings[i]);
        bool first = true;
        for (size_t j = 0; j < i; j++)
            first &= strncmp(settings[j], settings[i], length + 1) != 0;
        PFM_TRY(set_one(recipe, key, settings[i] + length + 1, first, err));
    }
    const recipe_key *fault = pfm_recipe_find_answer_fault(recipe, &reason);
    if (fault == NULL)
        goto done;
    name_option(fault, option, sizeof option);
    PFM_FAIL(PFM_ERROR_USAGE, "%s: %s %s", option, fault->name, reason);
done:
    return status;
}

pfm_status pfm_recipe_set_answers(pfm_recipe *recipe, int max_tokens, const char *const *settings, size_t count, pfm_error *err)
{
    pfm_status status = set_answers(recipe, max_tokens, settings, count, err);
    for (size_t i = 0; status == PFM_OK && i < recipe->stage_count; i++)
        status = set_answers(recipe->stages[i], max_tokens, settings, count, err);
    return status;
}
