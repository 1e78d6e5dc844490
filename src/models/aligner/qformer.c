/* Q-Former (Li et al., BLIP-2, arXiv 2301.12597; transformers' Blip2QFormerModel): learned queries go through post-norm BERT
 * layers, see each other, and in every second layer the image. Behind it a linear layer, or TinyGPT-V's two. */
#include "models/aligner/aligner.h"

#include "base/try.h"

#include <stdio.h>

static const double epsilon = 1e-12, drawn = 0.02; /* BERT's */

typedef struct former {
    pfm_builder *builder;
    const pfm_aligner_shape *shape;
    const pfm_qformer_shape *q;
    pfm_value features;
    int32_t layer;
    char name[128];
} former;

static const char *part(former *f, const char *name)
{
    (void)snprintf(f->name, sizeof f->name, "aligner.qformer.encoder.layer.%d.%s", f->layer, name);
    return f->name;
}

static pfm_status linear(former *f, pfm_value x, const char *name, int64_t n, pfm_storage output, pfm_value *y, pfm_error *err)
{
    pfm_linear_options options = {.n = n,
                                  .k = f->builder->graph->values[x].shape.columns,
                                  .bias = true,
                                  .addend = PFM_NO_VALUE,
                                  .output = output,
                                  .trainable = !f->q->frozen,
                                  .initial = f->shape->pretrained ? PFM_INITIAL_LOADED : PFM_INITIAL_NORMAL,
                                  .initial_scale = drawn};
    return pfm_build_linear(f->builder, x, part(f, name), &options, y, err);
}

static pfm_status norm(former *f, pfm_value x, const char *name, pfm_value *y, pfm_error *err)
{
    return pfm_aligner_norm(f->builder, x, name, epsilon, !f->q->frozen, f->shape->pretrained, y, err);
}

/* *hidden = norm(linear(x) + *hidden), NAME.dense and NAME.LayerNorm. */
static pfm_status join(former *f, pfm_value x, const char *name, pfm_value *hidden, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char full[64];
    (void)snprintf(full, sizeof full, "%s.dense", name);
    PFM_TRY(linear(f, x, full, f->q->hidden, PFM_STORAGE_F32, &x, err));
    PFM_TRY(pfm_build_add(f->builder, x, *hidden, NULL, &x, err));
    (void)snprintf(full, sizeof full, "%s.LayerNorm", name);
    PFM_TRY(norm(f, x, part(f, full), hidden, err));
done:
    return status;
}

/* The queries over `seen`: themselves or the image's rows. */
static pfm_status attend(former *f, const char *name, pfm_value seen, pfm_attention_sort sort, int64_t most_keys,
                         pfm_value *hidden, pfm_error *err)
{
    static const char *const parts[] = {"query", "key", "value"};
    pfm_status status = PFM_OK;
    char full[64];
    pfm_value mixed;
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_attention);
    for (int i = 0; i < 3; i++) {
        (void)snprintf(full, sizeof full, "%s.attention.%s", name, parts[i]);
        PFM_TRY(linear(f, i == 0 ? *hidden : seen, full, f->q->hidden, PFM_STORAGE_ACT, &node.in[i], err));
    }
    node.attributes = (pfm_op_attributes){.heads = f->q->heads,
                                          .kv_heads = f->q->heads,
                                          .head_dim = (int32_t)(f->q->hidden / f->q->heads),
                                          .attention = sort,
                                          .most_keys = (int32_t)most_keys};
    PFM_TRY(pfm_graph_add(f->builder->graph, &node, &mixed, err));
    (void)snprintf(full, sizeof full, "%s.output", name);
    PFM_TRY(join(f, mixed, full, hidden, err));
done:
    return status;
}

static pfm_status layer(former *f, pfm_value *hidden, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_value x;
    PFM_TRY(attend(f, "attention", *hidden, PFM_ATTENTION_QUERIES, f->q->queries, hidden, err));
    if (f->layer % f->q->cross_every == 0)
        PFM_TRY(attend(f, "crossattention", f->features, PFM_ATTENTION_FEATURES, pfm_aligner_rows(f->shape), hidden, err));
    PFM_TRY(linear(f, *hidden, "intermediate_query.dense", f->q->intermediate, PFM_STORAGE_ACT, &x, err));
    PFM_TRY(pfm_build_activation(f->builder, PFM_ACTIVATION_GELU, x, &x, err));
    PFM_TRY(join(f, x, "output_query", hidden, err));
done:
    return status;
}

/* *y act [visual, qformer's hidden] */
static pfm_status build_former(pfm_builder *builder, const pfm_aligner_shape *shape, pfm_value features,
                               const pfm_aligner_inputs *inputs, pfm_value *y, pfm_error *err)
{
    pfm_status status = PFM_OK;
    former f = {.builder = builder, .shape = shape, .q = &shape->qformer, .features = features};
    pfm_parameter tokens = {.name = (char *)(uintptr_t) "aligner.query_tokens",
                            .n = f.q->queries,
                            .k = f.q->hidden,
                            .uses = PFM_USE_ROWS,
                            .trainable = !f.q->frozen,
                            .decays = true,
                            .initial = shape->pretrained ? PFM_INITIAL_LOADED : PFM_INITIAL_NORMAL,
                            .initial_scale = drawn};
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_embed);
    node.in[0] = inputs->query_ids;
    PFM_TRY(pfm_build_parameter(builder, &tokens, &node.operand[0], err));
    PFM_TRY(pfm_graph_add(builder->graph, &node, y, err));
    PFM_TRY(norm(&f, *y, "aligner.qformer.layernorm", y, err));
    for (f.layer = 0; f.layer < f.q->layers; f.layer++)
        PFM_TRY(layer(&f, y, err));
done:
    return status;
}

static pfm_status build(pfm_builder *builder, const pfm_aligner_shape *shape, pfm_value features,
                        const pfm_aligner_inputs *inputs, pfm_value *visual, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_value x;
    PFM_TRY(build_former(builder, shape, features, inputs, &x, err));
    PFM_TRY(pfm_aligner_linear_layer(builder, x, "proj", shape->hidden, true, false, visual, err));
done:
    return status;
}

static pfm_status build_double(pfm_builder *builder, const pfm_aligner_shape *shape, pfm_value features,
                               const pfm_aligner_inputs *inputs, pfm_value *visual, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_value x;
    PFM_TRY(build_former(builder, shape, features, inputs, &x, err));
    PFM_TRY(pfm_aligner_two_layers(builder, shape, x, shape->inner, false, false, visual, err));
done:
    return status;
}

/* BLIP-2's files hold the whole system; what is not the Q-Former's way from queries to outputs belongs to its other parts. */
static const char *const transformers_ignored[] = {"vision_model.*", "language_model.*", "language_projection.*", NULL};
static const char *const lavis_ignored[] = {"visual_encoder.*",
                                            "ln_vision.*",
                                            "t5_model.*",
                                            "t5_proj.*",
                                            "opt_model.*",
                                            "opt_proj.*",
                                            "vision_proj.*",
                                            "text_proj.*",
                                            "itm_head.*",
                                            "temp",
                                            "Qformer.cls.*",
                                            "Qformer.bert.embeddings.position_ids",
                                            "Qformer.bert.embeddings.word_embeddings.weight",
                                            "Qformer.bert.embeddings.position_embeddings.weight",
                                            "Qformer.bert.encoder.layer.*.intermediate.dense.*",
                                            "Qformer.bert.encoder.layer.*.output.dense.*",
                                            NULL};

static const pfm_aligner_naming namings[] = {
    {"qformer.layernorm.weight", {{NULL, NULL}}, transformers_ignored},
    {"layernorm.weight", {{"qformer.", ""}}, NULL}, /* transformers' Blip2QFormerModel alone, with query_tokens beside it */
    {"Qformer.bert.embeddings.LayerNorm.weight",
     {{"qformer.layernorm.", "Qformer.bert.embeddings.LayerNorm."},
      {"qformer.", "Qformer.bert."},
      {".attention.attention.", ".attention.self."},
      {".crossattention.attention.", ".crossattention.self."}},
     lavis_ignored},
    {0},
};

const pfm_aligner pfm_aligner_qformer = {.name = "qformer", .merge = "1", .queries = true, .build = build, .namings = namings};
const pfm_aligner pfm_aligner_qformer_double_linear = {
    .name = "qformer-double-linear", .merge = "1", .queries = true, .build = build_double, .namings = namings};
