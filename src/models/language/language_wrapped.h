/* A language model that stands in the files of a multimodal one: LLaVA's (transformers' and its authors' own). */
#ifndef PFM_MODELS_LANGUAGE_LANGUAGE_WRAPPED_H
#define PFM_MODELS_LANGUAGE_LANGUAGE_WRAPPED_H

#include "formats/weights.h"

#include <jansson.h>

/* *out = the language model's part of a config.json, a new reference: text_config with the sizes that transformers leaves out
 * where they are its defaults, or of the authors' files all of it under its language model's model_type; json itself of a
 * language model alone. *wrapped = whether other parts stand beside it. */
pfm_status pfm_wrapped_config(const json_t *json, json_t **out, bool *wrapped, pfm_error *err) PFM_MUST_CHECK;

/* What the file calls a tensor that it does not hold as `name`; false where it holds it under no other name either. */
bool pfm_wrapped_name(const pfm_weights *weights, const char *name, char out[128]);

/* Patterns of the other parts' tensors, ended by NULL. */
extern const char *const pfm_wrapped_ignored[];

#endif
