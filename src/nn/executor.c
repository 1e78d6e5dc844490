#include "nn/executor.h"

#include "base/memory.h"
#include "base/process.h"
#include "base/try.h"

#include <stdlib.h>

enum { MAX_OPS = 64 };

struct pfm_executor {
    pfm_graph *graph;
    pfm_plan *plan;
    pfm_op_environment env;
    pfm_block arena, scratch;
    const void **bound; /* [values] */
    int64_t rows[PFM_DIM_COUNT];
    pfm_profile profile[2 * MAX_OPS];
    size_t op_count;
    bool has_constants; /* computed, for the parameters of that version */
    uint64_t version;
    pfm_executor_observer observer;
    void *observer_user;
};

static void start_profile(pfm_executor *executor)
{
    executor->op_count = 0;
    for (; pfm_ops[executor->op_count] != NULL && executor->op_count < MAX_OPS; executor->op_count++) {
        size_t at = 2 * executor->op_count;
        executor->profile[at] = (pfm_profile){.op = pfm_ops[executor->op_count]->name};
        executor->profile[at + 1] = (pfm_profile){.op = pfm_ops[executor->op_count]->name, .backward = true};
    }
}

pfm_status pfm_executor_create(pfm_graph *graph, const pfm_op_environment *env, pfm_value seed, pfm_executor **out,
                               pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_executor *executor = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *executor, &executor, err));
    executor->graph = graph;
    executor->env = *env;
    start_profile(executor);
    PFM_TRY(pfm_allocate(graph->value_count, sizeof *executor->bound, &executor->bound, err));
    PFM_TRY(pfm_plan_create(graph, env, seed, &executor->plan, err));
    PFM_TRY(pfm_block_create(executor->plan->bytes, &executor->arena, err));
    PFM_TRY(pfm_block_create(executor->plan->scratch, &executor->scratch, err));
    if (seed != PFM_NO_VALUE) { /* steps will follow, and none of them shall wait for memory */
        pfm_block_touch(&executor->arena, env->context->threads);
        pfm_block_touch(&executor->scratch, env->context->threads);
    }
    for (int d = 0; d < PFM_DIM_COUNT; d++)
        executor->rows[d] = graph->capacity[d];
    *out = executor;
    executor = NULL;
done:
    pfm_executor_free(executor);
    return status;
}

void pfm_executor_free(pfm_executor *executor)
{
    if (executor == NULL)
        return;
    pfm_plan_free(executor->plan);
    pfm_block_free(&executor->arena);
    pfm_block_free(&executor->scratch);
    free(executor->bound);
    free(executor);
}

size_t pfm_executor_bytes(const pfm_executor *executor) { return executor->arena.bytes + executor->scratch.bytes; }

pfm_op_environment *pfm_executor_environment(pfm_executor *executor) { return &executor->env; }

void pfm_executor_bind(pfm_executor *executor, pfm_value input, const void *data) { executor->bound[input] = data; }

pfm_status pfm_executor_resize(pfm_executor *executor, pfm_dim dim, int64_t rows, pfm_error *err)
{
    if (rows < 0 || rows > executor->graph->capacity[dim])
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "%lld rows do not fit into the %lld that were planned", (long long)rows,
                             (long long)executor->graph->capacity[dim]);
    executor->rows[dim] = rows;
    return PFM_OK;
}

static pfm_tensor tensor_of(const pfm_executor *executor, pfm_value value, size_t place, const void *outside)
{
    pfm_tensor tensor = executor->graph->values[value].shape;
    if (tensor.dim != PFM_DIM_FIXED)
        tensor.rows = executor->rows[tensor.dim];
    tensor.data = place == PFM_NO_PLACE ? (void *)(uintptr_t)outside : (char *)executor->arena.data + place;
    return tensor;
}

static pfm_op_call call_of(const pfm_executor *executor, const pfm_graph_node *node)
{
    pfm_op_call call = {.env = &executor->env, .attributes = node->attributes, .scratch = executor->scratch.data};
    for (int i = 0; i < PFM_OP_MAX_INPUTS; i++) {
        if (node->in[i] != PFM_NO_VALUE)
            call.in[i] =
                tensor_of(executor, node->in[i], executor->plan->value_place[node->in[i]], executor->bound[node->in[i]]);
    }
    for (int i = 0; i < PFM_OP_MAX_OUTPUTS; i++) {
        if (node->out[i] != PFM_NO_VALUE)
            call.out[i] = tensor_of(executor, node->out[i], executor->plan->value_place[node->out[i]], NULL);
    }
    for (int i = 0; i < PFM_OP_MAX_OPERANDS; i++) {
        if (node->operand[i] >= 0)
            call.operand[i] = pfm_parameters_get(executor->graph->parameters, node->operand[i])->operand;
    }
    return call;
}

static void note(pfm_executor *executor, const pfm_op *op, bool backward, double start, const pfm_op_call *call)
{
    const double seconds = pfm_process_clock() - start;
    const double operations = (backward && op->backward_operations != NULL ? op->backward_operations : op->operations)(call);
    if (executor->observer != NULL)
        executor->observer(executor->observer_user, op, backward, start, seconds, operations, call);
    for (size_t i = 0; i < executor->op_count; i++) {
        if (pfm_ops[i] != op)
            continue;
        pfm_profile *entry = &executor->profile[2 * i + backward];
        entry->seconds += seconds;
        entry->operations += operations;
        entry->calls++;
    }
}

static void forward_node(pfm_executor *executor, size_t n)
{
    const pfm_graph_node *node = &executor->graph->nodes[n];
    pfm_op_call call = call_of(executor, node);
    double start = pfm_process_clock();
    node->op->forward(&call);
    note(executor, node->op, false, start, &call);
}

/* The gradient of an input that the operator passes is its output's, in the same place; where something else has given that
 * input a gradient of its own already, it is added there. */
static void add_passed(const pfm_executor *executor, size_t n, const pfm_op_call *call)
{
    const pfm_graph_node *node = &executor->graph->nodes[n];
    const int i = node->op->passes;
    if (i < 0 || !executor->plan->gradient_adds[n * PFM_OP_MAX_INPUTS + (size_t)i])
        return;
    const size_t count = (size_t)(call->in[i].rows * call->in[i].columns);
    void *to = (char *)executor->arena.data + executor->plan->gradient_place[node->in[i]];
    if (call->in[i].storage == PFM_STORAGE_F32 || executor->env.act == PFM_ACT_F32) {
        executor->env.kernels->axpy(1, call->dout[0].data, to, count);
        return;
    }
    for (size_t j = 0; j < count; j++) {
        pfm_bf16 *sum = (pfm_bf16 *)to + j;
        *sum = pfm_bf16_from_f32(pfm_bf16_to_f32(*sum) + pfm_bf16_to_f32(((const pfm_bf16 *)call->dout[0].data)[j]));
    }
}

static void backward_node(pfm_executor *executor, size_t n)
{
    const pfm_graph_node *node = &executor->graph->nodes[n];
    const pfm_plan *plan = executor->plan;
    pfm_op_call call = call_of(executor, node);
    for (int i = 0; i < PFM_OP_MAX_INPUTS; i++) {
        if (node->in[i] == PFM_NO_VALUE)
            continue;
        call.din[i] = call.in[i];
        call.din[i].data = NULL;
        if (node->op->passes == i || plan->gradient_place[node->in[i]] == PFM_NO_PLACE)
            continue;
        call.din[i].data = (char *)executor->arena.data + plan->gradient_place[node->in[i]];
        call.accumulate[i] = plan->gradient_adds[n * PFM_OP_MAX_INPUTS + (size_t)i];
    }
    for (int i = 0; i < PFM_OP_MAX_OUTPUTS; i++) {
        if (node->out[i] != PFM_NO_VALUE && plan->gradient_place[node->out[i]] != PFM_NO_PLACE) {
            call.dout[i] = call.out[i];
            call.dout[i].data = (char *)executor->arena.data + plan->gradient_place[node->out[i]];
        }
    }
    double start = pfm_process_clock();
    node->op->backward(&call);
    add_passed(executor, n, &call);
    note(executor, node->op, true, start, &call);
}

void pfm_executor_forward(pfm_executor *executor)
{
    const uint64_t version = pfm_parameters_version(executor->graph->parameters);
    const bool skip = executor->has_constants && executor->version == version;
    for (size_t n = 0; n < executor->graph->node_count; n++) {
        if (!skip || !executor->plan->constants[n])
            forward_node(executor, n);
    }
    executor->has_constants = true;
    executor->version = version;
}

void pfm_executor_backward(pfm_executor *executor)
{
    for (size_t s = executor->graph->node_count; s < executor->plan->step_count; s++) {
        const pfm_plan_step *step = &executor->plan->steps[s];
        if (step->backward)
            backward_node(executor, (size_t)step->node);
        else
            forward_node(executor, (size_t)step->node);
    }
}

void *pfm_executor_data(const pfm_executor *executor, pfm_value value)
{
    return tensor_of(executor, value, executor->plan->value_place[value], executor->bound[value]).data;
}

void *pfm_executor_gradient(const pfm_executor *executor, pfm_value value)
{
    size_t place = executor->plan->gradient_place[value];
    return place == PFM_NO_PLACE ? NULL : (char *)executor->arena.data + place;
}

const pfm_profile *pfm_executor_profile(const pfm_executor *executor, size_t *count)
{
    *count = 2 * executor->op_count;
    return executor->profile;
}

void pfm_executor_observe(pfm_executor *executor, pfm_executor_observer observer, void *user)
{
    executor->observer = observer;
    executor->observer_user = user;
}

void pfm_executor_profile_reset(pfm_executor *executor) { start_profile(executor); }
