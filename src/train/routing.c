#include "train/routing.h"

#include "base/try.h"

static bool routes(const pfm_graph_node *node, pfm_row_sort sort)
{
    return (node->op == &pfm_op_route || node->op == &pfm_op_route_context) && node->attributes.rows == sort;
}

void pfm_routing_add(pfm_routing *routing, pfm_row_sort sort, const pfm_graph *graph, const pfm_executor *executor)
{
    for (size_t n = 0; n < graph->node_count; n++) {
        const pfm_graph_node *node = &graph->nodes[n];
        if (!routes(node, sort))
            continue;
        const float *says = pfm_executor_data(executor, node->out[1]);
        routing->by_token = node->op == &pfm_op_route;
        routing->experts = graph->values[node->out[1]].shape.columns - (routing->by_token ? 3 : 0);
        for (int64_t e = 0; e < routing->experts; e++)
            routing->load[e] += (double)says[e];
        if (!routing->by_token)
            continue;
        routing->balance += (double)says[routing->experts];
        routing->entropy += (double)says[routing->experts + 1];
        routing->dropped += (double)says[routing->experts + 2];
    }
}

void pfm_routing_finish(pfm_routing *routing, pfm_row_sort sort, const pfm_graph *graph, int64_t rows)
{
    int64_t routers = 0;
    for (size_t n = 0; n < graph->node_count; n++)
        routers += routes(&graph->nodes[n], sort);
    if (routers == 0 || rows == 0)
        return;
    const double count = (double)(routers * rows);
    for (int64_t e = 0; e < routing->experts; e++)
        routing->load[e] /= count;
    routing->balance /= count;
    routing->entropy /= count;
    routing->dropped /= count;
}

pfm_status pfm_routing_append(const pfm_routing *routing, const char *begin, pfm_buffer *line, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (routing->experts == 0)
        return PFM_OK;
    if (routing->by_token)
        PFM_TRY(pfm_buffer_append_format(line, err, ",\"%sbalance_loss\":%.6g,\"%srouter_entropy\":%.6g,\"%sdropped\":%.6g",
                                         begin, routing->balance, begin, routing->entropy, begin, routing->dropped));
    PFM_TRY(pfm_buffer_append_format(line, err, ",\"%sexpert_load\":[", begin));
    for (int64_t e = 0; e < routing->experts; e++)
        PFM_TRY(pfm_buffer_append_format(line, err, "%s%.6g", e > 0 ? "," : "", routing->load[e]));
    PFM_TRY(pfm_buffer_append_string(line, "]", err));
done:
    return status;
}
