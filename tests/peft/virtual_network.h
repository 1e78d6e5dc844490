/* Language models with virtual tokens before their input, and what script/vectors/prompts.py made of them. Whatever fails here
 * fails the test. */
#ifndef PFM_TESTS_PEFT_VIRTUAL_NETWORK_H
#define PFM_TESTS_PEFT_VIRTUAL_NETWORK_H

#include "models/tiny.h"

enum { NETWORK_TOKENS = 7, NETWORK_MOST_WIDTH = 32, NETWORK_MOST_VIRTUAL = 8 };

/* One adapter of the script. */
typedef struct golden_prompts {
    const char *name, *method;
    int tokens, encoder; /* peft.virtual_tokens; the width of its encoder, 0: it has none */
    bool gpt2;           /* on the GPT-2 of families.json, else on the tiny llama */
} golden_prompts;
enum { GOLDEN_PROMPTS = 6, GOLDEN_PROMPTS_ON_LLAMA = 4 }; /* those come first */
extern const golden_prompts all_golden_prompts[GOLDEN_PROMPTS];

/* Its tensor WHAT of golden/prompts.safetensors; the caller frees. NULL count: as many as there are. */
float *prompts_golden(const golden_prompts *p, const char *what, size_t *count);
/* The folder that PEFT wrote; borrowed for a few calls. */
const char *prompts_folder(const golden_prompts *p);
/* The same with the encoder's tensors beside its own, in the scratch folder. */
const char *prompts_folder_with_encoder(const golden_prompts *p);

typedef struct network {
    pfm_context *context; /* owned */
    pfm_session *session;
    pfm_model_graph graph;
    pfm_executor *executor;
    pfm_pack pack;
    float embeds[NETWORK_TOKENS * NETWORK_MOST_WIDTH];
    int32_t ids[NETWORK_MOST_VIRTUAL + NETWORK_TOKENS], index[NETWORK_TOKENS];
} network;

/* encoder: peft.encoder_hidden. training: gradients of the logits can be computed. adapter: a folder, or NULL: as it starts.
 * more: further settings of peft, ", key: value", or "". */
void network_create(const golden_prompts *p, int encoder, bool training, const char *adapter, const char *more,
                    pfm_precision precision, network *out);
void network_free(network *n);
/* The logits f32 [NETWORK_TOKENS, vocabulary] of the script's ids, or of its embeddings; until the next run. */
const float *network_run(network *n, bool by_ids);
/* The gradients of the script's gradient of the logits. */
void network_run_backward(network *n);
size_t network_count_logits(const network *n);

#endif
