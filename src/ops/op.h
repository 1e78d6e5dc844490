/* What an operator is. Each stands in one file with its shape rule, forward, backward, cost and test cases, and has one line in
 * op_list.h. Operators know neither graph nor model: they get tensors and operands, and write what they are told to write.
 *
 * Tensors are matrices [rows, columns], row-major and dense. Rows are counted by a dimension (tokens, answers, visual rows)
 * that is bound at each step; columns are fixed when the graph is built. */
#ifndef PFM_OPS_OP_H
#define PFM_OPS_OP_H

#include "base/context.h"
#include "kernels/kernels.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum pfm_storage {
    PFM_STORAGE_F32,
    PFM_STORAGE_ACT, /* f32 or bf16, by the precision in force */
    PFM_STORAGE_I32,
    PFM_STORAGE_I64
} pfm_storage;

typedef enum pfm_dim {
    PFM_DIM_FIXED,    /* the number of rows is part of the graph */
    PFM_DIM_TOKENS,   /* of the packed sequence */
    PFM_DIM_ANSWERS,  /* positions whose next token is predicted */
    PFM_DIM_VISUAL,   /* visual tokens of all images */
    PFM_DIM_FEATURES, /* rows of image features that an aligner reads */
    PFM_DIM_PATCHES,  /* tokens within a vision encoder, of all images */
    PFM_DIM_COUNT
} pfm_dim;

typedef struct pfm_tensor {
    void *data; /* NULL where a shape alone is meant, or a gradient that nobody wants */
    pfm_dim dim;
    int64_t rows, columns;
    pfm_storage storage;
} pfm_tensor;

size_t pfm_storage_size(pfm_storage storage, pfm_act_type act);

/* A parameter as operators see it: a matrix [n, k] (a linear layer's weight: outputs by inputs) or a vector [n] (k = 1). */
typedef struct pfm_operand {
    int64_t n, k;
    const float *values;         /* f32 [n,k] row-major, or NULL (a frozen matrix keeps its packed forms only) */
    const void *rows;            /* act [n,k] row-major, or NULL: for embeddings */
    const void *packed_forward;  /* for x W^T: gemm_pack of [k, n] */
    const void *packed_backward; /* for dy W: gemm_pack of [n, k] */
    const void *quantised;       /* in place of both: quant_pack in this format */
    pfm_dtype quant_format;
    bool quantises_rows;    /* what is multiplied with it becomes int8 (forward only) */
    const float *row_norms; /* f32 [n]: the lengths of its rows as they are multiplied; NULL: nobody asked */
    float *gradient;        /* f32 [n,k], added to; NULL: frozen */
} pfm_operand;

/* Keys and values of tokens already seen: for each layer act [capacity, columns] for keys, then the same for values. */
typedef struct pfm_kv_store {
    void *keys, *values;
    size_t layer_stride; /* in elements */
    size_t columns;
    const int32_t *rows; /* where this step's tokens go, one row a token; NULL: in order */
} pfm_kv_store;

/* Which attention of a graph is meant. All that are of one sort read the same spans. */
typedef enum pfm_attention_sort {
    PFM_ATTENTION_SEQUENCE, /* the tokens among themselves */
    PFM_ATTENTION_QUERIES,  /* an image's learned queries among themselves */
    PFM_ATTENTION_FEATURES, /* an image's learned queries over its features */
    PFM_ATTENTION_IMAGES,   /* the tokens over their images' visual tokens, which stand beside the sequence */
    PFM_ATTENTION_PATCHES,  /* an image's tokens among themselves within the vision encoder */
    PFM_ATTENTION_SORTS
} pfm_attention_sort;

/* Who sees which keys in one sort of attention. */
typedef struct pfm_attention_set {
    const pfm_attention_span *spans;
    int32_t span_count;
    const int32_t *roots; /* [root_count + 1]: spans of root r are roots[r] .. roots[r+1]-1; key rows ascend with the roots */
    int32_t root_count;
} pfm_attention_set;

/* The tokens of one row of the batch: those that it shares with others, then its own. */
typedef struct pfm_token_row {
    int32_t shared_begin, shared_end, own_begin, own_end;
} pfm_token_row;

/* Which rows of a batch are meant. */
typedef enum pfm_row_sort {
    PFM_ROWS_SEQUENCE, /* the rows of the data, as tokens of the sequence */
    PFM_ROWS_PICTURES, /* each picture of each of them, as tokens within the vision encoder: all shared with the rows that show
                          it too */
    PFM_ROW_SORTS
} pfm_row_sort;

typedef struct pfm_row_set {
    const pfm_token_row *rows; /* [count] those that share tokens stand next to each other */
    int32_t count;
    float scale; /* a loss of whole rows is this times the sum over them */
} pfm_row_set;

static inline int64_t pfm_token_row_length(const pfm_token_row *row)
{
    return row->shared_end - row->shared_begin + row->own_end - row->own_begin;
}

/* The token at position i of the row. */
static inline int64_t pfm_token_row_at(const pfm_token_row *row, int64_t i)
{
    const int64_t shared = row->shared_end - row->shared_begin;
    return i < shared ? row->shared_begin + i : row->own_begin + i - shared;
}

/* What holds for one run of the whole graph. */
typedef struct pfm_op_environment {
    pfm_context *context;
    const pfm_kernels *kernels;
    pfm_act_type act;
    bool training;                   /* dropout is on, and the loss prepares its gradient */
    uint64_t dropout_key;            /* of this seed and step */
    float loss_scale;                /* the loss is this times the sum over answer tokens */
    pfm_row_set rows[PFM_ROW_SORTS]; /* of the batch: read while training only */
    pfm_attention_set attention[PFM_ATTENTION_SORTS];
    int32_t most_keys;            /* that one token of the sequence sees */
    const pfm_kv_store *kv;       /* NULL: keys and values are those of this step's tokens */
    const pfm_kv_store *image_kv; /* the same for those of the images; a step without visual tokens reads what is there */
} pfm_op_environment;

enum { PFM_OP_MAX_INPUTS = 4, PFM_OP_MAX_OUTPUTS = 2, PFM_OP_MAX_OPERANDS = 2 };

typedef struct pfm_op_attributes {
    float alpha;                       /* linear: scale of the product; row_norms: of the update; route: of the
                                          balance loss */
    bool scales_bias;                  /* linear: alpha scales the bias too */
    float epsilon;                     /* rmsnorm, layernorm */
    float probability;                 /* dropout */
    uint32_t place;                    /* dropout: which place of the model draws */
    int32_t layer;                     /* attention: which layer of the key-value store */
    pfm_attention_sort attention;      /* attention: whose spans */
    int32_t most_keys;                 /* attention: that one query sees; the sequence's are the environment's */
    int32_t heads, kv_heads, head_dim; /* attention, rope; layernorm: head_dim columns are normed together, 0: the row */
    int32_t first, run, stride;        /* columns */
    int32_t chosen;                    /* choose: the number whose rows the second value gives */
    pfm_activation activation;         /* activate */
    int32_t experts, top_k;            /* route_context; route: how many of them a token takes */
    float capacity;                    /* route: what an expert takes at most, beside its even share; 0: all */
    bool shared;                       /* route, route_context: a last expert that every token takes */
    pfm_row_sort rows;                 /* route, route_context: whose tokens these are */
    pfm_storage output;                /* linear, layernorm, columns */
} pfm_op_attributes;

typedef struct pfm_op_call {
    const pfm_op_environment *env;
    pfm_op_attributes attributes;
    pfm_tensor in[PFM_OP_MAX_INPUTS]; /* absent ones have columns 0 */
    pfm_tensor out[PFM_OP_MAX_OUTPUTS];
    pfm_tensor din[PFM_OP_MAX_INPUTS];  /* backward: gradients to write; data NULL: not wanted */
    bool accumulate[PFM_OP_MAX_INPUTS]; /* backward: add to din instead of replacing it */
    pfm_tensor dout[PFM_OP_MAX_OUTPUTS];
    pfm_operand operand[PFM_OP_MAX_OPERANDS]; /* absent ones have n 0 */
    void *scratch;                            /* scratch(call) bytes, 64-byte aligned */
} pfm_op_call;

typedef struct pfm_op {
    const char *name;
    /* Checks the shapes of in and operand and fills those of out (data NULL). MISMATCH says what does not fit. */
    pfm_status (*shape)(pfm_op_call *call, pfm_error *err);
    void (*forward)(const pfm_op_call *call);
    void (*backward)(const pfm_op_call *call);     /* PFM_NOT_DIFFERENTIABLE where there is none */
    double (*operations)(const pfm_op_call *call); /* additions and multiplications of the forward, as the mathematics needs */
    size_t (*scratch)(const pfm_op_call *call, bool backward); /* NULL: none */
    double (*backward_operations)(
        const pfm_op_call *call); /* NULL: as many as the forward; din and gradients tell what is made */
    unsigned backward_inputs;     /* bit i: backward reads in[i] */
    unsigned operand_inputs;      /* bit i: backward reads in[i] where an operand trains */
    unsigned modest_operands;     /* bit i: operand[i] alone may train without that */
    unsigned backward_outputs;    /* bit i: backward reads out[i] */
    unsigned gradients;           /* bit i: backward makes din[i] */
    unsigned operand_gradients;   /* bit i: backward adds to the gradient of operand[i] */
    unsigned accumulates;         /* bit i: backward honours accumulate[i]; the graph refuses to add elsewhere */
    int passes;                   /* the input whose gradient is dout[0] itself and which backward leaves to the graph, or -1 */
    bool constant; /* what it makes counts as a constant: no gradient goes back, though what it reads may train */
    const struct pfm_op_case *cases; /* for the generic test; ended by one without a label */
} pfm_op;

/* Marks an operator that has no derivative; the graph refuses to train through it. */
void PFM_NOT_DIFFERENTIABLE(const pfm_op_call *call);

/* What an id of a token means: text is 0 and up, row r of the visual tokens -1 - r, and token v of those that a PEFT method
 * puts before every input PFM_FIRST_VIRTUAL - v. */
enum { PFM_FIRST_VIRTUAL = -(1 << 30) };
static inline bool pfm_id_is_virtual(int32_t id) { return id <= PFM_FIRST_VIRTUAL; }
/* The same token where the visual tokens of its row do not begin at row 0 but at `base`. */
static inline int32_t pfm_id_behind(int32_t id, int32_t base) { return id < 0 && !pfm_id_is_virtual(id) ? id - base : id; }

/* A case of the generic test: shapes and attributes; data are random. */
typedef struct pfm_op_case {
    const char *label;
    struct {
        int64_t rows, columns;
        pfm_storage storage;
        int64_t
            below;  /* integers are drawn from 0..below-1; from PFM_FIRST_VIRTUAL - n: ids of n virtual tokens among 0..n-1 */
        bool fixed; /* its rows are part of the graph */
    } in[PFM_OP_MAX_INPUTS];
    struct {
        int64_t n, k;
    } operand[PFM_OP_MAX_OPERANDS];
    pfm_op_attributes attributes;
} pfm_op_case;

#define PFM_OP_DECLARE(name) extern const pfm_op pfm_op_##name;
#include "ops/op_list.h"
PFM_OP_LIST(PFM_OP_DECLARE)
extern const pfm_op *const pfm_ops[]; /* every operator, ended by NULL */

/* Runs body(call, first row, last row + 1) over all rows in fixed runs of 16, spread over the threads. */
typedef void (*pfm_op_rows_body)(const pfm_op_call *call, int64_t begin, int64_t end);
void pfm_op_for_rows(const pfm_op_call *call, int64_t rows, pfm_op_rows_body body);

/* Runs one product over its grid, spread over the threads. scratch: pfm_op_gemm_scratch(env) bytes. */
void pfm_op_gemm(const pfm_op_environment *env, const pfm_gemm *gemm, void *scratch);
size_t pfm_op_gemm_scratch(const pfm_op_environment *env);
/* The same with a quantised operand, with rows of int8 (quant_tile): gemm's a is act [m,k], its b comes from pfm_op_quant_pack.
 * scratch: pfm_op_quant_gemm_scratch(m, k) bytes. */
void pfm_op_quant_gemm(const pfm_op_environment *env, pfm_dtype format, const pfm_gemm *gemm, void *scratch);
size_t pfm_op_quant_gemm_scratch(size_t m, size_t k);
/* The same with a quantised weight dequantised tile by tile: x W^T, or transposed dy W. gemm's b is not read. The result has
 * the bits of pfm_op_gemm with the dequantised weight. scratch: pfm_op_unpack_gemm_scratch(env, k of the product) bytes. */
void pfm_op_unpack_gemm(const pfm_op_environment *env, const pfm_quant_panels *weight, bool transposed, const pfm_gemm *gemm,
                        void *scratch);
size_t pfm_op_unpack_gemm_scratch(const pfm_op_environment *env, size_t k);
/* Packs a [k, n] right operand in parallel; see gemm_pack. */
void pfm_op_pack(const pfm_op_environment *env, const void *source, pfm_act_type type, size_t p_stride, size_t j_stride,
                 size_t n, size_t k, void *packed);

/* The gradient of a weight [n,k] += alpha dy^T x, dy act [rows,n], x act [rows,k]. scratch: pfm_op_weight_gradient_scratch
 * bytes. */
void pfm_op_add_weight_gradient(const pfm_op_environment *env, const void *dy, const void *x, size_t rows, float alpha,
                                const pfm_operand *weight, void *scratch);
size_t pfm_op_weight_gradient_scratch(const pfm_op_environment *env, size_t rows, size_t n, size_t k);
/* The gradient of a bias [n] += scale times the sums of dy's columns, dy act [rows,n]. */
void pfm_op_add_bias_gradient(const pfm_op_environment *env, const void *dy, size_t rows, float scale, const pfm_operand *bias);

/* Quantises and packs a weight f32 [n,k] in parallel, and packs one that is in blocks already, rows of whole blocks. */
void pfm_op_quant_pack(const pfm_op_environment *env, pfm_dtype format, const float *weight, size_t n, size_t k, void *packed);
void pfm_op_quant_pack_blocks(const pfm_op_environment *env, pfm_dtype format, const void *blocks, size_t n, size_t k,
                              void *packed);

/* The pointer to a row. */
static inline void *pfm_tensor_row(const pfm_tensor *tensor, int64_t row, pfm_act_type act)
{
    return (char *)tensor->data + (size_t)row * (size_t)tensor->columns * pfm_storage_size(tensor->storage, act);
}

/* Shape checks that every rule uses. */
pfm_status pfm_op_require(bool holds, const char *op, const char *what, pfm_error *err) PFM_MUST_CHECK;

/* size rounded up so that what follows stays 64-byte aligned */
static inline size_t pfm_op_align(size_t size) { return (size + 63) / 64 * 64; }

#endif
