/* A recipe whose method an adapter's folder decides. */
#include "train/recipe_table.h"

#include "base/file.h"
#include "base/try.h"
#include "formats/adapter.h"

#include <stdlib.h>
#include <string.h>

static bool was_given(const pfm_recipe *recipe, const recipe_key *key)
{
    const size_t i = (size_t)(key - pfm_recipe_keys);
    return (recipe->given[i / 64] >> i % 64 & 1) != 0;
}

static bool is_of_method(const recipe_key *key)
{
    static const char section[] = "peft.";
    return strncmp(key->name, section, sizeof section - 1) == 0 && key->offset != offsetof(pfm_recipe, peft.start) &&
           key->offset != offsetof(pfm_recipe, peft.dropout) && key->offset != offsetof(pfm_recipe, parts);
}

/* What a list holds, in any order: PEFT's are sets. */
static bool same_list(const pfm_recipe *a, const pfm_recipe *b, const recipe_key *key)
{
    char *const *items[2];
    size_t count[2], found = 0;
    const pfm_recipe *const recipes[] = {a, b};
    for (int i = 0; i < 2; i++) {
        items[i] = *(char **const *)(const void *)((const char *)recipes[i] + key->offset);
        count[i] = *(const size_t *)(const void *)((const char *)recipes[i] + key->count_offset);
    }
    for (size_t i = 0; i < count[0]; i++) {
        for (size_t j = 0; j < count[1]; j++)
            found += strcmp(items[0][i], items[1][j]) == 0;
    }
    return count[0] == count[1] && found == count[0];
}

/* USAGE where a key that the recipe gives has another value in the adapter. */
static pfm_status check_agreement(const pfm_recipe *recipe, const pfm_recipe *adapter, const char *folder, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer here = {0}, there = {0};
    for (const recipe_key *key = pfm_recipe_keys; key->name != NULL; key++) {
        if (!is_of_method(key) || !was_given(recipe, key) || (key->type == RECIPE_LIST && same_list(recipe, adapter, key)))
            continue;
        pfm_buffer_clear(&here);
        pfm_buffer_clear(&there);
        PFM_TRY(pfm_recipe_append_value(recipe, key, &here, err));
        PFM_TRY(pfm_recipe_append_value(adapter, key, &there, err));
        if (strcmp(here.data, there.data) != 0)
            PFM_FAIL(PFM_ERROR_USAGE,
                     "%s is %s in the recipe and %s in the adapter %s that it starts from; leave it out, or let them agree",
                     key->name, here.data, there.data, folder);
    }
done:
    pfm_buffer_free(&here);
    pfm_buffer_free(&there);
    return status;
}

/* The stage's options become those, in a copy. */
static pfm_status set_options(pfm_recipe *recipe, const pfm_peft_options *options, pfm_error *err)
{
    pfm_peft_options copy;
    pfm_status status = pfm_peft_options_copy(options, &copy, err);
    if (status != PFM_OK)
        return status;
    pfm_peft_options_free(&recipe->peft);
    recipe->peft = copy;
    recipe->default_targets = recipe->default_feedforward = false;
    recipe->adapts = pfm_recipe_adds(recipe) && pfm_recipe_trains(recipe, "peft");
    return PFM_OK;
}

pfm_status pfm_recipe_take_adapter(pfm_recipe *recipe, const char *folder, bool must_agree, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_adapter_config config = {0};
    pfm_recipe adapter = {0}; /* its peft alone is used */
    char *path = NULL;
    PFM_TRY(pfm_peft_options_copy(&recipe->peft, &adapter.peft, err));
    PFM_TRY(pfm_adapter_find(folder, &path, err));
    PFM_TRY(pfm_adapter_config_load(path, &config, err));
    PFM_TRY(pfm_peft_read_config(&config, &adapter.peft, err));
    if (must_agree)
        PFM_TRY(check_agreement(recipe, &adapter, folder, err));
    if (must_agree && was_given(recipe, pfm_recipe_find_key(pfm_recipe_keys, "peft.dropout", strlen("peft.dropout"))))
        adapter.peft.dropout = recipe->peft.dropout;
    PFM_TRY(set_options(recipe, &adapter.peft, err));
    for (size_t i = 0; i < recipe->stage_count; i++) {
        PFM_TRY(set_options(recipe->stages[i], &adapter.peft, err));
        recipe->stages[i]->adapts |= i > 0 && recipe->stages[i - 1]->adapts;
    }
done:
    pfm_peft_options_free(&adapter.peft);
    pfm_adapter_config_free(&config);
    free(path);
    return status;
}

pfm_status pfm_recipe_take_start(pfm_recipe *recipe, pfm_error *err)
{
    if (recipe->peft.start == NULL || (pfm_path_exists(recipe->peft.start) && !pfm_path_is_folder(recipe->peft.start)))
        return PFM_OK; /* a file of tensors says nothing of the method */
    return pfm_recipe_take_adapter(recipe, recipe->peft.start, true, err);
}
