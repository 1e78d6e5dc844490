/* The parts that families build their graphs of. Inside a block every name is relative to it: "self_attn.q_proj". */
#ifndef PFM_MODELS_LANGUAGE_LANGUAGE_PARTS_H
#define PFM_MODELS_LANGUAGE_LANGUAGE_PARTS_H

#include "models/language/language.h"

typedef struct pfm_block_builder {
    pfm_builder *builder;
    const pfm_language_config *config;
    const pfm_language_values *values;
    int32_t layer;
    char name[128], sublayer[128];
} pfm_block_builder;

/* All blocks of the family one after the other, each behind what else acts before it (pfm_build_block). */
pfm_status pfm_language_blocks(pfm_builder *builder, const pfm_language_config *config, const pfm_language_values *values,
                               pfm_value *hidden, pfm_error *err) PFM_MUST_CHECK;

/* BLOCKS.LAYER.NAME, until the next call. */
const char *pfm_block_name(pfm_block_builder *b, const char *name);

/* *out f32 [tokens, k] = rows of the table NAME [n, k], a parameter, by ids; an id below zero is one of visual, where there
 * are. */
pfm_status pfm_language_look_up(pfm_builder *builder, const char *name, int64_t n, int64_t k, pfm_value ids, pfm_value visual,
                                pfm_value *out, pfm_error *err) PFM_MUST_CHECK;
/* *hidden f32 [tokens, hidden] = the embedding's rows, visual tokens among them. */
pfm_status pfm_language_embed(pfm_builder *builder, const pfm_language_config *config, const pfm_language_values *values,
                              pfm_value *hidden, pfm_error *err) PFM_MUST_CHECK;

/* y = NAME(x), with what the configuration says of biases left to the caller. With an addend y is f32 and holds it too; without
 * one it is `output`. */
pfm_status pfm_block_linear(pfm_block_builder *b, pfm_value x, const char *name, int64_t n, int64_t k, bool bias,
                            pfm_value addend, pfm_storage output, pfm_value *y, pfm_error *err) PFM_MUST_CHECK;

/* The last layer of an attention, SUBLAYER relative to the block, that read x act: y f32 [tokens, hidden] = NAME(inner)
 * (+ addend). inner act [tokens, k]. */
pfm_status pfm_block_end(pfm_block_builder *b, const char *sublayer, pfm_value x, pfm_value inner, const char *name, int64_t k,
                         bool bias, pfm_value addend, pfm_value *y, pfm_error *err) PFM_MUST_CHECK;

/* Queries, keys and values by self_attn.q_proj, k_proj, v_proj from x act, the first two rotated; with head_norms they pass
 * self_attn.q_layernorm and k_layernorm before. */
pfm_status pfm_block_project(pfm_block_builder *b, pfm_value x, pfm_value qkv[3], pfm_error *err) PFM_MUST_CHECK;
/* Normed, where the configuration says so, and rotated. */
pfm_status pfm_block_prepare_queries(pfm_block_builder *b, pfm_value qkv[3], pfm_error *err) PFM_MUST_CHECK;
/* Of the attention SUBLAYER; a hook may put its own keys and values first. */
pfm_status pfm_block_attend(pfm_block_builder *b, const char *sublayer, const pfm_value qkv[3], pfm_value *mixed,
                            pfm_error *err) PFM_MUST_CHECK;

/* *y f32 = addend + mlp.down_proj(activation(mlp.gate_proj(x)) * mlp.up_proj(x)). */
pfm_status pfm_block_gated_mlp(pfm_block_builder *b, pfm_value x, pfm_value addend, pfm_value *y,
                               pfm_error *err) PFM_MUST_CHECK;
/* *y f32 = addend + DOWN(activation(UP(x))). */
pfm_status pfm_block_plain_mlp(pfm_block_builder *b, pfm_value x, const char *up, const char *down, pfm_value addend,
                               pfm_value *y, pfm_error *err) PFM_MUST_CHECK;

/* *x = the chosen rows of hidden, not yet normed. */
pfm_status pfm_language_choose(pfm_builder *builder, const pfm_language_values *values, pfm_value hidden, pfm_value *x,
                               pfm_error *err) PFM_MUST_CHECK;
/* The head on the chosen rows, normed: logits, or the loss with the head's product inside. */
pfm_status pfm_language_head(pfm_builder *builder, const pfm_language_config *config, bool with_loss, pfm_value x,
                             pfm_language_values *values, pfm_error *err) PFM_MUST_CHECK;

#endif
