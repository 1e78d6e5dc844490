#include "nn/graph.h"

#include "base/memory.h"
#include "base/try.h"

#include <stdlib.h>

pfm_status pfm_graph_create(pfm_parameters *parameters, const int64_t capacity[PFM_DIM_COUNT], pfm_graph **out, pfm_error *err)
{
    pfm_status status = pfm_allocate(1, sizeof **out, out, err);
    if (status != PFM_OK)
        return status;
    (*out)->parameters = parameters;
    for (int d = 0; d < PFM_DIM_COUNT; d++)
        (*out)->capacity[d] = capacity[d];
    return PFM_OK;
}

void pfm_graph_free(pfm_graph *graph)
{
    if (graph == NULL)
        return;
    free(graph->values);
    free(graph->nodes);
    free(graph->checkpoints);
    free(graph);
}

static pfm_status add_value(pfm_graph *graph, const pfm_graph_value *value, pfm_value *out, pfm_error *err)
{
    pfm_status status =
        pfm_array_reserve(&graph->values, &graph->value_capacity, graph->value_count + 1, sizeof *graph->values, err);
    if (status != PFM_OK)
        return status;
    *out = (pfm_value)graph->value_count;
    graph->values[graph->value_count++] = *value;
    return PFM_OK;
}

pfm_status pfm_graph_input(pfm_graph *graph, pfm_dim dim, int64_t rows, int64_t columns, pfm_storage storage,
                           bool needs_gradient, pfm_value *out, pfm_error *err)
{
    pfm_graph_value value = {.shape = {.dim = dim,
                                       .rows = dim == PFM_DIM_FIXED ? rows : graph->capacity[dim],
                                       .columns = columns,
                                       .storage = storage},
                             .producer = -1,
                             .needs_gradient = needs_gradient,
                             .keep = true};
    return add_value(graph, &value, out, err);
}

pfm_graph_node pfm_graph_node_of(const pfm_op *op)
{
    pfm_graph_node node = {.op = op};
    for (int i = 0; i < PFM_OP_MAX_INPUTS; i++)
        node.in[i] = PFM_NO_VALUE;
    for (int i = 0; i < PFM_OP_MAX_OUTPUTS; i++)
        node.out[i] = PFM_NO_VALUE;
    for (int i = 0; i < PFM_OP_MAX_OPERANDS; i++)
        node.operand[i] = -1;
    return node;
}

/* Nothing trains through an input or operand for which the operator makes no gradient. */
static pfm_status check_differentiable(const pfm_graph *graph, const pfm_graph_node *node, pfm_error *err)
{
    unsigned made = node->op->gradients | (node->op->passes >= 0 ? 1u << node->op->passes : 0u);
    if (node->op->constant)
        return PFM_OK;
    for (int i = 0; i < PFM_OP_MAX_INPUTS; i++) {
        if (node->in[i] != PFM_NO_VALUE && graph->values[node->in[i]].needs_gradient && (made & 1u << i) == 0)
            return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                                 "operator %s has no derivative by its input %d, but something before it trains",
                                 node->op->name, i);
    }
    for (int i = 0; i < PFM_OP_MAX_OPERANDS; i++) {
        if (node->operand[i] >= 0 && pfm_parameters_get(graph->parameters, node->operand[i])->trainable &&
            (node->op->operand_gradients & 1u << i) == 0)
            return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "operator %s cannot train the parameter %s", node->op->name,
                                 pfm_parameters_get(graph->parameters, node->operand[i])->name);
    }
    return PFM_OK;
}

pfm_status pfm_graph_add(pfm_graph *graph, const pfm_graph_node *node, pfm_value *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_op_call call = {.attributes = node->attributes};
    bool needs_gradient = false;
    for (int i = 0; i < PFM_OP_MAX_INPUTS; i++) {
        if (node->in[i] == PFM_NO_VALUE)
            continue;
        call.in[i] = graph->values[node->in[i]].shape;
        needs_gradient |= graph->values[node->in[i]].needs_gradient;
    }
    for (int i = 0; i < PFM_OP_MAX_OPERANDS; i++) {
        if (node->operand[i] < 0)
            continue;
        const pfm_parameter *parameter = pfm_parameters_get(graph->parameters, node->operand[i]);
        call.operand[i] = (pfm_operand){.n = parameter->n, .k = parameter->k};
        needs_gradient |= parameter->trainable;
    }
    PFM_TRY(check_differentiable(graph, node, err));
    PFM_TRY(node->op->shape(&call, err));
    PFM_TRY(pfm_array_reserve(&graph->nodes, &graph->node_capacity, graph->node_count + 1, sizeof *graph->nodes, err));
    pfm_graph_node copy = *node;
    for (int i = 0; i < PFM_OP_MAX_OUTPUTS; i++) {
        if (call.out[i].columns == 0)
            continue;
        pfm_graph_value value = {.shape = call.out[i],
                                 .producer = (int32_t)graph->node_count,
                                 .needs_gradient = needs_gradient && i == 0 && !node->op->constant};
        PFM_TRY(add_value(graph, &value, &copy.out[i], err));
    }
    graph->nodes[graph->node_count++] = copy;
    *out = copy.out[0];
done:
    return status;
}

pfm_status pfm_graph_checkpoint(pfm_graph *graph, pfm_error *err)
{
    pfm_status status = pfm_array_reserve(&graph->checkpoints, &graph->checkpoint_capacity, graph->checkpoint_count + 1,
                                          sizeof *graph->checkpoints, err);
    if (status == PFM_OK)
        graph->checkpoints[graph->checkpoint_count++] = graph->node_count;
    return status;
}

void pfm_graph_keep(pfm_graph *graph, pfm_value value) { graph->values[value].keep = true; }
