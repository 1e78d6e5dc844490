/* The scratch of attention at any vector width, in floats; every part is a multiple of 16 of them. A part holds units for f32
 * activations and is half used for bf16. */
#ifndef PFM_KERNELS_VECTOR_ATTENTION_SHAPE_H
#define PFM_KERNELS_VECTOR_ATTENTION_SHAPE_H

enum {
    QUERIES = 2 * LANES,                       /* rows of a block: lane q is query q */
    KEYS = 64,                                 /* of a block of the backward */
    PLACES_SPARE = 2 * (PFM_MAX_ANCESTORS + 1) /* each range of keys begins at a whole unit */
};

/* A row of the head, padded to whole panels. */
static inline size_t padded_dim(size_t head_dim) { return (head_dim + 2 * LANES - 1) / (2 * LANES) * (2 * LANES); }

/* Forward: queries, values, scores, sums of a block. Backward: queries and output gradients twice, keys, dq, and of a block of
 * keys the scores, their gradients, and both again in the activations' type, in one or two layouts. */
static inline size_t attention_floats(size_t head_dim, size_t most_keys)
{
    size_t dim = padded_dim(head_dim), keys = most_keys + PLACES_SPARE;
    size_t forward = dim * QUERIES + keys * dim + keys * QUERIES + dim * QUERIES + 2 * QUERIES;
    size_t backward = 4 * dim * QUERIES + keys * dim + dim * QUERIES + 2 * QUERIES + 5 * (size_t)KEYS * QUERIES;
    return (forward > backward ? forward : backward) + 16;
}

#endif
