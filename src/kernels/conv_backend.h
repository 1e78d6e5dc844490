/* Between kernels/conv.c and the two that compute. Steps have been checked when a backend sees them. */
#ifndef PFM_KERNELS_CONV_BACKEND_H
#define PFM_KERNELS_CONV_BACKEND_H

#include "base/memory.h"
#include "kernels/conv.h"

#include <stdint.h>

/* A compiled chain begins with this. */
struct pfm_conv_chain {
    const struct pfm_conv_backend *backend;
    pfm_conv_step *steps; /* copies; weight and bias are NULL after create */
    size_t count;
    int threads;
    pfm_block *arenas; /* [threads] */
    size_t *offsets;   /* where each step's result stands in an arena, in bytes */
    size_t arena_bytes;
};

typedef struct pfm_conv_backend {
    size_t chain_size; /* of the backend's own struct */
    /* Builds what it needs of chain->steps and calls pfm_conv_chain_place. On error, free is called. */
    pfm_status (*build)(pfm_conv_chain *chain, const char *level, pfm_error *err);
    /* Results are copied out as soon as they are there: later steps may write over them. */
    pfm_status (*run)(pfm_conv_chain *chain, int thread, const float *input, const pfm_conv_result *results, size_t count,
                      pfm_error *err);
    void (*free)(pfm_conv_chain *chain); /* its own parts; the common ones are released behind it */
} pfm_conv_backend;

extern const pfm_conv_backend pfm_conv_backend_ref, pfm_conv_backend_onednn;

/* Places results of bytes[count] so that those alive together do not overlap (a step with an addend writes over it), adds
 * `scratch` bytes at *scratch_offset, and allocates the arenas. */
pfm_status pfm_conv_chain_place(pfm_conv_chain *chain, const size_t *bytes, size_t scratch, size_t *scratch_offset,
                                pfm_error *err) PFM_MUST_CHECK;

static inline unsigned char *pfm_conv_chain_result(const pfm_conv_chain *chain, int thread, size_t step)
{
    return (unsigned char *)chain->arenas[thread].data + chain->offsets[step];
}

#endif
