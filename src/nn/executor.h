/* Runs a planned graph, forward and backward. */
#ifndef PFM_NN_EXECUTOR_H
#define PFM_NN_EXECUTOR_H

#include "nn/plan.h"

typedef struct pfm_executor pfm_executor;

/* Where the time went: one entry an operator of op_list.h and direction. */
typedef struct pfm_profile {
    const char *op;
    bool backward;
    double seconds, operations;
    int64_t calls;
} pfm_profile;

/* Plans and allocates for the graph's capacities. Graph and parameters are borrowed and must outlive it. env gives act, and at
 * capacity most_keys; seed is the loss, or PFM_NO_VALUE for inference. */
pfm_status pfm_executor_create(pfm_graph *graph, const pfm_op_environment *env, pfm_value seed, pfm_executor **out,
                               pfm_error *err) PFM_MUST_CHECK;
void pfm_executor_free(pfm_executor *executor);
size_t pfm_executor_bytes(const pfm_executor *executor); /* arena and scratch */

/* The environment of the next run; fields may be set freely before each run. */
pfm_op_environment *pfm_executor_environment(pfm_executor *executor);
/* Binds an input to memory that lives through the run. */
void pfm_executor_bind(pfm_executor *executor, pfm_value input, const void *data);
/* How many rows a dimension has in the next run; MISMATCH past its capacity. */
pfm_status pfm_executor_resize(pfm_executor *executor, pfm_dim dim, int64_t rows, pfm_error *err) PFM_MUST_CHECK;

void pfm_executor_forward(pfm_executor *executor);
/* Before it: write the seed's gradient to pfm_executor_gradient(seed). Parameters' gradients are added to. */
void pfm_executor_backward(pfm_executor *executor);

void *pfm_executor_data(const pfm_executor *executor, pfm_value value);     /* of a kept value, until the next run */
void *pfm_executor_gradient(const pfm_executor *executor, pfm_value value); /* of the seed, or of an input after backward */

/* Told each operator as it ends: when it began (pfm_process_clock), how long it took, its operations, what it was called with.
 * NULL: nobody. */
typedef void (*pfm_executor_observer)(void *user, const pfm_op *op, bool backward, double start, double seconds,
                                      double operations, const pfm_op_call *call);
void pfm_executor_observe(pfm_executor *executor, pfm_executor_observer observer, void *user);

/* The profile since the last reset: `*count` entries, borrowed. */
const pfm_profile *pfm_executor_profile(const pfm_executor *executor, size_t *count);
void pfm_executor_profile_reset(pfm_executor *executor);

#endif
