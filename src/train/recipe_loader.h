/* Inside the recipe's loader: a recipe, or one of its stages, while it is read. */
#ifndef PFM_TRAIN_RECIPE_LOADER_H
#define PFM_TRAIN_RECIPE_LOADER_H

#include "train/recipe_table.h"

#include <yaml.h>

typedef struct recipe_loader {
    pfm_recipe *recipe;
    const char *name;                    /* the file's */
    recipe_place place[RECIPE_MAX_KEYS]; /* of each key's value, in the table's order; file NULL: not given */
    const struct recipe_loader *whole;   /* of a stage: what stands above it */
    yaml_document_t *document;
    const yaml_node_t *stages; /* NULL: there are none */
} recipe_loader;

#define KEY(text) pfm_recipe_find_key(pfm_recipe_keys, text, sizeof(text) - 1)

/* Where the key's value comes from, for a stage also from above it; file NULL: from nowhere, it is the default. */
const recipe_place *pfm_recipe_find_place(const recipe_loader *state, const recipe_key *key);

/* *out = what the table says where a recipe says nothing; nothing is derived. */
pfm_status pfm_recipe_create_default(pfm_recipe **out, pfm_error *err) PFM_MUST_CHECK;
/* Where peft.method comes from --set, keys of a recipe's peft that say nothing to it become what they are by default, and
 * recipe->left_out names them; else they are USAGE. */
pfm_status pfm_recipe_settle_method(recipe_loader *state, pfm_error *err) PFM_MUST_CHECK;
/* Sets the values that follow from others. USAGE where two keys say the same thing differently. */
pfm_status pfm_recipe_derive(const recipe_loader *state, pfm_error *err) PFM_MUST_CHECK;
/* USAGE names a key that does not go with the others. */
pfm_status pfm_recipe_check(const recipe_loader *state, pfm_error *err) PFM_MUST_CHECK;
/* The key under eval that does not go with the others, and *reason why; NULL where all do. chooses: answers to choose among are
 * given elsewhere. */
const recipe_key *pfm_recipe_find_answer_fault(const pfm_recipe *recipe, bool chooses, const char **reason);
/* A stage's name is that of a folder, and no other stage's. */
pfm_status pfm_recipe_check_name(const recipe_loader *state, pfm_error *err) PFM_MUST_CHECK;

#endif
