/* What families of LLaMA's making share with it. */
#ifndef PFM_MODELS_LANGUAGE_LLAMA_FAMILY_H
#define PFM_MODELS_LANGUAGE_LLAMA_FAMILY_H

#include "models/language/language.h"

/* Blocks of RMSNorms, separate projections and a gated MLP, as the configuration says. */
pfm_status pfm_llama_build(pfm_builder *builder, const pfm_language_config *config, bool with_loss, pfm_language_values *values,
                           pfm_error *err) PFM_MUST_CHECK;
/* config.json's fields that they share; NULL without memory. */
json_t *pfm_llama_config_json(const pfm_language_config *config, const char *architecture);

#endif
