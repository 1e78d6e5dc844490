#include "nn/builder.h"

#include "base/memory.h"
#include "base/try.h"

#include <stdlib.h>

static pfm_status declare(pfm_builder *builder, const pfm_parameter *declaration, int *id, pfm_error *err)
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

pfm_status pfm_build_parameter(pfm_builder *builder, const pfm_parameter *declaration, int *id, pfm_error *err)
{
    char *name = NULL;
    pfm_parameter named = *declaration;
    if (builder->slot == NULL)
        return declare(builder, declaration, id, err);
    pfm_status status = pfm_string_format(&name, err, "%s%s", builder->slot, declaration->name);
    named.name = name;
    named.part = named.trainable ? PFM_PART_ALIGNER : named.part; /* which its name no longer tells */
    if (status == PFM_OK)
        status = declare(builder, &named, id, err);
    free(name);
    return status;
}

bool pfm_build_trains(const pfm_builder *builder, pfm_place_kind kind, const char *name, int64_t n, int64_t k,
                      const char *parameter)
{
    const pfm_hook *hook = builder->hook;
    const pfm_model_place place = {.kind = kind,
                                   .name = name,
                                   .input = PFM_NO_VALUE,
                                   .output = PFM_NO_VALUE,
                                   .weight = -1,
                                   .n = n,
                                   .k = k,
                                   .block = builder->block};
    return hook != NULL && hook->trains != NULL && hook->trains(hook->user, &place, parameter);
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
                                 .blocks = builder->blocks,
                                 .full = builder->full_weights};
    declaration.trainable |= pfm_build_trains(builder, PFM_PLACE_LINEAR, name, options->n, options->k, "weight");
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
    declaration.trainable |= pfm_build_trains(builder, PFM_PLACE_LINEAR, name, options->n, options->k, "bias");
    PFM_TRY(pfm_build_parameter(builder, &declaration, bias, err));
done:
    free(full);
    return status;
}

static pfm_touch touches(const pfm_hook *hook, const pfm_model_place *place)
{
    if (hook == NULL)
        return PFM_TOUCH_NOTHING;
    return hook->touches == NULL ? PFM_TOUCH_ADDS : hook->touches(hook->user, place);
}

static pfm_status apply_hook(pfm_builder *builder, const pfm_hook *hook, const pfm_model_place *place, pfm_value *output,
                             pfm_error *err)
{
    pfm_model_place built = *place;
    if (touches(hook, place) == PFM_TOUCH_NOTHING)
        return PFM_OK;
    built.output = *output;
    return hook->apply(hook->user, builder, &built, output, err);
}

pfm_status pfm_build_linear(pfm_builder *builder, pfm_value x, const char *name, const pfm_linear_options *options,
                            pfm_value *y, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_linear);
    const pfm_hook *hook = builder->hook;
    pfm_model_place place = {.kind = PFM_PLACE_INPUT,
                             .name = name,
                             .input = PFM_NO_VALUE,
                             .output = PFM_NO_VALUE,
                             .weight = -1,
                             .n = options->k,
                             .k = options->k,
                             .block = builder->block},
                    sublayer = place;
    PFM_TRY(apply_hook(builder, hook, &place, &x, err));
    PFM_TRY(declare_linear(builder, name, options, &node.operand[0], &node.operand[1], err));
    place.kind = PFM_PLACE_LINEAR;
    place.input = x;
    place.weight = node.operand[0];
    place.n = options->n;
    sublayer = (pfm_model_place){.kind = PFM_PLACE_SUBLAYER,
                                 .name = options->sublayer,
                                 .input = options->sublayer_input,
                                 .output = PFM_NO_VALUE,
                                 .weight = -1,
                                 .n = options->n,
                                 .k = options->n,
                                 .block = builder->block};
    const bool ends = options->sublayer != NULL,
               apart = options->addend != PFM_NO_VALUE && (touches(hook, &place) == PFM_TOUCH_REPLACES ||
                                                           (ends && touches(hook, &sublayer) == PFM_TOUCH_REPLACES));
    node.attributes = (pfm_op_attributes){.alpha = 1, .output = options->output};
    node.in[0] = x;
    node.in[1] = apart ? PFM_NO_VALUE : options->addend;
    PFM_TRY(pfm_graph_add(builder->graph, &node, y, err));
    PFM_TRY(apply_hook(builder, hook, &place, y, err));
    if (ends)
        PFM_TRY(apply_hook(builder, hook, &sublayer, y, err));
    if (apart)
        PFM_TRY(pfm_build_add(builder, options->addend, *y, NULL, y, err));
done:
    return status;
}

static pfm_model_place lone_place(const pfm_builder *builder, pfm_place_kind kind, const char *name, pfm_value value)
{
    const int64_t width = builder->graph->values[value].shape.columns;
    return (pfm_model_place){.kind = kind,
                             .name = name,
                             .input = value,
                             .output = value,
                             .weight = -1,
                             .n = width,
                             .k = width,
                             .block = builder->block};
}

pfm_status pfm_build_place(pfm_builder *builder, pfm_place_kind kind, const char *name, pfm_value *output, pfm_error *err)
{
    const pfm_model_place place = lone_place(builder, kind, name, *output);
    return apply_hook(builder, builder->hook, &place, output, err);
}

pfm_status pfm_build_block(pfm_builder *builder, const char *name, int32_t block, pfm_value *hidden, pfm_error *err)
{
    builder->block = block;
    pfm_model_place place = lone_place(builder, PFM_PLACE_BLOCK, name, *hidden);
    pfm_status status = apply_hook(builder, builder->aligner, &place, hidden, err);
    place.input = *hidden;
    return status != PFM_OK ? status : apply_hook(builder, builder->hook, &place, hidden, err);
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

/* A norm is learned as a part of its own, its weight training and its bias saved beside it, or by the hook. */
static pfm_status declare_norm(pfm_builder *builder, const char *name, int64_t length, int *weight, int *bias, pfm_error *err)
{
    const bool learned = builder->learns_norms;
    const pfm_part part = learned ? PFM_PART_NORMS : PFM_PART_BASE;
    const bool trains = learned || pfm_build_trains(builder, PFM_PLACE_NORM, name, length, 1, "weight"),
               bias_trains = !learned && pfm_build_trains(builder, PFM_PLACE_NORM, name, length, 1, "bias");
    pfm_status status = declare_vector(builder, name, ".weight", length, part, trains, weight, err);
    return status != PFM_OK || bias == NULL ? status
                                            : declare_vector(builder, name, ".bias", length, part, bias_trains, bias, err);
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

pfm_status pfm_build_act(pfm_builder *builder, pfm_value x, pfm_value *y, pfm_error *err)
{
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_convert);
    *y = x;
    if (builder->graph->values[x].shape.storage == PFM_STORAGE_ACT)
        return PFM_OK;
    node.in[0] = x;
    node.attributes.output = PFM_STORAGE_ACT;
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

pfm_status pfm_build_choose(pfm_builder *builder, pfm_value x, pfm_value z, pfm_value numbers, int32_t number, pfm_value *y,
                            pfm_error *err)
{
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_choose);
    node.in[0] = x;
    node.in[1] = z;
    node.in[2] = numbers;
    node.attributes.chosen = number;
    return pfm_graph_add(builder->graph, &node, y, err);
}

pfm_status pfm_build_checkpoint(pfm_builder *builder, pfm_error *err) { return pfm_graph_checkpoint(builder->graph, err); }
