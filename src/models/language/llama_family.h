/* What families of LLaMA's making share with it. */
#ifndef PFM_MODELS_LANGUAGE_LLAMA_FAMILY_H
#define PFM_MODELS_LANGUAGE_LLAMA_FAMILY_H

#include "models/language/language.h"

/* A block of RMSNorms, separate projections and a gated MLP, as the configuration says. */
pfm_block_build pfm_llama_block;
/* The modules under LLaMA's names, whose queries and keys a GGUF keeps as they are. */
extern const pfm_language_name pfm_llama_names_as_they_are[];
/* config.json's fields that they share; NULL without memory. */
json_t *pfm_llama_config_json(const pfm_language_config *config, const char *architecture);

#endif
