/* What a recipe says of how answers are made (its keys under eval): what goes together, and what takes its place. */
#include "train/recipe_loader.h"

#include "base/try.h"

#include <stdio.h>
#include <string.h>

static const char draws_none[] =
    "says of which tokens one is drawn, and with eval.temperature 0 none is; set that above 0, or leave this out";
static const char searches_none[] = "is of beam search; set eval.beams above 1, or leave this out";
static const char chooses_instead[] =
    "says how an answer is made, and here one is chosen among given ones; leave one of them out";

const recipe_key *pfm_recipe_find_answer_fault(const pfm_recipe *recipe, bool chooses, const char **reason)
{
    const bool draws = recipe->eval.temperature > 0, searches = recipe->eval.beams > 1;
    chooses |= strcmp(recipe->eval.choices, "none") != 0;
    const bool by_score = chooses && recipe->eval.draws == 1; /* otherwise by what is drawn freely */
    const struct {
        const char *key;
        bool wrong;
        const char *reason;
    } faults[] = {
        {"eval.min_tokens", recipe->eval.min_tokens > recipe->eval.max_tokens, "must not be above eval.max_tokens"},
        {"eval.draws", !draws && recipe->eval.draws > 1,
         "answers are all the same with eval.temperature 0; set that above 0, or leave this out"},
        {"eval.top_k", !draws && recipe->eval.top_k != 0, draws_none},
        {"eval.top_p", !draws && recipe->eval.top_p != 1, draws_none},
        {"eval.min_p", !draws && recipe->eval.min_p != 0, draws_none},
        {"eval.beams", draws && searches, "search for the likeliest answer, and eval.temperature draws one; keep one of them"},
        {"eval.length_penalty", !searches && recipe->eval.length_penalty != 1, searches_none},
        {"eval.early_stopping", !searches && strcmp(recipe->eval.early_stopping, "false") != 0, searches_none},
        {"eval.min_tokens", by_score && recipe->eval.min_tokens > 0, chooses_instead},
        {"eval.temperature", by_score && draws, chooses_instead},
        {"eval.beams", by_score && searches, chooses_instead},
        {"eval.repetition_penalty", by_score && recipe->eval.repetition_penalty != 1, chooses_instead},
        {"eval.no_repeat_ngram", by_score && recipe->eval.no_repeat_ngram > 0, chooses_instead},
        {"eval.stop", by_score && recipe->eval.stop_count > 0, chooses_instead},
        {"eval.choice_score", chooses && !by_score && strcmp(recipe->eval.choice_score, "total") != 0,
         "says by which likelihood an answer is chosen, and with eval.draws it is by what is drawn; leave one of them out"},
        {"eval.choice_score", !chooses && strcmp(recipe->eval.choice_score, "total") != 0,
         "says by what an answer is chosen, and there are none to choose among; say which, or leave this out"},
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

static pfm_status set_answers(pfm_recipe *recipe, const pfm_answer_settings *settings, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *reason = NULL, *const *texts = settings->texts;
    char name[64], option[64];
    recipe->eval.max_tokens = settings->max_tokens > 0 ? settings->max_tokens : recipe->eval.max_tokens;
    if (settings->asks)
        PFM_TRY(set_one(recipe, KEY("eval.choices"), "none", true, err));
    for (size_t i = 0; i < settings->count; i++) {
        const size_t length = strcspn(texts[i], "=");
        bool first = true;
        (void)snprintf(name, sizeof name, "eval.%.*s", (int)length, texts[i]);
        const recipe_key *key = texts[i][length] == '=' ? pfm_recipe_find_key(pfm_recipe_keys, name, strlen(name)) : NULL;
        if (key == NULL)
            PFM_FAIL(PFM_ERROR_USAGE, "'%.60s' sets no key under eval, as temperature=0.7 does", texts[i]);
        for (size_t j = 0; j < i; j++)
            first &= strncmp(texts[j], texts[i], length + 1) != 0;
        PFM_TRY(set_one(recipe, key, texts[i] + length + 1, first, err));
    }
    const recipe_key *fault = pfm_recipe_find_answer_fault(recipe, settings->chooses, &reason);
    if (fault == NULL)
        goto done;
    name_option(fault, option, sizeof option);
    PFM_FAIL(PFM_ERROR_USAGE, "%s: %s %s", option, fault->name, reason);
done:
    return status;
}

pfm_status pfm_recipe_set_answers(pfm_recipe *recipe, const pfm_answer_settings *settings, pfm_error *err)
{
    pfm_status status = set_answers(recipe, settings, err);
    for (size_t i = 0; status == PFM_OK && i < recipe->stage_count; i++)
        status = set_answers(recipe->stages[i], settings, err);
    return status;
}
