/* Language models. A family is a file and a line in language.c: it reads a configuration, names its weights and builds its
 * graph. All names are Hugging Face's. */
#ifndef PFM_MODELS_LANGUAGE_LANGUAGE_H
#define PFM_MODELS_LANGUAGE_LANGUAGE_H

#include "base/json.h"
#include "formats/weights.h"
#include "nn/builder.h"

#define PFM_LANGUAGE_HEAD "lm_head.weight" /* the parameter of a head that is not the embedding */

enum { PFM_ROPE_FACTORS = 256 }; /* so many frequencies of a head may be scaled */

/* What differs between models of the families. A family leaves alone what it has not. */
typedef struct pfm_language_config {
    const struct pfm_language_family *family;
    int64_t vocabulary, hidden, intermediate;
    int64_t context; /* the most positions; where attention sees a window of the latest tokens only, no more than the window */
    int32_t layers, heads, kv_heads, head_dim;
    int32_t rotary; /* so many first columns of a head are rotated; 0: none, positions are learned vectors */
    double epsilon, rope_theta;
    pfm_activation activation; /* of the MLP, or of its gate */
    bool tied;                 /* the head is the embedding */
    bool query_bias;           /* queries, keys and values */
    bool output_bias;          /* what leaves attention */
    bool mlp_bias, head_bias;
    bool parallel;    /* attention and MLP read the same normed state */
    bool fused;       /* one linear makes queries, keys and values, head by head */
    bool head_norms;  /* queries and keys are normed head by head */
    bool branch_norm; /* what leaves attention is normed */
    bool wrapped;     /* its file is a multimodal model's, with other parts beside it */
    bool scaled_rope; /* frequency i is divided by rope_factors[i] */
    float rope_factors[PFM_ROPE_FACTORS];
} pfm_language_config;

/* The values of one graph of a language model. Inputs are bound at each run. */
typedef struct pfm_language_values {
    pfm_value ids;       /* i32 [tokens,1]: a token, or -1 - (row of visual) */
    pfm_value visual;    /* f32 [visual, hidden], made by an aligner or bound; PFM_NO_VALUE: text only */
    pfm_value positions; /* i32 [tokens,1] */
    pfm_value rope;      /* f32 [positions, rotary], or PFM_NO_VALUE where nothing is rotated */
    pfm_value index;     /* i32 [answers,1]: the tokens whose next one is predicted */
    pfm_value targets;   /* i32 [answers,1], where there is a loss */
    pfm_value loss;      /* f32 [answers,1], or PFM_NO_VALUE */
    pfm_value logits;    /* f32 [answers, vocabulary], or PFM_NO_VALUE */
} pfm_language_values;

/* How a file keeps a parameter [n,k] of ours. */
typedef enum pfm_tensor_order {
    PFM_ORDER_SAME,
    PFM_ORDER_QUERY_PAIRS, /* GGUF: the two halves of each rotated query head row by row in turn; Hugging Face: the same */
    PFM_ORDER_KEY_PAIRS,   /* the same for key heads */
    PFM_ORDER_TRANSPOSED   /* Hugging Face: [k,n], as its Conv1D has it; GGUF: the same */
} pfm_tensor_order;

typedef enum pfm_tensor_part { PFM_PART_WHOLE, PFM_PART_QUERY, PFM_PART_KEY, PFM_PART_VALUE } pfm_tensor_part;

/* A module (or tensor) whose NAME.weight, NAME.bias are parameters. A star stands for the number of the layer. */
typedef struct pfm_language_name {
    const char *name, *gguf; /* gguf NULL: a GGUF file cannot hold it */
    pfm_tensor_order order;
    const char *gguf_fused; /* where a GGUF has this in place of gguf, the parameter is these rows of it */
    pfm_tensor_part part;
} pfm_language_name;

/* One block (language_parts.h): *hidden f32 [tokens, hidden] becomes what leaves it. */
struct pfm_block_builder;
typedef pfm_status pfm_block_build(struct pfm_block_builder *b, pfm_value *hidden, pfm_error *err);

typedef struct pfm_language_family {
    const char *model_types[3];     /* config.json's model_type, as many as there are */
    const char *architecture;       /* GGUF's general.architecture */
    const char *embedding;          /* the parameter of the tokens' embeddings */
    const pfm_language_name *names; /* every module with parameters, ended by one without a name */
    const char *const *ignored;     /* patterns of tensors in files that are no parameters; NULL: none */
    /* From a GGUF's metadata. */
    pfm_status (*read_config)(const pfm_weights *weights, pfm_language_config *config, pfm_error *err);
    /* From the config.json beside the weights, which tell of variants that it does not know. */
    pfm_status (*read_config_json)(const json_t *json, const pfm_weights *weights, pfm_language_config *config, pfm_error *err);
    /* *hidden f32 [tokens, hidden], what enters the first block; NULL: pfm_language_embed. */
    pfm_status (*embed)(pfm_builder *builder, const pfm_language_config *config, const pfm_language_values *values,
                        pfm_value *hidden, pfm_error *err);
    const char *blocks; /* what names of blocks begin with, "model.layers" */
    pfm_block_build *build_block;
    const char *last_norm; /* behind them, "model.norm": an RMSNorm, */
    bool last_centres;     /* or a LayerNorm */
    /* config.json as transformers reads it, a new reference; NULL where a GGUF of the family is not exported as a folder. */
    json_t *(*write_config_json)(const pfm_language_config *config);
} pfm_language_family;

extern const pfm_language_family pfm_language_llama, pfm_language_qwen2, pfm_language_phi, pfm_language_gpt2,
    pfm_language_stablelm;

/* Reads the configuration from a GGUF's metadata or the config.json beside safetensors. UNSUPPORTED names an unknown family. */
pfm_status pfm_language_read_config(const pfm_weights *weights, pfm_language_config *config, pfm_error *err) PFM_MUST_CHECK;

/* The configuration of a model that is known by name, without its file. USAGE names an unknown one. */
pfm_status pfm_language_known(const char *name, pfm_language_config *config, pfm_error *err) PFM_MUST_CHECK;

/* Makes the inputs ids, positions, index and (with_loss) targets, then the family's graph. values->visual is given. */
pfm_status pfm_language_build(pfm_builder *builder, const pfm_language_config *config, bool with_loss,
                              pfm_language_values *values, pfm_error *err) PFM_MUST_CHECK;

/* ---- tensors of files (language_tensors.c) ---- */

/* Where a file keeps a parameter. */
typedef struct pfm_tensor_place {
    char name[128];
    pfm_tensor_order order; /* SAME unless this file's differs */
    int heads;              /* of PAIRS */
    int64_t row0, rows;     /* the parameter is rows row0 .. of a tensor of so many rows; rows 0: it is the whole tensor */
} pfm_tensor_place;

/* The place of a parameter in a file of that format. weights (NULL: a file yet to be written, as the format's own
 * programs write it) tells which of several ways a file has. MISMATCH where the format has no place for it. */
pfm_status pfm_language_place(const pfm_language_config *config, const pfm_weights *weights, bool gguf, const char *name,
                              pfm_tensor_place *out, pfm_error *err) PFM_MUST_CHECK;
/* *out = the tensor of a parameter [n,k], its shape checked, and its place. MISMATCH names a missing or misshapen one. */
pfm_status pfm_language_find_tensor(const pfm_weights *weights, const pfm_language_config *config, const char *name, int64_t n,
                                    int64_t k, const pfm_weight **out, pfm_tensor_place *place, pfm_error *err) PFM_MUST_CHECK;
/* Of PAIRS: to = n rows of row_bytes in our order, from those of a file. */
void pfm_language_from_file_pairs(const pfm_tensor_place *place, int64_t n, size_t row_bytes, const void *from, void *to);
/* values [n,k] from our order to a file's, in place. */
pfm_status pfm_language_to_file_order(const pfm_tensor_place *place, int64_t n, int64_t k, float *values,
                                      pfm_error *err) PFM_MUST_CHECK;
/* The family keeps some weights transposed in Hugging Face's files (PEFT's fan_in_fan_out). */
bool pfm_language_transposes(const pfm_language_family *family);

/* One tensor as f32 [n,k] in our order, whatever the file's. MISMATCH names a missing or misshapen one. */
pfm_status pfm_language_read_tensor(const pfm_weights *weights, const pfm_language_config *config, const char *name, int64_t n,
                                    int64_t k, float *out, pfm_error *err) PFM_MUST_CHECK;
/* Hands the same out in turn, `rows` rows at a time (all at once where their order in the file is another). */
typedef void pfm_language_rows(void *user, int64_t row0, int64_t rows, const float *values);
pfm_status pfm_language_visit_rows(const pfm_weights *weights, const pfm_language_config *config, const char *name, int64_t n,
                                   int64_t k, int64_t rows, pfm_language_rows *visit, void *user,
                                   pfm_error *err) PFM_MUST_CHECK;
/* A parameter that is loaded from the language model's file. */
bool pfm_language_owns(const pfm_parameter *parameter);
/* Sets every parameter that the language model owns; a tensor of the file that nothing reads is MISMATCH. */
pfm_status pfm_language_load(const pfm_weights *weights, const pfm_language_config *config, pfm_parameters *parameters,
                             pfm_error *err) PFM_MUST_CHECK;

/* ---- frozen matrices in blocks (language_blocks.c) ---- */

/* Before the parameters are allocated: a matrix that is to be kept in blocks, and which the file holds in blocks of a type that
 * can be multiplied, is kept in the file's. */
pfm_status pfm_language_keep_blocks(const pfm_weights *weights, const pfm_language_config *config, pfm_parameters *parameters,
                                    pfm_error *err) PFM_MUST_CHECK;

/* Blocks go from the file to the parameter as they are, where both have the same; *loaded = whether they did. */
pfm_status pfm_language_load_blocks(const pfm_weights *weights, const pfm_language_config *config, pfm_parameters *parameters,
                                    int id, bool *loaded, pfm_error *err) PFM_MUST_CHECK;
/* values [n,k] as a parameter that is kept in blocks computes with them: quantised and dequantised, unless the file holds
 * blocks. */
pfm_status pfm_language_round_to_blocks(const pfm_weights *weights, const pfm_language_config *config,
                                        const pfm_parameter *parameter, float *values, pfm_error *err) PFM_MUST_CHECK;
/* What loading the largest tensor takes for a moment beside the parameters: the file's pages (f32, where weights are NULL and
 * the file is not known) and the rows that are set at a time. */
size_t pfm_language_loading_bytes(const pfm_weights *weights, const pfm_language_config *config,
                                  const pfm_parameters *parameters);

/* ---- rotary positions (language_rope.c) ---- */

/* *out = cosines and sines f32 [positions, rotary] for rope; the caller frees it with free(). NULL where nothing is rotated. */
pfm_status pfm_language_rope_table(const pfm_language_config *config, int64_t positions, float **out,
                                   pfm_error *err) PFM_MUST_CHECK;

#endif
