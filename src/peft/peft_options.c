/* The options of methods as a thing that is copied and released: a line for each field that owns memory. */
#include "peft/peft.h"

#include "base/memory.h"
#include "base/try.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(field) #field, offsetof(pfm_peft_options, field)

static const struct {
    const char *key; /* of a recipe's peft */
    size_t items, count;
} lists[] = {{FIELD(targets), offsetof(pfm_peft_options, target_count)},
             {FIELD(feedforward), offsetof(pfm_peft_options, feedforward_count)},
             {FIELD(exclude), offsetof(pfm_peft_options, exclude_count)},
             {FIELD(layers), offsetof(pfm_peft_options, layer_count)},
             {FIELD(layers_pattern), offsetof(pfm_peft_options, layers_pattern_count)},
             {FIELD(rank_pattern), offsetof(pfm_peft_options, rank_pattern_count)},
             {FIELD(alpha_pattern), offsetof(pfm_peft_options, alpha_pattern_count)},
             {FIELD(modules_to_save), offsetof(pfm_peft_options, module_to_save_count)},
             {FIELD(contexts), offsetof(pfm_peft_options, context_count)}};
static const struct {
    const char *key;
    size_t text;
    const char *nothing; /* the text that says no more than none does; NULL: there is none */
} texts[] = {{FIELD(method), NULL},       {FIELD(bias), "none"},      {FIELD(start), NULL},     {FIELD(prompt_text), NULL},
             {FIELD(activation), "relu"}, {FIELD(sublayers), "both"}, {FIELD(router), "token"}, {FIELD(context), NULL}};
enum { LISTS = sizeof lists / sizeof *lists, TEXTS = sizeof texts / sizeof *texts };

static char ***items_of(pfm_peft_options *options, size_t list)
{
    return (char ***)(void *)((char *)options + lists[list].items);
}

static size_t *count_of(pfm_peft_options *options, size_t list)
{
    return (size_t *)(void *)((char *)options + lists[list].count);
}

static char **text_of(pfm_peft_options *options, size_t text) { return (char **)(void *)((char *)options + texts[text].text); }

void pfm_peft_texts_free(char ***items, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        free((*items)[i]);
    free(*items);
    *items = NULL;
    *count = 0;
}

void pfm_peft_options_free(pfm_peft_options *options)
{
    for (size_t i = 0; i < LISTS; i++)
        pfm_peft_texts_free(items_of(options, i), count_of(options, i));
    for (size_t i = 0; i < TEXTS; i++)
        free(*text_of(options, i));
    *options = (pfm_peft_options){0};
}

pfm_status pfm_peft_texts_copy(char *const *items, size_t count, char ***out, size_t *out_count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_allocate(count, sizeof **out, out, err));
    for (; *out_count < count; (*out_count)++)
        PFM_TRY(pfm_string_copy(items[*out_count], &(*out)[*out_count], err));
done:
    return status;
}

pfm_status pfm_peft_options_copy(const pfm_peft_options *options, pfm_peft_options *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_peft_options from = *options; /* its fields are only read */
    *out = *options;
    for (size_t i = 0; i < LISTS; i++) {
        *items_of(out, i) = NULL;
        *count_of(out, i) = 0;
    }
    for (size_t i = 0; i < TEXTS; i++)
        *text_of(out, i) = NULL;
    for (size_t i = 0; i < LISTS; i++)
        PFM_TRY(pfm_peft_texts_copy(*items_of(&from, i), *count_of(&from, i), items_of(out, i), count_of(out, i), err));
    for (size_t i = 0; i < TEXTS; i++) {
        if (*text_of(&from, i) != NULL)
            PFM_TRY(pfm_string_copy(*text_of(&from, i), text_of(out, i), err));
    }
done:
    if (status != PFM_OK)
        pfm_peft_options_free(out);
    return status;
}

const char *pfm_peft_options_find_other(const pfm_peft_options *options, const pfm_peft_method *method)
{
    pfm_peft_options from = *options; /* its fields are only read */
    for (size_t i = 0; i < LISTS; i++) {
        if (*count_of(&from, i) > 0 && !pfm_peft_method_has(method, lists[i].key))
            return lists[i].key;
    }
    for (size_t i = 0; i < TEXTS; i++) {
        const char *text = *text_of(&from, i);
        const bool says = text != NULL && (texts[i].nothing == NULL || strcmp(text, texts[i].nothing) != 0);
        if (says && !pfm_peft_method_has(method, texts[i].key))
            return texts[i].key;
    }
    if (options->rate_ratio != 0 && options->rate_ratio != 1 && !pfm_peft_method_has(method, "rate_ratio"))
        return "rate_ratio";
    return options->lora_bias && !pfm_peft_method_has(method, "lora_bias") ? "lora_bias" : NULL;
}

void pfm_peft_options_forget_others(pfm_peft_options *options, const pfm_peft_method *method)
{
    for (size_t i = 0; i < LISTS; i++) {
        if (!pfm_peft_method_has(method, lists[i].key))
            pfm_peft_texts_free(items_of(options, i), count_of(options, i));
    }
    for (size_t i = 0; i < TEXTS; i++) {
        if (pfm_peft_method_has(method, texts[i].key))
            continue;
        free(*text_of(options, i));
        *text_of(options, i) = NULL;
    }
    if (!pfm_peft_method_has(method, "rate_ratio"))
        options->rate_ratio = 0;
    options->lora_bias = options->lora_bias && pfm_peft_method_has(method, "lora_bias");
}
