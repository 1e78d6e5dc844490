/* The tokenizer of a model as files that transformers reads. */
#ifndef PFM_MODELS_LANGUAGE_TOKENIZER_SAVE_H
#define PFM_MODELS_LANGUAGE_TOKENIZER_SAVE_H

#include "formats/weights.h"

/* Writes tokenizer.json and tokenizer_config.json (chat template included) into a folder: from a GGUF's own vocabulary, or
 * copied from beside other weights. UNSUPPORTED names a tokenizer that cannot be written. */
pfm_status pfm_tokenizer_save(const pfm_weights *weights, const char *folder, pfm_error *err) PFM_MUST_CHECK;

#endif
