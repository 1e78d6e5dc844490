/* From an interpreted pickle to named tensors. */
#ifndef PFM_FORMATS_TORCH_TENSORS_H
#define PFM_FORMATS_TORCH_TENSORS_H

#include "formats/pickle.h"
#include "formats/weights_internal.h"

/* Adds every tensor of the pickle, whose storages have their data. The name is the path of keys and positions to it, joined by
 * dots ("model.layers.0.weight"); where the outermost dictionary only wraps the one that holds the tensors ({"state_dict": ...,
 * "epoch": 3}), its key is left out and its scalars become key-values. A tensor that is not laid out row-major is copied into
 * that order. `size`: the file's bytes; FORMAT where a tensor lies outside of its storage, UNSUPPORTED where copies would take
 * more than twice the size. */
pfm_status pfm_torch_add_tensors(pfm_weights *weights, pfm_pickle *pickle, size_t size, const char *place,
                                 pfm_error *err) PFM_MUST_CHECK;

#endif
