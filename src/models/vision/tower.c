#include "models/vision/tower.h"

#include "base/memory.h"
#include "base/try.h"
#include "models/vision/vision_kind.h"

#include <stdlib.h>
#include <string.h>

bool pfm_tower_owns(const pfm_parameter *parameter)
{
    return strncmp(parameter->name, PFM_TOWER_PREFIX, sizeof PFM_TOWER_PREFIX - 1) == 0;
}

pfm_vision_layers pfm_tower_input(const pfm_tower *tower)
{
    return (pfm_vision_layers){.count = 1, .layer = {tower->first}, .every_token = true};
}

/* What the weights say themselves, else what is known of the name. */
static pfm_status find_config(pfm_tower *tower, const pfm_tower_options *options, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_weights *weights = NULL;
    pfm_vision_config named;
    PFM_TRY(pfm_vision_find(options->kind, &named, err));
    if (named.kind->build == NULL)
        PFM_FAIL(
            PFM_ERROR_USAGE,
            "the vision encoder %s is a network of convolutions, in which nothing can be learned here; leave vision out of "
            "peft.parts, or take a vision transformer",
            named.name);
    PFM_TRY(pfm_allocate(1, sizeof *tower->config, &tower->config, err));
    *tower->config = named;
    if (options->path == NULL)
        goto done;
    PFM_TRY(pfm_string_copy(options->path, &tower->path, err));
    PFM_TRY(pfm_weights_open(options->path, &weights, err));
    PFM_TRY(named.kind->own_config(&named, weights, tower->config, err));
done:
    pfm_weights_close(weights);
    return status;
}

static pfm_status find_shapes(pfm_tower *tower, const pfm_tower_options *options, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_vision_layers entering = {.count = 1, .every_token = true};
    PFM_TRY(pfm_vision_join(tower->config, options->image_size, &options->layers, &tower->layers, &tower->shape, err));
    PFM_TRY(pfm_vision_join(tower->config, options->image_size, &entering, NULL, &tower->state, err));
    tower->tokens = (int64_t)pfm_vision_shape_tokens(&tower->state);
    tower->before = tower->state.extra;
    tower->width = tower->state.channels;
done:
    return status;
}

/* Whose graph, tokens and contexts are still to be set. */
static pfm_builder start_building(const pfm_tower *tower)
{
    return (pfm_builder){.hook = tower->hook,
                         .network = PFM_TOWER_NETWORK,
                         .rows = PFM_ROWS_PICTURES,
                         .contexts = PFM_NO_VALUE,
                         .ids = PFM_NO_VALUE,
                         .adapters = PFM_NO_VALUE,
                         .made = PFM_NO_VALUE,
                         .block = -1};
}

/* Layer after layer is built in a graph that nobody runs: the one before the first that depends on something learned is the
 * deepest that does not. A layer that makes features must not stand before the one that enters. All are built, so that what
 * names layers has seen them also where the tower is not part of the graph at hand. */
static pfm_status find_first(pfm_tower *tower, pfm_context *context, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_parameters *parameters = NULL;
    pfm_graph *graph = NULL;
    pfm_value hidden;
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_PATCHES] = tower->tokens};
    const int last = tower->layers.layer[tower->layers.count - 1];
    pfm_builder builder = start_building(tower);
    PFM_TRY(pfm_parameters_create(context, PFM_ACT_F32, true, &parameters, err));
    PFM_TRY(pfm_graph_create(parameters, capacity, &graph, err));
    builder.graph = graph;
    PFM_TRY(pfm_graph_input(graph, PFM_DIM_PATCHES, 0, tower->width, PFM_STORAGE_F32, false, &hidden, err));
    PFM_TRY(pfm_graph_input(graph, PFM_DIM_PATCHES, 0, 1, PFM_STORAGE_I64, false, &builder.token_keys, err));
    PFM_TRY(pfm_graph_input(graph, PFM_DIM_PATCHES, 0, 1, PFM_STORAGE_I32, false, &builder.contexts, err));
    tower->first = 0;
    for (int layer = 0; layer < last; layer++) {
        const pfm_vision_layers next = {.count = 1, .layer = {layer + 1}};
        PFM_TRY(tower->config->kind->build(tower->config, &builder, &next, layer, tower->tokens, hidden, &hidden, err));
        tower->first += !graph->values[hidden].needs_gradient;
    }
    if (tower->first == last)
        PFM_FAIL(
            PFM_ERROR_USAGE,
            "peft.parts names vision, but nothing of peft acts in the blocks of %s that make the features; their linear layers "
            "are called self_attn.q_proj, k_proj, v_proj, out_proj, mlp.fc1 and mlp.fc2 (of a gated MLP gate_proj, up_proj and "
            "fc2), their norms layer_norm1 and layer_norm2",
            tower->config->name);
    if (tower->layers.layer[0] < tower->first)
        tower->first = tower->layers.layer[0];
done:
    pfm_graph_free(graph);
    pfm_parameters_free(parameters);
    return status;
}

pfm_status pfm_tower_create(pfm_context *context, const pfm_tower_options *options, pfm_tower **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_tower *tower = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *tower, &tower, err));
    tower->hook = options->hook;
    PFM_TRY(find_config(tower, options, err));
    PFM_TRY(find_shapes(tower, options, err));
    PFM_TRY(find_first(tower, context, err));
    *out = tower;
    tower = NULL;
done:
    pfm_tower_free(tower);
    return status;
}

void pfm_tower_free(pfm_tower *tower)
{
    if (tower == NULL)
        return;
    free(tower->config);
    free(tower->path);
    free(tower);
}

/* *joined f32 = the states side by side. */
static pfm_status join(pfm_graph *graph, const pfm_value *states, int count, pfm_value *joined, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *joined = states[0];
    for (int i = 1; i < count; i++) {
        pfm_graph_node node = pfm_graph_node_of(&pfm_op_join);
        node.in[0] = *joined;
        node.in[1] = states[i];
        PFM_TRY(pfm_graph_add(graph, &node, joined, err));
    }
done:
    return status;
}

pfm_status pfm_tower_build(const pfm_tower *tower, pfm_graph *graph, bool wants_input, pfm_tower_inputs *inputs,
                           pfm_value *features, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const int64_t rows = graph->capacity[PFM_DIM_PATCHES];
    pfm_value states[PFM_VISION_MOST_LAYERS];
    pfm_builder builder = start_building(tower);
    builder.graph = graph;
    builder.full_weights = true;
    *inputs = (pfm_tower_inputs){0};
    PFM_TRY(pfm_patch_spans_create(rows / tower->tokens, tower->tokens, &inputs->spans, err));
    PFM_TRY(pfm_allocate((size_t)rows, sizeof *inputs->key_values, &inputs->key_values, err));
    PFM_TRY(pfm_allocate((size_t)rows, sizeof *inputs->context_values, &inputs->context_values, err));
    PFM_TRY(pfm_graph_input(graph, PFM_DIM_PATCHES, 0, tower->width, PFM_STORAGE_F32, wants_input, &inputs->state, err));
    PFM_TRY(pfm_graph_input(graph, PFM_DIM_PATCHES, 0, 1, PFM_STORAGE_I64, false, &inputs->keys, err));
    PFM_TRY(pfm_graph_input(graph, PFM_DIM_PATCHES, 0, 1, PFM_STORAGE_I32, false, &inputs->contexts, err));
    builder.token_keys = inputs->keys;
    builder.contexts = inputs->contexts;
    PFM_TRY(tower->config->kind->build(tower->config, &builder, &tower->layers, tower->first, tower->tokens, inputs->state,
                                       states, err));
    PFM_TRY(join(graph, states, tower->layers.count, features, err));
done:
    return status;
}

/* Dropout's counter for a token: of its picture and its place there. */
static int64_t token_key(int32_t picture, int64_t token)
{
    return (int64_t)((uint64_t)(uint32_t)picture << 24 | (uint64_t)token);
}

pfm_status pfm_tower_bind(const pfm_tower *tower, const pfm_tower_inputs *inputs, pfm_executor *executor, const float *states,
                          const pfm_tower_pictures *pictures, pfm_error *err)
{
    const int64_t patches = pictures->count * tower->tokens;
    pfm_status status = pfm_executor_resize(executor, PFM_DIM_PATCHES, patches, err);
    if (status != PFM_OK)
        return status;
    for (int64_t i = 0; pictures->numbers != NULL && i < patches; i++)
        inputs->key_values[i] = token_key(pictures->numbers[i / tower->tokens], i % tower->tokens);
    for (int64_t i = 0; i < patches; i++)
        inputs->context_values[i] = pictures->contexts != NULL ? pictures->contexts[i / tower->tokens] : 0;
    pfm_executor_bind(executor, inputs->state, states);
    pfm_executor_bind(executor, inputs->keys, inputs->key_values);
    pfm_executor_bind(executor, inputs->contexts, inputs->context_values);
    pfm_executor_environment(executor)->attention[PFM_ATTENTION_PATCHES] = pfm_patch_spans_of(&inputs->spans, pictures->count);
    return PFM_OK;
}

void pfm_tower_inputs_free(pfm_tower_inputs *inputs)
{
    pfm_patch_spans_free(&inputs->spans);
    free(inputs->key_values);
    free(inputs->context_values);
    *inputs = (pfm_tower_inputs){0};
}

pfm_status pfm_tower_load(const pfm_tower *tower, pfm_parameters *parameters, pfm_error *err)
{
    pfm_weights *weights = NULL;
    pfm_status status = pfm_weights_open(tower->path, &weights, err);
    if (status == PFM_OK)
        status = tower->config->kind->load_parameters(tower->config, weights, parameters, err);
    pfm_weights_close(weights);
    return status;
}
