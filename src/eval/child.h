/* Work in a process of its own: what it takes of memory is its own and goes with it, and what kills it kills nothing else. */
#ifndef PFM_EVAL_CHILD_H
#define PFM_EVAL_CHILD_H

#include "base/context.h"
#include "base/json.h"

/* *result = what it found out, or left NULL. */
typedef pfm_status (*pfm_child_function)(pfm_context *context, void *user, json_t **result, pfm_error *err);

/* Calls function(context', user, ...) in a child of this process (fork). context' is a new one like `context`, with `seed`;
 * what it logs and how far it is come from `context` itself, in the caller's process, and so does the wish to stop. *outcome =
 * PFM_OK and *result what the function gave (NULL where it gave none), the caller calls json_decref; or its error, also where
 * something killed the child. The child dies with its parent. IO, NO_MEMORY: there is no child. */
pfm_status pfm_child_run(const pfm_context *context, uint64_t seed, pfm_child_function function, void *user, json_t **result,
                         pfm_error *outcome, pfm_error *err) PFM_MUST_CHECK;

#endif
