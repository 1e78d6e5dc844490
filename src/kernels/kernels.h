/* The CPU's table of kernels. Every slot starts with the portable C of ref/, then avx2/ and avx512/ overlay what they have, and
 * onednn/ what it does best. One list makes the table, the prototypes, the tests and the benchmark.
 *
 * A kernel works on one row, one tile or one head: single-threaded, allocating nothing, touching only what its arguments name.
 * Operators spread kernels over threads. "act" is an array of the activations' type: the slot [PFM_ACT_F32] takes float, the
 * slot [PFM_ACT_BF16] takes pfm_bf16; arithmetic is in f32 (in double in ref/) whatever the storage. Pointers need no alignment
 * beyond their type. Operands do not overlap unless a slot says so. Lengths may be any number from 0 (or 1 where a maximum is
 * asked for). */
#ifndef PFM_KERNELS_KERNELS_H
#define PFM_KERNELS_KERNELS_H

#include "base/dtype.h"
#include "pefomed/status.h"

typedef enum pfm_act_type { PFM_ACT_F32, PFM_ACT_BF16, PFM_ACT_COUNT } pfm_act_type;

static inline size_t pfm_act_size(pfm_act_type type) { return type == PFM_ACT_F32 ? sizeof(float) : sizeof(pfm_bf16); }

/* Which keys a run of query rows sees: whole ranges of key rows (its ancestors: adapter, image, text prefix), then its own
 * segment up to itself. Query row q (q_begin <= q < q_end) sees every key row of the ancestors' ranges and the key rows
 * own_begin .. own_begin + own_past + (q - q_begin), both ends included; of a whole span every query sees them up to the last
 * query's (an image sees all of itself). Where the queries have no keys of their own (cross-attention) the span is whole and
 * own_past = q_begin - q_end. All are row numbers of the tensors given. */
enum { PFM_MAX_ANCESTORS = 4 };
typedef struct pfm_attention_span {
    int32_t q_begin, q_end;
    int32_t own_begin, own_past;
    int32_t ancestors; /* 0..PFM_MAX_ANCESTORS */
    int32_t ancestor_begin[PFM_MAX_ANCESTORS], ancestor_end[PFM_MAX_ANCESTORS];
    int32_t root; /* spans with the same root share key rows; spans of different roots share none */
    bool whole;   /* not causal */
} pfm_attention_span;

/* How many rows of its own a query sees. */
static inline size_t pfm_attention_span_seen(const pfm_attention_span *span, size_t query)
{
    size_t queries = span->whole ? (size_t)(span->q_end - span->q_begin) : query - (size_t)span->q_begin + 1;
    return (size_t)span->own_past + queries;
}

/* One query head over one span. Pointers are to row 0 of the whole tensors, already moved to the head: row r of q is
 * q + r * q_stride (in elements). out = softmax(scale * q k^T) v over the visible keys. */
typedef struct pfm_attention_head {
    const void *q, *k, *v; /* act [rows, head_dim] each, strided; k and v of the head's key/value group */
    size_t q_stride, k_stride, v_stride;
    size_t head_dim;
    float scale;
    void *out; /* act, stride out_stride; in backward the forward's result, read */
    size_t out_stride;
    float *lse; /* log of the sum of exp(scale q k^T), row r at lse[r * lse_stride]; backward reads it */
    size_t lse_stride;
    const void *dout; /* backward only, laid out as out */
    void *dq;         /* act, laid out as q: written */
    float *dk, *dv;   /* f32, row r at dk[r * dkv_stride]: added to */
    size_t dkv_stride;
    float *scratch; /* attention_scratch(head_dim, most visible keys of a query) floats, 64-byte aligned */
} pfm_attention_head;

/* A product with a packed right operand: c[i,j] = alpha * sum_p a[i,p] b[p,j] + bias[j] + addend[i,j].
 * a act [m,k] row-major with stride lda; b packed from any strided matrix; bias f32 [n] or NULL; addend of c's type with stride
 * ld_addend, or NULL, and it may be c itself; c f32 or act [m,n] with stride ldc. Sums are f32 over p ascending within a fixed
 * blocking that depends on k alone, so that a result does not depend on m, on n or on how the grid is cut. */
typedef struct pfm_gemm {
    size_t m, n, k;
    const void *a;
    size_t lda;
    const void *b; /* made by gemm_pack */
    float alpha;
    const float *bias;
    const void *addend;
    size_t ld_addend;
    void *c;
    size_t ldc;
    pfm_act_type c_type;
} pfm_gemm;

/* Frozen weights in 8 or 4 bits: a weight [n, k] in the blocks of a file (base/quantise.h: q8_0, q4_0, q4_1, q4_k, nf4), which
 * lie along k, packed into panels. They are multiplied in two ways. quant_unpack makes of some columns what gemm_pack would
 * make of the dequantised weight, or of its transpose, for gemm_tile: exact but for the activations' type. quant_tile (q8_0,
 * q4_0 and q4_1 alone: a block of 32 is d u + m with u without sign) makes activations int8 too: rows of the left operand
 * become blocks of int8 with their own scale, so that the sums of a block are of integers and exact; what the blocks give is
 * added in f32, in order. A row of k values takes pfm_quant_row_bytes(k): the int8 of all blocks, then for each block two
 * floats, its scale and the scale times the sum of its int8. */
enum { PFM_QUANT_BLOCK = 32 };

static inline size_t pfm_quant_blocks(size_t k) { return (k + PFM_QUANT_BLOCK - 1) / PFM_QUANT_BLOCK; }
static inline size_t pfm_quant_row_bytes(size_t k) { return pfm_quant_blocks(k) * (PFM_QUANT_BLOCK + 2 * sizeof(float)); }

/* Blocks to pack: `blocks` is the first one asked for of the first column asked for, the next column's lies `stride` bytes
 * behind. k: of the whole weight. */
typedef struct pfm_quant_source {
    pfm_dtype format;
    const void *blocks;
    size_t stride, k;
} pfm_quant_source;

/* A packed weight [n, k]. */
typedef struct pfm_quant_panels {
    pfm_dtype format;
    const void *packed;
    size_t n, k;
} pfm_quant_panels;

/* The counter behind one dropped element: Philox keyed by `key` (seed and step), counter {column / 8, place, token low, token
 * high}; 16 bits an element (element column % 8 takes half (e % 2) of word e / 2, low half first), dropped when below
 * threshold = round(p * 65536). */
typedef struct pfm_dropout {
    uint64_t key, token;
    uint32_t place, threshold;
    float scale; /* of what is kept: 1 / (1 - threshold / 65536) */
} pfm_dropout;

/* y = x f(x). gelu: f is the normal distribution's cumulative function (Hendrycks and Gimpel 2016); gelu_tanh its
 * approximation, the sigmoid of sqrt(8 / pi) (x + 0.044715 x^3) (GPT-2's, "gelu_new"); quick_gelu the sigmoid of 1.702 x
 * (CLIP's); silu the sigmoid; relu 0 or 1. */
typedef enum pfm_activation {
    PFM_ACTIVATION_GELU,
    PFM_ACTIVATION_GELU_TANH,
    PFM_ACTIVATION_QUICK_GELU,
    PFM_ACTIVATION_SILU,
    PFM_ACTIVATION_RELU,
    PFM_ACTIVATION_COUNT
} pfm_activation;

typedef struct pfm_adamw {
    float learning_rate, beta1, beta2, epsilon, weight_decay;
    float correction1, correction2; /* 1 - beta^t */
    float gradient_scale;           /* clipping, and the mean over answer tokens */
} pfm_adamw;

/* SLOT(name, return type, (arguments), relative error bound against ref) for slots of one type,
 * ACT_SLOT likewise for slots that come once per activation type. The bound is on ||y - y*|| / ||y*|| with f32 storage; bf16
 * storage adds 2^-8. 0: bit-exact. */
/* clang-format off */
#define PFM_KERNEL_LIST(SLOT, ACT_SLOT)                                                                                        \
    SLOT(bf16_from_f32, void, (const float *x, pfm_bf16 *y, size_t n), 0)                                                      \
    SLOT(bf16_to_f32, void, (const pfm_bf16 *x, float *y, size_t n), 0)                                                        \
    /* y += a x */                                                                                                             \
    SLOT(axpy, void, (float a, const float *x, float *y, size_t n), 1e-6)                                                      \
    /* sum of squares, accumulated in double */                                                                               \
    SLOT(sum_squares, double, (const float *x, size_t n), 1e-6)                                                                \
    /* log(sum exp x), and the first index of the largest; n >= 1 */                                                           \
    SLOT(logsumexp, float, (const float *x, size_t n, size_t *argmax), 1e-6)                                                   \
    /* AdamW with decoupled decay (Loshchilov and Hutter 2019): g = gradient_scale * gradient */                               \
    SLOT(adamw, void, (float *weight, const float *gradient, float *m, float *v, size_t n, const pfm_adamw *settings), 1e-6)   \
    /* y = w x / sqrt(mean(x^2) + epsilon) over n; *rstd is that factor (Zhang and Sennrich 2019) */                           \
    ACT_SLOT(rmsnorm, void, (const float *x, const float *w, float epsilon, void *y, float *rstd, size_t n), 1e-6)             \
    /* dx += the gradient; dw += dy x rstd where dw is not NULL */                                                             \
    ACT_SLOT(rmsnorm_backward, void,                                                                                           \
             (const float *x, const float *w, float rstd, const void *dy, float *dx, float *dw, size_t n), 1e-5)               \
    /* y = w (x - mean) / sqrt(variance + epsilon) + b over n, the variance with n (Ba et al. 2016); statistics: the mean, then \
     * that factor. w NULL: ones; b NULL: zeros. */                                                                            \
    ACT_SLOT(layernorm, void, (const float *x, const float *w, const float *b, float epsilon, void *y, float *statistics,      \
                               size_t n), 1e-5)                                                                                \
    /* dx += the gradient; dw += and db += where they are not NULL */                                                          \
    ACT_SLOT(layernorm_backward, void, (const float *x, const float *w, const float *statistics, const void *dy, float *dx,    \
                                        float *dw, float *db, size_t n), 1e-5)                                                 \
    ACT_SLOT(activate, void, (pfm_activation kind, const void *x, void *y, size_t n), 1e-5)                                    \
    ACT_SLOT(activate_backward, void, (pfm_activation kind, const void *x, const void *dy, void *dx, size_t n), 1e-5)          \
    /* y = a + w b; w NULL: ones. y may be a. */                                                                               \
    ACT_SLOT(scaled_add, void, (const float *a, const float *w, const void *b, float *y, size_t n), 1e-6)                      \
    /* db = w dy; dw += dy b where dw is not NULL */                                                                           \
    ACT_SLOT(scaled_add_backward, void, (const float *dy, const float *w, const void *b, void *db, float *dw, size_t n), 1e-6) \
    /* rotary embedding of `heads` heads side by side, halves rotated as in the LLaMA of transformers (Su et al. 2021):       \
     * y1 = x1 cos - x2 sin, y2 = x2 cos + x1 sin, cos and sin f32 [head_dim/2]; sign -1 is the backward. y may be x. */       \
    ACT_SLOT(rope, void, (const void *x, const float *cosine, const float *sine, float sign, void *y, size_t heads,            \
                          size_t head_dim), 1e-6)                                                                              \
    /* y = a b */                                                                                                              \
    ACT_SLOT(multiply, void, (const void *a, const void *b, void *y, size_t n), 0)                                             \
    /* y = scale x + other_scale other + shift + addend; other, shift and addend NULL: zeros; addend is as y, which may be x,  \
     * other or addend */                                                                                                      \
    ACT_SLOT(scale_columns, void, (const void *x, const float *scale, const void *other, const float *other_scale,             \
                                   const float *shift, const void *addend, void *y, size_t n), 1e-6)                           \
    /* sums += a b; b NULL: ones */                                                                                            \
    ACT_SLOT(add_products, void, (const void *a, const void *b, float *sums, size_t n), 1e-6)                                  \
    /* y = gate / (1 + exp(-gate)) * up */                                                                                     \
    ACT_SLOT(silu_mul, void, (const void *gate, const void *up, void *y, size_t n), 1e-5)                                      \
    ACT_SLOT(silu_mul_backward, void, (const void *gate, const void *up, const void *dy, void *dgate, void *dup, size_t n),    \
             1e-5)                                                                                                             \
    /* y = x with elements dropped, or y += where `add` is set; its own backward. n is the row's length; y may be x. */        \
    ACT_SLOT(dropout, void, (const void *x, void *y, size_t n, const pfm_dropout *dropout, bool add), 1e-6)                    \
    /* returns -log softmax(logits)[target]; where dlogits is not NULL it becomes scale * (softmax - onehot) */                \
    ACT_SLOT(cross_entropy, float, (const float *logits, size_t n, size_t target, float scale, void *dlogits), 1e-5)           \
    ACT_SLOT(attention, void, (const pfm_attention_head *head, const pfm_attention_span *span), 1e-5)                          \
    ACT_SLOT(attention_backward, void, (const pfm_attention_head *head, const pfm_attention_span *span), 1e-5)                 \
    SLOT(attention_scratch, size_t, (size_t head_dim, size_t most_keys), 0)                                                    \
    /* y [columns, rows] = x [rows, columns] transposed, strides in elements */                                                \
    ACT_SLOT(transpose, void, (const void *x, size_t x_stride, size_t rows, size_t columns, void *y, size_t y_stride), 0)      \
    /* bytes of a packed [k, n] operand */                                                                                     \
    ACT_SLOT(gemm_pack_size, size_t, (size_t n, size_t k), 0)                                                                  \
    /* packs columns column_begin..column_end of b: element (p, j) is source[p * p_stride + j * j_stride], of source_type;     \
     * column_begin is a multiple of gemm_columns, column_end too or n */                                                      \
    ACT_SLOT(gemm_pack, void, (const void *source, pfm_act_type source_type, size_t p_stride, size_t j_stride, size_t n,       \
                               size_t k, size_t column_begin, size_t column_end, void *packed), 0)                             \
    /* one tile of the grid: rows row_begin..row_end, columns column_begin..column_end of c */                                 \
    ACT_SLOT(gemm_tile, void, (const pfm_gemm *gemm, size_t row_begin, size_t row_end, size_t column_begin,                    \
                               size_t column_end, void *scratch), 1e-6)                                                                        \
    /* a row of k values in blocks of int8, to the nearest, ties to even; a block that holds an infinity or NaN becomes NaN */ \
    ACT_SLOT(quant_row, void, (const void *x, size_t k, void *row), 0)                                                         \
    /* bytes of a packed quantised [k, n] operand */                                                                           \
    SLOT(quant_pack_size, size_t, (pfm_dtype format, size_t n, size_t k), 0)                                                   \
    /* packs the blocks block_begin..block_end of columns column_begin..column_end; column_begin is a multiple of gemm_columns,\
     * column_end too or n, whose panel is then filled up with zeros */                                                        \
    SLOT(quant_pack, void, (const pfm_quant_source *source, size_t column_begin, size_t column_end, size_t block_begin,        \
                            size_t block_end, void *packed), 0)                                                                \
    /* columns column_begin..column_end (as above) of the dequantised W^T [k, n], or transposed of W [n, k], as gemm_pack packs\
     * them, in the activations' type; packed begins with column_begin */                                                      \
    ACT_SLOT(quant_unpack, void, (const pfm_quant_panels *weight, bool transposed, size_t column_begin, size_t column_end,     \
                                  void *packed), 0)                                                                            \
    /* as gemm_tile, with a of quant_row (lda in bytes), b of quant_pack, and no scratch */                                    \
    SLOT(quant_tile, void, (pfm_dtype format, const pfm_gemm *gemm, size_t row_begin, size_t row_end, size_t column_begin,     \
                            size_t column_end), 1e-6)
/* clang-format on */

typedef struct pfm_kernels {
#define PFM_KERNEL_FIELD(name, type, arguments, bound) type(*name) arguments;
#define PFM_KERNEL_ACT_FIELD(name, type, arguments, bound) type(*name[PFM_ACT_COUNT]) arguments;
    PFM_KERNEL_LIST(PFM_KERNEL_FIELD, PFM_KERNEL_ACT_FIELD)
    /* The grid of products: tiles start at multiples of these. The scratch of a tile is gemm_scratch bytes, 64-byte aligned. */
    size_t gemm_rows, gemm_columns, gemm_scratch;
    /* For the benchmark: the fastest multiplications and additions in registers; returns how many it did. NULL in ref. *sink
     * holds a number, and something that depends on the work afterwards. */
    double (*peak[PFM_ACT_COUNT])(size_t steps, volatile float *sink);
    double (*peak_int8)(size_t steps, volatile float *sink);
    const char *level;
} pfm_kernels;

/* Fills a table: level NULL is the best that this machine and its operating system support. USAGE for an unknown level or one
 * that this machine lacks. A level's table is always complete. */
pfm_status pfm_kernels_select(const char *level, pfm_kernels *out, pfm_error *err) PFM_MUST_CHECK;

#endif
