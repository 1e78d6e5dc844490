/* Where every value and gradient of a graph lives: all memory is assigned for the capacities before the first step. */
#ifndef PFM_NN_PLAN_H
#define PFM_NN_PLAN_H

#include "nn/graph.h"

#define PFM_NO_PLACE SIZE_MAX

typedef struct pfm_plan_step {
    int32_t node;
    bool backward;
} pfm_plan_step;

typedef struct pfm_plan {
    pfm_plan_step *steps; /* the forward of every node in turn, then the backward, which may run nodes forward again */
    size_t step_count;
    size_t bytes;           /* of the arena: values and gradients */
    size_t scratch;         /* of the largest operator call */
    size_t *value_place;    /* [values] offset into the arena; PFM_NO_PLACE: bound from outside, or never needed */
    size_t *gradient_place; /* [values] PFM_NO_PLACE: no gradient */
    bool *gradient_adds;    /* [nodes * PFM_OP_MAX_INPUTS] this use of the value adds to its gradient; the first one writes. Of
                               an input that the operator passes: the executor adds, since no place is shared */
    bool *runs_backward;    /* [nodes] */
    bool *constants; /* [nodes] what they make follows from parameters alone, and where it is read stays from run to run */
} pfm_plan;

/* seed: the value whose gradient is given (the loss); PFM_NO_VALUE: forward only. env says what scratch sizes depend on: act,
 * kernels, context, and at capacity: most_keys. */
pfm_status pfm_plan_create(const pfm_graph *graph, const pfm_op_environment *env, pfm_value seed, pfm_plan **out,
                           pfm_error *err) PFM_MUST_CHECK;
void pfm_plan_free(pfm_plan *plan);

#endif
