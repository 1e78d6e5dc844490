/* Text encoders of the BERT family: a text in, the hidden state of each of its tokens out. Read from a folder of Hugging Face's
 * (config.json, weights, tokenizer); always computed in f32 with the weights in full, so that a figure made with one does not
 * depend on the machine's precision. MODEL.md has the facts. */
#ifndef PFM_MODELS_TEXT_TEXT_ENCODER_H
#define PFM_MODELS_TEXT_TEXT_ENCODER_H

#include "formats/weights.h"
#include "kernels/kernels.h"
#include "pefomed/context.h"
#include "text/tokenizer.h"

#include <jansson.h>

typedef struct pfm_text_family pfm_text_family; /* text_families.c */

typedef struct pfm_text_config {
    const pfm_text_family *family;
    int32_t layers, heads;
    int64_t hidden, intermediate, vocabulary, positions, types; /* types 0: the family has none */
    int64_t first_position; /* of a text's first token: RoBERTa's positions begin behind its padding's */
    int64_t most_tokens;    /* of a text; 0: as many as there are positions */
    int32_t padding;        /* a token that has no position of its own, where first_position > 0 */
    double epsilon;
    pfm_activation activation;
} pfm_text_config;

/* From a config.json; path is for errors. UNSUPPORTED names a model_type that is none of the family, or what else this program
 * does not know. */
pfm_status pfm_text_config_read(const json_t *json, const char *path, pfm_text_config *out, pfm_error *err) PFM_MUST_CHECK;
/* Of BERT as published in its base size, uncased: for checkpoints that bring no config.json. */
pfm_text_config pfm_text_config_bert_base(void);

typedef struct pfm_text_encoder pfm_text_encoder;

/* path: a folder, or the weights in one. layer: the block whose output is wanted, counted from 1; 0: the last. USAGE where
 * there is no such layer. The caller frees *out. Threads: an encoder belongs to one caller, who must not be within a body of
 * the context's threads. */
pfm_status pfm_text_encoder_load(const pfm_context *context, const char *path, int layer, pfm_text_encoder **out,
                                 pfm_error *err) PFM_MUST_CHECK;
/* From parts: the tokenizer is taken, also on error; `ignored` (NULL: none) are patterns of tensors that are not the encoder's.
 */
pfm_status pfm_text_encoder_create(const pfm_context *context, const pfm_text_config *config, const pfm_weights *weights,
                                   const char *const *ignored, pfm_tokenizer *tokenizer, int layer, pfm_text_encoder **out,
                                   pfm_error *err) PFM_MUST_CHECK;
void pfm_text_encoder_free(pfm_text_encoder *encoder);

const pfm_text_config *pfm_text_encoder_get_config(const pfm_text_encoder *encoder);
int pfm_text_encoder_get_layer(const pfm_text_encoder *encoder);
/* The first 12 digits of the SHA-256 of the weights that are used. */
const char *pfm_text_encoder_get_digest(const pfm_text_encoder *encoder);
/* The most tokens of a text, and of all texts of a run. */
int64_t pfm_text_encoder_most_tokens(const pfm_text_encoder *encoder);
int64_t pfm_text_encoder_capacity(const pfm_text_encoder *encoder);
/* The tokens that begin and end every text. */
int32_t pfm_text_encoder_begin(const pfm_text_encoder *encoder);
int32_t pfm_text_encoder_end(const pfm_text_encoder *encoder);

/* Whether a text's first word is looked up as one behind a space (RoBERTa's vocabulary, as those who score texts use it). */
bool pfm_text_encoder_wants_space(const pfm_text_encoder *encoder);

/* Appends a text's ids with begin and end, its own cut off where there are more than the encoder takes. */
pfm_status pfm_text_encoder_tokens(const pfm_text_encoder *encoder, const char *text, size_t length, pfm_ids *out,
                                   pfm_error *err) PFM_MUST_CHECK;
/* *states f32 [tokens, hidden] of `count` texts, whose ids stand one behind another; borrowed until the next run. Each text's
 * rows have the same bits whatever stands beside it. USAGE where they are too many. */
pfm_status pfm_text_encoder_run(pfm_text_encoder *encoder, const int32_t *ids, const int32_t *lengths, size_t count,
                                const float **states, pfm_error *err) PFM_MUST_CHECK;

#endif
