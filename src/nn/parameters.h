/* The parameters of a model: frozen ones as the kernels read them, trained ones in f32 with gradient and moments beside them.
 * Declare all, then allocate once, then set values. */
#ifndef PFM_NN_PARAMETERS_H
#define PFM_NN_PARAMETERS_H

#include "ops/op.h"

enum {
    PFM_USE_FORWARD = 1,  /* x W^T */
    PFM_USE_BACKWARD = 2, /* dy W */
    PFM_USE_ROWS = 4,     /* rows are looked up */
    PFM_USE_VALUES = 8,   /* f32 values: vectors */
    PFM_USE_NORMS = 16    /* the lengths of its rows, as they are kept */
};

typedef enum pfm_initial {
    PFM_INITIAL_LOADED,
    PFM_INITIAL_ZERO,
    PFM_INITIAL_ONE,
    PFM_INITIAL_UNIFORM,
    PFM_INITIAL_NORMAL,
    PFM_INITIAL_NORMS /* a vector: the lengths of the rows of an earlier parameter, which has that use */
} pfm_initial;

/* What a parameter is part of: the base, or one of the parts that are learned and saved: the aligner (its names begin with
 * "aligner."), what a PEFT method adds, the language model's norms. */
typedef enum pfm_part { PFM_PART_BASE, PFM_PART_ALIGNER, PFM_PART_PEFT, PFM_PART_NORMS } pfm_part;

typedef struct pfm_parameter {
    char *name; /* the Hugging Face name, "model.layers.0.self_attn.q_proj.weight" */
    int64_t n, k;
    unsigned uses;
    pfm_part part;          /* declared for a norm that is learned; else set by the store */
    bool trainable, decays; /* trainable: declared for all of a learned part, false in the store where that is frozen; decays:
                               weight decay applies (not to biases and norms) */
    double rate;            /* its learning rate beside the others'; 0: the same */
    pfm_initial initial;
    double initial_scale; /* UNIFORM: the bound; NORMAL: the standard deviation, 0: the model chooses */
    int initial_of;       /* NORMS: the id of that parameter */
    bool column;          /* files keep it as a matrix [n,1] where k is 1, not as a vector */
    pfm_dtype blocks;     /* the block type that a frozen matrix is kept in; anything else: as the precision says */
    bool full;            /* as the precision says, whatever the context asks for */
    bool transposed;      /* Hugging Face's files, and so adapters', keep it as [k,n] */
    pfm_operand operand;
    float *values, *gradient, *moment1, *moment2; /* of a learned part: values; while it trains, the other three too */
    void *rows, *packed_forward, *packed_backward, *quantised;
    float *row_norms;
} pfm_parameter;

typedef struct pfm_parameters pfm_parameters;

/* training: gradients and moments are kept too. Otherwise the context may ask for products of int8, and for blocks in all
 * frozen matrices. */
pfm_status pfm_parameters_create(pfm_context *context, pfm_act_type act, bool training, pfm_parameters **out,
                                 pfm_error *err) PFM_MUST_CHECK;
void pfm_parameters_free(pfm_parameters *parameters);

/* Before anything is declared: parts (1 << pfm_part, or'ed) that are learned but do not train now. */
void pfm_parameters_freeze(pfm_parameters *parameters, unsigned parts);
bool pfm_parameters_trains(const pfm_parameters *parameters, pfm_part part);
/* Whether gradients and moments are kept. */
bool pfm_parameters_keep_gradients(const pfm_parameters *parameters);
/* What a graph of these parameters is run in: context, kernels and act; borrowed. */
const pfm_op_environment *pfm_parameters_environment(const pfm_parameters *parameters);

/* Declares one; MISMATCH when the name is taken. *id counts from 0. The name is copied. */
pfm_status pfm_parameters_declare(pfm_parameters *parameters, const pfm_parameter *declaration, int *id,
                                  pfm_error *err) PFM_MUST_CHECK;
/* Adds to the uses of one that is declared already, before allocation (a tied head). */
void pfm_parameters_use(pfm_parameters *parameters, int id, unsigned uses);
int pfm_parameters_count(const pfm_parameters *parameters);
pfm_parameter *pfm_parameters_get(const pfm_parameters *parameters, int id); /* borrowed until the store is freed */
int pfm_parameters_find(const pfm_parameters *parameters, const char *name); /* -1: none */
int64_t pfm_parameters_trainable(const pfm_parameters *parameters);          /* how many numbers train */
int64_t pfm_parameters_total(const pfm_parameters *parameters);
/* Another number whenever values have been set or packed since. */
uint64_t pfm_parameters_version(const pfm_parameters *parameters);

/* Whether a matrix is, or once allocated will be, kept quantised for products: in which block type, and
 * whether its products are of int8. */
bool pfm_parameters_quantises(const pfm_parameters *parameters, int id, pfm_dtype *format, bool *quantises_rows);

/* Bytes that allocate will take, from the declarations alone. */
size_t pfm_parameters_bytes(const pfm_parameters *parameters);
pfm_status pfm_parameters_allocate(pfm_parameters *parameters, pfm_error *err) PFM_MUST_CHECK;
/* Sets one from f32 [n,k]: packs a frozen one (values need not live on), copies and packs a trained one. */
void pfm_parameters_set(pfm_parameters *parameters, int id, const float *values);
enum { PFM_ROWS_AT_ONCE = 1024 }; /* about so many of a large matrix are read and packed at a time */
/* How many rows of one may be set at a time, so that no copy of it all is needed; all of them where gradients pass through it.
 */
int64_t pfm_parameters_rows_at_once(const pfm_parameters *parameters, int id);
/* The same for rows row0 .. row0 + rows - 1 alone, values f32 [rows,k]: both are multiples of rows_at_once, but at its end. */
void pfm_parameters_set_rows(pfm_parameters *parameters, int id, int64_t row0, int64_t rows, const float *values);
/* The same from blocks of the type that it is kept in, rows one behind the other. */
void pfm_parameters_set_blocks(pfm_parameters *parameters, int id, int64_t row0, int64_t rows, const void *blocks);
/* Draws the initial values of every parameter that is not LOADED, or only of those among them that are of no learned part, from
 * the seed and the parameter's name. */
pfm_status pfm_parameters_initialise(pfm_parameters *parameters, uint64_t seed, bool learned_too,
                                     pfm_error *err) PFM_MUST_CHECK;
/* Packs what trains again, after a step. */
void pfm_parameters_repack(pfm_parameters *parameters);
void pfm_parameters_zero_gradients(pfm_parameters *parameters);

#endif
