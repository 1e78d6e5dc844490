/* PEFT methods. A method is a file and a line in peft_methods.c: it says which places of a model it touches, what it adds
 * there, which parameters are its own, how they merge into the frozen weights, and how Hugging Face PEFT keeps them, where that
 * has it.
 *
 * Whoever trains, answers or saves speaks to pfm_peft and knows no method. */
#ifndef PFM_PEFT_PEFT_H
#define PFM_PEFT_PEFT_H

#include "formats/weights.h"
#include "nn/builder.h"

#include <jansson.h>

/* What a recipe says under peft; each method reads its own part. Strings and lists are borrowed where one is given. */
typedef struct pfm_peft_options {
    char *method; /* "lora", ..., or "none" */
    int rank;
    double alpha, dropout;
    char **targets; /* module names, each matching a whole dotted suffix: "q_proj" matches "....self_attn.q_proj" */
    size_t target_count;
    bool rslora;                  /* alpha / sqrt(rank) (Kalajdzievski 2023) in place of alpha / rank */
    int bottleneck;               /* of adapters: the width between their two layers, */
    double adapter_scale;         /* what they add is scaled by this, */
    char *activation, *sublayers; /* "relu", ...; "both", "attention", "mlp"; NULL: the first of these */
} pfm_peft_options;

typedef struct pfm_peft pfm_peft;

/* A tensor of an adapter's file. */
typedef struct pfm_peft_tensor {
    char *name;    /* as the file has it, "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" */
    int64_t n, k;  /* k == 1: a vector */
    float *values; /* owned where `owned` */
    bool owned;
} pfm_peft_tensor;

typedef struct pfm_peft_tensors {
    pfm_peft_tensor *items;
    size_t count, capacity;
} pfm_peft_tensors;

typedef struct pfm_peft_method {
    const char *name;
    const char *targets; /* the modules that it changes where the recipe does not say, "q_proj,v_proj"; "": all that it can;
                            NULL: it has places of its own, and peft.targets is not its */
    const char *needs;   /* what it works on where that is not linear layers, "biases"; for what is said to users */
    /* USAGE for options that it cannot take. NULL: any will do. */
    pfm_status (*check)(const pfm_peft_options *options, pfm_error *err);
    /* Of linear layers and their inputs it is asked of those alone that a target names, where it has targets; so is trains. */
    pfm_touch (*touches)(const pfm_peft *peft, const pfm_model_place *place);
    pfm_status (*apply)(pfm_peft *peft, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err);
    /* Which frozen parameters train, see pfm_hook; those of the aligner are not asked for. NULL: none. */
    bool (*trains)(const pfm_peft *peft, const pfm_model_place *place, const char *parameter);
    /* How many tokens it puts before every input, see pfm_id_is_virtual. NULL: none. */
    int (*virtual_tokens)(const pfm_peft_options *options);
    /* values f32 [n,k], the frozen weight of a module, becomes what the module computes with the method merged in. NULL: it
     * cannot be merged. */
    pfm_status (*merge)(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n, int64_t k,
                        float *values, pfm_error *err);

    bool whole; /* what trains are modules of the base that the file holds whole (PEFT's modules_to_save) */
    /* What adapter_config.json calls it, "LORA"; a method that Hugging Face PEFT does not have has a name of its own. */
    const char *type;
    /* Sets the keys of adapter_config.json that speak of the method, and reads them (NULL: this cannot be read). */
    pfm_status (*write_config)(const pfm_peft *peft, json_t *config, pfm_error *err);
    pfm_status (*read_config)(const json_t *config, pfm_peft_options *options, pfm_error *err);
    /* What a parameter is called in the file, behind "base_model.model.". NULL: its own name. */
    pfm_status (*file_name)(const pfm_parameter *parameter, char **out, pfm_error *err);
    /* What the file holds, and the parameters from it. NULL: every parameter of the method, each under its file_name. */
    pfm_status (*save)(const pfm_peft *peft, const pfm_parameters *parameters, pfm_peft_tensors *out, pfm_error *err);
    pfm_status (*load)(const pfm_peft *peft, const pfm_weights *weights, pfm_parameters *parameters, size_t *read,
                       pfm_error *err); /* *read = how many tensors of the file these are */
} pfm_peft_method;

/* Copies the options. USAGE: an unknown method, or what the method refuses. */
pfm_status pfm_peft_create(const pfm_peft_options *options, pfm_peft **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_peft_free(pfm_peft *peft);
const pfm_peft_options *pfm_peft_get_options(const pfm_peft *peft);
/* NULL for "none". */
const pfm_peft_method *pfm_peft_get_method(const pfm_peft *peft);
/* *out = the method of that name, NULL for "none". USAGE names the known ones, behind the recipe's key. */
#define PFM_PEFT_METHOD_KEY "peft.method "
pfm_status pfm_peft_find_method(const char *name, const pfm_peft_method **out, pfm_error *err) PFM_MUST_CHECK;

/* The hook for a builder; borrowed from peft. NULL for "none". */
const pfm_hook *pfm_peft_hook(const pfm_peft *peft);
/* After building: USAGE names each target that matched no layer, and a method that found nothing to work on. */
pfm_status pfm_peft_check_targets(const pfm_peft *peft, pfm_error *err) PFM_MUST_CHECK;
/* true where a target names this module. */
bool pfm_peft_targets(const pfm_peft *peft, const char *module);
/* Tokens before every input. */
int pfm_peft_virtual_tokens(const pfm_peft *peft);
/* UNSUPPORTED where the method cannot be merged. */
pfm_status pfm_peft_merge(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n, int64_t k,
                          float *values, pfm_error *err) PFM_MUST_CHECK;
/* What a low-rank product is scaled by. */
double pfm_peft_scale(const pfm_peft *peft);

/* What adapters' files hold: tensors of the method in order, and parameters set from them. MISMATCH names what is missing, does
 * not fit, or is not known. */
pfm_status pfm_peft_save(const pfm_peft *peft, const pfm_parameters *parameters, pfm_peft_tensors *out,
                         pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_peft_load(const pfm_peft *peft, const pfm_weights *weights, pfm_parameters *parameters,
                         pfm_error *err) PFM_MUST_CHECK;
/* What the file calls a learned parameter. */
pfm_status pfm_peft_tensor_name(const pfm_peft *peft, const pfm_parameter *parameter, char **out,
                                pfm_error *err) PFM_MUST_CHECK;
/* Appends a tensor of values f32 [n,k] that is named prefix + name; owned values are freed with the list, even on error. */
pfm_status pfm_peft_tensors_add(pfm_peft_tensors *list, const char *prefix, const char *name, int64_t n, int64_t k,
                                float *values, bool owned, pfm_error *err) PFM_MUST_CHECK;
void pfm_peft_tensors_free(pfm_peft_tensors *list);
/* values f32 [n,k] = the tensor of that name. MISMATCH where it is missing or has another shape. */
pfm_status pfm_peft_read_tensor(const pfm_weights *weights, const char *name, int64_t n, int64_t k, float *values,
                                pfm_error *err) PFM_MUST_CHECK;

/* ---- for methods ---- */

/* *id = a parameter of the method, MODULE.NAME, that trains. */
pfm_status pfm_peft_declare(pfm_peft *peft, pfm_builder *builder, const char *module, const char *name,
                            const pfm_parameter *declaration, int *id, pfm_error *err) PFM_MUST_CHECK;
/* The method's parameter MODULE.NAME. MISMATCH where there is none. */
pfm_status pfm_peft_find(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, const char *name,
                         const pfm_parameter **out, pfm_error *err) PFM_MUST_CHECK;
/* *y = x with a share of its columns left out while training, drawn by token and place; x itself where nothing is drawn. */
pfm_status pfm_peft_dropout(const pfm_peft *peft, pfm_builder *builder, const char *place, pfm_value x, pfm_value *y,
                            pfm_error *err) PFM_MUST_CHECK;
/* The keys of a LORA that adapts no layer: what PEFT calls an adapter of tensors of the base alone. */
pfm_status pfm_peft_write_no_lora(const pfm_peft *peft, json_t *config, pfm_error *err) PFM_MUST_CHECK;
/* For what trains the base's own weights: there is nothing to add to them. */
pfm_status pfm_peft_merge_nothing(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n,
                                  int64_t k, float *values, pfm_error *err) PFM_MUST_CHECK;
/* A number for adapter_config.json: whole where it is whole, as PEFT's types are. */
json_t *pfm_peft_number(double value);
/* USAGE for a dropout outside [0,1), and that or a rank below 1. */
pfm_status pfm_peft_check_dropout(const pfm_peft_options *options, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_peft_check_low_rank(const pfm_peft_options *options, pfm_error *err) PFM_MUST_CHECK;

#endif
