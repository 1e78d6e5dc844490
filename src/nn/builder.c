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
                                 .full = builder->full_weights};
    declaration.trainable |= pfm_build_trains(builder, PFM_PLACE_LINEAR, name, options->n, options->k, "weight");
    if (!declaration.trainable)
        declaration.blocks = builder->blocks;
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

/* A linear layer before it is built: what it reads and who may act on its output. */
typedef struct layer {
    pfm_graph_node node;
    pfm_value addend;
    pfm_model_place place, sublayer;
    bool ends; /* a sublayer */
} layer;

/* *y = the product (+ addend) and what the hook makes of it here and of the sublayer; of several adapters those alone that do
 * `only`. */
static pfm_status build_product(pfm_builder *builder, layer *l, pfm_value addend, pfm_touch only, pfm_value *y, pfm_error *err)
{
    pfm_status status = PFM_OK;
    l->place.only = l->sublayer.only = only;
    l->node.in[1] = addend;
    PFM_TRY(pfm_graph_add(builder->graph, &l->node, y, err));
    PFM_TRY(apply_hook(builder, builder->hook, &l->place, y, err));
    if (l->ends)
        PFM_TRY(apply_hook(builder, builder->hook, &l->sublayer, y, err));
done:
    return status;
}

/* The hidden state is added behind what replaces the layer's output. Of several adapters those that only add have it within the
 * product, as when each is alone: then there are two of these. */
static pfm_status build_apart(pfm_builder *builder, layer *l, pfm_value *y, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_hook *hook = builder->hook;
    const bool several = hook->join != NULL;
    pfm_value added = PFM_NO_VALUE;
    if (several)
        PFM_TRY(build_product(builder, l, l->addend, PFM_TOUCH_ADDS, &added, err));
    PFM_TRY(build_product(builder, l, PFM_NO_VALUE, several ? PFM_TOUCH_REPLACES : PFM_TOUCH_NOTHING, y, err));
    PFM_TRY(pfm_build_add(builder, l->addend, *y, NULL, y, err));
    if (several)
        PFM_TRY(hook->join(hook->user, builder, &l->place, l->ends ? &l->sublayer : NULL, added, *y, y, err));
done:
    return status;
}

pfm_status pfm_build_linear(pfm_builder *builder, pfm_value x, const char *name, const pfm_linear_options *options,
                            pfm_value *y, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_hook *hook = builder->hook;
    layer l = {.node = pfm_graph_node_of(&pfm_op_linear), .addend = options->addend, .ends = options->sublayer != NULL};
    l.place = (pfm_model_place){.kind = PFM_PLACE_INPUT,
                                .name = name,
                                .input = PFM_NO_VALUE,
                                .output = PFM_NO_VALUE,
                                .weight = -1,
                                .n = options->k,
                                .k = options->k,
                                .block = builder->block};
    PFM_TRY(apply_hook(builder, hook, &l.place, &x, err));
    PFM_TRY(declare_linear(builder, name, options, &l.node.operand[0], &l.node.operand[1], err));
    l.place.kind = PFM_PLACE_LINEAR;
    l.place.input = x;
    l.place.weight = l.node.operand[0];
    l.place.n = options->n;
    l.sublayer = (pfm_model_place){.kind = PFM_PLACE_SUBLAYER,
                                   .name = options->sublayer,
                                   .input = options->sublayer_input,
                                   .output = PFM_NO_VALUE,
                                   .weight = -1,
                                   .n = options->n,
                                   .k = options->n,
                                   .block = builder->block,
                                   .sublayer = options->kind};
    const bool replaced =
        touches(hook, &l.place) == PFM_TOUCH_REPLACES || (l.ends && touches(hook, &l.sublayer) == PFM_TOUCH_REPLACES);
    l.node.attributes = (pfm_op_attributes){.alpha = 1, .output = options->output};
    l.node.in[0] = x;
    PFM_TRY(replaced && options->addend != PFM_NO_VALUE
                ? build_apart(builder, &l, y, err)
                : build_product(builder, &l, options->addend, PFM_TOUCH_NOTHING, y, err));
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
    const pfm_part part = builder->learns_norms ? PFM_PART_NORMS : PFM_PART_BASE;
    const bool hooked = pfm_build_trains(builder, PFM_PLACE_NORM, name, length, 1, "weight"),
               bias_hooked = bias != NULL && pfm_build_trains(builder, PFM_PLACE_NORM, name, length, 1, "bias");
    if (builder->learns_norms && hooked)
        return pfm_error_set(err, PFM_ERROR_USAGE, "both peft and norms in trainable train %s; leave norms out", name);
    pfm_status status = declare_vector(builder, name, ".weight", length, part, builder->learns_norms || hooked, weight, err);
    if (status == PFM_OK && bias != NULL)
        status = declare_vector(builder, name, ".bias", length, bias_hooked ? PFM_PART_BASE : part, bias_hooked, bias, err);
    return status;
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
