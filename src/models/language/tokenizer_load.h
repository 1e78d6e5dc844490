/* Opens a model's tokenizer, wherever the model keeps it. */
#ifndef PFM_MODELS_LANGUAGE_TOKENIZER_LOAD_H
#define PFM_MODELS_LANGUAGE_TOKENIZER_LOAD_H

#include "formats/weights.h"
#include "text/tokenizer.h"

/* `path`: a GGUF file, a tokenizer.json, a SentencePiece tokenizer.model, a vocab.json with merges.txt beside it; or a folder
 * that holds one of these (in that order but GGUF last), or other weights in such a folder. IO, FORMAT and UNSUPPORTED name the
 * file and what is wrong with it. The caller frees *out. */
pfm_status pfm_tokenizer_load(const char *path, pfm_tokenizer **out, pfm_error *err) PFM_MUST_CHECK;
/* Calls `use` with what an open GGUF file says of its tokenizer. */
typedef pfm_status pfm_tokenizer_use(const pfm_tokenizer_source *source, void *user, pfm_error *err);
pfm_status pfm_tokenizer_with_source(const pfm_weights *weights, pfm_tokenizer_use *use, void *user,
                                     pfm_error *err) PFM_MUST_CHECK;
/* From an open GGUF file, which may be closed afterwards. */
pfm_status pfm_tokenizer_load_weights(const pfm_weights *weights, pfm_tokenizer **out, pfm_error *err) PFM_MUST_CHECK;

#endif
