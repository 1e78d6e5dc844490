/* A PEFT method on a small model beside what Hugging Face PEFT computes with it (script/vectors/dora_ia3.py). Whatever fails
 * here fails the test. */
#ifndef PFM_TESTS_PEFT_PEFT_CASE_H
#define PFM_TESTS_PEFT_PEFT_CASE_H

#include "models/grid.h"

typedef struct peft_case {
    const char *name;     /* golden/NAME, an adapter as PEFT wrote it, and NAME.* of golden/dora_ia3.safetensors */
    const char *language; /* the folder of the model */
    const char *sets[8];  /* of the recipe, which says nothing of its own about peft but that nothing is dropped */
    int set_count;
} peft_case;

enum { PEFT_TOKENS = 18 }; /* the script's */
#define PEFT_LLAMA PFM_SOURCE_DIR "/tests/models/golden/llama"
/* A model of the grid, or of a list of the same form, written as a folder; borrowed until the next. */
const char *peft_write_model(const json_t *list, const char *name);

/* tests/peft/golden/NAME. */
const char *peft_path(const char *name);
/* A tensor of golden/dora_ia3.safetensors; the caller frees. *count NULL or how many values. */
float *peft_golden(const char *tensor, size_t *count);

/* The language model alone, ready to run on the script's embeddings. */
typedef struct peft_model {
    pfm_context *context;
    pfm_session *session;
    pfm_model_graph graph;
    pfm_executor *executor;
    pfm_pack pack;
    float *embeds;
    int32_t ids[PEFT_TOKENS], index[PEFT_TOKENS];
} peft_model;

/* adapter: a folder, or NULL for what is drawn. Frees the context at its end. */
void peft_model_create(pfm_context *context, const peft_case *c, bool training, const char *adapter, peft_model *out);
void peft_model_free(peft_model *model);
/* The logits [PEFT_TOKENS, vocabulary], borrowed until the next run. */
const float *peft_model_run(peft_model *model);
size_t peft_model_logits(const peft_model *model);

/* Logits, the gradient of the embeddings and of each of the adapter's tensors, `tensors` in all, are PEFT's: in f32 by 1e-4, in
 * bf16 no further off than 1.5 times torch's autocast. */
void peft_case_compare(const peft_case *c, const char *level, pfm_precision precision, int tensors);
/* The weights that export --merge writes compute the same, by 1e-5. */
void peft_case_merge(const peft_case *c);
/* What is saved is loaded to the same bits, and described as PEFT described the golden adapter. */
void peft_case_save(const peft_case *c);
/* `pefomed forward --adapter` makes PEFT's logits of the golden adapter, from what its configuration says alone. */
void peft_case_forward(const peft_case *c);

/* Values of what a method adds that are neither zero nor one, made from `seed`. */
void peft_randomise(pfm_parameters *parameters, uint32_t seed);
/* A recipe's overrides on the tiny system: `trained` tensors train, they change in two steps, and nothing else does; packed
 * rows give the gradients of rows apart; with the base in 4 bits likewise. */
void peft_check_training(const char *const *sets, int set_count, int trained);

#endif
