#include "nn/plan.h"

#include "base/memory.h"
#include "base/try.h"

#include <stdlib.h>

/* Time counts the plan's steps: first the forward of all nodes, then the backward, last node first, in which the nodes of a
 * segment that are needed again run forward once more before its backward. A value that is computed twice has two lives, in the
 * same place. */
typedef struct life {
    int64_t begin, end; /* both ends included; begin > end: none */
} life;

typedef struct lease {
    size_t bytes;
    life lives[2];
    size_t place;
    int32_t value;
    bool gradient;
} lease;

typedef struct planner {
    const pfm_graph *graph;
    const pfm_op_environment *env;
    pfm_plan *plan;
    int64_t nodes;
    lease *values, *gradients; /* [values] */
    int32_t *shares;           /* [values] the value whose gradient this one's gradient is, itself unless passed on */
    bool *reached;             /* [values] a gradient has been written, walking backward */
    bool *again;               /* [values] computed a second time, in the backward */
    bool *runs_again;          /* [nodes] */
} planner;

static const life never = {1, 0};

static void extend(life *what, int64_t time)
{
    if (what->begin > what->end) {
        what->begin = what->end = time;
        return;
    }
    what->begin = time < what->begin ? time : what->begin;
    what->end = time > what->end ? time : what->end;
}

static bool lives(const lease *what)
{
    return what->lives[0].begin <= what->lives[0].end || what->lives[1].begin <= what->lives[1].end;
}

static bool overlap(const lease *a, const lease *b)
{
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++) {
            const life *x = &a->lives[i], *y = &b->lives[j];
            if (x->begin <= x->end && y->begin <= y->end && x->begin <= y->end && y->begin <= x->end)
                return true;
        }
    return false;
}

static size_t value_bytes(const planner *p, int32_t value)
{
    const pfm_tensor *shape = &p->graph->values[value].shape;
    return pfm_op_align((size_t)shape->rows * (size_t)shape->columns * pfm_storage_size(shape->storage, p->env->act));
}

static int32_t gradient_owner(const planner *p, int32_t value)
{
    while (p->shares[value] != value)
        value = p->shares[value];
    return value;
}

/* Decides for one input of one node how its gradient is written: shared with the output's, first, or added. */
static pfm_status reach_input(planner *p, int64_t n, int i, pfm_error *err)
{
    const pfm_graph_node *node = &p->graph->nodes[n];
    int32_t value = node->in[i];
    if (value == PFM_NO_VALUE || !p->graph->values[value].needs_gradient)
        return PFM_OK;
    if (node->op->passes == i && !p->reached[value]) {
        p->shares[value] = node->out[0];
        p->reached[value] = true;
        return PFM_OK;
    }
    bool adds = p->reached[value];
    if (adds && node->op->passes != i && (node->op->accumulates & 1u << i) == 0)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "operator %s cannot add to the gradient of its input %d",
                             node->op->name, i);
    p->plan->gradient_adds[n * PFM_OP_MAX_INPUTS + i] = adds;
    p->reached[value] = true;
    return PFM_OK;
}

/* The operands that train, as bits. */
static unsigned trained_operands(const planner *p, const pfm_graph_node *node)
{
    unsigned trained = 0;
    for (int i = 0; i < PFM_OP_MAX_OPERANDS; i++) {
        if (node->operand[i] >= 0 && pfm_parameters_get(p->graph->parameters, node->operand[i])->trainable)
            trained |= 1u << i;
    }
    return trained;
}

static bool wants_input_gradient(const planner *p, const pfm_graph_node *node)
{
    for (int i = 0; i < PFM_OP_MAX_INPUTS; i++) {
        if (node->in[i] != PFM_NO_VALUE && p->graph->values[node->in[i]].needs_gradient)
            return true;
    }
    return false;
}

/* Which nodes run backward, and how each gradient comes about. */
static pfm_status reach(planner *p, int32_t seed, pfm_error *err)
{
    p->reached[seed] = true;
    for (int64_t n = p->nodes - 1; n >= 0; n--) {
        const pfm_graph_node *node = &p->graph->nodes[n];
        if (!p->reached[node->out[0]] || !p->graph->values[node->out[0]].needs_gradient)
            continue;
        if (trained_operands(p, node) == 0 && !wants_input_gradient(p, node))
            continue;
        p->plan->runs_backward[n] = true;
        for (int i = 0; i < PFM_OP_MAX_INPUTS; i++) {
            pfm_status status = reach_input(p, n, i, err);
            if (status != PFM_OK)
                return status;
        }
    }
    return PFM_OK;
}

/* The values that the backward of a node reads; returns how many. */
static int backward_reads(const planner *p, int64_t n, int32_t out[PFM_OP_MAX_INPUTS + PFM_OP_MAX_OUTPUTS])
{
    int count = 0;
    const pfm_graph_node *node = &p->graph->nodes[n];
    const bool reads_more = (trained_operands(p, node) & ~node->op->modest_operands) != 0;
    unsigned reads = node->op->backward_inputs | (reads_more ? node->op->operand_inputs : 0u);
    for (int i = 0; i < PFM_OP_MAX_INPUTS; i++) {
        if (node->in[i] != PFM_NO_VALUE && (reads & 1u << i) != 0)
            out[count++] = node->in[i];
    }
    for (int i = 0; i < PFM_OP_MAX_OUTPUTS; i++) {
        if (node->out[i] != PFM_NO_VALUE && (node->op->backward_outputs & 1u << i) != 0)
            out[count++] = node->out[i];
    }
    return count;
}

/* Which nodes read nothing but parameters, themselves or through others. */
static void find_constants(planner *p)
{
    for (int64_t n = 0; n < p->nodes; n++) {
        p->plan->constants[n] = true;
        for (int i = 0; i < PFM_OP_MAX_INPUTS; i++) {
            const pfm_value in = p->graph->nodes[n].in[i];
            const int32_t producer = in != PFM_NO_VALUE ? p->graph->values[in].producer : -1;
            if (in != PFM_NO_VALUE && (producer < 0 || !p->plan->constants[producer]))
                p->plan->constants[n] = false;
        }
    }
}

static bool is_constant(const planner *p, int32_t value)
{
    const int32_t producer = p->graph->values[value].producer;
    return producer >= 0 && p->plan->constants[producer];
}

/* Marks as computed again what is made inside of the segment and read nowhere else; takes back what is. */
static void find_inner(planner *p, int64_t begin, int64_t end)
{
    for (int64_t n = 0; n < p->nodes; n++) {
        const pfm_graph_node *node = &p->graph->nodes[n];
        for (int i = 0; n >= begin && n < end && i < PFM_OP_MAX_OUTPUTS; i++) {
            if (node->out[i] != PFM_NO_VALUE)
                p->again[node->out[i]] = !p->graph->values[node->out[i]].keep && !p->plan->constants[n];
        }
        for (int i = 0; n >= end && i < PFM_OP_MAX_INPUTS; i++) {
            const int32_t producer = node->in[i] != PFM_NO_VALUE ? p->graph->values[node->in[i]].producer : -1;
            if (producer >= begin && producer < end)
                p->again[node->in[i]] = false;
        }
    }
}

static void need(planner *p, int32_t value)
{
    if (p->again[value])
        p->runs_again[p->graph->values[value].producer] = true;
}

/* Which nodes of a segment must run again before its backward, and so which of its values have a second life. */
static void choose_again(planner *p, int64_t begin, int64_t end)
{
    int32_t reads[PFM_OP_MAX_INPUTS + PFM_OP_MAX_OUTPUTS];
    find_inner(p, begin, end);
    for (int64_t n = begin; n < end; n++) {
        for (int i = p->plan->runs_backward[n] ? backward_reads(p, n, reads) : 0; i > 0; i--)
            need(p, reads[i - 1]);
    }
    for (int64_t n = end - 1; n >= begin; n--) {
        const pfm_graph_node *node = &p->graph->nodes[n];
        for (int i = 0; i < PFM_OP_MAX_INPUTS; i++) {
            if (p->runs_again[n] && node->in[i] != PFM_NO_VALUE)
                need(p, node->in[i]);
        }
        for (int i = 0; i < PFM_OP_MAX_OUTPUTS; i++) {
            if (node->out[i] != PFM_NO_VALUE)
                p->again[node->out[i]] = p->again[node->out[i]] && p->runs_again[n];
        }
    }
}

static void add_step(planner *p, int64_t node, bool backward)
{
    p->plan->steps[p->plan->step_count++] = (pfm_plan_step){.node = (int32_t)node, .backward = backward};
}

static void add_backward(planner *p, int64_t begin, int64_t end)
{
    for (int64_t n = end - 1; n >= begin; n--) {
        if (p->plan->runs_backward[n])
            add_step(p, n, true);
    }
}

/* Segments lie between the graph's checkpoints; what lies before the first and behind the last is computed once. */
static void schedule(planner *p)
{
    const pfm_graph *graph = p->graph;
    const size_t segments = graph->recompute && graph->checkpoint_count > 1 ? graph->checkpoint_count - 1 : 0;
    for (int64_t n = 0; n < p->nodes; n++)
        add_step(p, n, false);
    int64_t end = p->nodes;
    for (size_t s = segments; s > 0; s--) {
        const int64_t begin = (int64_t)graph->checkpoints[s - 1], next = (int64_t)graph->checkpoints[s];
        add_backward(p, next, end);
        choose_again(p, begin, next);
        for (int64_t n = begin; n < next; n++) {
            if (p->runs_again[n])
                add_step(p, n, false);
        }
        add_backward(p, begin, next);
        end = begin;
    }
    add_backward(p, 0, end);
}

/* A value is alive at a step that reads or writes it, and between. A constant that others read than those that are computed
 * with it is alive always. */
static void use_value(planner *p, int32_t value, int64_t time)
{
    const bool by_constants = time < p->nodes && p->plan->constants[time]; /* the forward's steps are the nodes */
    if (is_constant(p, value) && !by_constants) {
        extend(&p->values[value].lives[0], 0);
        extend(&p->values[value].lives[0], (int64_t)p->plan->step_count);
    }
    extend(&p->values[value].lives[p->again[value] && time >= p->nodes], time);
}

static void use_gradient(planner *p, int32_t value, int64_t time)
{
    extend(&p->gradients[gradient_owner(p, value)].lives[0], time);
}

static void use_backward(planner *p, int64_t n, int64_t time)
{
    int32_t reads[PFM_OP_MAX_INPUTS + PFM_OP_MAX_OUTPUTS];
    const pfm_graph_node *node = &p->graph->nodes[n];
    for (int i = backward_reads(p, n, reads); i > 0; i--)
        use_value(p, reads[i - 1], time);
    use_gradient(p, node->out[0], time);
    for (int i = 0; i < PFM_OP_MAX_INPUTS; i++) {
        if (node->in[i] != PFM_NO_VALUE && p->graph->values[node->in[i]].needs_gradient)
            use_gradient(p, node->in[i], time);
    }
}

static void find_lives(planner *p, int32_t seed)
{
    const int64_t last = (int64_t)p->plan->step_count;
    for (int64_t time = 0; time < last; time++) {
        const pfm_plan_step *step = &p->plan->steps[time];
        const pfm_graph_node *node = &p->graph->nodes[step->node];
        if (step->backward) {
            use_backward(p, step->node, time);
            continue;
        }
        for (int i = 0; i < PFM_OP_MAX_INPUTS; i++) {
            if (node->in[i] != PFM_NO_VALUE)
                use_value(p, node->in[i], time);
        }
        for (int i = 0; i < PFM_OP_MAX_OUTPUTS; i++) {
            if (node->out[i] != PFM_NO_VALUE)
                use_value(p, node->out[i], time);
        }
    }
    if (seed != PFM_NO_VALUE)
        use_gradient(p, seed, p->nodes); /* from the start of the backward */
    for (int32_t v = 0; v < (int32_t)p->graph->value_count; v++) {
        if (p->graph->values[v].keep)
            use_value(p, v, last);
        if (p->reached[v] && p->graph->values[v].producer < 0) /* gradients of inputs are read from outside */
            use_gradient(p, v, last);
    }
}

static int larger_first(const void *a, const void *b)
{
    const lease *x = *(const lease *const *)a, *y = *(const lease *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    if (x->gradient != y->gradient)
        return x->gradient ? 1 : -1;
    return x->value < y->value ? -1 : x->value > y->value;
}

static int by_place(const void *a, const void *b)
{
    const lease *x = *(const lease *const *)a, *y = *(const lease *const *)b;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* The lowest gap that fits among those whose times overlap; placed is scratch of `count` pointers. */
static void place_lease(lease **leases, size_t count, lease *what, lease **overlapping)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        if (overlap(leases[i], what))
            overlapping[found++] = leases[i];
    }
    qsort(overlapping, found, sizeof *overlapping, by_place);
    size_t at = 0;
    for (size_t i = 0; i < found; i++) {
        if (overlapping[i]->place >= at + what->bytes)
            break;
        size_t end = overlapping[i]->place + overlapping[i]->bytes;
        at = end > at ? end : at;
    }
    what->place = at;
}

static pfm_status place_all(planner *p, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t values = p->graph->value_count, count = 0;
    lease **order = NULL, **overlapping = NULL;
    PFM_TRY(pfm_allocate(2 * values, sizeof *order, &order, err));
    PFM_TRY(pfm_allocate(2 * values, sizeof *overlapping, &overlapping, err));
    for (size_t v = 0; v < values; v++) {
        if (p->graph->values[v].producer >= 0 && lives(&p->values[v]))
            order[count++] = &p->values[v];
        if (lives(&p->gradients[v]))
            order[count++] = &p->gradients[v];
    }
    qsort(order, count, sizeof *order, larger_first);
    for (size_t i = 0; i < count; i++) {
        place_lease(order, i, order[i], overlapping);
        if (order[i]->place + order[i]->bytes > p->plan->bytes)
            p->plan->bytes = order[i]->place + order[i]->bytes;
    }
    for (size_t v = 0; v < values; v++) {
        bool placed = p->graph->values[v].producer >= 0 && lives(&p->values[v]);
        p->plan->value_place[v] = placed ? p->values[v].place : PFM_NO_PLACE;
        p->plan->gradient_place[v] = p->reached[v] ? p->gradients[gradient_owner(p, (int32_t)v)].place : PFM_NO_PLACE;
    }
done:
    free(order);
    free(overlapping);
    return status;
}

static void plan_scratch(planner *p)
{
    for (int64_t n = 0; n < p->nodes; n++) {
        const pfm_graph_node *node = &p->graph->nodes[n];
        if (node->op->scratch == NULL)
            continue;
        pfm_op_call call = {.env = p->env, .attributes = node->attributes};
        for (int i = 0; i < PFM_OP_MAX_INPUTS; i++) {
            if (node->in[i] != PFM_NO_VALUE)
                call.in[i] = p->graph->values[node->in[i]].shape;
        }
        for (int i = 0; i < PFM_OP_MAX_OPERANDS; i++) {
            if (node->operand[i] < 0)
                continue;
            const pfm_parameter *parameter = pfm_parameters_get(p->graph->parameters, node->operand[i]);
            /* only whether these are there matters here, not where */
            pfm_dtype format;
            bool quantises_rows = false;
            const bool quantised = pfm_parameters_quantises(p->graph->parameters, node->operand[i], &format, &quantises_rows);
            call.operand[i] = (pfm_operand){.n = parameter->n,
                                            .k = parameter->k,
                                            .quantised = quantised ? (void *)8 : NULL,
                                            .quantises_rows = quantises_rows,
                                            .gradient = parameter->trainable ? (float *)8 : NULL};
        }
        for (int backward = 0; backward <= p->plan->runs_backward[n]; backward++) {
            size_t bytes = node->op->scratch(&call, backward != 0);
            if (bytes > p->plan->scratch)
                p->plan->scratch = bytes;
        }
    }
}

void pfm_plan_free(pfm_plan *plan)
{
    if (plan == NULL)
        return;
    free(plan->value_place);
    free(plan->gradient_place);
    free(plan->gradient_adds);
    free(plan->runs_backward);
    free(plan->constants);
    free(plan->steps);
    free(plan);
}

pfm_status pfm_plan_create(const pfm_graph *graph, const pfm_op_environment *env, pfm_value seed, pfm_plan **out,
                           pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t values = graph->value_count, nodes = graph->node_count;
    planner p = {.graph = graph, .env = env, .nodes = (int64_t)nodes};
    PFM_TRY(pfm_allocate(1, sizeof *p.plan, &p.plan, err));
    PFM_TRY(pfm_allocate(values, sizeof *p.plan->value_place, &p.plan->value_place, err));
    PFM_TRY(pfm_allocate(values, sizeof *p.plan->gradient_place, &p.plan->gradient_place, err));
    PFM_TRY(pfm_allocate(nodes * PFM_OP_MAX_INPUTS, sizeof *p.plan->gradient_adds, &p.plan->gradient_adds, err));
    PFM_TRY(pfm_allocate(nodes, sizeof *p.plan->runs_backward, &p.plan->runs_backward, err));
    PFM_TRY(pfm_allocate(nodes, sizeof *p.plan->constants, &p.plan->constants, err));
    PFM_TRY(pfm_allocate(values, sizeof *p.values, &p.values, err));
    PFM_TRY(pfm_allocate(values, sizeof *p.gradients, &p.gradients, err));
    PFM_TRY(pfm_allocate(values, sizeof *p.shares, &p.shares, err));
    PFM_TRY(pfm_allocate(values, sizeof *p.reached, &p.reached, err));
    PFM_TRY(pfm_allocate(values, sizeof *p.again, &p.again, err));
    PFM_TRY(pfm_allocate(nodes, sizeof *p.runs_again, &p.runs_again, err));
    PFM_TRY(pfm_allocate(3 * nodes, sizeof *p.plan->steps, &p.plan->steps, err));
    for (size_t v = 0; v < values; v++) {
        p.values[v] = (lease){.bytes = value_bytes(&p, (int32_t)v), .lives = {never, never}, .value = (int32_t)v};
        p.gradients[v] = p.values[v];
        p.gradients[v].gradient = true;
        p.shares[v] = (int32_t)v;
    }
    find_constants(&p);
    if (seed != PFM_NO_VALUE)
        PFM_TRY(reach(&p, seed, err));
    schedule(&p);
    find_lives(&p, seed);
    PFM_TRY(place_all(&p, err));
    plan_scratch(&p);
    *out = p.plan;
    p.plan = NULL;
done:
    pfm_plan_free(p.plan);
    free(p.values);
    free(p.gradients);
    free(p.shares);
    free(p.reached);
    free(p.again);
    free(p.runs_again);
    return status;
}
