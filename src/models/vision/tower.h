/* The end of a vision encoder that is a part of a model's graph because something in it is learned: from the deepest hidden
 * state that depends on nothing learned to the layers that make the features. What stands before that state is frozen:
 * pfm_vision computes it (pfm_tower_input says which) and the store of features keeps it, as it does for an encoder that is
 * frozen whole. */
#ifndef PFM_MODELS_VISION_TOWER_H
#define PFM_MODELS_VISION_TOWER_H

#include "models/vision/patch_spans.h"
#include "models/vision/vision.h"
#include "nn/builder.h"
#include "nn/executor.h"

#define PFM_TOWER_NETWORK "vision_model"
#define PFM_TOWER_PREFIX PFM_TOWER_NETWORK "." /* what the names of all its parameters begin with */

typedef struct pfm_tower_options {
    const char *kind, *path; /* path: of the weights; NULL: shapes alone, which the kind's name tells */
    int image_size;
    pfm_vision_layers layers; /* that make the features */
    const pfm_hook *hook;     /* what is learned in it; borrowed */
} pfm_tower_options;

typedef struct pfm_tower {
    struct pfm_vision_config *config;
    char *path; /* NULL: shapes alone */
    const pfm_hook *hook;
    pfm_vision_layers layers; /* counted from the first */
    int first;                /* the hidden state that enters it */
    int64_t tokens, before;   /* of one picture: all, and those that stand before the grid's */
    int64_t width;            /* of a token */
    pfm_vision_shape shape;   /* of the features */
    pfm_vision_shape state;   /* of what enters */
} pfm_tower;

/* USAGE where nothing of the kind can be learned, or the hook touches no block. The caller frees it behind all that it built.
 */
pfm_status pfm_tower_create(pfm_context *context, const pfm_tower_options *options, pfm_tower **out,
                            pfm_error *err) PFM_MUST_CHECK;
void pfm_tower_free(pfm_tower *tower);

/* The layers that pfm_vision has to give: the one that enters, every token of it. */
pfm_vision_layers pfm_tower_input(const pfm_tower *tower);

/* What a graph's tower reads, for as many pictures as the graph has room for. Start with {0}. */
typedef struct pfm_tower_inputs {
    pfm_value state;     /* f32 [patches, width]: bound at each run */
    pfm_value keys;      /* i64 [patches,1], for dropout */
    pfm_value contexts;  /* i32 [patches,1], for routers */
    int64_t *key_values; /* [patches] */
    int32_t *context_values;
    pfm_patch_spans spans;
} pfm_tower_inputs;

/* Builds it with the graph's own inputs. *features f32 [patches, channels] = the layers of every token, side by side.
 * wants_input: the gradient of the state is made too. *inputs is to be freed even where this fails. */
pfm_status pfm_tower_build(const pfm_tower *tower, pfm_graph *graph, bool wants_input, pfm_tower_inputs *inputs,
                           pfm_value *features, pfm_error *err) PFM_MUST_CHECK;
/* Pictures of one run, each of them tokens of the state that enters. */
typedef struct pfm_tower_pictures {
    int64_t count;
    const int32_t *numbers;  /* [count] tells dropout one from another: the same one draws the same in one step, wherever it
                                stands; NULL: nothing is drawn */
    const int32_t *contexts; /* [count] what a router may see of each, see pfm_sequence; NULL: nothing is known */
} pfm_tower_pictures;

/* Binds what it reads of the pictures of the next run: states f32 [pictures * tokens, width]. */
pfm_status pfm_tower_bind(const pfm_tower *tower, const pfm_tower_inputs *inputs, pfm_executor *executor, const float *states,
                          const pfm_tower_pictures *pictures, pfm_error *err) PFM_MUST_CHECK;
void pfm_tower_inputs_free(pfm_tower_inputs *inputs);

/* The row of *features, within its picture, of position `position` of the features. */
static inline int64_t pfm_tower_row(const pfm_tower *tower, int64_t position)
{
    return position < tower->shape.extra ? position : tower->before + position - tower->shape.extra;
}

/* Sets the frozen parameters that building declared, from the file. MISMATCH lists what is missing or misshapen. */
pfm_status pfm_tower_load(const pfm_tower *tower, pfm_parameters *parameters, pfm_error *err) PFM_MUST_CHECK;
/* Whether a parameter is a vision encoder's, or of what is learned in it. */
bool pfm_tower_owns(const pfm_parameter *parameter);

#endif
