#include "models/vision/vit.h"

#include "base/memory.h"
#include "base/try.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_GRID = 256, LARGEST_IMAGE = 4096 };

/* Memory of one caller, made at its first use. */
typedef struct vit_slot {
    pfm_executor *executor;
    pfm_block patches; /* act [tokens, 3 * patch * patch]: rows of zeros for class and register tokens, then the patches */
} vit_slot;

struct pfm_vit {
    pfm_vit_config config;
    int image_size, grid;
    int64_t before, tokens; /* class and register tokens; all */
    pfm_vision_layers layers;
    pfm_act_type act;
    bool gradients;
    /* The caller's context with the weights in full, so that features are the same in every way of answering; and the same with
     * one thread alone, which any number of callers may use at once since it keeps nothing. */
    pfm_context wide, alone;
    pfm_threads *one;
    pfm_parameters *parameters;
    pfm_graph *graph;
    pfm_value patches, embedding, output[PFM_VISION_MOST_LAYERS];
    float *embedding_rows; /* [tokens, width] */
    pfm_patch_spans spans; /* of one picture */
    vit_slot *slots;       /* [threads + 1], the last one for all threads */
    int slot_count;
};

int pfm_vit_output_layer(const pfm_vit_config *config) { return config->layers + (config->final_norm ? 1 : 0); }

static int64_t tokens_before(const pfm_vit_config *config) { return config->registers + (config->class_token ? 1 : 0); }

static pfm_status find_grid(const pfm_vit_config *config, int image_size, int *grid, pfm_error *err)
{
    *grid = image_size / config->patch; /* pixels that fill no patch at the right and below are left out, as by a convolution */
    if (image_size > LARGEST_IMAGE || *grid < 1 || *grid > MOST_GRID)
        return pfm_error_set(
            err, PFM_ERROR_USAGE,
            "an image size of %d cannot be for patches of %d; choose up to %d pixels, best a multiple of the patch", image_size,
            config->patch, MOST_GRID * config->patch < LARGEST_IMAGE ? MOST_GRID * config->patch : LARGEST_IMAGE);
    return PFM_OK;
}

/* How many of the rows before the grid's are kept: the first of them. */
static int64_t kept_before(const pfm_vit_config *config, const pfm_vision_layers *layers)
{
    return layers->every_token ? tokens_before(config) : layers->class_token ? 1 : 0;
}

pfm_status pfm_vit_shape(const pfm_vit_config *config, int image_size, const pfm_vision_layers *layers, pfm_vision_shape *shape,
                         uint64_t *parameters, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_vit_tensor *tensors = NULL;
    size_t count = 0;
    int grid;
    PFM_TRY(find_grid(config, image_size, &grid, err));
    if (layers->class_token && !config->class_token)
        PFM_FAIL(PFM_ERROR_USAGE, "%s has no class token that could be kept; set model.class_token to drop", config->family);
    if (shape != NULL)
        *shape = (pfm_vision_shape){.grid = grid, .channels = config->width, .extra = (int)kept_before(config, layers)};
    if (parameters != NULL) {
        *parameters = 0;
        PFM_TRY(pfm_vit_list_tensors(config, &tensors, &count, err));
        for (size_t i = 0; i < count; i++)
            *parameters += (uint64_t)(tensors[i].n * tensors[i].k);
    }
done:
    free(tensors);
    return status;
}

pfm_status pfm_vit_bytes(const pfm_vit_config *config, int layer, pfm_precision precision, size_t *bytes, pfm_error *err)
{
    pfm_vit_tensor *tensors = NULL;
    size_t count = 0;
    pfm_vit_config used = *config;
    used.layers = layer < used.layers ? layer : used.layers;
    pfm_status status = pfm_vit_list_tensors(&used, &tensors, &count, err);
    *bytes = 0;
    for (size_t i = 0; status == PFM_OK && i < count; i++) {
        const bool packed = tensors[i].k > 1 && tensors[i].ours[0] != '\0' && precision != PFM_PRECISION_F32;
        *bytes += (size_t)(tensors[i].n * tensors[i].k) * (packed ? sizeof(pfm_bf16) : sizeof(float));
    }
    free(tensors);
    return status;
}

typedef struct block {
    pfm_builder *builder;
    const pfm_vit_config *config;
    int64_t tokens; /* of a picture: so many keys a query sees */
    pfm_value hidden;
    int layer;
    char name[PFM_VIT_NAME_BYTES], sublayer[PFM_VIT_NAME_BYTES];
} block;

static const char *place(block *b, const char *name)
{
    (void)snprintf(b->name, sizeof b->name, "vision_model.encoder.layers.%d.%s", b->layer, name);
    return b->name;
}

static pfm_status linear(block *b, pfm_value x, const char *name, int64_t n, int64_t k, bool bias, pfm_value *y, pfm_error *err)
{
    pfm_linear_options options = {.n = n, .k = k, .bias = bias, .addend = PFM_NO_VALUE, .output = PFM_STORAGE_ACT};
    return pfm_build_linear(b->builder, x, place(b, name), &options, y, err);
}

/* The last layer of the attention or the MLP SUBLAYER, which read x: the hidden state += linear(inner), scaled where the
 * network scales. */
static pfm_status add_linear(block *b, pfm_sublayer kind, const char *sublayer, pfm_value x, pfm_value inner, const char *name,
                             int64_t k, const char *scale, pfm_error *err)
{
    pfm_value y;
    const bool scaled = b->config->scaled;
    (void)snprintf(b->sublayer, sizeof b->sublayer, "%s", place(b, sublayer));
    pfm_linear_options options = {.n = b->config->width,
                                  .k = k,
                                  .bias = true,
                                  .addend = scaled ? PFM_NO_VALUE : b->hidden,
                                  .sublayer = b->sublayer,
                                  .kind = kind,
                                  .sublayer_input = x,
                                  .output = scaled ? PFM_STORAGE_ACT : PFM_STORAGE_F32};
    pfm_status status = pfm_build_linear(b->builder, inner, place(b, name), &options, scaled ? &y : &b->hidden, err);
    if (status != PFM_OK || !scaled)
        return status;
    return pfm_build_add(b->builder, b->hidden, y, place(b, scale), &b->hidden, err);
}

static pfm_status build_attention(block *b, pfm_error *err)
{
    const pfm_vit_config *c = b->config;
    const bool all = c->bias == PFM_VIT_BIAS_ALL, some = c->bias != PFM_VIT_BIAS_NONE;
    pfm_value x, mixed;
    pfm_status status = PFM_OK;
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_attention);
    node.attributes = (pfm_op_attributes){.attention = PFM_ATTENTION_PATCHES,
                                          .most_keys = (int32_t)b->tokens,
                                          .heads = c->heads,
                                          .kv_heads = c->heads,
                                          .head_dim = c->width / c->heads};
    PFM_TRY(pfm_build_layernorm(b->builder, b->hidden, place(b, "layer_norm1"), c->epsilon, 0, &x, err));
    PFM_TRY(linear(b, x, "self_attn.q_proj", c->width, c->width, some, &node.in[0], err));
    PFM_TRY(linear(b, x, "self_attn.k_proj", c->width, c->width, all, &node.in[1], err));
    PFM_TRY(linear(b, x, "self_attn.v_proj", c->width, c->width, some, &node.in[2], err));
    PFM_TRY(pfm_graph_add(b->builder->graph, &node, &mixed, err));
    PFM_TRY(add_linear(b, PFM_SUBLAYER_ATTENTION, "self_attn", x, mixed, "self_attn.out_proj", c->width, "layer_scale1", err));
done:
    return status;
}

static pfm_status build_mlp(block *b, pfm_error *err)
{
    const pfm_vit_config *c = b->config;
    pfm_value x, inner;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_build_layernorm(b->builder, b->hidden, place(b, "layer_norm2"), c->epsilon, 0, &x, err));
    if (c->gated) {
        pfm_graph_node node = pfm_graph_node_of(&pfm_op_silu_mul);
        PFM_TRY(linear(b, x, "mlp.gate_proj", c->mlp, c->width, true, &node.in[0], err));
        PFM_TRY(linear(b, x, "mlp.up_proj", c->mlp, c->width, true, &node.in[1], err));
        PFM_TRY(pfm_graph_add(b->builder->graph, &node, &inner, err));
    } else {
        PFM_TRY(linear(b, x, "mlp.fc1", c->mlp, c->width, true, &inner, err));
        PFM_TRY(pfm_build_activation(b->builder, c->activation, inner, &inner, err));
    }
    PFM_TRY(add_linear(b, PFM_SUBLAYER_MLP, "mlp", x, inner, "mlp.fc2", c->mlp, "layer_scale2", err));
done:
    return status;
}

/* The encoder's own, or where it has none one without weights, as torch's LayerNorm begins: PeFoMed's ln_vision. */
static pfm_status build_last_norm(block *b, pfm_error *err)
{
    if (b->config->final_norm)
        return pfm_build_layernorm_as(b->builder, b->hidden, "vision_model.post_layernorm", b->config->epsilon, 0,
                                      PFM_STORAGE_F32, &b->hidden, err);
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_layernorm);
    node.in[0] = b->hidden;
    node.attributes = (pfm_op_attributes){.epsilon = 1e-5f, .output = PFM_STORAGE_F32};
    return pfm_graph_add(b->builder->graph, &node, &b->hidden, err);
}

/* states[i] = the hidden state where it is layer i. */
static void take_layer(const pfm_vision_layers *layers, int layer, pfm_value hidden, pfm_value *states)
{
    for (int i = 0; i < layers->count; i++) {
        if (layers->layer[i] == layer)
            states[i] = hidden;
    }
}

pfm_status pfm_vit_build_blocks(const pfm_vit_config *c, pfm_builder *builder, const pfm_vision_layers *layers, int first,
                                int64_t tokens, pfm_value hidden, pfm_value *states, pfm_error *err)
{
    pfm_status status = PFM_OK;
    block b = {.builder = builder, .config = c, .tokens = tokens, .hidden = hidden, .layer = first};
    const int last = layers->layer[layers->count - 1];
    take_layer(layers, first, hidden, states);
    for (; b.layer < c->layers && b.layer < last; b.layer++) {
        builder->block = b.layer;
        PFM_TRY(pfm_build_checkpoint(builder, err));
        PFM_TRY(build_attention(&b, err));
        PFM_TRY(build_mlp(&b, err));
        take_layer(layers, b.layer + 1, b.hidden, states);
    }
    builder->block = -1;
    PFM_TRY(pfm_build_checkpoint(builder, err));
    if (last > c->layers) {
        PFM_TRY(build_last_norm(&b, err));
        take_layer(layers, last, b.hidden, states);
    }
done:
    return status;
}

/* From the patches to the last layer that is asked for. */
static pfm_status build(pfm_vit *vit, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_vit_config *c = &vit->config;
    const int64_t patch_values = 3 * (int64_t)c->patch * c->patch;
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_PATCHES] = vit->tokens};
    pfm_value hidden;
    PFM_TRY(pfm_graph_create(vit->parameters, capacity, &vit->graph, err));
    pfm_builder builder = {.graph = vit->graph, .token_keys = PFM_NO_VALUE, .ids = PFM_NO_VALUE, .block = -1};
    PFM_TRY(pfm_graph_input(vit->graph, PFM_DIM_PATCHES, 0, patch_values, PFM_STORAGE_ACT, vit->gradients, &vit->patches, err));
    PFM_TRY(pfm_graph_input(vit->graph, PFM_DIM_PATCHES, 0, c->width, PFM_STORAGE_F32, false, &vit->embedding, err));
    pfm_linear_options options = {.n = c->width, .k = patch_values, .addend = vit->embedding, .output = PFM_STORAGE_F32};
    PFM_TRY(pfm_build_linear(&builder, vit->patches, "vision_model.patch_embedding", &options, &hidden, err));
    if (c->pre_norm)
        PFM_TRY(pfm_build_layernorm_as(&builder, hidden, "vision_model.pre_layernorm", c->epsilon, 0, PFM_STORAGE_F32, &hidden,
                                       err));
    PFM_TRY(pfm_vit_build_blocks(c, &builder, &vit->layers, 0, vit->tokens, hidden, vit->output, err));
    for (int i = 0; i < vit->layers.count; i++)
        pfm_graph_keep(vit->graph, vit->output[i]);
done:
    return status;
}

static pfm_status prepare(pfm_vit *vit, const pfm_context *context, pfm_error *err)
{
    pfm_status status = PFM_OK;
    vit->wide = *context;
    vit->wide.weights = PFM_WEIGHTS_FULL;
    vit->alone = vit->wide;
    PFM_TRY(pfm_threads_create(1, &vit->one, err));
    vit->alone.threads = vit->one;
    vit->act = context->precision == PFM_PRECISION_F32 ? PFM_ACT_F32 : PFM_ACT_BF16;
    PFM_TRY(find_grid(&vit->config, vit->image_size, &vit->grid, err));
    vit->before = tokens_before(&vit->config);
    vit->tokens = vit->before + (int64_t)vit->grid * vit->grid;
    PFM_TRY(pfm_patch_spans_create(1, vit->tokens, &vit->spans, err));
    vit->slot_count = pfm_context_threads(context) + 1;
    PFM_TRY(pfm_allocate((size_t)vit->slot_count, sizeof *vit->slots, &vit->slots, err));
done:
    return status;
}

/* Small numbers for matrices and ones for vectors: what a measurement needs, so that nothing overflows. */
static pfm_status draw(pfm_vit *vit, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (int i = 0; status == PFM_OK && i < pfm_parameters_count(vit->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(vit->parameters, i);
        float *values = NULL;
        status = pfm_allocate((size_t)(p->n * p->k), sizeof *values, &values, err);
        for (int64_t j = 0; status == PFM_OK && j < p->n * p->k; j++)
            values[j] = p->k == 1 ? 1 : 0.01f * (float)(j * 2654435761 % 1000 - 500) / 500;
        if (status == PFM_OK)
            pfm_parameters_set(vit->parameters, i, values);
        free(values);
    }
    if (status == PFM_OK)
        status =
            pfm_allocate((size_t)(vit->tokens * vit->config.width), sizeof *vit->embedding_rows, &vit->embedding_rows, err);
    return status;
}

pfm_status pfm_vit_create(const pfm_context *context, const pfm_vit_config *config, const pfm_weights *weights, int image_size,
                          const pfm_vision_layers *layers, bool gradients, pfm_vit **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_vit *vit = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *vit, &vit, err));
    vit->config = *config;
    vit->image_size = image_size;
    vit->layers = *layers;
    vit->gradients = gradients;
    if (weights != NULL)
        PFM_TRY(pfm_vit_check_tensors(config, weights, err));
    PFM_TRY(prepare(vit, context, err));
    PFM_TRY(pfm_parameters_create(&vit->wide, vit->act, gradients, &vit->parameters, err));
    PFM_TRY(build(vit, err));
    PFM_TRY(pfm_parameters_allocate(vit->parameters, err));
    if (weights == NULL) {
        PFM_TRY(draw(vit, err));
    } else {
        PFM_TRY(pfm_vit_load_parameters(config, weights, vit->parameters, err));
        PFM_TRY(pfm_vit_load_embedding(config, weights, vit->grid, &vit->embedding_rows, err));
    }
    *out = vit;
    vit = NULL;
done:
    pfm_vit_free(vit);
    return status;
}

void pfm_vit_rest(pfm_vit *vit)
{
    for (int i = 0; vit->slots != NULL && i < vit->slot_count; i++) {
        pfm_executor_free(vit->slots[i].executor);
        pfm_block_free(&vit->slots[i].patches);
        vit->slots[i] = (vit_slot){0};
    }
}

void pfm_vit_free(pfm_vit *vit)
{
    if (vit == NULL)
        return;
    pfm_vit_rest(vit);
    free(vit->slots);
    pfm_patch_spans_free(&vit->spans);
    pfm_graph_free(vit->graph);
    pfm_parameters_free(vit->parameters);
    pfm_threads_free(vit->one);
    free(vit->embedding_rows);
    free(vit);
}

static pfm_status open_slot(pfm_vit *vit, int slot, vit_slot **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const bool wide = slot == PFM_VISION_ALL_THREADS;
    vit_slot *s = &vit->slots[wide ? vit->slot_count - 1 : slot];
    *out = s;
    if (s->executor != NULL)
        return PFM_OK;
    const size_t row = 3 * (size_t)vit->config.patch * (size_t)vit->config.patch * pfm_act_size(vit->act);
    pfm_op_environment env = {.context = wide ? &vit->wide : &vit->alone,
                              .kernels = vit->wide.kernels,
                              .act = vit->act,
                              .attention[PFM_ATTENTION_PATCHES] = pfm_patch_spans_of(&vit->spans, 1)};
    PFM_TRY(pfm_block_create((size_t)vit->tokens * row, &s->patches, err));
    PFM_TRY(pfm_executor_create(vit->graph, &env, vit->gradients ? vit->output[0] : PFM_NO_VALUE, &s->executor, err));
    pfm_executor_bind(s->executor, vit->patches, s->patches.data);
    pfm_executor_bind(s->executor, vit->embedding, vit->embedding_rows);
done:
    if (status != PFM_OK)
        pfm_block_free(&s->patches);
    return status;
}

pfm_executor *pfm_vit_get_executor(const pfm_vit *vit) { return vit->slots[vit->slot_count - 1].executor; }

/* One row of one channel of one patch between the picture and the patches' rows. */
typedef void move_values(const pfm_vit *vit, float *pixels, void *values, size_t count);

static void take_values(const pfm_vit *vit, float *pixels, void *values, size_t count)
{
    if (vit->act == PFM_ACT_F32)
        memcpy(values, pixels, count * sizeof *pixels);
    else
        vit->wide.kernels->bf16_from_f32(pixels, values, count);
}

static void give_values(const pfm_vit *vit, float *pixels, void *values, size_t count)
{
    if (vit->act == PFM_ACT_F32)
        memcpy(pixels, values, count * sizeof *pixels);
    else
        vit->wide.kernels->bf16_to_f32(values, pixels, count);
}

/* A row of `patches` holds a patch as a convolution's filter lies: channels outermost. */
static void move_patches(const pfm_vit *vit, float *pixels, char *patches, move_values *move)
{
    const size_t patch = (size_t)vit->config.patch, side = (size_t)vit->image_size, grid = (size_t)vit->grid;
    char *next = patches + (size_t)vit->before * 3 * patch * patch * pfm_act_size(vit->act);
    for (size_t at = 0; at < grid * grid; at++) {
        for (size_t row = 0; row < 3 * patch; row++, next += patch * pfm_act_size(vit->act))
            move(vit, pixels + (row / patch * side + at / grid * patch + row % patch) * side + at % grid * patch, next, patch);
    }
}

/* The rows of tokens that features are made of: what is kept before the grid, then the grid. */
static void copy_tokens(const pfm_vit *vit, const float *hidden, float *features)
{
    const size_t width = (size_t)vit->config.width, kept = (size_t)kept_before(&vit->config, &vit->layers);
    memcpy(features, hidden, kept * width * sizeof *features);
    memcpy(features + kept * width, hidden + (size_t)vit->before * width,
           (size_t)(vit->tokens - vit->before) * width * sizeof *features);
}

pfm_status pfm_vit_encode(pfm_vit *vit, int slot, const float *pixels, float *const *features, pfm_error *err)
{
    vit_slot *s = NULL;
    pfm_status status = open_slot(vit, slot, &s, err);
    if (status != PFM_OK)
        return status;
    move_patches(vit, (float *)(uintptr_t)pixels, s->patches.data, take_values);
    pfm_executor_forward(s->executor);
    for (int i = 0; i < vit->layers.count; i++)
        copy_tokens(vit, pfm_executor_data(s->executor, vit->output[i]), features[i]);
    return PFM_OK;
}

pfm_status pfm_vit_gradient(pfm_vit *vit, const float *pixels, const float *grad_features, float *features, float *grad_pixels,
                            pfm_error *err)
{
    pfm_status status = PFM_OK;
    vit_slot *s = NULL;
    const size_t width = (size_t)vit->config.width, kept = (size_t)kept_before(&vit->config, &vit->layers);
    if (!vit->gradients || vit->layers.count != 1)
        PFM_FAIL(PFM_ERROR_USAGE, "the gradient of a vision encoder is that of one layer");
    PFM_TRY(pfm_vit_encode(vit, PFM_VISION_ALL_THREADS, pixels, &features, err));
    PFM_TRY(open_slot(vit, PFM_VISION_ALL_THREADS, &s, err));
    float *seed = pfm_executor_gradient(s->executor, vit->output[0]);
    memset(seed, 0, (size_t)vit->before * width * sizeof *seed);
    memcpy(seed, grad_features, kept * width * sizeof *seed);
    memcpy(seed + (size_t)vit->before * width, grad_features + kept * width,
           (size_t)(vit->tokens - vit->before) * width * sizeof *seed);
    pfm_executor_backward(s->executor);
    memset(grad_pixels, 0, 3 * (size_t)vit->image_size * (size_t)vit->image_size * sizeof *grad_pixels);
    move_patches(vit, grad_pixels, pfm_executor_gradient(s->executor, vit->patches), give_values);
done:
    return status;
}
