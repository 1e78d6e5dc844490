#include "nn/builder.h"

#include "base/memory.h"
#include "base/try.h"

#include <stdlib.h>

pfm_status pfm_build_parameter(pfm_builder *builder, const pfm_parameter *declaration, int *id, pfm_error *err)
{
    pfm_parameters *parameters = builder->graph->parameters;
    *id = pfm_parameters_find(parameters, declaration->name);
    if (*id < 0)
        return pfm_parameters_declare(parameters, declaration, id, err);
    const pfm_parameter *known = pfm_parameters_get(parameters, *id);
    if (known->n != declaration->n || known->k != declaration->k)
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "the parameter %s is %lld x %lld in one place and %lld x %lld in another",
                             declaration->name, (long long)known->n, (long long)known->k, (long long)declaration->n,
                             (long long)declaration->k);
    pfm_parameters_use(parameters, *id, declaration->uses);
    return PFM_OK;
}

static pfm_status declare_linear(pfm_builder *builder, const char *name, const pfm_linear_options *options, int *weight,
                                 int *bias, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *full = NULL;
    PFM_TRY(pfm_string_format(&full, err, "%s.weight", name));
    pfm_parameter declaration = {.name = full,
                                 .n = options->n,
                                 .k = options->k,
                                 .uses = PFM_USE_FORWARD | PFM_USE_BACKWARD,
                                 .trainable = options->trainable,
                                 .decays = true,
                                 .initial = options->initial,
                                 .initial_scale = options->initial_scale,
                                 .blocks = builder->blocks};
    PFM_TRY(pfm_build_parameter(builder, &declaration, weight, err));
    *bias = -1;
    if (!options->bias)
        goto done;
    free(full);
    full = NULL;
    PFM_TRY(pfm_string_format(&full, err, "%s.bias", name));
    declaration = (pfm_parameter){.name = full,
                                  .n = options->n,
                                  .k = 1,
                                  .uses = PFM_USE_VALUES,
                                  .trainable = options->trainable,
                                  .initial = options->initial == PFM_INITIAL_LOADED ? PFM_INITIAL_LOADED : PFM_INITIAL_ZERO};
    PFM_TRY(pfm_build_parameter(builder, &declaration, bias, err));
done:
    free(full);
    return status;
}

pfm_status pfm_build_linear(pfm_builder *builder, pfm_value x, const char *name, const pfm_linear_options *options,
                            pfm_value *y, pfm_error *err)
{
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_linear);
    node.attributes = (pfm_op_attributes){.alpha = 1, .output = options->output};
    node.in[0] = x;
    node.in[1] = options->addend;
    pfm_status status = declare_linear(builder, name, options, &node.operand[0], &node.operand[1], err);
    if (status == PFM_OK)
        status = pfm_graph_add(builder->graph, &node, y, err);
    if (status != PFM_OK || builder->hook == NULL)
        return status;
    pfm_model_place place = {.kind = PFM_PLACE_LINEAR,
                             .name = name,
                             .input = x,
                             .output = *y,
                             .weight = node.operand[0],
                             .n = options->n,
                             .k = options->k};
    return builder->hook->apply(builder->hook->user, builder, &place, y, err);
}

pfm_status pfm_build_block(pfm_builder *builder, const char *name, int32_t block, pfm_value *hidden, pfm_error *err)
{
    const pfm_hook *const hooks[] = {builder->aligner, builder->hook};
    pfm_status status = PFM_OK;
    for (int i = 0; i < 2 && status == PFM_OK; i++) {
        const int64_t width = builder->graph->values[*hidden].shape.columns;
        const pfm_model_place place = {.kind = PFM_PLACE_BLOCK,
                                       .name = name,
                                       .input = *hidden,
                                       .output = *hidden,
                                       .weight = -1,
                                       .n = width,
                                       .k = width,
                                       .block = block};
        if (hooks[i] != NULL)
            status = hooks[i]->apply(hooks[i]->user, builder, &place, hidden, err);
    }
    return status;
}

/* A vector PREFIX + SUFFIX that operators read in f32. */
static pfm_status declare_vector(pfm_builder *builder, const char *prefix, const char *suffix, int64_t length, pfm_part part,
                                 bool trainable, int *id, pfm_error *err)
{
    char *full = NULL;
    pfm_status status = pfm_string_format(&full, err, "%s%s", prefix, suffix);
    pfm_parameter declaration = {
        .name = full, .n = length, .k = 1, .uses = PFM_USE_VALUES, .part = part, .trainable = trainable};
    if (status == PFM_OK)
        status = pfm_build_parameter(builder, &declaration, id, err);
    free(full);
    return status;
}

/* Of a norm that is learned the weight trains; a bias belongs to it, for a norm is saved whole. */
static pfm_status declare_norm(pfm_builder *builder, const char *name, int64_t length, int *weight, int *bias, pfm_error *err)
{
    const bool learned = builder->learns_norms;
    const pfm_part part = learned ? PFM_PART_NORMS : PFM_PART_BASE;
    pfm_status status = declare_vector(builder, name, ".weight", length, part, learned, weight, err);
    return status != PFM_OK || bias == NULL ? status : declare_vector(builder, name, ".bias", length, part, false, bias, err);
}

pfm_status pfm_build_rmsnorm(pfm_builder *builder, pfm_value x, const char *name, double epsilon, pfm_value *y, pfm_error *err)
{
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_rmsnorm);
    node.in[0] = x;
    node.attributes.epsilon = (float)epsilon;
    pfm_status status = declare_norm(builder, name, builder->graph->values[x].shape.columns, &node.operand[0], NULL, err);
    return status != PFM_OK ? status : pfm_graph_add(builder->graph, &node, y, err);
}

pfm_status pfm_build_layernorm(pfm_builder *builder, pfm_value x, const char *name, double epsilon, int32_t group, pfm_value *y,
                               pfm_error *err)
{
    return pfm_build_layernorm_as(builder, x, name, epsilon, group, PFM_STORAGE_ACT, y, err);
}

pfm_status pfm_build_layernorm_as(pfm_builder *builder, pfm_value x, const char *name, double epsilon, int32_t group,
                                  pfm_storage output, pfm_value *y, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const int64_t length = group > 0 ? group : builder->graph->values[x].shape.columns;
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_layernorm);
    node.in[0] = x;
    node.attributes = (pfm_op_attributes){.epsilon = (float)epsilon, .head_dim = group, .output = output};
    PFM_TRY(declare_norm(builder, name, length, &node.operand[0], &node.operand[1], err));
    PFM_TRY(pfm_graph_add(builder->graph, &node, y, err));
done:
    return status;
}

pfm_status pfm_build_activation(pfm_builder *builder, pfm_activation kind, pfm_value x, pfm_value *y, pfm_error *err)
{
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_activate);
    node.in[0] = x;
    node.attributes.activation = kind;
    return pfm_graph_add(builder->graph, &node, y, err);
}

pfm_status pfm_build_columns(pfm_builder *builder, pfm_value x, int32_t first, int32_t run, int32_t stride, pfm_storage output,
                             pfm_value *y, pfm_error *err)
{
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_columns);
    node.in[0] = x;
    node.attributes = (pfm_op_attributes){.first = first, .run = run, .stride = stride, .output = output};
    return pfm_graph_add(builder->graph, &node, y, err);
}

pfm_status pfm_build_add(pfm_builder *builder, pfm_value a, pfm_value b, const char *name, pfm_value *y, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_add);
    node.in[0] = a;
    node.in[1] = b;
    if (name != NULL)
        status = declare_vector(builder, name, "", builder->graph->values[a].shape.columns, PFM_PART_BASE, false,
                                &node.operand[0], err);
    return status != PFM_OK ? status : pfm_graph_add(builder->graph, &node, y, err);
}

pfm_status pfm_build_checkpoint(pfm_builder *builder, pfm_error *err) { return pfm_graph_checkpoint(builder->graph, err); }
