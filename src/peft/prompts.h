/* What prompt tuning, P-tuning and prefix tuning share: virtual tokens before every input (pfm_id_is_virtual), and a table
 * [tokens, width] of what they mean in place of what a token is.
 *
 * The table is learned itself, or made by an MLP (the encoder) from an embedding that is learned with it, which eases learning.
 * Only where gradients are kept does the encoder stand in the graph. Answering needs but what it makes, and that is what
 * Hugging Face PEFT keeps: `prompt_embeddings`. It is computed by the same operators, so that it has the bits that learning
 * had. */
#ifndef PFM_PEFT_PROMPTS_H
#define PFM_PEFT_PROMPTS_H

#include "peft/peft.h"

/* Linear layers prompt_encoder.LAYERS.0, .2, ... with an activation between two of them. */
typedef struct pfm_prompt_encoder {
    const char *layers;
    int depth;
    bool bends_by_tanh; /* else ReLU */
} pfm_prompt_encoder;

/* The state of such a method. */
typedef struct pfm_prompts {
    const pfm_prompt_encoder *encoder; /* NULL: the table is learned itself */
    int64_t tokens, width;
    int64_t embedded, inner; /* the encoder's widths: of what it reads, and within */
} pfm_prompts;

/* USAGE for counts that cannot be. */
pfm_status pfm_prompts_check(const pfm_peft_options *options, pfm_error *err) PFM_MUST_CHECK;
int pfm_prompts_count(const pfm_peft_options *options);
#define PFM_PROMPTS_NOT_IN_VISION "learns tokens before a text, and a vision encoder reads none"

/* Remembers the shape and builds the table f32 [tokens, width]. */
pfm_status pfm_prompts_table(pfm_peft *peft, pfm_builder *builder, const pfm_prompts *shape, pfm_value *table,
                             pfm_error *err) PFM_MUST_CHECK;
/* *output's rows of virtual tokens become the table's, from column `first` on. */
pfm_status pfm_prompts_replace(pfm_builder *builder, pfm_value table, int64_t first, pfm_value *output,
                               pfm_error *err) PFM_MUST_CHECK;

/* See pfm_peft_method. A table that an encoder makes starts as what that makes of its drawn values; one that is learned itself
 * as the text, again and again, where there is one. */
pfm_status pfm_prompts_start(const pfm_peft *peft, const pfm_peft_text *text, pfm_parameters *parameters,
                             pfm_error *err) PFM_MUST_CHECK;
/* prompt_embeddings, and beside it the encoder's tensors under their own names, which PEFT passes over. */
pfm_status pfm_prompts_save(const pfm_peft *peft, const pfm_peft_network *network, const pfm_parameters *parameters,
                            pfm_peft_tensors *out, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_prompts_load(const pfm_peft *peft, const pfm_peft_network *network, const pfm_weights *weights,
                            pfm_parameters *parameters, size_t *read, pfm_error *err) PFM_MUST_CHECK;
/* The keys that all of them have; what an encoder made is read as a table that is learned itself. */
pfm_status pfm_prompts_write_config(const pfm_peft *peft, json_t *config, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_prompts_read_config(const json_t *config, pfm_peft_options *options, pfm_error *err) PFM_MUST_CHECK;

#endif
