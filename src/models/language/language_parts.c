#include "models/language/language_parts.h"

#include "base/try.h"

#include <stdio.h>
#include <string.h>

const char *pfm_block_name(pfm_block_builder *b, const char *name)
{
    (void)snprintf(b->name, sizeof b->name, "%s.%d.%s", b->config->family->blocks, (int)b->layer, name);
    return b->name;
}

/* Whether a table or the head, NAME.weight, becomes one that the hook trains. */
static bool trains_weight(const pfm_builder *builder, pfm_place_kind kind, const char *parameter, int64_t n, int64_t k)
{
    char module[128];
    (void)snprintf(module, sizeof module, "%.*s", (int)(strlen(parameter) - strlen(".weight")), parameter);
    return pfm_build_trains(builder, kind, module, n, k, "weight");
}

pfm_status pfm_language_look_up(pfm_builder *builder, const char *name, int64_t n, int64_t k, pfm_value ids, pfm_value visual,
                                pfm_value *out, pfm_error *err)
{
    pfm_parameter table = {.name = (char *)(uintptr_t)name,
                           .n = n,
                           .k = k,
                           .uses = PFM_USE_ROWS,
                           .decays = true,
                           .trainable = trains_weight(builder, PFM_PLACE_EMBEDDING, name, n, k)};
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_embed);
    node.in[0] = ids;
    node.in[1] = visual;
    pfm_status status = pfm_build_parameter(builder, &table, &node.operand[0], err);
    return status != PFM_OK ? status : pfm_graph_add(builder->graph, &node, out, err);
}

pfm_status pfm_language_embed(pfm_builder *builder, const pfm_language_config *config, const pfm_language_values *values,
                              pfm_value *hidden, pfm_error *err)
{
    pfm_status status = pfm_language_look_up(builder, config->family->embedding, config->vocabulary, config->hidden,
                                             values->ids, values->visual, hidden, err);
    return status != PFM_OK ? status : pfm_build_place(builder, PFM_PLACE_EMBEDDING, "", hidden, err);
}

pfm_status pfm_block_linear(pfm_block_builder *b, pfm_value x, const char *name, int64_t n, int64_t k, bool bias,
                            pfm_value addend, pfm_storage output, pfm_value *y, pfm_error *err)
{
    pfm_linear_options options = {
        .n = n, .k = k, .bias = bias, .addend = addend, .output = addend == PFM_NO_VALUE ? output : PFM_STORAGE_F32};
    return pfm_build_linear(b->builder, x, pfm_block_name(b, name), &options, y, err);
}

static const char *sublayer_name(pfm_block_builder *b, const char *sublayer)
{
    (void)snprintf(b->sublayer, sizeof b->sublayer, "%s.%d.%s", b->config->family->blocks, (int)b->layer, sublayer);
    return b->sublayer;
}

/* The last layer of a sublayer of either kind. */
static pfm_status end_sublayer(pfm_block_builder *b, pfm_sublayer kind, const char *sublayer, pfm_value x, pfm_value inner,
                               const char *name, int64_t k, bool bias, pfm_value addend, pfm_value *y, pfm_error *err)
{
    pfm_linear_options options = {.n = b->config->hidden,
                                  .k = k,
                                  .bias = bias,
                                  .addend = addend,
                                  .output = PFM_STORAGE_F32,
                                  .sublayer = sublayer_name(b, sublayer),
                                  .kind = kind,
                                  .sublayer_input = x};
    return pfm_build_linear(b->builder, inner, pfm_block_name(b, name), &options, y, err);
}

pfm_status pfm_block_end(pfm_block_builder *b, const char *sublayer, pfm_value x, pfm_value inner, const char *name, int64_t k,
                         bool bias, pfm_value addend, pfm_value *y, pfm_error *err)
{
    return end_sublayer(b, PFM_SUBLAYER_ATTENTION, sublayer, x, inner, name, k, bias, addend, y, err);
}

static pfm_status rotate(pfm_block_builder *b, pfm_value *x, pfm_error *err)
{
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_rope);
    node.in[0] = *x;
    node.in[1] = b->values->positions;
    node.in[2] = b->values->rope;
    node.attributes.head_dim = b->config->head_dim;
    return pfm_graph_add(b->builder->graph, &node, x, err);
}

pfm_status pfm_block_prepare_queries(pfm_block_builder *b, pfm_value qkv[3], pfm_error *err)
{
    static const char *const norms[] = {"self_attn.q_layernorm", "self_attn.k_layernorm"};
    const pfm_language_config *c = b->config;
    pfm_status status = PFM_OK;
    for (int i = 0; i < 2; i++) {
        if (c->head_norms)
            PFM_TRY(
                pfm_build_layernorm(b->builder, qkv[i], pfm_block_name(b, norms[i]), c->epsilon, c->head_dim, &qkv[i], err));
        if (c->rotary > 0)
            PFM_TRY(rotate(b, &qkv[i], err));
    }
done:
    return status;
}

pfm_status pfm_block_project(pfm_block_builder *b, pfm_value x, pfm_value qkv[3], pfm_error *err)
{
    static const char *const names[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"};
    const pfm_language_config *c = b->config;
    pfm_status status = PFM_OK;
    for (int i = 0; i < 3; i++)
        PFM_TRY(pfm_block_linear(b, x, names[i], (int64_t)(i == 0 ? c->heads : c->kv_heads) * c->head_dim, c->hidden,
                                 c->query_bias, PFM_NO_VALUE, c->head_norms && i < 2 ? PFM_STORAGE_F32 : PFM_STORAGE_ACT,
                                 &qkv[i], err));
    PFM_TRY(pfm_block_prepare_queries(b, qkv, err));
done:
    return status;
}

pfm_status pfm_block_attend(pfm_block_builder *b, const char *sublayer, const pfm_value qkv[3], pfm_value *mixed,
                            pfm_error *err)
{
    const pfm_language_config *c = b->config;
    pfm_status status = PFM_OK;
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_attention);
    for (int i = 0; i < 3; i++)
        node.in[i] = qkv[i];
    PFM_TRY(pfm_build_place(b->builder, PFM_PLACE_KEYS, sublayer_name(b, sublayer), &node.in[1], err));
    PFM_TRY(pfm_build_place(b->builder, PFM_PLACE_VALUES, sublayer_name(b, sublayer), &node.in[2], err));
    node.attributes =
        (pfm_op_attributes){.layer = b->layer, .heads = c->heads, .kv_heads = c->kv_heads, .head_dim = c->head_dim};
    PFM_TRY(pfm_graph_add(b->builder->graph, &node, mixed, err));
done:
    return status;
}

/* *y = activation(gate) * up. */
static pfm_status open_gate(pfm_block_builder *b, pfm_value gate, pfm_value up, pfm_value *y, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bool silu = b->config->activation == PFM_ACTIVATION_SILU; /* both in one pass over the rows */
    if (!silu)
        PFM_TRY(pfm_build_activation(b->builder, b->config->activation, gate, &gate, err));
    pfm_graph_node node = pfm_graph_node_of(silu ? &pfm_op_silu_mul : &pfm_op_multiply);
    node.in[0] = gate;
    node.in[1] = up;
    PFM_TRY(pfm_graph_add(b->builder->graph, &node, y, err));
done:
    return status;
}

pfm_status pfm_block_gated_mlp(pfm_block_builder *b, pfm_value x, pfm_value addend, pfm_value *y, pfm_error *err)
{
    const pfm_language_config *c = b->config;
    pfm_value gate, up, product;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_block_linear(b, x, "mlp.gate_proj", c->intermediate, c->hidden, c->mlp_bias, PFM_NO_VALUE, PFM_STORAGE_ACT,
                             &gate, err));
    PFM_TRY(pfm_block_linear(b, x, "mlp.up_proj", c->intermediate, c->hidden, c->mlp_bias, PFM_NO_VALUE, PFM_STORAGE_ACT, &up,
                             err));
    PFM_TRY(open_gate(b, gate, up, &product, err));
    PFM_TRY(
        end_sublayer(b, PFM_SUBLAYER_MLP, "mlp", x, product, "mlp.down_proj", c->intermediate, c->mlp_bias, addend, y, err));
done:
    return status;
}

pfm_status pfm_block_plain_mlp(pfm_block_builder *b, pfm_value x, const char *up, const char *down, pfm_value addend,
                               pfm_value *y, pfm_error *err)
{
    const pfm_language_config *c = b->config;
    pfm_value wide;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_block_linear(b, x, up, c->intermediate, c->hidden, c->mlp_bias, PFM_NO_VALUE, PFM_STORAGE_ACT, &wide, err));
    PFM_TRY(pfm_build_activation(b->builder, c->activation, wide, &wide, err));
    PFM_TRY(end_sublayer(b, PFM_SUBLAYER_MLP, "mlp", x, wide, down, c->intermediate, c->mlp_bias, addend, y, err));
done:
    return status;
}

pfm_status pfm_language_blocks(pfm_builder *builder, const pfm_language_config *config, const pfm_language_values *values,
                               pfm_value *hidden, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_block_builder b = {.builder = builder, .config = config, .values = values};
    for (b.layer = 0; b.layer < config->layers; b.layer++) {
        (void)snprintf(b.name, sizeof b.name, "%s.%d", config->family->blocks, b.layer);
        PFM_TRY(pfm_build_checkpoint(builder, err));
        PFM_TRY(pfm_build_block(builder, b.name, b.layer, hidden, err));
        PFM_TRY(config->family->build_block(&b, hidden, err));
    }
    builder->block = -1;
    PFM_TRY(pfm_build_checkpoint(builder, err));
done:
    return status;
}

pfm_status pfm_language_choose(pfm_builder *builder, const pfm_language_values *values, pfm_value hidden, pfm_value *x,
                               pfm_error *err)
{
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_gather);
    node.in[0] = hidden;
    node.in[1] = values->index;
    return pfm_graph_add(builder->graph, &node, x, err);
}

/* A head that is the embedding is one of its own, and begins as that, where only one of them trains or both do: so Hugging Face
 * PEFT keeps them. */
static bool head_is_embedding(const pfm_builder *builder, const pfm_language_config *c)
{
    return c->tied && !trains_weight(builder, PFM_PLACE_EMBEDDING, c->family->embedding, c->vocabulary, c->hidden) &&
           !trains_weight(builder, PFM_PLACE_LINEAR, PFM_LANGUAGE_HEAD, c->vocabulary, c->hidden);
}

static pfm_status declare_head(pfm_builder *builder, const pfm_language_config *c, int *weight, int *bias, pfm_error *err)
{
    static const char bias_name[] = "lm_head.bias", module[] = "lm_head";
    const bool same = head_is_embedding(builder, c);
    pfm_parameter w = {.name = (char *)(uintptr_t)(same ? c->family->embedding : PFM_LANGUAGE_HEAD),
                       .n = c->vocabulary,
                       .k = c->hidden,
                       .uses = PFM_USE_FORWARD | PFM_USE_BACKWARD,
                       .decays = true},
                  b = {.name = (char *)(uintptr_t)bias_name, .n = c->vocabulary, .k = 1, .uses = PFM_USE_VALUES};
    w.trainable = !same && trains_weight(builder, PFM_PLACE_LINEAR, w.name, w.n, w.k);
    b.trainable = c->head_bias && pfm_build_trains(builder, PFM_PLACE_LINEAR, module, b.n, 1, "bias");
    pfm_status status = pfm_build_parameter(builder, &w, weight, err);
    return status != PFM_OK || !c->head_bias ? status : pfm_build_parameter(builder, &b, bias, err);
}

pfm_status pfm_language_head(pfm_builder *builder, const pfm_language_config *c, bool with_loss, pfm_value x,
                             pfm_language_values *values, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_graph_node node = pfm_graph_node_of(with_loss ? &pfm_op_cross_entropy : &pfm_op_linear);
    pfm_value *out = with_loss ? &values->loss : &values->logits;
    PFM_TRY(declare_head(builder, c, &node.operand[0], &node.operand[1], err));
    node.in[0] = x;
    node.in[1] = with_loss ? values->targets : PFM_NO_VALUE;
    node.attributes = (pfm_op_attributes){.alpha = 1, .output = PFM_STORAGE_F32};
    PFM_TRY(pfm_graph_add(builder->graph, &node, out, err));
    pfm_graph_keep(builder->graph, *out);
done:
    return status;
}
