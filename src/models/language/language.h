/* Language models. A family is a file and a line in language.c: it reads a configuration, names its weights and builds its
 * graph. All names are Hugging Face's. */
#ifndef PFM_MODELS_LANGUAGE_LANGUAGE_H
#define PFM_MODELS_LANGUAGE_LANGUAGE_H

#include "base/json.h"
#include "formats/weights.h"
#include "nn/builder.h"

typedef struct pfm_language_config {
    const struct pfm_language_family *family;
    int64_t vocabulary, hidden, intermediate, context; /* context: the most positions */
    int32_t layers, heads, kv_heads, head_dim;
    double epsilon, rope_theta;
    bool tied; /* the head is the embedding */
} pfm_language_config;

/* The values of one graph of a language model. Inputs are bound at each run. */
typedef struct pfm_language_values {
    pfm_value ids;       /* i32 [tokens,1]: a token, or -1 - (row of visual) */
    pfm_value visual;    /* f32 [visual, hidden], made by an aligner or bound; PFM_NO_VALUE: text only */
    pfm_value positions; /* i32 [tokens,1] */
    pfm_value rope;      /* f32 [positions, head_dim] */
    pfm_value index;     /* i32 [answers,1]: the tokens whose next one is predicted */
    pfm_value targets;   /* i32 [answers,1], where there is a loss */
    pfm_value loss;      /* f32 [answers,1], or PFM_NO_VALUE */
    pfm_value logits;    /* f32 [answers, vocabulary], or PFM_NO_VALUE */
} pfm_language_values;

typedef struct pfm_language_family {
    const char *name; /* GGUF's general.architecture and Hugging Face's model_type */
    pfm_status (*read_config)(const pfm_weights *weights, pfm_language_config *config, pfm_error *err);
    /* From a Hugging Face config.json; path is for errors. */
    pfm_status (*read_config_json)(const json_t *json, const char *path, pfm_language_config *config, pfm_error *err);
    /* Fills values from ids, visual and positions on; with_loss: a loss, else logits. */
    pfm_status (*build)(pfm_builder *builder, const pfm_language_config *config, bool with_loss, pfm_language_values *values,
                        pfm_error *err);
    /* The name in a GGUF file of a Hugging Face name, in `out`; false where there is none. *rotary_heads > 0: the rows of each
     * of so many heads stand in GGUF's interleaved order. */
    bool (*gguf_name)(const pfm_language_config *config, const char *name, char out[128], int *rotary_heads);
} pfm_language_family;

extern const pfm_language_family pfm_language_llama;

/* Reads the configuration from a GGUF's metadata or the config.json beside safetensors. UNSUPPORTED names an unknown family. */
pfm_status pfm_language_read_config(const pfm_weights *weights, pfm_language_config *config, pfm_error *err) PFM_MUST_CHECK;

/* The configuration of a model that fetch knows, without its file. USAGE names an unknown one. */
pfm_status pfm_language_known(const char *name, pfm_language_config *config, pfm_error *err) PFM_MUST_CHECK;

/* Makes the inputs ids, positions, index and (with_loss) targets, then the family's graph. values->visual is given. */
pfm_status pfm_language_build(pfm_builder *builder, const pfm_language_config *config, bool with_loss,
                              pfm_language_values *values, pfm_error *err) PFM_MUST_CHECK;

/* One tensor as f32 [n,k] in Hugging Face's order, whatever the file's. MISMATCH names a missing or misshapen one. */
pfm_status pfm_language_read_tensor(const pfm_weights *weights, const pfm_language_config *config, const char *name, int64_t n,
                                    int64_t k, float *out, pfm_error *err) PFM_MUST_CHECK;
/* Hands the same out in turn, `rows` rows at a time (all at once where their order in the file is another). */
typedef void pfm_language_rows(void *user, int64_t row0, int64_t rows, const float *values);
pfm_status pfm_language_visit_rows(const pfm_weights *weights, const pfm_language_config *config, const char *name, int64_t n,
                                   int64_t k, int64_t rows, pfm_language_rows *visit, void *user,
                                   pfm_error *err) PFM_MUST_CHECK;
/* values [n,k] from Hugging Face's order of rows to GGUF's, in place. */
pfm_status pfm_language_to_gguf_order(const pfm_language_config *config, const char *name, int64_t n, int64_t k, float *values,
                                      pfm_error *err) PFM_MUST_CHECK;
/* A parameter that is loaded from the language model's file. */
bool pfm_language_owns(const pfm_parameter *parameter);
/* Sets every LOADED parameter whose name begins with "model." or "lm_head."; a tensor of the file that nothing reads is
 * MISMATCH. */
pfm_status pfm_language_load(const pfm_weights *weights, const pfm_language_config *config, pfm_parameters *parameters,
                             pfm_error *err) PFM_MUST_CHECK;

/* Before the parameters are allocated: a matrix that is to be kept in blocks, and which the file holds in blocks of a type that
 * can be multiplied, is kept in the file's. */
pfm_status pfm_language_keep_blocks(const pfm_weights *weights, const pfm_language_config *config, pfm_parameters *parameters,
                                    pfm_error *err) PFM_MUST_CHECK;

/* values [n,k] as a parameter that is kept in blocks computes with them: quantised and dequantised, unless the file holds
 * blocks. */
pfm_status pfm_language_round_to_blocks(const pfm_weights *weights, const pfm_language_config *config,
                                        const pfm_parameter *parameter, float *values, pfm_error *err) PFM_MUST_CHECK;
/* What loading the largest tensor takes for a moment beside the parameters: the file's pages (f32, where weights are NULL and
 * the file is not known) and the rows that are set at a time. */
size_t pfm_language_loading_bytes(const pfm_weights *weights, const pfm_language_config *config,
                                  const pfm_parameters *parameters);

/* *out = cosines and sines f32 [positions, head_dim] for rope; the caller frees it with free(). */
pfm_status pfm_language_rope_table(const pfm_language_config *config, int64_t positions, float **out,
                                   pfm_error *err) PFM_MUST_CHECK;

#endif
