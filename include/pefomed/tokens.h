/* Texts, token ids and chats of a model, each as a JSON value. */
#ifndef PEFOMED_TOKENS_H
#define PEFOMED_TOKENS_H

#include "pefomed/context.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pfm_tokens pfm_tokens;

typedef enum pfm_tokens_way {
    PFM_TOKENS_ENCODE, /* a string to the list of its ids; special tokens that it spells out are found, none are added */
    PFM_TOKENS_DECODE, /* a list of ids to the string, special tokens included */
    PFM_TOKENS_CHAT    /* a list of {"role","content"} to the text of the model's chat template, with the generation prompt */
} pfm_tokens_way;

/* Opens a model's tokenizer: `model` is a name that fetch knows, a GGUF file, a tokenizer.json, a SentencePiece
 * tokenizer.model, a vocab.json with merges.txt beside it, or a folder that holds one of these.
 * The caller frees *out with pfm_tokens_free. Once open it may be used by any number of threads. */
pfm_status pfm_tokens_open(const pfm_context *context, const char *model, pfm_tokens **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_tokens_free(pfm_tokens *tokens); /* NULL is fine */

/* *json_out (the caller calls free) = the JSON value, on one line, that `length` bytes of JSON become. FORMAT: it is not JSON
 * or not of the shape that `way` wants; USAGE: an id that is not in the vocabulary, or a chat that the template refuses. */
pfm_status pfm_tokens_convert(const pfm_tokens *tokens, pfm_tokens_way way, const char *json, size_t length, char **json_out,
                              pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
