/* What families read their configurations with: config.json and a GGUF's metadata. Whatever is there must be of the right type
 * and range; what is absent (or null) has the fallback, and none where that is out of range. */
#ifndef PFM_MODELS_LANGUAGE_LANGUAGE_CONFIG_H
#define PFM_MODELS_LANGUAGE_LANGUAGE_CONFIG_H

#include "models/language/language.h"

/* ---- config.json; path is for errors ---- */
pfm_status pfm_config_integer(const json_t *json, const char *path, const char *key, int64_t fallback, int64_t low,
                              int64_t high, int64_t *out, pfm_error *err) PFM_MUST_CHECK;
/* A positive number. */
pfm_status pfm_config_number(const json_t *json, const char *path, const char *key, double fallback, double *out,
                             pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_config_flag(const json_t *json, const char *path, const char *key, bool fallback, bool *out,
                           pfm_error *err) PFM_MUST_CHECK;
/* UNSUPPORTED where a flag is not what it must be. */
pfm_status pfm_config_demand(const json_t *json, const char *path, const char *key, bool wanted, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_config_activation(const json_t *json, const char *path, const char *key, const char *fallback,
                                 pfm_activation *out, pfm_error *err) PFM_MUST_CHECK;
/* Sizes under LLaMA's keys: hidden_size, intermediate_size, vocab_size, max_position_embeddings, num_hidden_layers,
 * num_attention_heads, num_key_value_heads, head_dim; and tie_word_embeddings. */
pfm_status pfm_config_sizes(const json_t *json, const char *path, int64_t context, pfm_language_config *config,
                            pfm_error *err) PFM_MUST_CHECK;
/* rope_theta, how much of a head is rotated and how frequencies are scaled, as transformers 4 and 5 spell it, after the sizes.
 * partial: the share of a head that is rotated where config.json does not say; 0: the family rotates whole heads. */
pfm_status pfm_config_rope(const json_t *json, const char *path, double partial, pfm_language_config *config,
                           pfm_error *err) PFM_MUST_CHECK;
/* Attention that sees the latest `window` tokens only is plain attention for no more tokens than that: the context ends
 * there. */
void pfm_config_window(pfm_language_config *config, int64_t window);

/* ---- GGUF: keys behind the architecture's name ---- */
void pfm_gguf_config_key(const pfm_weights *weights, const char *key, char out[128]); /* the whole key */
pfm_status pfm_gguf_config_integer(const pfm_weights *weights, const char *key, int64_t fallback, int64_t low, int64_t high,
                                   int64_t *out, pfm_error *err) PFM_MUST_CHECK;
/* The sizes, the embedding's rows, and whether there is a head of its own. heads may share keys. */
pfm_status pfm_gguf_config_sizes(const pfm_weights *weights, pfm_language_config *config, pfm_error *err) PFM_MUST_CHECK;
/* A positive number. */
pfm_status pfm_gguf_config_number(const pfm_weights *weights, const char *key, double fallback, double *out,
                                  pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_gguf_config_rope(const pfm_weights *weights, pfm_language_config *config, pfm_error *err) PFM_MUST_CHECK;

#endif
