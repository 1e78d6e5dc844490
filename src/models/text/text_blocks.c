/* BERT's blocks: LayerNorm behind each sum (post-norm), every token of a text sees all of that text. */
#include "models/text/text_blocks.h"

#include "base/try.h"
#include "models/language/language_parts.h"

#include <stdio.h>

typedef struct block {
    const pfm_text_config *config;
    pfm_builder *builder;
    int layer;
    char name[160];
} block;

static const char *place(block *b, const char *name)
{
    const int length =
        snprintf(b->name, sizeof b->name, b->config->family->block, b->layer); /* one of our own tables' patterns */
    (void)snprintf(b->name + length, sizeof b->name - (size_t)length, "%s", name);
    return b->name;
}

static pfm_status look_up(pfm_builder *builder, const char *name, int64_t rows, int64_t width, pfm_value ids, pfm_value *out,
                          pfm_error *err)
{
    char weight[160];
    (void)snprintf(weight, sizeof weight, "%s.weight", name);
    return pfm_language_look_up(builder, weight, rows, width, ids, PFM_NO_VALUE, out, err);
}

/* In the order in which transformers adds. */
static pfm_status build_embedding(const pfm_text_config *c, pfm_builder *builder, const pfm_text_values *values,
                                  pfm_value *hidden, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_value added;
    PFM_TRY(look_up(builder, c->family->words, c->vocabulary, c->hidden, values->ids, hidden, err));
    if (values->types != PFM_NO_VALUE) {
        PFM_TRY(look_up(builder, c->family->types, c->types, c->hidden, values->types, &added, err));
        PFM_TRY(pfm_build_add(builder, *hidden, added, NULL, hidden, err));
    }
    PFM_TRY(look_up(builder, c->family->positions, c->positions, c->hidden, values->positions, &added, err));
    PFM_TRY(pfm_build_add(builder, *hidden, added, NULL, hidden, err));
    PFM_TRY(pfm_build_layernorm_as(builder, *hidden, c->family->norm, c->epsilon, 0, PFM_STORAGE_F32, hidden, err));
done:
    return status;
}

/* *y = NAME x + bias (+ addend). */
static pfm_status linear(block *b, pfm_value x, const char *name, int64_t n, int64_t k, pfm_value addend, pfm_value *y,
                         pfm_error *err)
{
    const pfm_linear_options options = {
        .n = n, .k = k, .bias = true, .addend = addend, .output = addend == PFM_NO_VALUE ? PFM_STORAGE_ACT : PFM_STORAGE_F32};
    return pfm_build_linear(b->builder, x, place(b, name), &options, y, err);
}

static pfm_status norm(block *b, const char *name, pfm_value *hidden, pfm_error *err)
{
    return pfm_build_layernorm_as(b->builder, *hidden, place(b, name), b->config->epsilon, 0, PFM_STORAGE_F32, hidden, err);
}

static pfm_status build_block(block *b, pfm_value *hidden, pfm_error *err)
{
    const pfm_text_config *c = b->config;
    const pfm_text_family *f = c->family;
    pfm_value x, mixed, inner;
    pfm_status status = PFM_OK;
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_attention);
    node.attributes = (pfm_op_attributes){.attention = PFM_ATTENTION_SEQUENCE,
                                          .heads = c->heads,
                                          .kv_heads = c->heads,
                                          .head_dim = (int32_t)(c->hidden / c->heads)};
    PFM_TRY(pfm_build_act(b->builder, *hidden, &x, err));
    PFM_TRY(linear(b, x, f->query, c->hidden, c->hidden, PFM_NO_VALUE, &node.in[0], err));
    PFM_TRY(linear(b, x, f->key, c->hidden, c->hidden, PFM_NO_VALUE, &node.in[1], err));
    PFM_TRY(linear(b, x, f->value, c->hidden, c->hidden, PFM_NO_VALUE, &node.in[2], err));
    PFM_TRY(pfm_graph_add(b->builder->graph, &node, &mixed, err));
    PFM_TRY(linear(b, mixed, f->mixed, c->hidden, c->hidden, *hidden, hidden, err));
    PFM_TRY(norm(b, f->mixed_norm, hidden, err));
    PFM_TRY(pfm_build_act(b->builder, *hidden, &x, err));
    PFM_TRY(linear(b, x, f->up, c->intermediate, c->hidden, PFM_NO_VALUE, &inner, err));
    PFM_TRY(pfm_build_activation(b->builder, c->activation, inner, &inner, err));
    PFM_TRY(linear(b, inner, f->down, c->hidden, c->intermediate, *hidden, hidden, err));
    PFM_TRY(norm(b, f->last_norm, hidden, err));
done:
    return status;
}

pfm_status pfm_text_build(const pfm_text_config *config, pfm_builder *builder, const pfm_text_values *values, int layer,
                          pfm_value *hidden, pfm_error *err)
{
    pfm_status status = PFM_OK;
    block b = {.config = config, .builder = builder};
    PFM_TRY(build_embedding(config, builder, values, hidden, err));
    for (; b.layer < layer; b.layer++)
        PFM_TRY(build_block(&b, hidden, err));
done:
    return status;
}
