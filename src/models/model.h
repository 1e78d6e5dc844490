/* A multimodal model: a vision encoder's features, an aligner and a language model with its tokenizer and prompt, put together
 * from names; or a language model alone, which sees nothing. Learning, scoring and answering use this one path from (image
 * features, texts) to a packed sequence. */
#ifndef PFM_MODELS_MODEL_H
#define PFM_MODELS_MODEL_H

#include "models/aligner/aligner.h"
#include "models/language/language.h"
#include "models/vision/tower.h"
#include "nn/executor.h"
#include "nn/pack.h"
#include "text/tokenizer.h"

typedef struct pfm_model_options {
    const char *vision;       /* kind of encoder, "efficientnet-lite0"; NULL: none, and no aligner */
    const char *vision_path;  /* of its weights, read where something in it is learned; NULL: shapes alone */
    int image_size;           /* pixels a side */
    pfm_vision_layers layers; /* of the encoder, that make the features */
    const char *aligner;      /* "concat-linear" */
    const char *merge;        /* neighbours that become one of its rows, "2" or "1x4" */
    int64_t aligner_inner;    /* double-linear: the width between its layers */
    pfm_qformer_shape qformer;
    pfm_gated_shape gated;
    const char *aligner_weights;       /* the file that it starts from, not opened before loading; NULL: it is drawn */
    bool normalise;                    /* the training features' mean and deviation are taken out */
    const char *language_path;         /* weights of the language model, a file or folder; NULL: shapes alone, by config */
    const pfm_language_config *config; /* where there is no path: neither tokenizer nor weights are to be had */
    const char *instruction;           /* {question} is where the question goes */
    const char *image_text;            /* with one <image>: how each image stands before the instruction */
    const char *system_text;           /* the system message, or NULL: none */
    bool lowercase_answers;            /* answers are learned in lower case */
    bool tensors_only;                 /* ids and vectors are all that will be read: no tokenizer is needed */
    bool training;                     /* gradients and moments are kept */
    bool learns_norms;                 /* weights of the language model's norms are a learned part */
    unsigned frozen;                   /* learned parts that do not train: 1 << PFM_PART_ALIGNER, ... */
    pfm_precision precision;
    pfm_dtype weights; /* the block type of the language model's frozen linear layers; anything else: as the precision says */
    const pfm_hook *hook;        /* the PEFT method on the language model, or NULL */
    const pfm_hook *vision_hook; /* the PEFT method on the vision encoder, or NULL: it is frozen */
    int virtual_tokens;          /* that the method puts before every input */
} pfm_model_options;

/* An adapter that stands beside others with an aligner of its own. */
typedef struct pfm_model_slot {
    int32_t number;    /* the adapter's, see pfm_sequence */
    char prefix[24];   /* what the names of its parameters begin with */
    float *mean, *std; /* [visual_width] of its training features */
} pfm_model_slot;

typedef struct pfm_model {
    pfm_context *context; /* borrowed */
    pfm_act_type act;
    pfm_dtype weights;
    char *vision;
    pfm_vision_layers layers;
    pfm_tower *tower;                   /* the part of the encoder in which something is learned; NULL: it is frozen */
    const pfm_aligner *aligner;         /* NULL where it sees nothing, */
    pfm_aligner_shape shape;            /* and all of this is 0 */
    int64_t visual_tokens;              /* of one image */
    int64_t sequence_tokens;            /* how many of them stand in the sequence: all, or none */
    int64_t feature_rows, visual_width; /* of one image, as the aligner reads it */
    pfm_language_config language;
    pfm_tokenizer *tokenizer; /* NULL: tensors only */
    pfm_parameters *parameters;
    const pfm_hook *hook;
    int virtual_tokens; /* before every input, see pfm_id_is_virtual */
    bool learns_norms;
    bool normalise;
    float *mean, *std;     /* [visual_width] of the training features, 0 and 1 until set; a row is (x - mean) / std */
    float *rope;           /* [context, rotary], or NULL */
    bool several;          /* the hook is that of several adapters: tokens say which they go through */
    pfm_model_slot *slots; /* [slot_count] adapters with aligners of their own; the others have the model's */
    size_t slot_count, slot_capacity;
    char *language_path, *aligner_weights, *instruction, *image_text, *system_text;
    bool lowercase_answers;
    uint64_t vision_parameters; /* of the encoder */
    size_t vision_bytes;        /* that it keeps beside the parameters here */
} pfm_model;

/* Whether it has a vision encoder and an aligner. */
static inline bool pfm_model_sees(const pfm_model *model) { return model->visual_tokens > 0; }

/* How many images so many visual tokens are. */
static inline int64_t pfm_model_count_images(const pfm_model *model, int64_t visual_rows)
{
    return pfm_model_sees(model) ? visual_rows / model->visual_tokens : 0;
}

/* Reads configuration and tokenizer; weights come later. The caller frees it before the context and the hook. */
pfm_status pfm_model_create(pfm_context *context, const pfm_model_options *options, pfm_model **out,
                            pfm_error *err) PFM_MUST_CHECK;
void pfm_model_free(pfm_model *model);

/* One graph of the system and its values. */
typedef struct pfm_model_graph {
    pfm_graph *graph;
    pfm_value features; /* act [features, visual_width]: bound at each run, or made by the tower; PFM_NO_VALUE: none are read */
    pfm_tower_inputs tower;
    pfm_value index, mean,
        deviation; /* of what the tower gives: the rows side by side, and their statistics; or PFM_NO_VALUE */
    int32_t *index_rows;
    pfm_aligner_inputs aligner;
    pfm_value keys;                      /* i64 [tokens,1] */
    pfm_value adapters, visual_adapters; /* i32 [tokens,1] and [visual,1], of several; PFM_NO_VALUE */
    pfm_aligner_inputs *slots;           /* [slot_count] of the model's */
    size_t slot_count;
    pfm_value contexts; /* i32 [tokens,1] */
    pfm_language_values language;
} pfm_model_graph;

/* The layers of the encoder that are computed outside of the graph and kept: those that make the features, or the one that
 * enters the tower. */
pfm_vision_layers pfm_model_vision_layers(const pfm_model *model);
/* How many values they are of one image, and the bytes that a graph reads of it. */
size_t pfm_model_feature_values(const pfm_model *model);
size_t pfm_model_image_bytes(const pfm_model *model);
/* rows = what a graph reads of an image, from such values, by the statistics of the adapter of that number. */
pfm_status pfm_model_read_image(const pfm_model *model, int32_t adapter, const float *features, void *rows,
                                pfm_error *err) PFM_MUST_CHECK;
/* Of the frozen encoder's features: their values, and how many those are of the rows that the aligner reads. */
static inline size_t pfm_model_frozen_values(const pfm_model *model)
{
    return (size_t)pfm_aligner_positions(&model->shape) * (size_t)model->shape.channels;
}
static inline size_t pfm_model_image_values(const pfm_model *model)
{
    return (size_t)model->feature_rows * (size_t)model->visual_width;
}
/* Weights and biases of all parts, the frozen ones beside the parameters too. */
int64_t pfm_model_count_parameters(const pfm_model *model);

/* Builds the graph for capacities (that of features follows from the visual tokens'); with_loss: for training, else logits.
 * bound_visual: visual tokens (f32 [visual, hidden]) are bound in place of features, and their gradient is kept. Declares the
 * parameters at its first call. */
pfm_status pfm_model_build(pfm_model *model, const int64_t capacity[PFM_DIM_COUNT], bool with_loss, bool bound_visual,
                           pfm_model_graph *out, pfm_error *err) PFM_MUST_CHECK;
void pfm_model_graph_free(pfm_model_graph *graph);

/* After the first build: allocates the parameters, loads the frozen ones, draws the others from the seed. trained_follow: those
 * that train stay zero, the caller sets every one of them. */
pfm_status pfm_model_load(pfm_model *model, uint64_t seed, bool trained_follow, pfm_error *err) PFM_MUST_CHECK;

/* rows f32 [count, hidden] = the embedding's own of these tokens, from the language model's file. */
pfm_status pfm_model_embed(const pfm_model *model, const int32_t *ids, size_t count, float *rows,
                           pfm_error *err) PFM_MUST_CHECK;

/* Whether any has been built: a graph of the language model alone declares neither. */
bool pfm_model_has_aligner(const pfm_model *model);
bool pfm_model_has_tower(const pfm_model *model);

/* *out = what loading takes for a moment beside the parameters, once they are declared. */
pfm_status pfm_model_loading_bytes(const pfm_model *model, size_t *out, pfm_error *err) PFM_MUST_CHECK;

/* Binds a pack's arrays and sizes to an executor of such a graph; visual_rows: visual tokens of all images. */
pfm_status pfm_model_bind(const pfm_model *model, const pfm_model_graph *graph, pfm_executor *executor, const pfm_pack *pack,
                          int64_t visual_rows, pfm_error *err) PFM_MUST_CHECK;
/* Binds its images to the same, where the graph reads any: rows of pfm_model_read_image, one image behind the other. */
pfm_status pfm_model_bind_images(const pfm_model *model, const pfm_model_graph *graph, pfm_executor *executor, const void *rows,
                                 const pfm_tower_pictures *images, pfm_error *err) PFM_MUST_CHECK;

/* The images' part of a graph, from what is bound of them to the visual tokens: *visual f32 [visual, hidden]. */
pfm_status pfm_model_build_images(const pfm_model *model, const pfm_builder *builder, pfm_model_graph *graph, pfm_value *visual,
                                  pfm_error *err) PFM_MUST_CHECK;

/* rows act [feature_rows, visual_width] = the frozen encoder's features f32 [positions, channels], arranged and normalised. */
pfm_status pfm_model_arrange(const pfm_model *model, const float *features, void *rows, pfm_error *err) PFM_MUST_CHECK;

/* Before building: the adapter of that number has an aligner of its own, its parameters' names beginning with the prefix;
 * *out = its slot, borrowed until the next. UNSUPPORTED for aligners that cannot be there twice. */
pfm_status pfm_model_add_slot(pfm_model *model, int32_t number, const char *prefix, pfm_model_slot **out,
                              pfm_error *err) PFM_MUST_CHECK;

/* Statistics of the frozen encoder's training features: add each image once, in any fixed order, then finish: mean and std +
 * 0.001 per column, the variance with n - 1. */
typedef struct pfm_feature_statistics {
    double *sum, *squares;
    int64_t rows, width;
} pfm_feature_statistics;
pfm_status pfm_feature_statistics_add(const pfm_model *model, pfm_feature_statistics *statistics, const float *features,
                                      pfm_error *err) PFM_MUST_CHECK;
void pfm_feature_statistics_finish(pfm_feature_statistics *statistics, pfm_model *model);
void pfm_feature_statistics_free(pfm_feature_statistics *statistics);

/* What a person gives: a text and so many images, or none. The images stand where the instruction or the question says <image>,
 * one a mark, in order; without marks they stand at the head of the user's turn, each as the model's image_text has it. */
typedef struct pfm_chat_turn {
    const char *role, *text; /* "system" (only first), "user", "assistant" */
    size_t images;           /* in what a user says */
} pfm_chat_turn;
typedef struct pfm_question {
    const char *text; /* "" where nothing is asked */
    size_t images;
    const pfm_chat_turn *turns; /* [turn_count] a conversation in place of the text, the last turn a user's: each user's text is
                              put into the instruction; a system message takes the place of the model's */
    size_t turn_count;          /* 0: there is none */
    bool plain;                 /* without instruction and system message, as the language model itself is asked */
} pfm_question;

/* Appends the ids of one row: virtual tokens, then the chat around images and question, and with an answer its ids and the end
 * of turn. The visual tokens of the images, image after image, are -1 - (first_visual + i). *answer_begin (NULL allowed) =
 * where the answer begins. answer NULL: a prompt alone. USAGE: there are marks, but not one an image; a question, but the
 * instruction has no place for it; images, but the model sees nothing. */
pfm_status pfm_model_encode(const pfm_model *model, const pfm_question *question, const char *answer, int32_t first_visual,
                            pfm_ids *ids, size_t *answer_begin, pfm_error *err) PFM_MUST_CHECK;
/* The same behind another instruction than the model's. */
pfm_status pfm_model_encode_as(const pfm_model *model, const char *instruction, const pfm_question *question,
                               const char *answer, int32_t first_visual, pfm_ids *ids, size_t *answer_begin,
                               pfm_error *err) PFM_MUST_CHECK;
/* A prompt alone, behind so many virtual tokens in place of the model's. */
pfm_status pfm_model_encode_prompt(const pfm_model *model, int virtual_tokens, const pfm_question *question, pfm_ids *ids,
                                   pfm_error *err) PFM_MUST_CHECK;
/* Appends the ids of an answer as it is learned, and the end of turn. */
pfm_status pfm_model_encode_answer(const pfm_model *model, const char *answer, pfm_ids *ids, pfm_error *err) PFM_MUST_CHECK;
/* Appends the prompt's text with <image> where the visual tokens of an image stand. */
pfm_status pfm_model_prompt(const pfm_model *model, const pfm_question *question, pfm_buffer *out,
                            pfm_error *err) PFM_MUST_CHECK;

#endif
