/* Opens a model's tokenizer, wherever the model keeps it. */
#ifndef PFM_MODELS_LANGUAGE_TOKENIZER_LOAD_H
#define PFM_MODELS_LANGUAGE_TOKENIZER_LOAD_H

#include "formats/weights.h"
#include "text/tokenizer.h"

/* `path`: a GGUF file, a tokenizer.json, or a folder that holds tokenizer.json or else one GGUF file. IO, FORMAT and
 * UNSUPPORTED name the file and what is wrong with it. The caller frees *out. */
pfm_status pfm_tokenizer_load(const char *path, pfm_tokenizer **out, pfm_error *err) PFM_MUST_CHECK;
/* From an open GGUF file, which may be closed afterwards. */
pfm_status pfm_tokenizer_load_weights(const pfm_weights *weights, pfm_tokenizer **out, pfm_error *err) PFM_MUST_CHECK;

#endif
