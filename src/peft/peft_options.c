/* The options of methods as a thing that is copied and released: a line for each field that owns memory. */
#include "peft/peft.h"

#include "base/memory.h"
#include "base/try.h"

#include <stddef.h>
#include <stdlib.h>

#define LIST(field, count)                                                                                                     \
    {                                                                                                                          \
        offsetof(pfm_peft_options, field), offsetof(pfm_peft_options, count)                                                   \
    }

static const struct {
    size_t items, count;
} lists[] = {LIST(targets, target_count),
             LIST(feedforward, feedforward_count),
             LIST(exclude, exclude_count),
             LIST(layers, layer_count),
             LIST(layers_pattern, layers_pattern_count),
             LIST(rank_pattern, rank_pattern_count),
             LIST(alpha_pattern, alpha_pattern_count),
             LIST(modules_to_save, module_to_save_count)};
static const size_t texts[] = {offsetof(pfm_peft_options, method),     offsetof(pfm_peft_options, bias),
                               offsetof(pfm_peft_options, start),      offsetof(pfm_peft_options, prompt_text),
                               offsetof(pfm_peft_options, activation), offsetof(pfm_peft_options, sublayers)};
enum { LISTS = sizeof lists / sizeof *lists, TEXTS = sizeof texts / sizeof *texts };

static char ***items_of(pfm_peft_options *options, size_t list)
{
    return (char ***)(void *)((char *)options + lists[list].items);
}

static size_t *count_of(pfm_peft_options *options, size_t list)
{
    return (size_t *)(void *)((char *)options + lists[list].count);
}

static char **text_of(pfm_peft_options *options, size_t text) { return (char **)(void *)((char *)options + texts[text]); }

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
