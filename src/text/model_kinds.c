#include "text/tokenizer_internal.h"

#include <string.h>

/* Every kind, a line each. */
static const pfm_model_kind *const kinds[] = {
    &pfm_model_bpe,
    &pfm_model_sentencepiece,
    &pfm_model_wordpiece,
};

static bool is_named(const char *name, const char *wanted)
{
    return name != NULL && wanted != NULL && strcmp(name, wanted) == 0;
}

const pfm_model_kind *pfm_model_kind_find(const char *json_name, const char *gguf_name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (is_named(kinds[i]->json_name, json_name) || is_named(kinds[i]->gguf_name, gguf_name))
            return kinds[i];
    }
    return NULL;
}
