/* gated-cross-attention (Alayrac et al., Flamingo, arXiv 2204.14198): visual tokens stand beside the sequence; before every
 * n-th block of the language model its tokens look at them, and go through a layer of their own, each behind a gate tanh(g)
 * that starts at zero, so that the untouched language model is where training begins. There is no resampler: each row of
 * features is a visual token. */
#include "models/aligner/aligner.h"

#include "base/try.h"

#include <math.h>
#include <stdio.h>

static const double epsilon = 1e-5;

/* The visual tokens. */
static pfm_status build(pfm_builder *builder, const pfm_aligner_shape *shape, pfm_value features,
                        const pfm_aligner_inputs *inputs, pfm_value *visual, pfm_error *err)
{
    (void)inputs;
    return pfm_aligner_linear_layer(builder, features, "proj", shape->hidden, true, false, visual, err);
}

typedef struct gated {
    pfm_builder *builder;
    const pfm_aligner_shape *shape;
    int32_t block;
    char name[128];
} gated;

static const char *part(gated *g, const char *name)
{
    (void)snprintf(g->name, sizeof g->name, "aligner.blocks.%d.%s", g->block, name);
    return g->name;
}

static pfm_status linear(gated *g, pfm_value x, const char *name, int64_t n, pfm_storage output, pfm_value *y, pfm_error *err)
{
    const int64_t k = g->builder->graph->values[x].shape.columns;
    pfm_linear_options options = {.n = n,
                                  .k = k,
                                  .addend = PFM_NO_VALUE,
                                  .output = output,
                                  .trainable = true,
                                  .initial = PFM_INITIAL_UNIFORM,
                                  .initial_scale = 1 / sqrt((double)k)};
    return pfm_build_linear(g->builder, x, part(g, name), &options, y, err);
}

static pfm_status norm(gated *g, pfm_value x, const char *name, pfm_value *y, pfm_error *err)
{
    return pfm_aligner_norm(g->builder, x, part(g, name), epsilon, true, false, y, err);
}

/* *hidden += tanh(NAME) x */
static pfm_status gate(gated *g, pfm_value x, const char *name, pfm_value *hidden, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_gate);
    pfm_parameter declaration = {.name = (char *)(uintptr_t)part(g, name),
                                 .n = 1,
                                 .k = 1,
                                 .uses = PFM_USE_VALUES,
                                 .trainable = true,
                                 .initial = PFM_INITIAL_ZERO};
    PFM_TRY(pfm_build_parameter(g->builder, &declaration, &node.operand[0], err));
    node.in[0] = *hidden;
    node.in[1] = x;
    PFM_TRY(pfm_graph_add(g->builder->graph, &node, hidden, err));
done:
    return status;
}

static pfm_status attend(gated *g, pfm_value visual, pfm_value *hidden, pfm_error *err)
{
    const pfm_gated_shape *s = &g->shape->gated;
    const int64_t inner = (int64_t)s->heads * s->head_dim;
    pfm_status status = PFM_OK;
    pfm_value x, media;
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_attention);
    PFM_TRY(norm(g, *hidden, "attn.norm", &x, err));
    PFM_TRY(norm(g, visual, "attn.norm_visual", &media, err));
    PFM_TRY(linear(g, x, "attn.to_q", inner, PFM_STORAGE_ACT, &node.in[0], err));
    PFM_TRY(linear(g, media, "attn.to_k", inner, PFM_STORAGE_ACT, &node.in[1], err));
    PFM_TRY(linear(g, media, "attn.to_v", inner, PFM_STORAGE_ACT, &node.in[2], err));
    node.attributes = (pfm_op_attributes){.layer = g->block / s->every,
                                          .heads = s->heads,
                                          .kv_heads = s->heads,
                                          .head_dim = s->head_dim,
                                          .attention = PFM_ATTENTION_IMAGES,
                                          .most_keys = (int32_t)g->builder->graph->capacity[PFM_DIM_VISUAL]};
    PFM_TRY(pfm_graph_add(g->builder->graph, &node, &x, err));
    PFM_TRY(linear(g, x, "attn.to_out", g->shape->hidden, PFM_STORAGE_F32, &x, err));
    PFM_TRY(gate(g, x, "attn_gate", hidden, err));
done:
    return status;
}

static pfm_status block(pfm_builder *builder, const pfm_aligner_shape *shape, pfm_value visual, int32_t number,
                        pfm_value *hidden, pfm_error *err)
{
    gated g = {.builder = builder, .shape = shape, .block = number};
    pfm_status status = PFM_OK;
    pfm_value x;
    PFM_TRY(attend(&g, visual, hidden, err));
    PFM_TRY(norm(&g, *hidden, "ff.norm", &x, err));
    PFM_TRY(linear(&g, x, "ff.linear_1", 4 * shape->hidden, PFM_STORAGE_ACT, &x, err));
    PFM_TRY(pfm_build_activation(builder, PFM_ACTIVATION_GELU, x, &x, err));
    PFM_TRY(linear(&g, x, "ff.linear_2", shape->hidden, PFM_STORAGE_F32, &x, err));
    PFM_TRY(gate(&g, x, "ff_gate", hidden, err));
done:
    return status;
}

static const pfm_aligner_naming namings[] = {{0}};

const pfm_aligner pfm_aligner_gated_cross_attention = {
    .name = "gated-cross-attention", .merge = "1", .build = build, .block = block, .namings = namings};
