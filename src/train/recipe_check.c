/* What several keys of a recipe must fulfil together, and the values that follow from others. */
#include "train/recipe_loader.h"

#include "base/try.h"
#include "data/dataset.h"
#include "models/aligner/aligner.h"
#include "pefomed/image.h"
#include "pefomed/series.h"
#include "peft/targets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const recipe_place *own_place(const recipe_loader *state, const recipe_key *key)
{
    return &state->place[key - pfm_recipe_keys];
}

const recipe_place *pfm_recipe_find_place(const recipe_loader *state, const recipe_key *key)
{
    const recipe_place *own = own_place(state, key);
    return own->file == NULL && state->whole != NULL ? own_place(state->whole, key) : own;
}

static pfm_status refuse_key(const recipe_loader *state, const recipe_key *key, const char *reason, pfm_error *err)
{
    const recipe_place *place = pfm_recipe_find_place(state, key);
    if (place->file == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s: %s %s", state->name, key->name, reason);
    return pfm_recipe_refuse(place, key, err, "%s", reason);
}

/* What joins neighbours when the recipe does not say depends on the aligner; an aligner that nobody knows is the model's to
 * refuse. */
static pfm_status derive_merge(const recipe_loader *state, pfm_error *err)
{
    pfm_recipe *recipe = state->recipe;
    const pfm_aligner *aligner;
    if (pfm_recipe_find_place(state, KEY("model.merge"))->file != NULL ||
        pfm_aligner_find(recipe->model.aligner, &aligner, NULL) != PFM_OK)
        return PFM_OK;
    free(recipe->model.merge);
    recipe->model.merge = NULL;
    return pfm_string_copy(aligner->merge, &recipe->model.merge, err);
}

/* The next name of "a,b", or false. */
static bool next_name(const char **list, const char **name, size_t *length)
{
    if (*list == NULL)
        return false;
    *name = *list;
    *length = strcspn(*list, ",");
    *list = (*list)[*length] == ',' ? *list + *length + 1 : NULL;
    return true;
}

/* Whether a target is one of a list's names, or such a name behind a dot. */
static bool is_of(const char *target, const char *list)
{
    const char *name;
    size_t length;
    const size_t whole = strlen(target);
    while (next_name(&list, &name, &length)) {
        if (whole >= length && memcmp(target + whole - length, name, length) == 0 &&
            (whole == length || target[whole - length - 1] == '.'))
            return true;
    }
    return false;
}

/* Which layers are changed when the recipe does not say depends on the method, and on the family of the language model; which
 * of them read what is scaled likewise. */
static pfm_status choose_layers(pfm_recipe *recipe, const char *model_type, pfm_error *err)
{
    static const recipe_place place = {.file = "the method"};
    const recipe_key *targets = KEY("peft.targets"), *feedforward = KEY("peft.feedforward");
    const pfm_peft_method *method = NULL;
    pfm_status status = PFM_OK;
    const char *name;
    size_t length;
    bool plain = true;
    if (pfm_peft_find_method(recipe->peft.method, &method, NULL) != PFM_OK)
        return PFM_OK; /* which is refused elsewhere */
    const char *list = method == NULL ? NULL : pfm_peft_default_targets(method, model_type);
    if (recipe->default_targets)
        pfm_recipe_clear(recipe, targets);
    while (recipe->default_targets && next_name(&list, &name, &length))
        PFM_TRY(pfm_recipe_add_text(recipe, targets, name, length, &place, err));
    if (!recipe->default_feedforward)
        goto done;
    pfm_recipe_clear(recipe, feedforward);
    list = method == NULL ? NULL : pfm_peft_default_feedforward(method, model_type);
    for (size_t i = 0; list != NULL && i < recipe->peft.target_count; i++) {
        const char *target = recipe->peft.targets[i];
        plain &= pfm_targets_is_plain(target);
        if (is_of(target, list))
            PFM_TRY(pfm_recipe_add_text(recipe, feedforward, target, strlen(target), &place, err));
    }
    while (!plain && next_name(&list, &name, &length)) /* targets do not tell which of them these are */
        PFM_TRY(pfm_recipe_add_text(recipe, feedforward, name, length, &place, err));
done:
    return status;
}

pfm_status pfm_recipe_choose_layers(pfm_recipe *recipe, const char *model_type, pfm_error *err)
{
    pfm_status status = choose_layers(recipe, model_type, err);
    for (size_t i = 0; status == PFM_OK && i < recipe->stage_count; i++)
        status = choose_layers(recipe->stages[i], model_type, err);
    return status;
}

/* What a model that sees nothing trains and is told, where the recipe does not say. */
static pfm_status derive_blind(const recipe_loader *state, pfm_error *err)
{
    static const char question[] = "{question}";
    pfm_recipe *recipe = state->recipe;
    pfm_status status = PFM_OK;
    const recipe_key *parts = KEY("trainable"), *instruction = KEY("prompt.instruction");
    if (pfm_recipe_sees(recipe))
        return PFM_OK;
    if (pfm_recipe_find_place(state, parts)->file == NULL) {
        pfm_recipe_clear(recipe, parts);
        PFM_TRY(pfm_recipe_add_text(recipe, parts, "peft", 4, pfm_recipe_find_place(state, parts), err));
    }
    if (pfm_recipe_find_place(state, instruction)->file == NULL) {
        pfm_recipe_clear(recipe, instruction);
        PFM_TRY(pfm_recipe_add_text(recipe, instruction, question, sizeof question - 1,
                                    pfm_recipe_find_place(state, instruction), err));
    }
done:
    return status;
}

pfm_status pfm_recipe_derive(const recipe_loader *state, pfm_error *err)
{
    pfm_recipe *recipe = state->recipe;
    const recipe_place *epochs = own_place(state, KEY("train.epochs")), *steps = own_place(state, KEY("train.steps"));
    if (epochs->file != NULL && steps->file == NULL)
        recipe->train.steps = 0; /* a stage says its own length */
    if (epochs->line > 0 && steps->line > 0 && recipe->train.steps > 0)
        return pfm_recipe_refuse(steps, KEY("train.steps"), err, "and train.epochs both say how long to train; keep one");
    const recipe_place *share = own_place(state, KEY("train.warmup_share")),
                       *warm = own_place(state, KEY("train.warmup_steps"));
    if (warm->file != NULL && (share->file == NULL || (warm->line == 0 && share->line > 0)))
        recipe->train.warmup_share = 0; /* a stage, or --set, says its own */
    if (recipe->train.steps > 0)
        recipe->train.epochs = strtod(KEY("train.epochs")->initial, NULL);
    if (pfm_recipe_find_place(state, KEY("train.minimum_learning_rate"))->file == NULL)
        recipe->train.minimum_learning_rate = 0.05 * recipe->train.learning_rate;
    pfm_status status = derive_blind(state, err);
    if (status != PFM_OK)
        return status;
    for (const recipe_key *key = pfm_recipe_keys; key->name != NULL; key++) {
        const size_t i = (size_t)(key - pfm_recipe_keys);
        if (own_place(state, key)->file != NULL)
            recipe->given[i / 64] |= (uint64_t)1 << i % 64;
    }
    recipe->adapts = pfm_recipe_adds(recipe) && pfm_recipe_trains(recipe, "peft");
    recipe->adapts_norms = pfm_recipe_trains(recipe, "norms");
    recipe->default_targets = pfm_recipe_find_place(state, KEY("peft.targets"))->file == NULL;
    recipe->default_feedforward = pfm_recipe_find_place(state, KEY("peft.feedforward"))->file == NULL;
    status = choose_layers(recipe, "", err); /* until the family is known */
    return status != PFM_OK ? status : derive_merge(state, err);
}

static pfm_status check_dataset(const recipe_loader *state, const recipe_key *key, const char *name, pfm_error *err)
{
    char reason[200];
    if (name == NULL)
        return refuse_key(state, key, "is missing; say which data set this is for", err);
    if (pfm_dataset_is_known(name))
        return PFM_OK;
    (void)snprintf(reason, sizeof reason, "cannot be '%.60s'; there are %s", name, pfm_dataset_names());
    return refuse_key(state, key, reason, err);
}

/* Each image is written with this text, and stands where it says <image>. */
static pfm_status check_image_text(const recipe_loader *state, pfm_error *err)
{
    static const char mark[] = "<image>";
    const char *at = strstr(state->recipe->prompt.image, mark);
    if (at == NULL || strstr(at + sizeof mark - 1, mark) != NULL)
        return refuse_key(state, KEY("prompt.image"), "must hold <image> once, where an image stands, as in \"<image> \"", err);
    return PFM_OK;
}

static pfm_status check_window(const recipe_loader *state, pfm_error *err)
{
    pfm_error reason = PFM_ERROR_INIT;
    const pfm_recipe *recipe = state->recipe;
    if (pfm_image_check_window(recipe->model.window, &reason) == PFM_OK)
        return PFM_OK;
    char text[600];
    (void)snprintf(text, sizeof text, "cannot be used: %.500s", reason.message);
    return refuse_key(state, KEY("model.window"), text, err);
}

static pfm_status check_fit(const recipe_loader *state, pfm_error *err)
{
    pfm_error reason = PFM_ERROR_INIT;
    const pfm_recipe *recipe = state->recipe;
    char text[600];
    pfm_status status = pfm_image_check_fit(&(pfm_image_fit){.fit = recipe->model.fit}, &reason);
    const bool fits = status == PFM_OK;
    if (fits)
        status = pfm_image_check_fit(&(pfm_image_fit){.filter = recipe->model.filter}, &reason);
    if (status == PFM_OK)
        return PFM_OK;
    (void)snprintf(text, sizeof text, "cannot be used: %.500s", reason.message);
    return refuse_key(state, fits ? KEY("model.filter") : KEY("model.fit"), text, err);
}

static pfm_status check_slices(const recipe_loader *state, pfm_error *err)
{
    pfm_error reason = PFM_ERROR_INIT;
    char text[600];
    if (pfm_slices_check(state->recipe->data.slices, &reason) == PFM_OK)
        return PFM_OK;
    (void)snprintf(text, sizeof text, "cannot be used: %.500s", reason.message);
    return refuse_key(state, KEY("data.slices"), text, err);
}

static pfm_status check_data(const recipe_loader *state, pfm_error *err)
{
    const pfm_recipe *recipe = state->recipe;
    pfm_status status = check_dataset(state, KEY("data.dataset"), recipe->data.dataset, err);
    for (size_t i = 0; status == PFM_OK && i < recipe->data.mixture_count; i++) {
        if (recipe->data.mixture[i].dataset == NULL)
            return refuse_key(state, KEY("data.mixture"), "has a member without a dataset; say which it is", err);
        status = check_dataset(state, KEY("data.mixture"), recipe->data.mixture[i].dataset, err);
    }
    return status;
}

/* Snippets come from an index, and an index is for nothing else. What --set changes the grounding to leaves a recipe's index
 * aside. */
static pfm_status check_retrieval(const recipe_loader *state, pfm_error *err)
{
    const recipe_place *grounding = pfm_recipe_find_place(state, KEY("data.grounding"));
    const bool changed = grounding->file != NULL && grounding->line == 0;
    if (pfm_recipe_retrieves(state->recipe))
        return state->recipe->data.index != NULL
                   ? PFM_OK
                   : refuse_key(state, KEY("data.grounding"),
                                "cannot be retrieved without data.index, the file that pefomed index makes", err);
    for (const recipe_key *key = pfm_recipe_keys; key->name != NULL; key++) {
        const recipe_place *own = own_place(state, key);
        if (pfm_recipe_is_of_retrieval(key) && own->file != NULL && !(changed && own->line > 0))
            return refuse_key(state, key, "is for data.grounding: retrieved; leave it out", err);
    }
    return PFM_OK;
}

/* Nothing of images is said to a model that sees none. */
static pfm_status check_blind(const recipe_loader *state, pfm_error *err)
{
    if (pfm_recipe_sees(state->recipe))
        return PFM_OK;
    for (const recipe_key *key = pfm_recipe_keys; key->name != NULL; key++) {
        if (pfm_recipe_is_of_images(key) && pfm_recipe_find_place(state, key)->file != NULL)
            return refuse_key(state, key, "says how images are seen, and with model.vision: none nothing is; leave it out",
                              err);
    }
    if (pfm_recipe_trains(state->recipe, "aligner"))
        return refuse_key(state, KEY("trainable"),
                          "names the aligner, which there is none of with model.vision: none; leave it out", err);
    return PFM_OK;
}

pfm_status pfm_recipe_check(const recipe_loader *state, pfm_error *err)
{
    const pfm_recipe *recipe = state->recipe;
    pfm_status status = check_data(state, err);
    if (status == PFM_OK)
        status = check_retrieval(state, err);
    if (status == PFM_OK)
        status = check_blind(state, err);
    if (status == PFM_OK)
        status = check_image_text(state, err);
    if (status == PFM_OK)
        status = check_window(state, err);
    if (status == PFM_OK)
        status = check_fit(state, err);
    if (status == PFM_OK)
        status = check_slices(state, err);
    const char *reason = NULL;
    const recipe_key *fault = pfm_recipe_find_answer_fault(recipe, false, &reason);
    if (status == PFM_OK && fault != NULL)
        status = refuse_key(state, fault, reason, err);
    if (status != PFM_OK)
        return status;
    pfm_error unknown = PFM_ERROR_INIT;
    int rows, columns;
    if (pfm_aligner_parse_merge(recipe->model.merge, &rows, &columns, NULL) != PFM_OK)
        return refuse_key(state, KEY("model.merge"),
                          "is rows x columns of neighbours: 2 for 2 x 2, 1x4 for four of a row, at most 16", err);
    const pfm_peft_method *method = NULL;
    if (pfm_peft_find_method(recipe->peft.method, &method, &unknown) != PFM_OK)
        return refuse_key(state, KEY("peft.method"), unknown.message + sizeof PFM_PEFT_METHOD_KEY - 1, err);
    if (recipe->peft.target_count == 0 && method != NULL && method->targets != NULL)
        return refuse_key(state, KEY("peft.targets"),
                          "must name at least one layer; peft.method: none trains the aligner alone", err);
    if (recipe->part_count == 0)
        return refuse_key(state, KEY("peft.parts"), "must name at least one part: language, vision, or both", err);
    if (pfm_recipe_adapts(recipe, "vision") && !pfm_recipe_sees(recipe))
        return refuse_key(state, KEY("peft.parts"), "names vision, but model.vision is none", err);
    if (recipe->train.minimum_learning_rate > recipe->train.learning_rate)
        return refuse_key(state, KEY("train.minimum_learning_rate"), "must not be above train.learning_rate", err);
    const recipe_place *share = own_place(state, KEY("train.warmup_share"));
    if (share->line > 0 && own_place(state, KEY("train.warmup_steps"))->line > 0 && recipe->train.warmup_share > 0)
        return pfm_recipe_refuse(share, KEY("train.warmup_share"), err,
                                 "and train.warmup_steps both say how long to warm up; keep one");
    if (recipe->train.warmup_learning_rate > recipe->train.learning_rate)
        return refuse_key(state, KEY("train.warmup_learning_rate"), "must not be above train.learning_rate", err);
    if (recipe->train.micro_batch > recipe->train.batch)
        return refuse_key(state, KEY("train.micro_batch"), "must not be above train.batch", err);
    bool peft = pfm_recipe_adds(recipe) && pfm_recipe_trains(recipe, "peft");
    if (!peft && !pfm_recipe_trains(recipe, "aligner") && !pfm_recipe_trains(recipe, "norms"))
        return refuse_key(state, KEY("trainable"),
                          pfm_recipe_sees(recipe)
                              ? "leaves nothing that trains; name aligner, norms, or peft with a peft.method"
                              : "leaves nothing that trains; name norms, or peft with a peft.method",
                          err);
    return PFM_OK;
}

pfm_status pfm_recipe_check_name(const recipe_loader *state, pfm_error *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    const pfm_recipe *whole = state->whole->recipe;
    const char *name = state->recipe->name;
    char reason[200];
    if (name == NULL) {
        (void)snprintf(reason, sizeof reason, "of stage %zu is missing, as in {name: captions}", whole->stage_count);
        return refuse_key(state, KEY("name"), reason, err);
    }
    if (strspn(name, letters) < strlen(name) || strlen(name) > 64)
        return refuse_key(state, KEY("name"), "of a stage is at most 64 letters, digits, '-' and '_'", err);
    for (size_t i = 0; i + 1 < whole->stage_count; i++) {
        if (strcmp(whole->stages[i]->name, name) == 0)
            return refuse_key(state, KEY("name"), "is that of another stage; each has its own", err);
    }
    return PFM_OK;
}
