/* PEFT methods. A method is a file and a line in peft_methods.h: it says which places of a model it touches, what it adds
 * there, which parameters are its own, how they merge into the frozen weights, and how Hugging Face PEFT keeps them, where that
 * has it.
 *
 * Whoever trains, answers or saves speaks to pfm_peft and knows no method. */
#ifndef PFM_PEFT_PEFT_H
#define PFM_PEFT_PEFT_H

#include "formats/adapter.h"
#include "formats/weights.h"
#include "nn/builder.h"

#include <jansson.h>
#include <string.h>

enum { PFM_PEFT_MOST_RANK = 4096 };

/* What a recipe says under peft; each method reads its own part. Strings and lists are borrowed where one is given. */
typedef struct pfm_peft_options {
    char *method; /* "lora", ..., or "none" */
    int rank;
    double alpha, dropout;
    char **targets; /* the linear layers, see peft/targets.h: "q_proj" is the end of a module's name */
    size_t target_count;
    bool rslora;        /* alpha / sqrt(rank) (Kalajdzievski 2023) in place of alpha / rank */
    double rate_ratio;  /* LoRA+: the second factor's learning rate beside the first's; 0: 1 */
    char **feedforward; /* of ia3: those of the targets whose inputs are scaled, not their outputs; named as targets are */
    size_t feedforward_count;

    char **exclude; /* of the targets, as those are named */
    size_t exclude_count;
    char **layers; /* numbers of blocks, from 0; none: all */
    size_t layer_count;
    char **layers_pattern; /* what stands before the number in a module's name; none: anything */
    size_t layers_pattern_count;
    char **rank_pattern, **alpha_pattern; /* "NAME=NUMBER", for targets whose names end so */
    size_t rank_pattern_count, alpha_pattern_count;
    char **modules_to_save; /* ends of names of modules of which the adapter holds its own copy, which trains */
    size_t module_to_save_count;
    char *bias;     /* which biases of the base train: "none", "all" or, of the targets, "lora_only"; NULL: none */
    bool lora_bias; /* the second factor has a bias */
    char *start;    /* the folder of an adapter that it goes on with, or NULL */

    int virtual_tokens; /* how many stand before every input */
    int encoder_hidden; /* the width of the MLP that makes what they mean; 0: none; PFM_ENCODER_DEFAULT: as the method does */
    char *prompt_text;  /* NULL, or what they start as */

    int bottleneck;       /* of adapters: the width between their two layers, */
    double adapter_scale; /* what they add is scaled by this, */
    char *activation;     /* "relu", ..., what stands between them; NULL: relu */
    char *sublayers;      /* "both", "attention", "mlp"; NULL: both */

    int experts, top_k; /* of methods with experts: how many there are, and how many of them a token takes */
    char *router;       /* "token" or "context": what chooses them; NULL: token */
    bool shared_expert; /* one more is always taken */
    double balance, capacity;
    char *context, **contexts; /* the column of the data that chooses, and its values in the order of their experts */
    size_t context_count;

    double d_initial;     /* of vera: what its inner vector starts at; */
    int projection_seed;  /* its projections are drawn from this, */
    bool save_projection; /* and stand in its file */
} pfm_peft_options;

enum { PFM_ENCODER_DEFAULT = -1, PFM_MOST_VIRTUAL_TOKENS = 4096 };

/* Releases what options own that were copied or read; zeroes them. {0} is fine. */
void pfm_peft_options_free(pfm_peft_options *options);
/* *out = a copy that owns all that it holds, also on error fit to be released. */
pfm_status pfm_peft_options_copy(const pfm_peft_options *options, pfm_peft_options *out, pfm_error *err) PFM_MUST_CHECK;
/* The same of one list; *out and *out_count are empty. */
pfm_status pfm_peft_texts_copy(char *const *items, size_t count, char ***out, size_t *out_count, pfm_error *err) PFM_MUST_CHECK;
void pfm_peft_texts_free(char ***items, size_t *count);

typedef struct pfm_peft pfm_peft;

/* Rows f32 [count, width] of the base's embedding, what options.prompt_text consists of; count 0: there is none. */
typedef struct pfm_peft_text {
    const float *rows;
    int64_t count, width;
} pfm_peft_text;

/* A tensor of an adapter's file. */
typedef struct pfm_peft_tensor {
    char *name;    /* as the file has it, "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" */
    int64_t n, k;  /* k == 1: a vector, */
    bool column;   /* or a matrix [n,1] */
    float *values; /* owned where `owned` */
    bool owned;
} pfm_peft_tensor;

typedef struct pfm_peft_tensors {
    pfm_peft_tensor *items;
    size_t count, capacity;
} pfm_peft_tensors;

/* Which network of a model an adapter's file is for: the one whose names begin with `begin`, which in the file is `in_file`, or
 * with `others` all that do not begin so. */
typedef struct pfm_peft_network {
    const char *begin, *in_file;
    bool others;
} pfm_peft_network;

/* Whether it is the one that a module or a parameter of this name belongs to. */
static inline bool pfm_peft_is_of(const pfm_peft_network *network, const char *name)
{
    return (strncmp(name, network->begin, strlen(network->begin)) == 0) != network->others;
}

/* What a method changes in a family of language models whose layers have names of their own. */
typedef struct pfm_peft_family {
    const char *model_type; /* as config.json has it */
    const char *targets, *feedforward;
} pfm_peft_family;

/* Keys that several methods have. */
#define PFM_KEYS_OF_TARGETS "targets exclude layers layers_pattern "
#define PFM_KEYS_OF_LORA PFM_KEYS_OF_TARGETS "rank alpha dropout rslora rate_ratio "
#define PFM_KEYS_OF_BOTTLENECKS "bottleneck activation adapter_scale sublayers dropout "
#define PFM_KEYS_OF_EXPERTS "experts router top_k balance capacity shared_expert context contexts "

typedef struct pfm_peft_method {
    const char *name;
    const char *targets;     /* the linear layers that it changes where the recipe does not say, "q_proj,v_proj"; NULL: it has
                                places of its own */
    const char *feedforward; /* likewise peft.feedforward */
    const pfm_peft_family *families; /* where both are other ones, ended by one without a type; NULL: nowhere */
    const char *keys;  /* of a recipe's peft, with spaces between: those that say something to it; the others are refused. What
                          every method has (method, parts, start, modules_to_save) is not among them */
    const char *needs; /* what it works on where it has no targets, "biases": a model without is refused */
    bool norms;        /* its targets are norms, and trains is asked of those alone that they name */
    bool of_base;      /* it trains parameters of the base and adds none: there is nothing to merge */
    bool whole;        /* its targets are modules that train, as those of peft.modules_to_save do: nothing else is done */
    const char *not_in_vision; /* why a vision encoder has no use for it, "learns ..., and ..."; NULL: it has */
    /* USAGE for options that it cannot take. NULL: any will do. */
    pfm_status (*check)(const pfm_peft_options *options, pfm_error *err);
    size_t state_bytes; /* of what it remembers from building on, see pfm_peft_get_state */
    /* Of linear layers and their inputs it is asked of those alone that a target names, where it has targets. */
    pfm_touch (*touches)(const pfm_peft *peft, const pfm_model_place *place);
    pfm_status (*apply)(pfm_peft *peft, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err);
    /* Which frozen parameters train, see pfm_hook. NULL: none. */
    bool (*trains)(const pfm_peft *peft, const pfm_model_place *place, const char *parameter);
    /* How many tokens it puts before every input, see pfm_id_is_virtual. NULL: none. */
    int (*virtual_tokens)(const pfm_peft_options *options);
    /* Behind the drawing of what is new: sets what starts otherwise. NULL: nothing does. */
    pfm_status (*start)(const pfm_peft *peft, const pfm_peft_text *text, pfm_parameters *parameters, pfm_error *err);
    /* values f32 [n,k], the frozen weight of a module, becomes what the module computes with the method merged in. NULL: it
     * cannot be merged. */
    pfm_status (*merge)(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n, int64_t k,
                        float *values, pfm_error *err);
    /* The same for the module's bias [n]. NULL: it stays as it is. */
    pfm_status (*merge_bias)(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n,
                             float *values, pfm_error *err);

    /* What adapter_config.json calls it, "LORA"; a method that Hugging Face PEFT does not have has a name of its own. */
    const char *type;
    /* Sets the keys of adapter_config.json that speak of the method, and reads them (NULL: this cannot be read). */
    pfm_status (*write_config)(const pfm_peft *peft, json_t *config, pfm_error *err);
    pfm_status (*read_config)(const json_t *config, pfm_peft_options *options, pfm_error *err);
    /* Of several methods of one type: whether a configuration is this one's. NULL: it is where no other says so. */
    bool (*is_config)(const json_t *config);
    /* What a parameter is called in the file, behind "base_model.model." where the method has no virtual tokens. NULL: its own
     * name. */
    pfm_status (*file_name)(const pfm_parameter *parameter, char **out, pfm_error *err);
    /* What the file of a network holds of the method's own parameters, and these from it. NULL: each under its file_name. What
     * trains of the base is kept beside them. */
    pfm_status (*save)(const pfm_peft *peft, const pfm_peft_network *network, const pfm_parameters *parameters,
                       pfm_peft_tensors *out, pfm_error *err);
    pfm_status (*load)(const pfm_peft *peft, const pfm_peft_network *network, const pfm_weights *weights,
                       pfm_parameters *parameters, size_t *read,
                       pfm_error *err); /* *read = how many tensors of the file these are */
} pfm_peft_method;

/* The first key that is set and says nothing to the method (NULL: none), or NULL: of lists, texts and switches. Numbers that
 * every recipe has a default for do not count. */
const char *pfm_peft_options_find_other(const pfm_peft_options *options, const pfm_peft_method *method);
/* What says nothing to the method is as if it had not been given: what the function above finds. */
void pfm_peft_options_forget_others(pfm_peft_options *options, const pfm_peft_method *method);
/* Copies the options. USAGE: an unknown method, or what the method refuses. */
pfm_status pfm_peft_create(const pfm_peft_options *options, pfm_peft **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_peft_free(pfm_peft *peft);
const pfm_peft_options *pfm_peft_get_options(const pfm_peft *peft);
/* NULL for "none". */
const pfm_peft_method *pfm_peft_get_method(const pfm_peft *peft);
/* The methods in the order of their list; NULL behind the last. */
const pfm_peft_method *pfm_peft_method_at(size_t i);
/* Whether peft.KEY says something to the method; NULL is none. */
bool pfm_peft_method_has(const pfm_peft_method *method, const char *key);
/* *out = the method of that name, NULL for "none". USAGE names the known ones, behind the recipe's key. */
#define PFM_PEFT_METHOD_KEY "peft.method "
pfm_status pfm_peft_find_method(const char *name, const pfm_peft_method **out, pfm_error *err) PFM_MUST_CHECK;

/* Before building: what the names of its parameters begin with where it stands beside others, "adapter1/"; "" else. */
pfm_status pfm_peft_set_slot(pfm_peft *peft, const char *slot, pfm_error *err) PFM_MUST_CHECK;
const char *pfm_peft_get_slot(const pfm_peft *peft);
/* The name of a learned parameter without that; NULL where it is another adapter's. */
const char *pfm_peft_own_name(const pfm_peft *peft, const pfm_parameter *parameter);
/* The hook for a builder; borrowed from peft. NULL for "none" that trains nothing of the base either. */
const pfm_hook *pfm_peft_hook(const pfm_peft *peft);
/* What the method changes in a family where the recipe does not say: "a,b", borrowed; NULL: it has no targets. A family that
 * PEFT does not know has LLaMA's. */
const char *pfm_peft_default_targets(const pfm_peft_method *method, const char *model_type);
const char *pfm_peft_default_feedforward(const pfm_peft_method *method, const char *model_type);
/* After building: USAGE names the target, or what else names modules, that matched nothing, or a method that found nothing to
 * work on. */
pfm_status pfm_peft_check_targets(const pfm_peft *peft, pfm_error *err) PFM_MUST_CHECK;
/* true where it acts on this linear layer, see peft/targets.h. */
bool pfm_peft_targets(const pfm_peft *peft, const char *module);
/* true where it acts on this module, and the module is one of the linear layers that were built. */
bool pfm_peft_acts_on(const pfm_peft *peft, const char *module);
/* true where peft.feedforward names it. */
bool pfm_peft_is_feedforward(const pfm_peft *peft, const char *module);
/* Why the method cannot act in a vision encoder; NULL where it can. */
const char *pfm_peft_not_in_vision(const pfm_peft *peft);
/* Tokens before every input. */
int pfm_peft_virtual_tokens(const pfm_peft *peft);
/* To be called once new values were drawn, before any are loaded. */
pfm_status pfm_peft_start(const pfm_peft *peft, const pfm_peft_text *text, pfm_parameters *parameters,
                          pfm_error *err) PFM_MUST_CHECK;
/* UNSUPPORTED where the method cannot be merged. */
pfm_status pfm_peft_check_merge(const pfm_peft *peft, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_peft_merge(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n, int64_t k,
                          float *values, pfm_error *err) PFM_MUST_CHECK;
/* The same for the module's bias f32 [n]. */
pfm_status pfm_peft_merge_bias(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n,
                               float *values, pfm_error *err) PFM_MUST_CHECK;

/* A parameter of the base as it was, f32 [n,k], becomes what the run made of it: another, or "model.layers.0.self_attn.q_proj"
 * of
 * "....weight" or "....bias" with its update. */
pfm_status pfm_peft_merge_parameter(const pfm_peft *peft, const pfm_parameters *parameters, const pfm_parameter *parameter,
                                    float *values, pfm_error *err) PFM_MUST_CHECK;

/* ---- adapter_config.json (peft_config.c) ---- */

/* Sets what an adapter's configuration says of its method in options that own what they hold; what it does not speak of stays.
 * UNSUPPORTED names a setting that would be written otherwise than it was read, and so is not understood here; FORMAT a value
 * that cannot be. */
pfm_status pfm_peft_read_config(const pfm_adapter_config *config, pfm_peft_options *options, pfm_error *err) PFM_MUST_CHECK;
/* Describes the method, where it acts and what of the base it keeps; base: what base_model_name_or_path says, or NULL. */
pfm_status pfm_peft_write_config(const pfm_peft *peft, const char *base, pfm_adapter_config *out,
                                 pfm_error *err) PFM_MUST_CHECK;

/* What adapters' files hold: tensors of the method in order, and parameters set from them. MISMATCH names what is missing, does
 * not fit, or is not known. */
pfm_status pfm_peft_save(const pfm_peft *peft, const pfm_peft_network *network, const pfm_parameters *parameters,
                         pfm_peft_tensors *out, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_peft_load(const pfm_peft *peft, const pfm_peft_network *network, const pfm_weights *weights,
                         pfm_parameters *parameters, pfm_error *err) PFM_MUST_CHECK;
/* What the file calls a learned parameter. */
pfm_status pfm_peft_tensor_name(const pfm_peft *peft, const pfm_peft_network *network, const pfm_parameter *parameter,
                                char **out, pfm_error *err) PFM_MUST_CHECK;
/* Appends a tensor of values f32 [n,k] that is named begin + name; owned values are freed with the list, even on error. */
pfm_status pfm_peft_tensors_add(pfm_peft_tensors *list, const char *begin, const char *name, int64_t n, int64_t k,
                                float *values, bool owned, pfm_error *err) PFM_MUST_CHECK;
void pfm_peft_tensors_free(pfm_peft_tensors *list);
/* The tensor of that name, or of one that other versions and programs gave it; NULL where there is none. */
const pfm_weight *pfm_peft_find_tensor(const pfm_weights *weights, const char *name);
/* The parameter becomes what the file has under its name. MISMATCH where it has none, or of another shape. */
pfm_status pfm_peft_read_parameter(const pfm_peft *peft, const pfm_peft_network *network, const pfm_weights *weights,
                                   pfm_parameters *parameters, int id, pfm_error *err) PFM_MUST_CHECK;
/* values f32 [n,k] = the tensor of that name. MISMATCH where it is missing or has another shape. */
pfm_status pfm_peft_read_tensor(const pfm_weights *weights, const char *name, int64_t n, int64_t k, float *values,
                                pfm_error *err) PFM_MUST_CHECK;

/* ---- for methods ---- */

/* state_bytes of the method's own, zero at first. */
void *pfm_peft_get_state(const pfm_peft *peft);
/* *id = a parameter of the method, MODULE.NAME (NAME where module is ""), that trains. */
pfm_status pfm_peft_declare(pfm_peft *peft, pfm_builder *builder, const char *module, const char *name,
                            const pfm_parameter *declaration, int *id, pfm_error *err) PFM_MUST_CHECK;
/* The same for one that never trains; it is drawn, kept in checkpoints and found like the others. Of either kind a second
 * declaration of the name is the same parameter: layers may share it. */
pfm_status pfm_peft_declare_fixed(pfm_peft *peft, pfm_builder *builder, const char *module, const char *name,
                                  const pfm_parameter *declaration, int *id, pfm_error *err) PFM_MUST_CHECK;
/* The method's parameter of such a name. MISMATCH where there is none. */
pfm_status pfm_peft_find(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, const char *name,
                         const pfm_parameter **out, pfm_error *err) PFM_MUST_CHECK;
/* *y = x with a share of its columns left out while training, drawn by token and place; x itself where nothing is drawn. */
pfm_status pfm_peft_dropout(const pfm_peft *peft, pfm_builder *builder, const char *place, pfm_value x, pfm_value *y,
                            pfm_error *err) PFM_MUST_CHECK;
/* The rank of a low-rank product at a module, its alpha, and what it is scaled by. */
int pfm_peft_rank(const pfm_peft *peft, const char *module);
double pfm_peft_alpha(const pfm_peft *peft, const char *module);
double pfm_peft_scale(const pfm_peft *peft, const char *module);
/* A number for adapter_config.json: whole where it is whole, as PEFT's types are. */
json_t *pfm_peft_number(double value);
/* A list of texts for it; null where there are none. */
json_t *pfm_peft_texts(char *const *items, size_t count);
/* *out = what a key of it says; fallback where it is absent or null. FORMAT names the key and what it must be. */
pfm_status pfm_peft_read_integer(const json_t *config, const char *key, int fallback, int low, int high, int *out,
                                 pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_peft_read_number(const json_t *config, const char *key, double fallback, double low, double high, double *out,
                                pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_peft_read_flag(const json_t *config, const char *key, bool fallback, bool *out, pfm_error *err) PFM_MUST_CHECK;
/* In place of what *out owns; fallback may be NULL. */
pfm_status pfm_peft_read_text(const json_t *config, const char *key, const char *fallback, char **out,
                              pfm_error *err) PFM_MUST_CHECK;
/* A list of texts or whole numbers, or a lone one, in place of what the list owns; none where it is absent or null. */
pfm_status pfm_peft_read_texts(const json_t *config, const char *key, char ***items, size_t *count,
                               pfm_error *err) PFM_MUST_CHECK;
/* USAGE for a dropout outside [0,1), and that or a rank below 1. */
pfm_status pfm_peft_check_dropout(const pfm_peft_options *options, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_peft_check_low_rank(const pfm_peft_options *options, pfm_error *err) PFM_MUST_CHECK;

#endif
