/* Aligners: from the vision encoder's features to visual tokens of the language model's width. A kind is a file and a line;
 * MODEL.md says what each computes and how its weights are called. */
#ifndef PFM_MODELS_ALIGNER_ALIGNER_H
#define PFM_MODELS_ALIGNER_ALIGNER_H

#include "nn/builder.h"
#include "nn/executor.h"

/* The sizes of a Q-Former. */
typedef struct pfm_qformer_shape {
    int32_t layers, heads, queries;
    int32_t cross_every; /* layers 0, n, 2n, ... look at the image */
    int64_t hidden, intermediate;
    bool frozen; /* only what stands behind it trains */
} pfm_qformer_shape;

/* The sizes of what is put before blocks of the language model. */
typedef struct pfm_gated_shape {
    int32_t every; /* before blocks n - 1, 2 n - 1, ..., counted from 0 */
    int32_t heads, head_dim;
} pfm_gated_shape;

typedef struct pfm_aligner_shape {
    int grid, channels;            /* the encoder's features: grid x grid positions of so many channels */
    int extra;                     /* rows before the grid's that stand at no place of the picture: a class token */
    int merge_rows, merge_columns; /* neighbours that become one row */
    int64_t inner;                 /* double-linear: the width between its layers */
    int64_t hidden;                /* the language model's width */
    pfm_qformer_shape qformer;
    pfm_gated_shape gated;
    bool pretrained; /* what pfm_aligner_load reads is not drawn */
} pfm_aligner_shape;

/* Rows of the encoder's features of one image. */
static inline int64_t pfm_aligner_positions(const pfm_aligner_shape *shape)
{
    return shape->extra + (int64_t)shape->grid * shape->grid;
}

/* What they become before they enter the graph: so many rows of so many columns. */
static inline int64_t pfm_aligner_rows(const pfm_aligner_shape *shape)
{
    return shape->extra + (int64_t)(shape->grid / shape->merge_rows) * (shape->grid / shape->merge_columns);
}

static inline int64_t pfm_aligner_width(const pfm_aligner_shape *shape)
{
    return (int64_t)shape->merge_rows * shape->merge_columns * shape->channels;
}

/* Which position of the features is neighbour k of a row: neighbours of a line of the grid first. */
int64_t pfm_aligner_position(const pfm_aligner_shape *shape, int64_t row, int k);
/* features f32 [positions, channels] -> rows f32 [rows, width]: neighbours side by side, row by row, channels innermost. It
 * moves values and changes none. */
void pfm_aligner_arrange(const pfm_aligner_shape *shape, const float *features, float *rows);

/* "2" is 2 x 2 neighbours, "1x4" four of a row. USAGE for anything else, and for numbers that are not 1..16. */
pfm_status pfm_aligner_parse_merge(const char *text, int *rows, int *columns, pfm_error *err) PFM_MUST_CHECK;

/* What a graph's aligner reads beside features, for as many images as the graph has room for. Start with {0}. */
typedef struct pfm_aligner_inputs {
    pfm_value query_ids; /* i32 [visual,1], or PFM_NO_VALUE: nothing but features is read */
    int32_t *ids, *roots;
    pfm_attention_span *queries, *features; /* [images] */
} pfm_aligner_inputs;

/* How another program calls an aligner's tensors. */
/* The parts beside an aligner in whole checkpoints: of LLaVA, and of LAVIS' kind (PeFoMed, MiniGPT-4, TinyGPT-V). */
extern const char *const pfm_aligner_llava_parts[], *const pfm_aligner_lavis_parts[];

enum { PFM_ALIGNER_RENAMES = 4 };
typedef struct pfm_aligner_naming {
    const char *marker; /* a tensor by which it is known */
    struct {
        const char *ours, *theirs;
    } renames[PFM_ALIGNER_RENAMES]; /* in a name, in this order, the first `ours` becomes `theirs` */
    const char *const *ignored;     /* NULL, or patterns of tensors that belong to other parts of its model */
} pfm_aligner_naming;

typedef struct pfm_aligner {
    const char *name;
    const char *merge; /* what a recipe that does not say merges */
    bool queries;      /* learned queries become the visual tokens, else each row of features does */
    /* *visual f32 [visual, hidden] from features act [features, width]. Parameters are called "aligner." and their name. */
    pfm_status (*build)(pfm_builder *builder, const pfm_aligner_shape *shape, pfm_value features,
                        const pfm_aligner_inputs *inputs, pfm_value *visual, pfm_error *err);
    /* NULL: visual tokens stand in the sequence. Else they stand beside it, and this, before block `number` of the language
     * model, makes *hidden f32 [tokens, hidden] of it and of them; called before every block that shape->gated names. */
    pfm_status (*block)(pfm_builder *builder, const pfm_aligner_shape *shape, pfm_value visual, int32_t number,
                        pfm_value *hidden, pfm_error *err);
    const pfm_aligner_naming *namings; /* ended by one without a marker */
} pfm_aligner;

extern const pfm_aligner pfm_aligner_concat_linear, pfm_aligner_linear, pfm_aligner_mlp2x_gelu, pfm_aligner_double_linear,
    pfm_aligner_qformer, pfm_aligner_qformer_double_linear, pfm_aligner_gated_cross_attention;

/* USAGE names an unknown kind, and the known ones. */
pfm_status pfm_aligner_find(const char *name, const pfm_aligner **out, pfm_error *err) PFM_MUST_CHECK;
/* USAGE for sizes that do not go together. */
pfm_status pfm_aligner_check(const pfm_aligner *aligner, const pfm_aligner_shape *shape, pfm_error *err) PFM_MUST_CHECK;
/* Visual tokens of an image. */
int64_t pfm_aligner_tokens(const pfm_aligner *aligner, const pfm_aligner_shape *shape);

/* Builds it for as many images as the graph has visual tokens for. No PEFT method touches it. *inputs is to be freed even where
 * this fails. */
pfm_status pfm_aligner_build(const pfm_aligner *aligner, const pfm_builder *builder, const pfm_aligner_shape *shape,
                             pfm_value features, pfm_aligner_inputs *inputs, pfm_value *visual, pfm_error *err) PFM_MUST_CHECK;
/* Binds what it reads beside features, and who sees whom, for the images of the next run. */
void pfm_aligner_bind(const pfm_aligner_inputs *inputs, pfm_executor *executor, int64_t images);
void pfm_aligner_inputs_free(pfm_aligner_inputs *inputs);

/* An aligner at work before the blocks of a language model that is being built: its hook goes into the builder. */
typedef struct pfm_aligner_blocks {
    const pfm_aligner *aligner;
    const pfm_aligner_shape *shape;
    pfm_value visual;
    int32_t count; /* blocks so far that it acted before */
    pfm_hook hook;
} pfm_aligner_blocks;
void pfm_aligner_blocks_start(pfm_aligner_blocks *blocks, const pfm_aligner *aligner, const pfm_aligner_shape *shape,
                              pfm_value visual);

/* The pieces that the kinds share. A linear layer "aligner.NAME" with a bias that trains: the last one gives visual tokens. */
pfm_status pfm_aligner_linear_layer(pfm_builder *builder, pfm_value x, const char *name, int64_t n, bool last, bool loaded,
                                    pfm_value *y, pfm_error *err) PFM_MUST_CHECK;
/* A layer norm NAME of x f32. */
pfm_status pfm_aligner_norm(pfm_builder *builder, pfm_value x, const char *name, double epsilon, bool trainable, bool loaded,
                            pfm_value *y, pfm_error *err) PFM_MUST_CHECK;
/* linear_1, then, where gelu is set, its exact form, then linear_2. */
pfm_status pfm_aligner_two_layers(pfm_builder *builder, const pfm_aligner_shape *shape, pfm_value x, int64_t inner, bool gelu,
                                  bool loaded, pfm_value *y, pfm_error *err) PFM_MUST_CHECK;

/* A file's tensors for every parameter of the aligner that is LOADED, or, where trained_follow, of those alone that are frozen.
 * Its naming is found by itself. MISMATCH lists what is missing, misshapen or not expected. */
pfm_status pfm_aligner_load(const pfm_aligner *aligner, const char *path, bool trained_follow, pfm_parameters *parameters,
                            pfm_error *err) PFM_MUST_CHECK;
/* Whether a parameter is the aligner's. */
bool pfm_aligner_owns(const pfm_parameter *parameter);
/* Its name within the aligner: what stands behind "aligner.". */
const char *pfm_aligner_name_of(const pfm_parameter *parameter);

#endif
