/* A matrix product by oneDNN with its own layout of the right operand, for comparison: docs/decisions says why the table has
 * our own kernels instead. */
#ifndef PFM_KERNELS_ONEDNN_PRODUCT_H
#define PFM_KERNELS_ONEDNN_PRODUCT_H

#include "kernels/kernels.h"

typedef struct pfm_onednn_product pfm_onednn_product;

/* c [m,n] = a [m,k] b [k,n], all of one type and dense; b [n,k] row-major in memory, as weights are. It is packed here; a and c
 * must live as long as the product. level as in pfm_onednn_engine_create. UNSUPPORTED where oneDNN has no such product. */
pfm_status pfm_onednn_product_create(const char *level, pfm_act_type type, size_t m, size_t n, size_t k, const void *a,
                                     const void *b, void *c, pfm_onednn_product **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_onednn_product_free(pfm_onednn_product *product);
/* Computes c on the calling thread alone; false where oneDNN failed. */
bool pfm_onednn_product_run(const pfm_onednn_product *product);

#endif
