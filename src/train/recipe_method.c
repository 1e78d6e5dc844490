/* Which keys of peft say something to the recipe's method. */
#include "base/try.h"
#include "train/recipe_loader.h"

#include <stdio.h>
#include <string.h>

static const char begin[] = "peft.";

static bool is_set(const recipe_place *place) { return place->file != NULL && place->line == 0; }

bool pfm_recipe_is_of_method(const pfm_recipe *recipe, const recipe_key *key)
{
    const pfm_peft_method *method = NULL;
    pfm_error unknown = PFM_ERROR_INIT; /* is reported where the recipe is checked */
    if (strncmp(key->name, begin, sizeof begin - 1) != 0 || recipe->peft.method == NULL ||
        pfm_peft_find_method(recipe->peft.method, &method, &unknown) != PFM_OK)
        return true;
    return pfm_peft_method_has(method, key->name + sizeof begin - 1);
}

/* Names of norms are none of linear layers. */
static bool means_otherwise(const pfm_recipe *recipe, const recipe_key *key)
{
    const pfm_peft_method *method = NULL;
    pfm_error unknown = PFM_ERROR_INIT;
    return key == KEY("peft.targets") && pfm_peft_find_method(recipe->peft.method, &method, &unknown) == PFM_OK &&
           method != NULL && method->norms;
}

/* *out = whether the recipe gives the key another value than it has by itself. */
static pfm_status differs(const pfm_recipe *recipe, const pfm_recipe *defaults, const recipe_key *key, bool *out,
                          pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer value = {0}, initial = {0};
    PFM_TRY(pfm_recipe_append_value(recipe, key, &value, err));
    PFM_TRY(pfm_recipe_append_value(defaults, key, &initial, err));
    *out = value.size != initial.size || memcmp(value.data, initial.data, value.size) != 0;
done:
    pfm_buffer_free(&value);
    pfm_buffer_free(&initial);
    return status;
}

static pfm_status leave_out(recipe_loader *state, const pfm_recipe *defaults, const recipe_key *key, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_recipe *recipe = state->recipe;
    char *former = recipe->left_out;
    PFM_TRY(pfm_string_format(&recipe->left_out, err, "%s%s%s", former == NULL ? "" : former, former == NULL ? "" : ", ",
                              key->name));
    free(former);
    pfm_recipe_clear(recipe, key);
    PFM_TRY(pfm_recipe_copy_value(recipe, defaults, key, err));
    state->place[key - pfm_recipe_keys] = (recipe_place){0};
done:
    return status;
}

pfm_status pfm_recipe_settle_method(recipe_loader *state, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const bool changed = is_set(pfm_recipe_find_place(state, KEY("peft.method")));
    pfm_recipe *defaults = NULL;
    if (strcmp(state->recipe->peft.method, "none") == 0 && !changed)
        goto done; /* switched off, and nothing but that */
    if (state->recipe->peft.start != NULL && pfm_recipe_find_place(state, KEY("peft.method"))->file == NULL)
        goto done; /* what lies there says the method */
    PFM_TRY(pfm_recipe_create_default(&defaults, err));
    for (const recipe_key *key = pfm_recipe_keys; key->name != NULL; key++) {
        const recipe_place *place = pfm_recipe_find_place(state, key);
        const bool elsewhere = changed && !is_set(place);
        bool says = false;
        if (place->file == NULL ||
            (pfm_recipe_is_of_method(state->recipe, key) && !(elsewhere && means_otherwise(state->recipe, key))))
            continue;
        PFM_TRY(differs(state->recipe, defaults, key, &says, err));
        if (says && !elsewhere) {
            status = pfm_recipe_refuse(place, key, err, "is not of peft.method: %s; leave it out", state->recipe->peft.method);
            goto done;
        }
        if (says)
            PFM_TRY(leave_out(state, defaults, key, err));
    }
done:
    pfm_recipe_free(defaults);
    return status;
}
