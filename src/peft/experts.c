#include "peft/experts.h"

#include "base/json.h"
#include "base/try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Mixtral's routers begin as its other layers do, with this deviation: nearly even. */
static const double router_deviation = 0.02;

enum { LEAST_EXPERTS = 2, MOST_EXPERTS = 64 };

static const char by_token[] = "token";

static const char *router_of(const pfm_peft_options *options) { return options->router == NULL ? by_token : options->router; }

static bool by_context(const pfm_peft_options *options)
{
    return options->router != NULL && strcmp(options->router, "context") == 0;
}

int64_t pfm_experts_count(const pfm_peft_options *options) { return (int64_t)options->experts + options->shared_expert; }

static pfm_status check_context(const pfm_peft_options *options, pfm_error *err)
{
    if (!by_context(options) && (options->context != NULL || options->context_count > 0))
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "peft.context and peft.contexts are for peft.router: context; peft.router is %s",
                             router_of(options));
    if (!by_context(options))
        return PFM_OK;
    if (options->context == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "peft.router: context needs peft.context, the column of the data that chooses, such as modality");
    if (options->capacity > 0)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "peft.capacity is for peft.router: token; a context's tokens all go to its own expert");
    if (options->context_count > (size_t)options->experts)
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.contexts names %zu values for %d experts; raise peft.experts",
                             options->context_count, options->experts);
    return PFM_OK;
}

pfm_status pfm_experts_check(const pfm_peft_options *options, pfm_error *err)
{
    if (options->experts < LEAST_EXPERTS || options->experts > MOST_EXPERTS)
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.experts cannot be %d; it is %d to %d", options->experts, LEAST_EXPERTS,
                             MOST_EXPERTS);
    if (!by_context(options) && strcmp(router_of(options), by_token) != 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.router cannot be '%.60s'; it is token or context", options->router);
    if (options->top_k < 1 || options->top_k > options->experts)
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.top_k cannot be %d; it is 1 to the number of experts, %d",
                             options->top_k, options->experts);
    if (!(options->balance >= 0) || !isfinite(options->balance) || !(options->capacity >= 0) || !isfinite(options->capacity))
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.balance and peft.capacity are numbers from 0 on");
    return check_context(options, err);
}

/* The node's second output tells of the router after each run, so it stays. */
static pfm_status add_router(pfm_builder *builder, const pfm_graph_node *node, pfm_value *gates, pfm_error *err)
{
    pfm_graph *graph = builder->graph;
    pfm_status status = pfm_graph_add(graph, node, gates, err);
    if (status == PFM_OK)
        pfm_graph_keep(graph, graph->nodes[graph->node_count - 1].out[1]);
    return status;
}

static pfm_status route_by_context(const pfm_peft_options *options, pfm_builder *builder, pfm_value *gates, pfm_error *err)
{
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_route_context);
    node.in[0] = builder->contexts;
    node.attributes = (pfm_op_attributes){.experts = options->experts, .shared = options->shared_expert, .rows = builder->rows};
    return add_router(builder, &node, gates, err);
}

pfm_status pfm_experts_route(pfm_peft *peft, pfm_builder *builder, const char *module, pfm_value x, pfm_value *gates,
                             pfm_error *err)
{
    const pfm_peft_options *options = pfm_peft_get_options(peft);
    /* what does not train is neither pushed nor cut short, as in answering */
    const bool trains = pfm_parameters_trains(builder->graph->parameters, PFM_PART_PEFT);
    pfm_status status = PFM_OK;
    pfm_graph_node logits = pfm_graph_node_of(&pfm_op_linear), node = pfm_graph_node_of(&pfm_op_route);
    const pfm_parameter router = {.n = options->experts,
                                  .k = builder->graph->values[x].shape.columns,
                                  .uses = PFM_USE_FORWARD | PFM_USE_BACKWARD,
                                  .decays = true,
                                  .initial = PFM_INITIAL_NORMAL,
                                  .initial_scale = router_deviation};
    if (builder->contexts == PFM_NO_VALUE)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "%s reads tokens of which it is not known whose they are, and experts are chosen by that; name other "
                 "peft.targets",
                 module);
    if (by_context(options))
        return route_by_context(options, builder, gates, err);
    logits.in[0] = x;
    logits.attributes = (pfm_op_attributes){.alpha = 1, .output = PFM_STORAGE_F32};
    PFM_TRY(pfm_peft_declare(peft, builder, module, "router.weight", &router, &logits.operand[0], err));
    PFM_TRY(pfm_graph_add(builder->graph, &logits, &node.in[0], err));
    node.attributes = (pfm_op_attributes){.alpha = trains ? (float)options->balance : 0,
                                          .top_k = options->top_k,
                                          .capacity = trains ? (float)options->capacity : 0,
                                          .shared = options->shared_expert,
                                          .rows = builder->rows};
    PFM_TRY(add_router(builder, &node, gates, err));
done:
    return status;
}

pfm_status pfm_experts_weigh(pfm_builder *builder, pfm_value u, pfm_value gates, pfm_value *y, pfm_error *err)
{
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_weigh);
    node.in[0] = u;
    node.in[1] = gates;
    return pfm_graph_add(builder->graph, &node, y, err);
}

pfm_status pfm_experts_write_config(const pfm_peft_options *options, json_t *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_json_take(config, "num_experts", json_integer(options->experts), err));
    PFM_TRY(pfm_json_take(config, "shared_expert", json_boolean(options->shared_expert), err));
    PFM_TRY(pfm_json_take(config, "router", json_string(router_of(options)), err));
    PFM_TRY(pfm_json_take(config, "top_k", json_integer(options->top_k), err));
    PFM_TRY(pfm_json_take(config, "balance", pfm_peft_number(options->balance), err));
    PFM_TRY(pfm_json_take(config, "capacity", pfm_peft_number(options->capacity), err));
    PFM_TRY(pfm_json_take(config, "context", options->context == NULL ? json_null() : json_string(options->context), err));
    PFM_TRY(pfm_json_take(config, "contexts", pfm_peft_texts(options->contexts, options->context_count), err));
done:
    return status;
}

pfm_status pfm_experts_read_config(const json_t *config, pfm_peft_options *options, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_peft_read_integer(config, "num_experts", 0, LEAST_EXPERTS, MOST_EXPERTS, &options->experts, err));
    PFM_TRY(pfm_peft_read_integer(config, "top_k", 0, 1, MOST_EXPERTS, &options->top_k, err));
    PFM_TRY(pfm_peft_read_flag(config, "shared_expert", false, &options->shared_expert, err));
    PFM_TRY(pfm_peft_read_number(config, "balance", 0, 0, 100, &options->balance, err));
    PFM_TRY(pfm_peft_read_number(config, "capacity", 0, 0, 64, &options->capacity, err));
    PFM_TRY(pfm_peft_read_text(config, "router", NULL, &options->router, err));
    PFM_TRY(pfm_peft_read_text(config, "context", NULL, &options->context, err));
    PFM_TRY(pfm_peft_read_texts(config, "contexts", &options->contexts, &options->context_count, err));
    PFM_TRY(pfm_experts_check(options, err));
done:
    return status;
}
