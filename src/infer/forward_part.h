/* What pefomed forward's parts share. Inside this folder. */
#ifndef PFM_INFER_FORWARD_PART_H
#define PFM_INFER_FORWARD_PART_H

#include "pefomed/infer.h"
#include "train/session.h"

typedef struct pfm_forward_part {
    pfm_context *context;
    const pfm_forward_options *options;
    pfm_weights *input;
    pfm_session *session; /* of a language model or an aligner */
    pfm_weight *out;      /* tensors to write; their data and names are owned */
    size_t out_count, out_capacity;
} pfm_forward_part;

/* Adds a tensor of the result, copied. */
pfm_status pfm_forward_put(pfm_forward_part *p, const char *name, const float *values, int rank, const int64_t *shape,
                           pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_forward_put_matrix(pfm_forward_part *p, const char *name, const float *values, int64_t rows, int64_t columns,
                                  pfm_error *err) PFM_MUST_CHECK;
/* *out = a tensor of the input as f32; NULL where it is absent. FORMAT where its shape is not the wanted one (0: any size). */
pfm_status pfm_forward_get(const pfm_forward_part *p, const char *name, int rank, const int64_t *shape, float **out,
                           const pfm_weight **tensor, pfm_error *err) PFM_MUST_CHECK;
/* A recipe around a bare model, a language model or a vision encoder, and, where given, an adapter. */
pfm_status pfm_forward_make_recipe(const pfm_forward_part *p, bool vision, pfm_recipe **out, pfm_error *err) PFM_MUST_CHECK;
/* pixel_values through a vision encoder (forward_vision.c). */
pfm_status pfm_forward_vision(pfm_forward_part *p, pfm_error *err) PFM_MUST_CHECK;

#endif
