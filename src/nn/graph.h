/* A graph is data: operators in the order in which they run, values between them. Sizes are dimensions with a capacity; what is
 * bound at a step may be smaller. A model builds its graph once, for training or for inference; there is no backward code per
 * model. */
#ifndef PFM_NN_GRAPH_H
#define PFM_NN_GRAPH_H

#include "nn/parameters.h"
#include "ops/op.h"

typedef int32_t pfm_value; /* an index into the graph's values; PFM_NO_VALUE where there is none */
#define PFM_NO_VALUE (-1)

typedef struct pfm_graph_value {
    pfm_tensor shape; /* rows at capacity */
    int32_t producer; /* node, or -1 for an input */
    bool needs_gradient;
    bool keep; /* to the end of the run: read from outside */
} pfm_graph_value;

typedef struct pfm_graph_node {
    const pfm_op *op;
    pfm_op_attributes attributes;
    pfm_value in[PFM_OP_MAX_INPUTS], out[PFM_OP_MAX_OUTPUTS];
    int operand[PFM_OP_MAX_OPERANDS]; /* parameter ids, -1: none */
} pfm_graph_node;

typedef struct pfm_graph {
    pfm_parameters *parameters; /* borrowed */
    int64_t capacity[PFM_DIM_COUNT];
    pfm_graph_value *values;
    size_t value_count, value_capacity;
    pfm_graph_node *nodes;
    size_t node_count, node_capacity;
    size_t *checkpoints; /* numbers of nodes; what lies between two of them may be computed again in the backward */
    size_t checkpoint_count, checkpoint_capacity;
    bool recompute; /* do so: less memory, the same bits */
} pfm_graph;

/* capacity[d]: the most rows that dimension d will be bound to (FIXED's is not read). Parameters are borrowed. */
pfm_status pfm_graph_create(pfm_parameters *parameters, const int64_t capacity[PFM_DIM_COUNT], pfm_graph **out,
                            pfm_error *err) PFM_MUST_CHECK;
void pfm_graph_free(pfm_graph *graph);

/* A value that is bound from outside. rows counts only for PFM_DIM_FIXED. */
pfm_status pfm_graph_input(pfm_graph *graph, pfm_dim dim, int64_t rows, int64_t columns, pfm_storage storage,
                           bool needs_gradient, pfm_value *out, pfm_error *err) PFM_MUST_CHECK;
/* Appends an operator; *out = its first output. The node's in and operand are read, its out is filled. What follows from
 * parameters alone is computed once until one of them is set or packed again. */
pfm_status pfm_graph_add(pfm_graph *graph, const pfm_graph_node *node, pfm_value *out, pfm_error *err) PFM_MUST_CHECK;
/* A block begins, or the last one has ended: with graph->recompute only what crosses this line is kept for the backward. */
pfm_status pfm_graph_checkpoint(pfm_graph *graph, pfm_error *err) PFM_MUST_CHECK;
/* The value stays readable until the next run. */
void pfm_graph_keep(pfm_graph *graph, pfm_value value);

/* An empty node of an operator: every input, output and operand absent. */
pfm_graph_node pfm_graph_node_of(const pfm_op *op);

#endif
